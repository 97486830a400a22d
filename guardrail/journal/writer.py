"""The journal as the event loop sees it: ``append`` costs microseconds, one thread makes it durable."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path

import msgspec
import structlog

from guardrail.journal.chain import Key, seal
from guardrail.journal.kinds import encoded
from guardrail.journal.segments import SEGMENT_BYTES, Segments

log = structlog.get_logger("guardrail.journal")

BATCH_SECONDS = 0.05
BATCH_RECORDS = 1000
BOUND = 100_000
"""Records kept in memory while the disk does not take them."""
RETRY_SECONDS = (0.1, 0.5, 2.0, 5.0)
CLOSE_SECONDS = 5.0
STUCK_SECONDS = 5.0
"""A batch that takes longer turns health red."""

Waiting = tuple[float, str, bytes]


class JournalError(Exception):
    """Records are not durable. ``str`` is one line fit for an operator."""


class Health(msgspec.Struct, frozen=True):
    """``ok`` is false while the disk refuses, or after records were lost until the loss itself is on record."""

    ok: bool
    reason: str = ""
    waiting: int = 0
    lost: int = 0
    """Records lost since the start because the memory bound was reached."""


class Journal:
    """One open journal. Methods may be called from one event loop, or any thread."""

    def __init__(self, segments: Segments, key: Key, now: Callable[[], float], bound: int) -> None:
        self._segments, self._key, self._now, self._bound = segments, key, now, bound
        self._queue: deque[Waiting] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._urgent = threading.Event()
        self._accepted = self._durable = 0
        self._lost = self._losing = self._lost_recorded = 0
        self._busy_since: float | None = None
        self._trouble = ""
        self._flushes: list[tuple[int, Future[None]]] = []
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    @classmethod
    def open(
        cls,
        folder: Path,
        key: bytes,
        now: Callable[[], float],
        *,
        segment_bytes: int = SEGMENT_BYTES,
        bound: int = BOUND,
    ) -> Journal:
        """Open, or begin, the journal in ``folder/journal``; blocking, for the start.

        ``key`` is the installation's secret, ``now`` gives POSIX seconds. An unfinished last line is set
        aside, and what else is found amiss recorded. Raises ``JournalInUse`` when another process writes
        this folder, and ``OSError``.
        """
        keys = Key(key)
        segments = Segments(folder, keys, segment_bytes)
        journal = cls(segments, keys, now, bound)
        for fields in segments.recovered:
            log.warning("the journal was recovered", reason=fields["reason"])
            journal.append("journal.recovered", fields)
        journal._thread.start()
        return journal

    def append(self, kind: str, fields: Mapping[str, object]) -> None:
        """Queue a record; never blocks. Raises ``RecordRefused`` for what the table of kinds does not allow.

        A record beyond the memory bound is lost, which is counted, turns health red and is itself recorded.
        """
        record = (self._now(), kind, encoded(kind, fields))
        with self._lock:
            if self._closing or len(self._queue) >= self._bound:
                self._lost += 1
                return
            self._queue.append(record)
            self._accepted += 1
        if not self._wake.is_set():
            self._wake.set()

    async def flush(self, seconds: float = 5.0) -> None:
        """Wait until everything appended before is durable. Raises ``JournalError`` when it is not in time."""
        done: Future[None] = Future()
        with self._lock:
            if self._durable >= self._accepted:
                return
            self._flushes.append((self._accepted, done))
        self._urgent.set()
        self._wake.set()
        try:
            async with asyncio.timeout(seconds):
                await asyncio.wrap_future(done)
        except TimeoutError:
            raise JournalError(f"the journal is not durable: {self._trouble or 'the disk is slow'}") from None

    @property
    def health(self) -> Health:
        with self._lock:
            unrecorded = self._lost - self._lost_recorded
            reason = self._trouble or self._stuck() or (f"{unrecorded} records were lost" if unrecorded else "")
            return Health(not reason, reason, self._accepted - self._durable, self._lost)

    def _stuck(self) -> str:
        if not self._thread.is_alive():
            return "the writer has stopped"
        busy = self._busy_since
        return "the disk does not answer" if busy is not None and time.monotonic() - busy > STUCK_SECONDS else ""

    def close(self) -> None:
        """Write what is queued and let go of the folder; waits at most 5 s. Raises ``JournalError`` if it cannot."""
        with self._lock:
            self._closing = True
        self._urgent.set()
        self._wake.set()
        self._thread.join(CLOSE_SECONDS)
        left = self._accepted - self._durable
        if left or self._thread.is_alive():
            reason = self._trouble or "the disk is slow"
            log.error("journal records could not be written before the end", count=left, reason=reason)
            raise JournalError(f"{left} journal records could not be written: {reason}")

    # --- the writer's thread

    def _run(self) -> None:
        batch: list[Waiting] = []
        failures = 0
        while True:
            if not batch:
                self._await_records()
                batch = self._take()
            if not batch:
                break  # closing, and nothing is left
            self._busy_since = self._busy_since or time.monotonic()
            if self._write(batch):
                self._settle(len(batch))
                batch, failures = [], 0
            elif self._closing:
                break
            else:
                self._urgent.clear()
                if not self._closing:
                    self._urgent.wait(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
        try:
            self._segments.close()
        except OSError as error:
            self._trouble = _reason(error)

    def _await_records(self) -> None:
        while not self._queue and not self._closing and not self._lost_unrecorded():
            self._wake.wait()
            self._wake.clear()
        if not self._closing and len(self._queue) < BATCH_RECORDS and self._urgent.wait(BATCH_SECONDS):
            self._urgent.clear()

    def _take(self) -> list[Waiting]:
        with self._lock:
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_RECORDS))]
            lost = self._lost - self._lost_recorded
        self._losing = lost
        if lost:
            fields = encoded("failure", {"part": "journal", "reason": "overflow", "count": lost})
            batch.append((self._now(), "failure", fields))
        return batch

    def _lost_unrecorded(self) -> int:
        return self._lost - self._lost_recorded

    def _write(self, batch: list[Waiting]) -> bool:
        head = self._segments.head
        lines: list[bytes] = []
        for at, kind, fields in batch:
            line, head = seal(self._key, head, at, kind, fields)
            lines.append(line)
        try:
            self._segments.write(lines, head)
        except OSError as error:
            if not self._trouble:
                log.error("the journal cannot be written and is tried again", reason=_reason(error))
            self._trouble = _reason(error)
            return False
        self._trouble = ""
        return True

    def _settle(self, count: int) -> None:
        self._busy_since = None
        with self._lock:
            self._durable += count - (1 if self._losing else 0)
            self._lost_recorded += self._losing
            ready = [future for ticket, future in self._flushes if ticket <= self._durable]
            self._flushes = [(ticket, future) for ticket, future in self._flushes if ticket > self._durable]
        for future in ready:
            if future.set_running_or_notify_cancel():
                future.set_result(None)


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
