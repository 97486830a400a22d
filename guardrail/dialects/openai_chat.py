"""The dialect of OpenAI's chat completions, as many servers speak it: ``POST …/chat/completions``.

Whole requests and replies are here and in ``openai_reply``; streams are in ``openai_stream`` and
``openai_writer``. Channels are by choice: ``content:I`` (text, and the transcript of spoken replies),
``refusal:I``, ``thinking:I`` (``reasoning_content`` and ``reasoning`` of compatible servers).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from guardrail.core.model import Message, Refusal, Role
from guardrail.core.ports import Chat, Reply, StreamReader, StreamWriter
from guardrail.dialects import openai_reply
from guardrail.dialects.openai_stream import OpenAIReader
from guardrail.dialects.openai_writer import OpenAIWriter
from guardrail.dialects.paths import normalised
from guardrail.dialects.sse import error_event
from guardrail.dialects.strict import Keys, asks_to_stream, decode, elements, fields

MAX_CHOICES = 128
"""The API's own limit on ``n``."""

_ROLES: Mapping[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
}


class _Part(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | UnsetType | None = UNSET
    refusal: str | None = None


class _Message(msgspec.Struct, gc=False):
    role: str
    content: str | list[_Part | str] | UnsetType | None = UNSET
    refusal: str | None = None


class _StreamOptions(msgspec.Struct, gc=False):
    include_usage: bool | None = None


class _Format(msgspec.Struct, gc=False):
    type: str | None = None


class _Request(msgspec.Struct, gc=False):
    messages: list[_Message]
    model: str | None = None
    stream: bool | None = None
    n: int | None = None
    stream_options: _StreamOptions | None = None
    response_format: _Format | None = None
    # what self-hosted servers (vLLM, llama.cpp) call the same
    guided_json: Any = None
    guided_choice: Any = None
    guided_regex: Any = None
    guided_grammar: Any = None
    structured_outputs: Any = None
    json_schema: Any = None
    grammar: Any = None


_requests = msgspec.json.Decoder(_Request)
_roles = msgspec.json.Decoder(_Message)
_keys = Keys("messages", "role", "content", "text")
_WHAT = "the request"


class OpenAIChat:
    """``guardrail.core.ports.Dialect`` for OpenAI chat completions."""

    name = "openai-chat"
    history = "messages"
    stream_type = "text/event-stream; charset=utf-8"
    keepalive = b": keep-alive\n\n"

    def claims(self, method: str, path: str, query: str) -> bool:
        return method.upper() == "POST" and normalised(path).endswith("/chat/completions")

    def read_request(self, body: bytes) -> Chat:
        request = decode(_requests, body, _WHAT)
        _keys.check(body, _counts(request), _WHAT)
        if not request.messages:
            raise Refusal("the request has no messages")
        choices = 1 if request.n is None else request.n
        if not 1 <= choices <= MAX_CHOICES:
            raise Refusal(f"n must be between 1 and {MAX_CHOICES}")
        return Chat(
            messages=tuple([_message(m) for m in request.messages]),
            stream=bool(request.stream),
            structured=_is_structured(request),
            choices=choices,
            model=request.model or "",
            include_usage=bool(request.stream_options and request.stream_options.include_usage),
        )

    def seems_streamed(self, body: bytes) -> bool:
        return asks_to_stream(body)

    def steered(self, body: bytes, guidance: str) -> bytes:
        request = fields(body, _WHAT)
        messages = elements(bytes(request.get("messages", b"null")), _WHAT)
        at, role = 0, "system"
        for raw in messages:
            read = decode(_roles, bytes(raw), _WHAT).role.lower()
            if read not in ("system", "developer"):
                break
            at, role = at + 1, read
        guide = msgspec.Raw(msgspec.json.encode({"role": role, "content": guidance}))
        request["messages"] = msgspec.Raw(msgspec.json.encode([*messages[:at], guide, *messages[at:]]))
        return msgspec.json.encode(request)

    def resumed(self, body: bytes, follows: str, turns: Sequence[Message]) -> bytes:
        return body  # every request brings its history

    def read_reply(self, body: bytes) -> Reply:
        return openai_reply.read(body)

    def rewritten(self, body: bytes, texts: Mapping[str, str]) -> bytes:
        return openai_reply.rewritten(body, texts)

    def replacement(self, chat: Chat, text: str, *, reply_id: str, created: int) -> bytes:
        return openai_reply.authored(chat, text, reply_id, created)

    def error(self, status: int, message: str) -> bytes:
        kind = "server_error" if status >= 500 else _ERRORS.get(status, "invalid_request_error")
        return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": None}})

    def stream_error(self, status: int, message: str) -> bytes:
        return error_event(self.error(status, message))

    def reader(self) -> StreamReader:
        return OpenAIReader()

    def writer(self, chat: Chat, *, reply_id: str, created: int) -> StreamWriter:
        return OpenAIWriter(chat, reply_id, created)


_ERRORS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


def _message(read: _Message) -> Message:
    role, content = _ROLES.get(read.role), read.content
    return Message(role or _role(read), content if isinstance(content, str) else _text(read))


def _role(message: _Message) -> Role:
    """A role we do not know is read as the person's: then it is looked at, whatever the upstream makes of it."""
    return _ROLES.get(message.role.strip().lower(), "user")


def _text(message: _Message) -> str:
    """What is said in parts, or not at all."""
    content = message.content
    if not content or isinstance(content, str):
        return message.refusal or ""
    return "\n".join([text for part in content if (text := part if isinstance(part, str) else _part_text(part))])


def _part_text(part: _Part) -> str:
    return "\n".join([text for text in (part.text, part.refusal) if text])


def _is_structured(request: _Request) -> bool:
    if request.response_format is not None and (request.response_format.type or "").startswith("json"):
        return True
    return any(
        given is not None
        for given in (
            request.guided_json,
            request.guided_choice,
            request.guided_regex,
            request.guided_grammar,
            request.structured_outputs,
            request.json_schema,
            request.grammar,
        )
    )


def _counts(request: _Request) -> tuple[tuple[bytes, int], ...]:
    """How often each key we read occurs in the body when none is given twice."""
    messages = request.messages
    contents = [m.content for m in messages if m.content is not UNSET]
    parts = [p for c in contents if isinstance(c, list) for p in c if isinstance(p, _Part)]
    texts = sum((p.text is not UNSET) + (p.type == "text") for p in parts)
    return (b'"messages"', 1), (b'"role"', len(messages)), (b'"content"', len(contents)), (b'"text"', texts)
