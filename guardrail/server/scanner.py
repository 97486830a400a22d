"""Runs detectors for an exchange. What one of them could not do is a ``Failed``, never an empty finding."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points
from typing import Protocol, cast, runtime_checkable

from guardrail.core.events import Scan, Scanned
from guardrail.core.model import Context, Direction, Failed, Finding
from guardrail.core.ports import Detector
from guardrail.detectors.run import look

WORKERS = 4
PLUGINS = "guardrail.detectors"
"""Entry-point group: each entry is called without arguments and gives a ``Detector``."""


@runtime_checkable
class Quiet(Protocol):
    """A detector that can say cheaply that it would find nothing in a text, nor in any part cut at its clauses."""

    def quiet(self, text: str, direction: Direction) -> bool: ...


class Scanner:
    """Detectors in the order they were given. ``now`` gives POSIX seconds."""

    def __init__(self, detectors: Sequence[Detector], now: Callable[[], float]) -> None:
        self._now = now
        self._by_direction: dict[Direction, tuple[Detector, ...]] = {
            direction: tuple(d for d in detectors if direction in d.directions) for direction in ("inbound", "outbound")
        }
        self._pool = ThreadPoolExecutor(WORKERS, "detector") if any(d.blocking for d in detectors) else None

    async def scan(self, effect: Scan) -> Scanned:
        """Have every detector look at every cut."""
        detectors = self._by_direction[effect.direction]
        if all(_is_quiet(d, effect) for d in detectors):
            return Scanned(self._now())
        context = Context(effect.direction, effect.history, effect.locale, effect.audience)
        texts = [look.window(cut)[1] for look in effect.looks for cut in look.cuts]
        columns = [await self._column(d, texts, context) for d in detectors]
        return Scanned(self._now(), tuple(zip(*columns, strict=True)) if columns else ())

    async def _column(self, detector: Detector, texts: list[str], context: Context) -> list[Finding]:
        if not detector.blocking:
            return [look(detector, text, context) for text in texts]
        # A plug-in that hangs keeps its thread; when all hang, every further look is past its deadline too.
        loop = asyncio.get_running_loop()
        jobs = [loop.run_in_executor(self._pool, look, detector, text, context) for text in texts]
        done, _ = await asyncio.wait(jobs, timeout=detector.deadline)
        return [job.result() if job in done else Failed(detector.name, "deadline") for job in jobs]

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def _is_quiet(detector: Detector, effect: Scan) -> bool:
    if not isinstance(detector, Quiet):
        return False
    try:
        return all(detector.quiet(look.text, effect.direction) for look in effect.looks)
    except Exception:
        return False  # the whole look will fail too, and say so


def plugins() -> list[Detector]:
    """Detectors that installed packages bring. One that cannot be loaded stops the start: its operator
    counts on it. Raises ``ValueError`` with one line that names it."""
    found: list[Detector] = []
    for entry in entry_points(group=PLUGINS):
        try:
            found.append(cast("Detector", entry.load()()))
        except Exception as error:
            raise ValueError(f"detector plug-in {entry.name} cannot be loaded: {type(error).__name__}") from error
    return found
