"""JSON by lines (NDJSON): bytes, split anywhere, to lines that keep their own bytes.

A line ends with LF; a CR before it belongs to the end. A CR alone is white space as in any JSON, so what a
line is never depends on how the bytes arrived. Clients read a last line without an end too, and so do we.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import msgspec

from guardrail.core.model import Refusal
from guardrail.core.ports import Frame
from guardrail.dialects.sse import MAX_FRAME

_WHITE = b" \t\r\n"  # what JSON allows around a value


class Line(msgspec.Struct, frozen=True, gc=False):
    """``raw`` is the line byte for byte, its end included; ``data`` the JSON text in it (empty: a blank line)."""

    raw: bytes
    data: bytes


def parse(raw: bytes) -> Line:
    """One line, with its end or without."""
    return Line(raw, raw.strip(_WHITE))


def written(value: object) -> bytes:
    """A line of our own. In ASCII: some clients also split at the line ends that only Unicode knows."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


class Splitter:
    """Finds the ends of lines. Holds at most ``MAX_FRAME`` bytes and what was fed last."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._scanned = 0

    def feed(self, data: bytes) -> Iterator[Line]:
        """Lines that are complete now. Raises ``Refusal`` at one that is too long, its end counted."""
        if not self._held and data.find(b"\n") == len(data) - 1 and len(data) <= MAX_FRAME:
            if data:
                yield parse(data)  # the common case, one line a read, without a copy
            return
        self._held += data
        while (end := self._held.find(b"\n", self._scanned) + 1) > 0:
            self._bound(end)
            raw = bytes(self._held[:end])
            del self._held[:end]
            self._scanned = 0
            yield parse(raw)
        self._scanned = len(self._held)
        self._bound(self._scanned)

    def rest(self) -> Line | None:
        """The last line, when the stream is over and it has no end."""
        raw = bytes(self._held)
        self._held.clear()
        self._scanned = 0
        return parse(raw) if raw else None

    def _bound(self, size: int) -> None:
        if size > MAX_FRAME:
            raise Refusal(f"a line of the stream is longer than {MAX_FRAME} bytes")


class LineReader:
    """A ``StreamReader`` over lines: what a line means and whether the stream may end is the dialect's.

    ``read`` turns a line that is not blank into a frame, a last one without an end too. ``check_over`` is
    called when the stream has ended, after its last line was read, and raises ``Refusal`` when it may not
    end so. A refusal is final: frames found before it are returned first, so that what is read does not
    depend on how the bytes arrived, and every later call raises it.
    """

    def __init__(self, read: Callable[[Line], Frame], check_over: Callable[[], None]) -> None:
        self._lines = Splitter()
        self._read = read
        self._check_over = check_over
        self._refusal: Refusal | None = None

    def feed(self, data: bytes) -> list[Frame]:
        if self._refusal is not None:
            raise self._refusal
        frames: list[Frame] = []
        try:
            for line in self._lines.feed(data):
                frames.append(self._frame(line))
        except Refusal as refusal:
            self._refusal = refusal
            if not frames:
                raise
        return frames

    def close(self) -> list[Frame]:
        if self._refusal is not None:
            raise self._refusal
        rest = self._lines.rest()
        try:
            frames = [self._frame(rest)] if rest is not None else []
            self._check_over()
        except Refusal as refusal:
            self._refusal = refusal
            raise
        return frames

    def _frame(self, line: Line) -> Frame:
        return self._read(line) if line.data else Frame(line.raw)
