"""The output of a streamed response as the client has got it: items, their parts, and how each is ended.

Built so that what we write at the end of a stream, where everything is told once more, is what was said.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec

Stage = Literal["open", "said", "closed"]
"""Of a part: its text goes on, its text has been told whole, or it has been told itself."""
Made = tuple[str, dict[str, object]]
"""An event of our own: its type and its members."""


class Kind(NamedTuple):
    """A kind of part: what it and its events are called."""

    type: str
    member: str
    text: str
    part: str
    number: str


KINDS = {
    "content": Kind("output_text", "text", "response.output_text", "response.content_part", "content_index"),
    "refusal": Kind("refusal", "refusal", "response.refusal", "response.content_part", "content_index"),
    "thinking": Kind("reasoning_text", "text", "response.reasoning_text", "response.content_part", "content_index"),
    "summary": Kind(
        "summary_text",
        "text",
        "response.reasoning_summary_text",
        "response.reasoning_summary_part",
        "summary_index",
    ),
}


class Place(NamedTuple):
    """Where a channel is: its kind of part, the item, and the part's index."""

    kind: str
    item: int
    part: int


def place(channel: str) -> Place | None:
    """``None``: it is no part, and nothing can be said in it."""
    kind, _, where = channel.partition(":")
    item, _, part = where.partition(".")
    if kind == "thinking" and part.startswith("s"):
        kind, part = "summary", part[1:]
    return Place(kind, int(item), int(part)) if kind in KINDS else None


class Part:
    """A part of an item, begun."""

    def __init__(self, where: Place, item_id: object) -> None:
        self.stage: Stage = "open"
        self.texts: list[str] = []
        self._kind = KINDS[where.kind]
        self._where = {"item_id": item_id, "output_index": where.item, self._kind.number: where.part}
        self._extra: dict[str, object] = {"logprobs": []} if where.kind == "content" else {}

    def added(self) -> Made:
        return f"{self._kind.part}.added", {**self._where, "part": self._as("")}

    def delta(self, text: str) -> Made:
        self.texts.append(text)
        return f"{self._kind.text}.delta", {**self._where, "delta": text, **self._extra}

    def close(self) -> Iterator[Made]:
        if self.stage == "open":
            text = {self._kind.member: "".join(self.texts), **self._extra}
            yield f"{self._kind.text}.done", {**self._where, **text}
        if self.stage != "closed":
            yield f"{self._kind.part}.done", {**self._where, "part": self.whole()}
        self.stage = "closed"

    def whole(self) -> dict[str, object]:
        return self._as("".join(self.texts))

    def _as(self, text: str) -> dict[str, object]:
        extra = {"annotations": [], **self._extra} if self._extra else {}
        return {"type": self._kind.type, self._kind.member: text, **extra}


class Item:
    """An output item, begun. ``head`` is the item as it was when nothing was in it yet."""

    def __init__(self, index: int, head: dict[str, Any]) -> None:
        self.parts: dict[Place, Part] = {}
        self.arguments: list[str] = []
        self.done: msgspec.Raw | None = None
        self._index, self._head = index, head

    @property
    def is_message(self) -> bool:
        return self._head.get("type") == "message"

    @property
    def id(self) -> object:
        return self._head.get("id")

    def part(self, where: Place) -> Part:
        """The part at this place, begun now if it was not."""
        if where not in self.parts:
            self.parts[where] = Part(where, self.id)
        return self.parts[where]

    def next_text(self) -> Place:
        """Where a new text of this item would be."""
        return Place("content", self._index, max([where.part for where in self.parts], default=-1) + 1)

    def added(self) -> Made:
        return "response.output_item.added", {"output_index": self._index, "item": self._head}

    def close(self) -> Iterator[Made]:
        if self.done is not None:
            return
        for part in self.parts.values():
            yield from part.close()
        self.done = msgspec.Raw(msgspec.json.encode(self._whole()))
        yield "response.output_item.done", {"output_index": self._index, "item": self.done}

    def _whole(self) -> dict[str, object]:
        """The item as it is told at its end. A call that was broken off says so: nobody may act on it."""
        kind = self._head.get("type")
        ordered = sorted(self.parts.items(), key=lambda entry: entry[0].part)
        summary = [part.whole() for where, part in ordered if where.kind == "summary"]
        content = [part.whole() for where, part in ordered if where.kind != "summary"]
        if kind == "message":
            return {**self._head, "status": "completed", "content": content}
        if kind == "reasoning":
            return {**self._head, "summary": summary, **({"content": content} if content else {})}
        key = "input" if kind == "custom_tool_call" else "arguments"
        given = f"{self._head.get(key) or ''}{''.join(self.arguments)}"
        return {**self._head, "status": "incomplete", **({key: given} if self.arguments else {})}
