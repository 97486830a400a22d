"""Server-sent events: bytes, split anywhere, to events that keep their own bytes.

An event ends with its blank line. Where line ends are CR, the event waits for the next byte, which may be
the LF of a CRLF; otherwise what an event is would depend on how the bytes arrived.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

from guardrail.core.model import Refusal
from guardrail.core.ports import Frame

MAX_FRAME = 1024 * 1024
"""Bytes of the longest event that is read."""

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LONGEST_END = 4
_AROUND_FIELD = b" \t\x00\xef\xbb\xbf"


class Event(msgspec.Struct, frozen=True, gc=False):
    """``raw`` is the event byte for byte, ``data`` its data lines joined by LF (empty: it carries nothing)."""

    raw: bytes
    name: bytes
    data: bytes


def parse(raw: bytes) -> Event:
    """One event. Lines that a lenient client would take for data count as data."""
    if raw.startswith(b"data: ") and raw.find(b"\n") == len(raw) - 2 and b"\r" not in raw:
        return Event(raw, b"", raw[6:-2])
    name = b""
    data: list[bytes] = []
    for line in _LINE_END.split(raw):
        field, _, value = line.partition(b":")
        if field not in (b"data", b"event"):
            field = field.strip(_AROUND_FIELD).lower()
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.strip()
    return Event(raw, name, b"\n".join(data))


def error_event(error: bytes) -> bytes:
    """An error object as the event that ends a stream."""
    return b"event: error\ndata: " + error + b"\n\n"


def _is_one(data: bytes) -> bool:
    return data.find(b"\n\n") == len(data) - 2 and b"\r" not in data and len(data) <= MAX_FRAME


class Splitter:
    """Finds the ends of events. Holds at most ``MAX_FRAME`` bytes and what was fed last."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._scanned = 0
        self._has_cr = False

    def feed(self, data: bytes) -> Iterator[Event]:
        """Events that are complete now. Raises ``Refusal`` at one that is too long."""
        if not self._held and data.endswith(b"\n\n") and _is_one(data):
            yield parse(data)  # the common case, one event a read, without a copy
            return
        self._has_cr = self._has_cr or b"\r" in data
        self._held += data
        while (end := self._end()) >= 0:
            self._bound(end)
            raw = bytes(self._held[:end])
            del self._held[:end]
            self._scanned = 0
            yield parse(raw)
        self._bound(len(self._held))

    def rest(self) -> Event | None:
        """What is left when the stream is over."""
        raw = bytes(self._held)
        self._held.clear()
        return parse(raw) if raw else None

    def _end(self) -> int:
        """Where the first event ends, or -1."""
        start = max(0, self._scanned - _LONGEST_END)
        self._scanned = len(self._held)
        if not self._has_cr:
            at = self._held.find(b"\n\n", start)
            return at + 2 if at >= 0 else -1
        found = _BLANK_LINE.search(self._held, start)
        if found is None or (found.end() == len(self._held) and found.group().endswith(b"\r")):
            return -1
        return found.end()

    def _bound(self, size: int) -> None:
        if size > MAX_FRAME:
            raise Refusal(f"a frame of the stream is longer than {MAX_FRAME} bytes")


class EventReader:
    """A ``StreamReader`` over events: what an event means and what may be left over is the dialect's.

    ``read`` turns an event that carries data into a frame. ``check_over`` is told the event without a blank
    line that was left (or None) and raises ``Refusal`` when the stream may not end so; it returns whether
    that event is the terminator. A refusal is final: frames found before it are returned first, so that
    what is read does not depend on how the bytes arrived, and every later call raises it.
    """

    def __init__(self, read: Callable[[Event], Frame], check_over: Callable[[Event | None], bool]) -> None:
        self._events = Splitter()
        self._read = read
        self._check_over = check_over
        self._refusal: Refusal | None = None

    def feed(self, data: bytes) -> list[Frame]:
        if self._refusal is not None:
            raise self._refusal
        frames: list[Frame] = []
        try:
            for event in self._events.feed(data):
                frames.append(self._read(event) if event.data else Frame(event.raw))
        except Refusal as refusal:
            self._refusal = refusal
            if not frames:
                raise
        return frames

    def close(self) -> list[Frame]:
        if self._refusal is not None:
            raise self._refusal
        rest = self._events.rest()
        try:
            if rest is not None and rest.data and rest.raw.endswith(b"\r") and _BLANK_LINE.search(rest.raw):
                frame = self._read(rest)  # only the LF of its CRLF was waited for
                self._check_over(None)
                return [frame]
            is_end = self._check_over(rest if rest is not None and rest.data else None)
        except Refusal as refusal:
            self._refusal = refusal
            raise
        return [Frame(rest.raw, end=is_end)] if rest is not None else []
