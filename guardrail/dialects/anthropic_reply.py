"""A whole Anthropic message: its texts read, exchanged, or written by us."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from guardrail.core.model import Refusal
from guardrail.core.ports import Chat, Piece, Reply
from guardrail.dialects.strict import Keys, decode, elements, fields

CLIENT_TOOL = "tool_use"
"""The one kind of block that asks the client to act; server tools have run when we hear of them."""


class Block(msgspec.Struct, gc=False):
    """A content block, or a delta of one."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None


class _Message(msgspec.Struct, gc=False):
    content: list[Block]
    type: str = "message"


_messages = msgspec.json.Decoder(_Message)
READ_KEYS = Keys("type", "index", "content", "content_block", "delta", "message", "text", "thinking")
"""Keys of a reply, whole or streamed, that decide what is inspected."""
_WHAT = "the reply"


def pieces_of(block: Block, index: int) -> list[Piece]:
    """The text of a block, whatever its type is called."""
    pieces = []
    if block.thinking:
        pieces.append(Piece(f"thinking:{index}", block.thinking))
    if block.text:
        pieces.append(Piece(f"content:{index}", block.text))
    return pieces


def read(body: bytes) -> Reply:
    """Raises ``Refusal`` for what is not a message, an error object included."""
    message = decode(_messages, body, _WHAT)
    READ_KEYS.check_once(body, _WHAT)
    if message.type != "message":
        raise Refusal("the reply is not a message")
    pieces = [piece for index, block in enumerate(message.content) for piece in pieces_of(block, index)]
    return Reply(tuple(pieces), any(block.type == CLIENT_TOOL for block in message.content))


def rewritten(body: bytes, texts: Mapping[str, str]) -> bytes:
    """The message with the texts of these channels exchanged; citations and signatures of the old ones go."""
    message = fields(body, _WHAT)
    blocks: list[object] = []
    for index, raw in enumerate(elements(bytes(message["content"]), _WHAT)):
        ours = {name: texts[f"{kind}:{index}"] for kind, name in _MEMBERS if f"{kind}:{index}" in texts}
        blocks.append(_exchanged(fields(bytes(raw), _WHAT), ours) if ours else raw)
    message["content"] = msgspec.Raw(msgspec.json.encode(blocks))
    return msgspec.json.encode(message)


_MEMBERS = (("content", "text"), ("thinking", "thinking"))


def _exchanged(block: Mapping[str, msgspec.Raw], ours: Mapping[str, str]) -> dict[str, object]:
    changed: dict[str, object] = {**block, **ours}
    if "citations" in block:
        changed["citations"] = None
    if "signature" in block:
        changed["signature"] = ""  # it vouched for the old text; clients expect the member
    return changed


def authored(chat: Chat, text: str, reply_id: str) -> bytes:
    """A message of our own."""
    return msgspec.json.encode(
        {**head(chat.model, reply_id), "content": [{"type": "text", "text": text}], "stop_reason": "end_turn"}
    )


def head(model: str, reply_id: str) -> dict[str, object]:
    """A message of our own in which nothing has been said yet."""
    return {
        "id": reply_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }
