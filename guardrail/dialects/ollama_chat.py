"""The dialect of Ollama's chats: ``POST …/api/chat``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from guardrail.core.model import Message, Role
from guardrail.core.ports import Chat
from guardrail.dialects.ollama import Ollama, is_structured
from guardrail.dialects.ollama_reply import CHAT
from guardrail.dialects.strict import Keys, decode, fields

_ROLES: Mapping[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
}


class _Message(msgspec.Struct, gc=False):
    role: str | UnsetType | None = UNSET
    content: str | UnsetType | None = UNSET


class _Request(msgspec.Struct, gc=False):
    messages: list[_Message] | UnsetType | None = UNSET
    model: str | None = None
    stream: bool | None = None
    format: Any = None


_requests = msgspec.json.Decoder(_Request)
_lists: msgspec.json.Decoder[list[msgspec.Raw] | None] = msgspec.json.Decoder(list[msgspec.Raw] | None)
_messages = msgspec.json.Decoder(_Message)
_keys = Keys("messages", "role", "content")
_WHAT = "the request"


class OllamaChat(Ollama):
    """``guardrail.core.ports.Dialect`` for Ollama's chats. A request without messages only loads the model."""

    history = "messages"

    def __init__(self) -> None:
        super().__init__("/api/chat", CHAT)

    def read_request(self, body: bytes) -> Chat:
        request = decode(_requests, body, _WHAT)
        _keys.check(body, _counts(request), _WHAT)
        return Chat(
            messages=tuple([Message(_role(m), m.content or "") for m in request.messages or ()]),
            stream=request.stream is not False,
            structured=is_structured(request.format),
            model=request.model or "",
        )

    def steered(self, body: bytes, guidance: str) -> bytes:
        request = fields(body, _WHAT)
        messages = decode(_lists, bytes(request.get("messages", b"null")), _WHAT)
        if not messages:
            return body
        at = _place([_role(decode(_messages, bytes(raw), _WHAT)) for raw in messages])
        guide = msgspec.Raw(msgspec.json.encode({"role": "system", "content": guidance}))
        request["messages"] = msgspec.Raw(msgspec.json.encode([*messages[:at], guide, *messages[at:]]))
        return msgspec.json.encode(request)


def _role(message: _Message) -> Role:
    """A role we do not know is read as the person's: then it is looked at, whatever the upstream makes of it."""
    return _ROLES.get((message.role or "").strip().lower(), "user")


def _place(roles: Sequence[Role]) -> int:
    """Where guidance goes: after the leading instructions.

    Without any, those in the model's own file hold, but only as long as the first message is not the
    system's; so then it goes before the person's last turn.
    """
    leading = next((at for at, role in enumerate(roles) if role != "system"), len(roles))
    if leading:
        return leading
    return max((at for at, role in enumerate(roles) if role == "user"), default=0)


def _counts(request: _Request) -> tuple[tuple[bytes, int], ...]:
    """How often each key we read occurs in the body when none is given twice."""
    messages = request.messages or ()
    return (
        (b'"messages"', int(request.messages is not UNSET)),
        (b'"role"', sum(m.role is not UNSET for m in messages)),
        (b'"content"', sum(m.content is not UNSET for m in messages)),
    )
