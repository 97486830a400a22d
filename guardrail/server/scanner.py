"""Runs detectors for an exchange. What one of them could not do is a ``Failed``, never an empty finding."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import entry_points
from time import perf_counter
from typing import Protocol, cast

from guardrail.core.events import Scan, Scanned
from guardrail.core.model import Context, Direction, Failed, Finding
from guardrail.core.ports import Detector
from guardrail.detectors.run import look

WORKERS = 4
AT_A_TIME = 0.01
"""Seconds of looking before others have their turn."""
BETWEEN_STEPS = 0.05
PLUGINS = "guardrail.detectors"
"""Entry-point group: each entry is called without arguments and gives a ``Detector``."""


class Quiet(Protocol):
    """What a detector may have besides: to say cheaply that it would find nothing in a text, nor in any part of
    it that is cut at its clauses."""

    def __call__(self, text: str, direction: Direction) -> bool: ...


class Warm(Protocol):
    """What a detector may have besides: to make ready, step by step, what it needs only later."""

    def __call__(self) -> Iterator[None]: ...


class _Fair:
    """Lets others have their turn in the middle of much work: a long history may not make everybody wait."""

    def __init__(self) -> None:
        self._since = perf_counter()

    async def turn(self) -> None:
        if perf_counter() - self._since > AT_A_TIME:
            await asyncio.sleep(0)
            self._since = perf_counter()


async def _made_ready(detector: Detector, pause: float) -> None:
    warm: Warm | None = getattr(detector, "warm", None)
    if warm is not None:
        with contextlib.suppress(Exception):  # what is not ready fails when it looks, and that is answered
            for _ in warm():
                await asyncio.sleep(pause)


class Scanner:
    """Detectors in the order they were given. ``now`` gives POSIX seconds."""

    def __init__(self, detectors: Sequence[Detector], now: Callable[[], float]) -> None:
        self._now = now
        self._hung: set[Future[Finding]] = set()
        self._pool = ThreadPoolExecutor(WORKERS, "detector") if any(d.blocking for d in detectors) else None
        self._use(tuple(detectors))

    def _use(self, detectors: tuple[Detector, ...]) -> None:
        self._detectors = detectors
        self._by_direction: dict[Direction, tuple[Detector, ...]] = {
            direction: tuple(d for d in detectors if direction in d.directions) for direction in ("inbound", "outbound")
        }
        self._quiet: dict[Direction, tuple[Quiet | None, ...]] = {
            direction: tuple(getattr(d, "quiet", None) for d in found)
            for direction, found in self._by_direction.items()
        }

    async def exchange(self, detector: Detector) -> None:
        """Put a detector in the place of the one of its name, once it is ready; until then the old one looks. Whoever
        breaks off the waiting gets the new one all the same: rules and what is listened for are of one release."""
        if detector in self._detectors:
            return
        try:
            await _made_ready(detector, BETWEEN_STEPS)
        finally:
            self._use(tuple(detector if d.name == detector.name else d for d in self._detectors))

    async def warm(self, pause: float = BETWEEN_STEPS) -> None:
        """Have detectors make ready what they need only later, so that no person waits for it. Takes some seconds:
        after each step those who are there already have their turn for ``pause`` seconds."""
        for detector in self._detectors:
            await _made_ready(detector, pause)

    async def scan(self, effect: Scan) -> Scanned:
        """Have every detector look at every cut."""
        if await self._is_quiet(effect):
            return Scanned(self._now())
        detectors = self._by_direction[effect.direction]
        context = Context(effect.direction, effect.history, effect.locale, effect.audience)
        texts = [look.window(cut)[1] for look in effect.looks for cut in look.cuts]
        columns = [await self._column(d, texts, context) for d in detectors]
        return Scanned(self._now(), tuple(zip(*columns, strict=True)) if columns else ())

    async def _column(self, detector: Detector, texts: list[str], context: Context) -> list[Finding]:
        if not detector.blocking:
            fair = _Fair()
            found = []
            for text in texts:
                found.append(look(detector, text, context))
                await fair.turn()
            return found
        late = Failed(detector.name, "deadline", detector.required)
        # A plug-in that hangs keeps its thread. When all hang, no more texts are put before them to pile up.
        if self._pool is None or len(self._hung) >= WORKERS:
            return [late] * len(texts)
        futures = [self._pool.submit(look, detector, text, context) for text in texts]
        jobs = [asyncio.wrap_future(future) for future in futures]
        done, _ = await asyncio.wait(jobs, timeout=detector.deadline)
        for future, job in zip(futures, jobs, strict=True):
            if job not in done and not future.cancel():
                self._hung.add(future)
                future.add_done_callback(self._hung.discard)
        return [job.result() if job in done else late for job in jobs]

    async def _is_quiet(self, effect: Scan) -> bool:
        fair = _Fair()
        for quiet in self._quiet[effect.direction]:
            if quiet is None:
                return False
            try:
                for look_ in effect.looks:
                    if not quiet(look_.text, effect.direction):
                        return False
                    await fair.turn()
            except Exception:
                return False  # the whole look will fail too, and say so
        return True

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


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
