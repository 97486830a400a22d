"""Runs detectors for an exchange. What one of them could not do is a ``Failed``, never an empty finding."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import entry_points
from time import perf_counter
from typing import NamedTuple, Protocol, cast

from guardrail.core.events import Scan, Scanned
from guardrail.core.model import Context, Direction, Failed, Finding, Signal
from guardrail.core.ports import Detector
from guardrail.core.unsure import is_unsure
from guardrail.detectors.run import checked, failed, look

WORKERS = 4
AT_A_TIME = 0.01
"""Seconds of looking before others have their turn."""
BETWEEN_STEPS = 0.05
MORE = 0.1
"""Seconds that a scan may take longer for each text besides the first."""
PLUGINS = "guardrail.detectors"
"""Entry-point group: each entry is called without arguments and gives a ``Detector``."""


class Quiet(Protocol):
    """What a detector may have besides: to say cheaply that it would find nothing in a text, nor in any part of
    it that is cut at its clauses."""

    def __call__(self, text: str, direction: Direction) -> bool: ...


class Warm(Protocol):
    """What a detector may have besides: to make ready, step by step, what it needs only later."""

    def __call__(self) -> Iterator[None]: ...


class Submits(Protocol):
    """What a blocking detector may have instead of being given threads: to take a text, and to give a future of its
    signals. It reads for many people at once. A future that is cancelled is not waited for any more."""

    def __call__(self, text: str, context: Context) -> Future[list[Signal]]: ...


class SecondRound(Protocol):
    """What a detector may have besides: ``only_unsure``, to be asked only of turns that the others leave open."""

    @property
    def only_unsure(self) -> bool: ...


class BySentence(Protocol):
    """What a detector may have besides: ``by_sentence``, not to be asked where a sentence goes on. It reads what a
    sentence means, and half of one means something else. Where a conversation worries, sentences leave only whole."""

    @property
    def by_sentence(self) -> bool: ...


class Alive(Protocol):
    """What a detector may have besides: ``alive``, whether what it works with is still there."""

    @property
    def alive(self) -> bool: ...


class Closes(Protocol):
    """What a detector may have besides: to let go of what it holds, when the proxy stops."""

    def __call__(self) -> None: ...


class _Fair:
    """Lets others have their turn in the middle of much work: a long history may not make everybody wait."""

    def __init__(self) -> None:
        self._since = perf_counter()

    async def turn(self) -> None:
        if perf_counter() - self._since > AT_A_TIME:
            await asyncio.sleep(0)
            self._since = perf_counter()


def _needs_threads(detector: Detector) -> bool:
    return detector.blocking and not hasattr(detector, "submit")


def _waits(detector: Detector) -> bool:
    return bool(getattr(detector, "only_unsure", False))


def _by_sentence(detector: Detector) -> bool:
    return bool(getattr(detector, "by_sentence", False))


class _Text(NamedTuple):
    """What is to be looked at, and whether its last sentence goes on."""

    text: str
    within: bool


def _by_direction(detectors: Iterable[Detector]) -> dict[Direction, tuple[Detector, ...]]:
    found = tuple(detectors)
    return {direction: tuple(d for d in found if direction in d.directions) for direction in ("inbound", "outbound")}


async def _made_ready(detector: Detector, pause: float) -> None:
    warm: Warm | None = getattr(detector, "warm", None)
    if warm is not None:
        with contextlib.suppress(Exception):  # what is not ready fails when it looks, and that is answered
            for _ in warm():
                await asyncio.sleep(pause)


class _Reading:
    """Texts before a detector that reads for many. They are put before it at once, and it reads while others look."""

    def __init__(self, detector: Detector, submits: Submits, texts: Sequence[str], context: Context) -> None:
        self._detector, self._texts = detector, texts
        # One text has its deadline, more have a little more.
        self._until = perf_counter() + detector.deadline + MORE * (len(texts) - 1)
        self._jobs: list[asyncio.Future[list[Signal]]] = []
        self._broken: Failed | None = None
        try:
            # The newest first: where not all can be read, it is the one that is answered.
            for text in reversed(texts):
                self._jobs.append(asyncio.wrap_future(submits(text, context)))
        except Exception as error:
            self._broken = failed(detector, error)
        self._jobs.reverse()

    async def findings(self) -> list[Finding]:
        if self._broken is not None or not self._jobs:
            return [self._broken] * len(self._texts) if self._broken is not None else []
        done, _ = await asyncio.wait(self._jobs, timeout=self._until - perf_counter())
        late = Failed(self._detector.name, "deadline", self._detector.required)
        return [
            self._finding(text, job) if job in done else late for text, job in zip(self._texts, self._jobs, strict=True)
        ]

    def _finding(self, text: str, job: asyncio.Future[list[Signal]]) -> Finding:
        if job.cancelled():
            return Failed(self._detector.name, "raised", self._detector.required)
        if (error := job.exception()) is not None:
            return failed(self._detector, error)
        return checked(self._detector, job.result(), text)

    def cancel(self) -> None:
        for job in self._jobs:
            if not job.cancel() and not job.cancelled():
                job.exception()  # it was looked at: what nobody waits for any more is no error of the loop's


class Scanner:
    """Detectors in the order they were given. ``now`` gives POSIX seconds."""

    def __init__(self, detectors: Sequence[Detector], now: Callable[[], float]) -> None:
        self._now = now
        self._hung: set[Future[Finding]] = set()
        self._pool = ThreadPoolExecutor(WORKERS, "detector") if any(_needs_threads(d) for d in detectors) else None
        self._use(tuple(detectors))

    def _use(self, detectors: tuple[Detector, ...]) -> None:
        self._detectors = detectors
        self._first = _by_direction(d for d in detectors if not _waits(d))
        self._second = _by_direction(d for d in detectors if _waits(d))
        self._quiet: dict[Direction, tuple[Quiet | None, ...]] = {
            direction: tuple(getattr(d, "quiet", None) for d in found) for direction, found in self._first.items()
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
        """Have every detector look at every cut; those that look only where it is needed, at what the others leave
        open."""
        if await self._is_quiet(effect):
            return Scanned(self._now())
        context = Context(effect.direction, effect.history, effect.locale, effect.audience)
        texts = [_Text(look.window(cut)[1], cut in look.within) for look in effect.looks for cut in look.cuts]
        rows = await self._round(self._first[effect.direction], texts, context)
        if second := self._second[effect.direction]:
            unsure = [at for at, row in enumerate(rows) if is_unsure(row, effect.direction)]
            more = await self._round(second, [texts[at] for at in unsure], context)
            for at, row in zip(unsure, more, strict=True):
                rows[at] += row
        return Scanned(self._now(), tuple(rows))

    async def _round(
        self, detectors: Sequence[Detector], texts: Sequence[_Text], context: Context
    ) -> list[tuple[Finding, ...]]:
        """A row of findings for each text, in the detectors' order, of those that were asked."""
        rows: list[tuple[Finding, ...]] = [()] * len(texts)
        if not detectors or not texts:
            return rows
        asked = [[at for at, text in enumerate(texts) if not (text.within and _by_sentence(d))] for d in detectors]
        put = [[texts[at].text for at in those] for those in asked]
        reading = [self._reading(d, mine, context) for d, mine in zip(detectors, put, strict=True)]
        try:
            for detector, found, those, mine in zip(detectors, reading, asked, put, strict=True):
                column = await (found.findings() if found is not None else self._column(detector, mine, context))
                for at, finding in zip(those, column, strict=True):
                    rows[at] += (finding,)
        finally:
            for found in reading:
                if found is not None:
                    found.cancel()
        return rows

    def _reading(self, detector: Detector, texts: Sequence[str], context: Context) -> _Reading | None:
        submits: Submits | None = getattr(detector, "submit", None) if detector.blocking else None
        return _Reading(detector, submits, texts, context) if submits is not None else None

    async def _column(self, detector: Detector, texts: Sequence[str], context: Context) -> list[Finding]:
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

    def dead(self) -> list[str]:
        """Names of detectors that can do nothing any more until the proxy is started again."""
        return [d.name for d in self._detectors if not getattr(d, "alive", True)]

    def close(self) -> None:
        for detector in self._detectors:
            closes: Closes | None = getattr(detector, "close", None)
            if closes is not None:
                with contextlib.suppress(Exception):  # the rest of the stop does not wait for a plug-in
                    closes()
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
