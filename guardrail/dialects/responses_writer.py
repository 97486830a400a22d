"""Events of our own in a streamed response, so that it ends well formed wherever it is cut."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from guardrail.core.ports import Chat, Frame
from guardrail.dialects.responses_items import text_in
from guardrail.dialects.responses_kinds import THOUGHTS, kind_of
from guardrail.dialects.responses_output import KINDS, Item, Made, Part, Place, place
from guardrail.dialects.responses_reply import NO_USAGE, head, item_id, message
from guardrail.dialects.sse import parse
from guardrail.dialects.strict import decode, fields

_NULL = msgspec.Raw(b"null")


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    item_id: str | None = None
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    delta: Any = None
    part: Any = None
    item: msgspec.Raw = _NULL
    response: msgspec.Raw = _NULL


class _Numbered(msgspec.Struct, gc=False):
    sequence_number: int | None = None


_events = msgspec.json.Decoder(_Event)
_numbers = msgspec.json.Decoder(_Numbered)
_anything = msgspec.json.Decoder(dict[str, Any])
_WHAT = "a frame of the stream"
_TEXTS = {kind.text: name for name, kind in KINDS.items()}
_CALLS = {
    "response.function_call_arguments": "function_call",
    "response.custom_tool_call_input": "custom_tool_call",
    "response.mcp_call_arguments": "mcp_call",
}


class ResponsesWriter:
    """``StreamWriter`` for responses. Text goes into the part it belongs to, or a message of our own.

    What is told again at the end is what was released and said, word for word.
    """

    def __init__(self, chat: Chat, reply_id: str, created: int) -> None:
        self._chat, self._reply_id = chat, reply_id
        self._response: dict[str, Any] = head(chat, reply_id, created)
        self._items: dict[int, Item] = {}
        self._known: set[str] = set()  # channels whose frames can tell nothing new but text
        self._ours: list[str] = []  # what we said in the place of something else
        self._last = b""  # the last event of the upstream, which has the last number
        self._next = 0
        self._begun = False
        self._ended = False

    def released(self, frame: Frame) -> None:
        self._ended = self._ended or frame.end
        if len(frame.pieces) == 1 and not frame.closes and frame.pieces[0].channel in self._known:
            self._last = frame.raw
            self._take_pieces(frame, None)
            return
        event = parse(frame.raw)
        if not event.data.lstrip().startswith(b"{"):
            return
        self._begun = True
        self._last = frame.raw
        read = decode(_events, event.data, _WHAT)
        read.type = read.type or event.name.decode(errors="replace")
        self._take(read)
        self._take_pieces(frame, read.item_id)
        if read.type.endswith(".delta"):
            self._known.update(piece.channel for piece in frame.pieces)

    def _take(self, read: _Event) -> None:
        stem, _, verb = read.type.rpartition(".")
        if read.response != _NULL:
            self._response = fields(bytes(read.response), _WHAT)
        elif stem == "response.output_item" and read.item != _NULL:
            self._take_item(read.output_index, read.item, is_done=verb == "done")
        elif read.part is not None:
            part = self._part(_place_of(read), read.item_id)
            part.stage = "closed" if verb == "done" else part.stage
        elif stem in _TEXTS and verb == "done":
            at = read.summary_index if _TEXTS[stem] == "summary" else read.content_index
            self._part(Place(_TEXTS[stem], read.output_index, at), read.item_id).stage = "said"
        elif stem in _CALLS and verb == "delta":
            self._item(read.output_index, _CALLS[stem], read.item_id).arguments.append(text_in(read.delta))

    def _take_item(self, index: int, raw: msgspec.Raw, *, is_done: bool) -> None:
        if index not in self._items:
            self._items[index] = Item(index, decode(_anything, bytes(raw), _WHAT))
        if is_done:
            self._items[index].done = raw

    def _take_pieces(self, frame: Frame, own_id: str | None) -> None:
        for piece in frame.pieces:
            where = place(piece.channel)
            if where is not None:
                self._part(where, own_id).texts.append(piece.text)

    def _item(self, index: int, kind: str, own_id: str | None) -> Item:
        """The item at this index. Not every server says that it begins."""
        if index not in self._items:
            own = message(self._chat, own_id or item_id(self._reply_id, index))
            self._items[index] = Item(index, own if kind == "message" else {"id": own["id"], "type": kind})
        return self._items[index]

    def _part(self, where: Place, own_id: str | None) -> Part:
        kind = "reasoning" if where.kind in ("thinking", "summary") else "message"
        return self._item(where.item, kind, own_id).part(where)

    def say(self, text: str, channel: str | None = None) -> bytes:
        if channel is None:
            if text.strip() and text.strip() in "".join(self._ours):
                return b""  # it stands where a sentence was taken out: nobody is told it twice
            begun, part = self._default_part()
            return self._made([*begun, part.delta(text)])
        where = place(channel)
        if where is None:
            return b""  # only shown again: at the end it is written as it was said
        begun, part_there = self._part_at(where)
        if part_there is None:
            return b""
        self._ours.append(text)
        return self._made([*begun, part_there.delta(text)])

    def _part_at(self, where: Place) -> tuple[list[Made], Part | None]:
        """The open part at this place, and what has to be written so that there is one."""
        item = self._items.get(where.item)
        part = item.parts.get(where) if item is not None else None
        if part is not None and part.stage == "open":
            return [], part
        if where.kind in ("thinking", "summary"):
            return [], None  # reasoning of our own would lack what its next reader checks
        if item is None:
            return self._begin(where.item, where)
        if part is None and item.done is None and item.is_message:
            return [item.part(where).added()], item.part(where)
        return self._default_part()

    def _default_part(self) -> tuple[list[Made], Part]:
        """The text that is open, or a new one: in the open message, or in one of our own."""
        open_ = [item for _, item in sorted(self._items.items()) if item.done is None and item.is_message]
        if not open_:
            index = max(self._items, default=-1) + 1
            ended = self._close()
            begun, part = self._begin(index, Place("content", index, 0))
            return [*ended, *begun], part
        item = open_[-1]
        texts = [part for where, part in item.parts.items() if where.kind == "content" and part.stage == "open"]
        if texts:
            return [], texts[-1]
        ended = [made for part in item.parts.values() for made in part.close()]
        part = item.part(item.next_text())
        return [*ended, part.added()], part

    def _begin(self, index: int, where: Place) -> tuple[list[Made], Part]:
        """A message of our own, with its first part."""
        item = self._item(index, "message", None)
        part = item.part(where)
        return [item.added(), part.added()], part

    def _close(self) -> list[Made]:
        return [made for _, item in sorted(self._items.items()) for made in item.close()]

    def finish(self) -> bytes:
        if self._ended:
            return b""
        ended = self._close()
        usage = self._response.get("usage")
        response = {
            **self._response,
            "status": "completed",
            "error": None,
            "incomplete_details": None,
            "output": [item.done for _, item in sorted(self._items.items())],
            "usage": NO_USAGE if usage is None or usage == _NULL else usage,
        }
        return self._made([*ended, ("response.completed", {"response": response})])

    def _made(self, events: Iterable[Made]) -> bytes:
        """The events as bytes, after the ones that begin a stream if nothing did."""
        if not self._begun:
            self._begun = True
            begin: dict[str, object] = {"response": self._response}
            events = [("response.created", begin), ("response.in_progress", begin), *events]
        return b"".join([self._event(kind, members) for kind, members in events])

    def _event(self, kind: str, members: dict[str, object]) -> bytes:
        if self._last:
            last, self._last = parse(self._last), b""
            number = decode(_numbers, last.data, _WHAT).sequence_number
            self._next = self._next if number is None else number + 1
        data = msgspec.json.encode({"type": kind, **members, "sequence_number": self._next})
        self._next += 1
        return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def _place_of(read: _Event) -> Place:
    if read.type.startswith("response.reasoning_summary_part."):
        return Place("summary", read.output_index, read.summary_index)
    kind = kind_of(read.part)
    name = "thinking" if kind in THOUGHTS else "refusal" if kind == "refusal" else "content"
    return Place(name, read.output_index, read.content_index)
