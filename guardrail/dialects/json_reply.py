"""A whole reply of an operator's own chat API: its texts read, exchanged, or written by us.

Channels: ``content:N`` is what the bot says at the Nth place of ``text``, ``also:N`` at that of ``also``;
``other:0`` is every other string, so that a place nobody described is not a way past inspection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from guardrail.core.model import Refusal
from guardrail.core.ports import Chat, Piece
from guardrail.core.ports import Reply as WholeReply
from guardrail.dialects.json_layout import Layout
from guardrail.dialects.json_layout_reply import Parts
from guardrail.dialects.json_pointer import Pointer, built, changed, follow, shown
from guardrail.dialects.json_read import Spot, others, parsed, spots
from guardrail.dialects.json_request import as_given, id_of

_WHAT = "the reply"
_BETWEEN = "\n\n"


def read(layout: Layout, body: bytes) -> WholeReply:
    """Raises ``Refusal`` for a reply without text, an error object included."""
    value = parsed(body, _WHAT)
    reply = layout.reply
    named = _named(layout, value)
    tools = acts(value, reply.tools, _WHAT)
    if not (tools or reply.optional or any(name.startswith("content:") for name in named)):
        raise Refusal(f"the reply has no text at {shown(layout.text[0])}")
    pieces = [Piece(name, spot.text) for name, spot in named.items() if spot.text]
    rest = others(value, {spot.place for spot in named.values()}, reply.unread)
    if rest:
        pieces.append(Piece("other:0", _BETWEEN.join([text for _, text in rest])))
    return WholeReply(tuple(pieces), tools, conversation_in(value, reply.conversation, _WHAT))


def _named(layout: Layout, value: Any) -> dict[str, Spot]:
    """The texts at the described places, by channel; those of ``also`` first, as what the bot says comes last."""
    contents = spots(value, layout.text, _WHAT)
    taken = {spot.place for spot in contents}
    also = [spot for spot in spots(value, layout.reply.also, _WHAT, lenient=True) if spot.place not in taken]
    return {f"also:{spot.number}": spot for spot in also} | {f"content:{spot.number}": spot for spot in contents}


def acts(value: Any, at: Pointer | None, what: str) -> bool:
    """Whether a reply, or a part of one, calls tools."""
    return at is not None and any(inner for _, inner in follow(value, at, what))


def conversation_in(value: Any, at: Pointer | None, what: str) -> str:
    """The id by which a later request goes on with this conversation."""
    return "" if at is None else next((id for _, inner in follow(value, at, what) if (id := id_of(inner))), "")


def rewritten(layout: Layout, body: bytes, texts: Mapping[str, str]) -> bytes:
    """The reply with the texts of these channels exchanged, all else as it was. ``other`` strings stay."""
    for name, spot in _named(layout, parsed(body, _WHAT)).items():
        if name in texts:
            body = _exchanged(body, [str(step) for step in spot.place], texts[name])
    return body


def _exchanged(body: bytes, place: Sequence[str], text: str) -> bytes:
    return changed(body, place, lambda _: text, _WHAT)


def authored(layout: Layout, chat: Chat, text: str) -> bytes:
    """A reply of our own: the smallest that has the text, the constants, and the conversation's id."""
    return msgspec.json.encode(built([*echo(layout, chat), *layout.parts(text)]))


def echo(layout: Layout, chat: Chat) -> Parts:
    """The conversation's id, where replies have it and the request gave it."""
    at = layout.reply.conversation
    return [(at, as_given(chat.conversation))] if at is not None and chat.conversation else []
