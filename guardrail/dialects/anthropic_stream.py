"""A streamed Anthropic message, event by event, to frames."""

from __future__ import annotations

from typing import Any

import msgspec

from guardrail.core.model import Refusal
from guardrail.core.ports import Frame, Piece
from guardrail.dialects.anthropic_reply import CLIENT_TOOL, READ_KEYS, Block, pieces_of
from guardrail.dialects.sse import Event, EventReader
from guardrail.dialects.strict import FrameKeys, decode

MAX_BLOCKS = 10_000
"""Content blocks of one message: far beyond any real one, and a bound on what is remembered."""

_IGNORED = (b"", b"[DONE]")  # some gateways append OpenAI's terminator
_WHAT = "a frame of the stream"


class _Start(msgspec.Struct, gc=False):
    content: list[Block] | None = None


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    index: int = 0
    delta: Block | None = None
    content_block: Block | None = None
    message: _Start | str | None = None  # a string in the errors of some gateways
    error: Any = None


_events = msgspec.json.Decoder(_Event)


class AnthropicReader(EventReader):
    """``StreamReader`` for messages. Over when ``message_stop`` or an error came."""

    def __init__(self) -> None:
        super().__init__(self._frame, self._over)
        self._keys = FrameKeys(READ_KEYS, b"text")
        self._ended = False
        self._open: set[str] = set()  # channels whose block has begun and not stopped
        self._calls: set[int] = set()  # blocks that are tool calls

    def _frame(self, event: Event) -> Frame:
        if not event.data.startswith(b"{") and event.data.strip() in _IGNORED:
            return Frame(event.raw)
        read = decode(_events, event.data, _WHAT)
        kind = read.type or event.name.decode(errors="replace")
        if self._ended:
            if kind == "ping":
                return Frame(event.raw)
            raise Refusal("the stream goes on after its end")
        self._keys.check(event.data, _WHAT)
        if not 0 <= read.index < MAX_BLOCKS:
            raise Refusal("a content block has an impossible index")
        pieces = self._pieces(read)
        tools = read.index in self._calls and kind.startswith("content_block_")
        closes = self._stop(read.index) if kind == "content_block_stop" else ()
        failed = kind == "error" or event.name == b"error" or bool(read.error)
        self._ended = failed or kind == "message_stop"
        return Frame(event.raw, tuple(pieces), tools, closes, self._ended, failed)

    def _pieces(self, read: _Event) -> list[Piece]:
        pieces: list[Piece] = []
        if read.delta is not None:
            pieces = pieces_of(read.delta, read.index)
        if read.content_block is not None:
            pieces += self._begin(read.content_block, read.index)
        if isinstance(read.message, _Start) and read.message.content:
            for index, block in enumerate(read.message.content):
                pieces += self._begin(block, index)
        self._open.update([piece.channel for piece in pieces])
        return pieces

    def _begin(self, block: Block, index: int) -> list[Piece]:
        if block.type == "text":
            self._open.add(f"content:{index}")
        if block.type == CLIENT_TOOL:
            self._calls.add(index)
        return pieces_of(block, index)

    def _stop(self, index: int) -> tuple[str, ...]:
        closing = tuple(name for name in (f"thinking:{index}", f"content:{index}") if name in self._open)
        self._open.difference_update(closing)
        return closing

    def _over(self, rest: Event | None) -> bool:
        if rest is not None and rest.data.strip() not in _IGNORED:
            raise Refusal("the stream ended in the middle of a frame")
        if not self._ended:
            raise Refusal("the stream ended before the reply did")
        return False
