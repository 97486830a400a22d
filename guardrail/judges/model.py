"""The shipped model as a detector: one thread that reads for everybody."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Protocol

import msgspec
import numpy as np

from guardrail.core.model import Context, Direction, Message, Severity, Signal, Span
from guardrail.detectors.model_input import parts, windows
from guardrail.detectors.model_output import NAME, Reader, script_of
from guardrail.judges.onnx import Asked, Row

REMEMBERED = 4096
"""Rows that are kept by the hash of what was read: a reply that grows is asked about again at each of its clauses."""
WAITING = 4096
"""Turns that may wait. Beyond them the newest are refused, which is a failure that the policy answers."""


class Engine(Protocol):
    """What reads: see ``guardrail.judges.onnx``."""

    reader: Reader

    def tokens(self, text: str) -> Sequence[int]: ...
    def run(self, asked: Asked) -> Row: ...


class _Piece(msgspec.Struct):
    """A part of a turn on its way through the engine."""

    span: Span
    text: str
    history: Sequence[Message]
    script: str
    asked: list[Asked]
    """What is read first: a person's turn after those before it, a bot's sentence by itself."""


class _Job(msgspec.Struct):
    text: str
    context: Context
    future: Future[list[Signal]]
    pieces: list[_Piece] = []


class Model:
    """A ``Detector`` and more: ``submit`` gives a future, so that no thread waits for each turn."""

    name = NAME
    directions: frozenset[Direction] = frozenset(("inbound", "outbound"))
    blocking = True
    by_sentence = True

    def __init__(self, engine: Engine, deadline: float = 2.0, *, required: bool = True) -> None:
        self.deadline = deadline
        self.required = required
        self._engine = engine
        self._queue: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._places = threading.BoundedSemaphore(WAITING)
        self._known: OrderedDict[bytes, Row] = OrderedDict()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether anybody still reads. Else every turn misses its deadline, and health says why."""
        return self._thread.is_alive()

    def look(self, text: str, context: Context) -> Sequence[Signal]:
        return self.submit(text, context).result()

    def submit(self, text: str, context: Context) -> Future[list[Signal]]:
        """The signals of a turn, once it has been read. A future that is cancelled before that is not read."""
        future: Future[list[Signal]] = Future()
        if not text.strip():
            future.set_result([])
        elif not self._places.acquire(blocking=False):
            future.set_exception(RuntimeError("too many turns wait to be read"))
        else:
            future.add_done_callback(lambda _: self._places.release())
            self._queue.put(_Job(text, context, future))
        return future

    def _work(self) -> None:
        while True:
            jobs = [self._queue.get()]
            while not self._queue.empty():
                jobs.append(self._queue.get())
            begun = [job for job in jobs if job.future.set_running_or_notify_cancel() and self._begin(job)]
            # The short first: nobody's few words wait for somebody else's long text.
            for job in sorted(begun, key=lambda job: sum(len(piece.asked) for piece in job.pieces)):
                self._read(job)

    def _read(self, job: _Job) -> None:
        try:
            job.future.set_result(together(s for piece in job.pieces for s in self._signals(piece, job.context)))
        except Exception as error:
            job.future.set_exception(error)

    def _signals(self, piece: _Piece, context: Context) -> list[Signal]:
        """What a part shows in the light of what came before it, and whether it would show it by itself."""
        if context.direction == "outbound":
            return self._of_a_bot(piece)
        signals = self._seen(piece, piece.asked, "inbound")
        if _gravest(signals) < Severity.ELEVATED or not _has_turns(piece):
            return signals
        asked = self._asked(piece.text, (), piece.script, "inbound")
        if _gravest(self._seen(piece, asked, "inbound")) >= Severity.ELEVATED:
            return signals
        return [msgspec.structs.replace(s, echo=s.severity >= Severity.ELEVATED) for s in signals]

    def _of_a_bot(self, piece: _Piece) -> list[Signal]:
        """A bot's sentence is read by itself first, which costs little. What the person said is no harm of the bot's: a
        kind answer to somebody in danger stands beside it."""
        alone = self._row_of(piece.asked)
        if self._engine.reader.harmless(alone.tolist(), piece.script):
            return [
                _at_most(s, 0)
                for s in self._engine.reader.signals(alone.tolist(), "outbound", piece.script, piece.span)
            ]
        asked = self._asked(piece.text, piece.history, piece.script, "outbound")
        return self._seen(piece, [msgspec.structs.replace(one, whole=True) for one in asked], "outbound")

    def _seen(self, piece: _Piece, asked: Sequence[Asked], direction: Direction) -> list[Signal]:
        return self._engine.reader.signals(self._row_of(asked).tolist(), direction, piece.script, piece.span)

    def _row_of(self, asked: Sequence[Asked]) -> Row:
        row: Row = np.max(np.stack([self._row(one) for one in asked]), axis=0)
        if not np.isfinite(row).all():
            raise ValueError("the model's answer is no number")
        return row

    def _asked(self, text: str, history: Sequence[Message], script: str, direction: Direction) -> list[Asked]:
        made = windows(text, history, direction, self._engine.tokens, self._engine.reader.labels.marks)
        return [Asked(window, direction, script) for window in made]

    def _row(self, one: Asked) -> Row:
        key = _key(one)
        known = self._known.get(key)
        if known is None:
            known = self._engine.run(one)
            self._remember(key, known)
        else:
            self._known.move_to_end(key)
        return known

    def _remember(self, key: bytes, row: Row) -> None:
        self._known[key] = row
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _begin(self, job: _Job) -> bool:
        direction = job.context.direction
        try:
            for part in parts(job.text, job.context.history, direction):
                script = script_of(part.text)
                asked = self._asked(part.text, part.history if direction == "inbound" else (), script, direction)
                job.pieces = [*job.pieces, _Piece(part.span, part.text, part.history, script, asked)]
        except Exception as error:
            job.future.set_exception(error)
            return False
        return True


def _has_turns(piece: _Piece) -> bool:
    return any(turn.role in ("user", "assistant") for turn in piece.history)


def _gravest(signals: Iterable[Signal]) -> int:
    return max((s.severity for s in signals), default=0)


def _at_most(signal: Signal, severity: int) -> Signal:
    if signal.severity <= severity:
        return signal
    if severity:
        return msgspec.structs.replace(signal, severity=severity)
    return Signal(signal.name, 0, signal.score, detector=signal.detector)


def together(signals: Iterable[Signal]) -> list[Signal]:
    """What several parts of one turn show: of each signal the gravest, with every stretch that shows danger."""
    best: dict[str, Signal] = {}
    for signal in signals:
        known = best.get(signal.name)
        if known is None:
            best[signal.name] = signal
            continue
        top, rest = (
            (signal, known) if (signal.severity, signal.score) > (known.severity, known.score) else (known, signal)
        )
        if rest.severity >= Severity.ELEVATED:
            top = msgspec.structs.replace(top, spans=tuple(sorted({*top.spans, *rest.spans})))
        best[signal.name] = top
    return list(best.values())


def _key(one: Asked) -> bytes:
    """A window's name: a hash, so that nothing of what was said is kept."""
    window = one.window
    told = f"{one.direction} {one.script} {one.whole} {window.judged} {' '.join(map(str, window.ids))}"
    return hashlib.blake2b(told.encode(), digest_size=16).digest()
