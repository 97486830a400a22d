"""Events of our own in a stream of an operator's own chat API, so that it ends well formed wherever it is cut."""

from __future__ import annotations

import json

from guardrail.core.ports import Chat, Frame
from guardrail.dialects.json_layout import Layout
from guardrail.dialects.json_layout_reply import Parts, Stream
from guardrail.dialects.json_pointer import built
from guardrail.dialects.json_read import filled
from guardrail.dialects.json_reply import echo

_SPOKEN = ("content", "grown")
_LINE_ENDS = (b"\n", b"\r")
_LINE_END = {"sse": b"\n\n", "ndjson": b"\n"}


class JsonWriter:
    """``StreamWriter``. Text goes where the bot's went last, or else to the first place of ``text``."""

    def __init__(self, layout: Layout, chat: Chat) -> None:
        self._stream = layout.stream
        self._head = echo(layout, chat)
        self._number = "0"
        self._grown: dict[str, str] = {}  # what the client has, at each place of a cumulative stream
        self._gap = b""  # what a last line without an end needs before anything can follow it
        self._ended = False

    def released(self, frame: Frame) -> None:
        self._ended = self._ended or frame.end
        if frame.raw:
            self._gap = b"" if frame.raw.endswith(_LINE_ENDS) else _LINE_END[self._stream.format]
        for piece in frame.pieces:
            kind, _, number = piece.channel.partition(":")
            if kind in _SPOKEN:
                self._number = number
                self._so_far(piece.text)

    def _so_far(self, text: str) -> str:
        """What an event has to hold to add ``text``: that alone, or all of it again."""
        if not self._stream.cumulative:
            return text
        self._grown[self._number] = self._grown.get(self._number, "") + text
        return self._grown[self._number]

    def say(self, text: str, channel: str | None = None) -> bytes:
        kind, _, number = (channel or f"content:{self._number}").partition(":")
        if self._ended or kind not in _SPOKEN:
            return b""  # other text cannot be mended: what is taken out of it is gone with its frame
        self._number = number
        return self._event(self._parts(text), self._stream.event)

    def _parts(self, text: str) -> Parts:
        place = filled(self._stream.text, self._number)
        return [*self._head, *self._stream.constants, (place, self._so_far(text))]

    def finish(self) -> bytes:
        mark = self._stream.done
        if self._ended or mark is None:
            return b""
        if mark.data is not None:
            return self._gap + line(self._stream, mark.data, mark.event)
        if mark.at is None:
            return self._event([((), {})], mark.event)
        end = True if mark.is_ is None else mark.is_
        return self._event([*self._parts(""), (mark.at, end)], mark.event or self._stream.event)

    def _event(self, parts: Parts, name: str | None) -> bytes:
        gap, self._gap = self._gap, b""
        return gap + event(self._stream, parts, name)


def event(stream: Stream, parts: Parts, name: str | None) -> bytes:
    """An event of ours. In ASCII: some clients also split lines at ends that only Unicode knows."""
    return line(stream, json.dumps(built(parts), separators=(",", ":")), name)


def line(stream: Stream, data: str, name: str | None) -> bytes:
    if stream.format == "ndjson":
        return f"{data}\n".encode()
    return (f"event: {name}\n" if name else "").encode() + f"data: {data}\n\n".encode()


def failure(layout: Layout, message: str) -> bytes:
    """An event that says the stream cannot go on, as this API would say it."""
    stream, mark = layout.stream, layout.stream.error
    if mark.at is None:
        parts = layout.error.parts(message)
    elif mark.is_ is None:
        parts = [(mark.at, message)]
    else:
        parts = [*stream.parts(message), (mark.at, mark.is_)]
    return event(stream, parts, mark.event or ("error" if stream.event else None))


def keepalive(stream: Stream) -> bytes:
    """What means nothing: a comment; an event without text; or, where that would take text back, white space
    before the next line."""
    if stream.format == "sse":
        return b": keep-alive\n\n"
    return b" " if stream.cumulative else event(stream, stream.parts(""), None)
