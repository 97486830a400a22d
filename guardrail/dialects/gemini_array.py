"""A streamed Gemini reply as a JSON array that grows: bytes, split anywhere, to its elements.

The opening bracket is a frame of its own, so that white space may follow it while a client waits. Of any
other frame the comma is the beginning, so that after each of them the array may go on or be closed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from guardrail.core.model import Refusal
from guardrail.core.ports import Frame
from guardrail.dialects.gemini_stream import Progress, Reader
from guardrail.dialects.sse import MAX_FRAME

_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'["\\]')  # of a string
_NOT_WHITE = re.compile(rb"[^ \t\r\n]")
BETWEEN = b" \t\r\n,["
"""What stands before an element in its frame."""

_Place = Literal["before", "opened", "element", "after", "comma", "closed"]


class Array:
    """Finds elements. Holds at most ``MAX_FRAME`` bytes and what was fed last."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._at = 0  # what lies before was looked at
        self._depth = 0
        self._in_string = False
        self._place: _Place = "before"

    @property
    def is_closed(self) -> bool:
        return self._place == "closed"

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Frames that are complete now. Raises ``Refusal`` for what is no array of objects, or too long."""
        self._held += data
        while self._found():
            self._bound(self._at)
            yield self.rest(self._at)
        self._bound(len(self._held))

    def rest(self, size: int | None = None) -> bytes:
        """Take what is held, or the first bytes of it."""
        raw = bytes(self._held[:size])
        del self._held[: len(raw)]
        self._at = 0
        return raw

    def _found(self) -> bool:
        """Look on, to the end of the next frame if it is here."""
        while self._place != "element":
            found = _NOT_WHITE.search(self._held, self._at)
            if found is None:
                self._at = len(self._held)
                return False
            self._at = found.end()
            self._step(found.group())
            if self._place in ("opened", "closed"):
                return True
        return self._element()

    def _step(self, char: bytes) -> None:
        match self._place, char:
            case ("before", b"["):
                self._place = "opened"
            case ("opened" | "comma", b"{"):
                self._place, self._depth = "element", 1
            case ("after", b","):
                self._place = "comma"
            case ("opened" | "after", b"]"):
                self._place = "closed"
            case _:
                raise Refusal("the stream is not a JSON array of objects")

    def _element(self) -> bool:
        while found := (_INSIDE if self._in_string else _OUTSIDE).search(self._held, self._at):
            self._at = found.end()
            match found.group():
                case b"\\":
                    self._at += 1  # whatever comes is part of the string
                case b'"':
                    self._in_string = not self._in_string
                case b"{" | b"[":
                    self._depth += 1
                case _:
                    self._depth -= 1
            if not self._depth:
                self._place = "after"
                return True
        self._at = max(self._at, len(self._held))
        return False

    def _bound(self, size: int) -> None:
        if size > MAX_FRAME:
            raise Refusal(f"a frame of the stream is longer than {MAX_FRAME} bytes")


class GeminiArrayReader(Reader):
    """``StreamReader`` for an array. It is over when it is closed."""

    def __init__(self) -> None:
        super().__init__(self._frames, self._left)
        self._array = Array()
        self._progress = Progress()

    def _frames(self, data: bytes) -> Iterator[Frame]:
        return map(self._frame, self._array.feed(data))

    def _frame(self, raw: bytes) -> Frame:
        data = raw.lstrip(BETWEEN)
        if not data.startswith(b"{"):
            return Frame(raw, end=self._array.is_closed)
        if self._progress.has_failed:
            raise Refusal("the stream goes on after its end")
        return self._progress.frame(raw, data)

    def _left(self) -> list[Frame]:
        if not self._array.is_closed:
            raise Refusal("the stream ended before the reply did")
        raw = self._array.rest()
        return [Frame(raw)] if raw else []
