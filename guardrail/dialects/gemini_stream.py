"""A streamed Gemini reply as server-sent events, and what the frames of any such stream mean.

There is no terminator: the stream is over when every candidate has finished and nothing more comes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

from guardrail.core.model import Refusal
from guardrail.core.ports import Frame
from guardrail.dialects.gemini_reply import Candidate, read_response
from guardrail.dialects.sse import Event, Splitter

WHAT = "a frame of the stream"
_BETWEEN = (b"", b"[DONE]")  # some gateways append OpenAI's terminator
_LINE_END = re.compile(rb"\r\n|\n|\r")
_FIELDS = (b"", b"data", b"event", b"id", b"retry")


class Progress:
    """How far each candidate of a stream has got: turns responses into frames.

    Thoughts of a candidate close when its text begins, so that unfinished ones do not hold text back.
    """

    def __init__(self) -> None:
        self.has_failed = False
        self._is_blocked = False
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._thinking: set[int] = set()  # candidates whose thoughts have begun and not ended
        self._served: set[int] = set()  # candidates that have said something, or called a tool

    @property
    def is_over(self) -> bool:
        """Nothing more has to come."""
        return self.has_failed or self._is_blocked or bool(self._seen and self._seen <= self._finished)

    def frame(self, raw: bytes, data: bytes) -> Frame:
        """The frame with this response in it. Raises ``Refusal`` for what is not one."""
        response = read_response(data, WHAT)
        closes: list[str] = []
        is_withheld = False
        for candidate in response.candidates:
            closes += self._take(candidate)
            is_withheld = is_withheld or (candidate.is_withheld and candidate.index not in self._served)
        closes += [piece.channel for piece in response.notice]
        is_unanswered = response.is_blocked and not self._seen
        self._is_blocked = self._is_blocked or is_unanswered
        self.has_failed = self.has_failed or response.has_failed
        # Nobody in a crisis may be left without a word because the upstream withheld all of them.
        failed = response.has_failed or is_unanswered or is_withheld
        return Frame(raw, response.pieces, response.tools, tuple(closes), error=failed)

    def _take(self, candidate: Candidate) -> list[str]:
        index = candidate.index
        self._seen.add(index)
        closes = []
        if candidate.says("content:"):
            if index in self._thinking and not candidate.says("thinking:"):
                self._thinking.discard(index)
                closes.append(f"thinking:{index}")
            self._served.add(index)
        elif candidate.tools:
            self._served.add(index)
        if candidate.says("thinking:"):
            self._thinking.add(index)
        closes += [f"{kind}:{index}" for kind in ("aside", "notice", "sources") if candidate.says(kind)]
        if candidate.is_finished and index not in self._finished:
            closes += self._finish(index)
        return closes

    def _finish(self, index: int) -> list[str]:
        self._finished.add(index)
        if index not in self._thinking:
            return [f"content:{index}"]
        self._thinking.discard(index)
        return [f"content:{index}", f"thinking:{index}"]


class Reader:
    """A ``StreamReader`` for what ``split`` and ``rest`` make of bytes.

    A refusal is final: frames found before it are returned first, so that what is read does not depend on
    how the bytes arrived, and every later call raises it.
    """

    def __init__(self, split: Callable[[bytes], Iterator[Frame]], rest: Callable[[], list[Frame]]) -> None:
        self._split, self._rest = split, rest
        self._refusal: Refusal | None = None

    def feed(self, data: bytes) -> list[Frame]:
        if self._refusal is not None:
            raise self._refusal
        frames: list[Frame] = []
        try:
            for frame in self._split(data):
                frames.append(frame)
        except Refusal as refusal:
            self._refusal = refusal
            if not frames:
                raise
        return frames

    def close(self) -> list[Frame]:
        if self._refusal is not None:
            raise self._refusal
        try:
            return self._rest()
        except Refusal as refusal:
            self._refusal = refusal
            raise


class GeminiReader(Reader):
    """``StreamReader`` for server-sent events."""

    def __init__(self) -> None:
        super().__init__(self._frames, self._left)
        self._events = Splitter()
        self._progress = Progress()

    def _frames(self, data: bytes) -> Iterator[Frame]:
        return map(self._frame, self._events.feed(data))

    def _frame(self, event: Event) -> Frame:
        data = data_of(event)
        if data.strip() in _BETWEEN:
            return Frame(event.raw)
        if self._progress.has_failed:
            raise Refusal("the stream goes on after its end")
        frame = self._progress.frame(event.raw, data)
        return msgspec.structs.replace(frame, end=True) if self._progress.has_failed else frame

    def _left(self) -> list[Frame]:
        rest = self._events.rest()
        frames = [self._frame(rest)] if rest is not None else []  # clients read an event without a blank line too
        if not self._progress.is_over:
            raise Refusal("the stream ended before the reply did")
        return frames


def data_of(event: Event) -> bytes:
    """The JSON in an event. Google's servers write an error without the name of a field, and its clients read
    whatever is written so. Raises ``Refusal`` where there is both."""
    lines = _LINE_END.split(event.raw.rstrip(b"\r\n"))
    if len(lines) == 1 and lines[0].startswith(b"data: "):
        return event.data
    bare = b"\n".join(line for line in lines if line.partition(b":")[0].strip().lower() not in _FIELDS)
    if bare and event.data:
        raise Refusal("a frame of the stream has data outside of its fields")
    return bare or event.data
