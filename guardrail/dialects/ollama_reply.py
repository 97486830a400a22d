"""What Ollama answers, whole or as one line of a stream: its texts read, exchanged, or written by us.

``/api/chat`` has its text in ``message``, ``/api/generate`` beside it in ``response``. Both are read wherever
they are, since a client may look at either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from guardrail.core.model import Refusal
from guardrail.core.ports import Chat, Piece, Reply
from guardrail.dialects.strict import Keys, decode, fields

CONTENT, THINKING = "content:0", "thinking:0"
"""The channels: a reply is always one."""

_Text = str | UnsetType | None
_Calls = list[msgspec.Raw] | UnsetType | None


class _Message(msgspec.Struct, gc=False):
    content: _Text = UNSET
    thinking: _Text = UNSET
    tool_calls: _Calls = UNSET


class Said(msgspec.Struct, gc=False):
    """A reply, or a part of one: everything in it that a human would read, and whether it is the last."""

    message: _Message | UnsetType | None = UNSET
    response: _Text = UNSET
    thinking: _Text = UNSET
    tool_calls: _Calls = UNSET
    done: bool | UnsetType | None = UNSET
    error: Any = UNSET

    @property
    def pieces(self) -> tuple[Piece, ...]:
        inner = self.message or _NOTHING
        texts = (
            (THINKING, (inner.thinking or "") + (self.thinking or "")),
            (CONTENT, (inner.content or "") + (self.response or "")),
        )
        return tuple([Piece(name, text) for name, text in texts if text])

    @property
    def has_tools(self) -> bool:
        return bool(self.tool_calls or (self.message and self.message.tool_calls))


_NOTHING = _Message()
_said = msgspec.json.Decoder(Said)
_keys = Keys("message", "content", "thinking", "tool_calls", "response", "done", "error")
_KELVIN = "\N{KELVIN SIGN}".encode()  # folds to the k of "thinking"
_WHAT = "the reply"


def read_part(data: bytes, what: str) -> Said:
    """Raises ``Refusal``, naming ``what``, for what cannot be read in one way only."""
    said = decode(_said, data, what)
    if _KELVIN in data:
        _keys.check_exactly(data, what)
    else:
        _keys.check(data, _counts(said), what)
    return said


def _counts(said: Said) -> tuple[tuple[bytes, int], ...]:
    """How often each key we read occurs when none is given twice."""
    inner = said.message or _NOTHING
    return (
        (b'"message"', int(said.message is not UNSET)),
        (b'"content"', int(inner.content is not UNSET)),
        (b'"thinking"', (inner.thinking is not UNSET) + (said.thinking is not UNSET)),
        (b'"tool_calls"', (inner.tool_calls is not UNSET) + (said.tool_calls is not UNSET)),
        (b'"response"', int(said.response is not UNSET)),
        (b'"done"', int(said.done is not UNSET)),
        (b'"error"', int(said.error is not UNSET)),
    )


def read(body: bytes) -> Reply:
    """Raises ``Refusal`` for what is not a reply, an error object included."""
    said = read_part(body, _WHAT)
    if said.error or (not said.message and not isinstance(said.response, str)):
        raise Refusal("the reply has neither a message nor a response")
    return Reply(said.pieces, said.has_tools)


def rewritten(body: bytes, texts: Mapping[str, str]) -> bytes:
    """The reply with the texts of these channels exchanged. Of a text in two places only the first place stays."""
    reply: dict[str, object] = {**fields(body, _WHAT)}
    message = _members(reply.get("message"))
    for channel, inside, beside in ((CONTENT, "content", "response"), (THINKING, "thinking", "thinking")):
        if channel not in texts:
            continue
        reply.pop("logprobs", None)  # they spell the old text
        if message is None:
            reply[beside] = texts[channel]
        else:
            message[inside] = texts[channel]
            reply.pop(beside, None)
    if message is not None:
        reply["message"] = message
    return msgspec.json.encode(reply)


def _members(raw: object) -> dict[str, object] | None:
    if not isinstance(raw, msgspec.Raw) or bytes(raw).strip() == b"null":
        return None
    return {**fields(bytes(raw), _WHAT)}


class Endpoint(NamedTuple):
    """How one of the two paths writes: a text and its reasoning, and what more the last part of a reply has."""

    said: Callable[[str, str], dict[str, object]]
    last: Mapping[str, object]


def _in_message(text: str, thought: str) -> dict[str, object]:
    return {"message": {"role": "assistant", "content": text, **({"thinking": thought} if thought else {})}}


def _beside(text: str, thought: str) -> dict[str, object]:
    return {"response": text, **({"thinking": thought} if thought else {})}


_LAST: Mapping[str, object] = {
    "done": True,
    "done_reason": "stop",
    "total_duration": 0,
    "load_duration": 0,
    "prompt_eval_count": 0,
    "prompt_eval_duration": 0,
    "eval_count": 0,
    "eval_duration": 0,
}
CHAT = Endpoint(_in_message, _LAST)
GENERATE = Endpoint(_beside, {**_LAST, "context": []})
"""The context is the model's memory in its own tokens, which we cannot write; but clients rely on its being there."""


def head(model: str, created: int) -> dict[str, object]:
    """What every part begins with. ``created`` is POSIX seconds."""
    return {"model": model, "created_at": datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}


def authored(endpoint: Endpoint, chat: Chat, text: str, created: int) -> bytes:
    """A whole reply of our own."""
    return msgspec.json.encode({**head(chat.model, created), **endpoint.said(text, ""), **endpoint.last})
