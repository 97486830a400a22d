"""Events of our own in a streamed Anthropic message, so that it ends well formed wherever it is cut."""

from __future__ import annotations

import msgspec

from guardrail.core.ports import Chat, Frame
from guardrail.dialects.anthropic_reply import head
from guardrail.dialects.sse import parse
from guardrail.dialects.strict import decode

PING = b'event: ping\ndata: {"type": "ping"}\n\n'


class _Block(msgspec.Struct, gc=False):
    type: str = ""


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    index: int = 0
    content_block: _Block | None = None


_events = msgspec.json.Decoder(_Event)


class AnthropicWriter:
    """``StreamWriter`` for messages. Text goes into the open text block it belongs to, or a block of our own."""

    def __init__(self, chat: Chat, reply_id: str) -> None:
        self._model = chat.model
        self._id = reply_id
        self._known: set[str] = set()  # channels whose frames can tell nothing new
        self._begun = False
        self._open: dict[int, str] = {}  # block index to type
        self._next = 0
        self._ours = -1  # the block of our own that is open
        self._has_reason = False
        self._ended = False

    def released(self, frame: Frame) -> None:
        self._ended = self._ended or frame.end
        if frame.pieces and not frame.closes and all(p.channel in self._known for p in frame.pieces):
            return
        event = parse(frame.raw)
        if not event.data.lstrip().startswith(b"{"):
            return
        read = decode(_events, event.data, "a frame of the stream")
        match read.type or event.name.decode(errors="replace"):
            case "message_start":
                self._begun = True
            case "content_block_start":
                self._open[read.index] = read.content_block.type if read.content_block is not None else ""
                self._next = max(self._next, read.index + 1)
            case "content_block_stop":
                self._open.pop(read.index, None)
            case "message_delta":
                self._has_reason = True
        self._known.update(p.channel for p in frame.pieces)

    def say(self, text: str, channel: str | None = None) -> bytes:
        kind, _, index = (channel or "content:-1").partition(":")
        at = int(index)
        if kind == "thinking":
            if self._open.get(at) != "thinking":
                return b""  # a thinking block of our own would lack the signature its next reader checks
            return _delta(at, {"type": "thinking_delta", "thinking": text})
        if self._open.get(at) == "text":
            return _delta(at, {"type": "text_delta", "text": text})
        begin = b"" if self._ours in self._open else self._start() + self._close() + self._block()
        return begin + _delta(self._ours, {"type": "text_delta", "text": text})

    def _start(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return _event("message_start", {"message": head(self._model, self._id)})

    def _block(self) -> bytes:
        self._ours = self._next
        self._open[self._ours] = "text"
        self._next += 1
        return _event("content_block_start", {"index": self._ours, "content_block": {"type": "text", "text": ""}})

    def _close(self) -> bytes:
        stops = b"".join(_event("content_block_stop", {"index": index}) for index in sorted(self._open))
        self._open.clear()
        return stops

    def finish(self) -> bytes:
        if self._ended:
            return b""
        end = self._start() + self._close()
        if not self._has_reason:
            reason = {"stop_reason": "end_turn", "stop_sequence": None}
            end += _event("message_delta", {"delta": reason, "usage": {"output_tokens": 0}})
        return end + _event("message_stop", {})


def _delta(index: int, delta: dict[str, str]) -> bytes:
    return _event("content_block_delta", {"index": index, "delta": delta})


def _event(name: str, members: dict[str, object]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode({"type": name, **members}) + b"\n\n"
