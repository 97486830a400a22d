"""The dialect of Anthropic's messages: ``POST …/v1/messages``.

Whole requests and replies are here and in ``anthropic_reply``; streams are in ``anthropic_stream`` and
``anthropic_writer``. Channels are by content block: ``content:I`` for text, ``thinking:I`` for reasoning.
Redacted reasoning, citations, server tools and their results pass untouched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from guardrail.core.model import Message, Refusal, Role
from guardrail.core.ports import Chat, Reply, StreamReader, StreamWriter
from guardrail.dialects import anthropic_reply
from guardrail.dialects.anthropic_stream import AnthropicReader
from guardrail.dialects.anthropic_writer import PING, AnthropicWriter
from guardrail.dialects.paths import normalised
from guardrail.dialects.sse import error_event
from guardrail.dialects.strict import Keys, asks_to_stream, decode, fields

_ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}


class _Block(msgspec.Struct, gc=False):
    type: str | UnsetType | None = UNSET
    text: str | UnsetType | None = UNSET
    content: msgspec.Raw | UnsetType = UNSET


class _Message(msgspec.Struct, gc=False):
    role: str
    content: str | list[_Block]


class _Typed(msgspec.Struct, gc=False):
    type: str | UnsetType | None = UNSET


class _OutputConfig(msgspec.Struct, gc=False):
    format: _Typed | None = None


class _Request(msgspec.Struct, gc=False):
    messages: list[_Message]
    model: str | None = None
    system: str | list[_Block] | None = None
    stream: bool | None = None
    tool_choice: _Typed | None = None
    output_format: _Typed | None = None
    output_config: _OutputConfig | None = None


_requests = msgspec.json.Decoder(_Request)
_results: msgspec.json.Decoder[str | list[_Block | str] | None] = msgspec.json.Decoder(str | list[_Block | str] | None)
_systems: msgspec.json.Decoder[str | list[msgspec.Raw] | None] = msgspec.json.Decoder(str | list[msgspec.Raw] | None)
_keys = Keys("messages", "system", "role", "content", "text", "type")
_WHAT = "the request"


class AnthropicMessages:
    """``guardrail.core.ports.Dialect`` for Anthropic messages."""

    name = "anthropic-messages"
    history = "messages"
    stream_type = "text/event-stream; charset=utf-8"
    keepalive = PING

    def claims(self, method: str, path: str, query: str) -> bool:
        return method.upper() == "POST" and normalised(path).endswith("/v1/messages")

    def read_request(self, body: bytes) -> Chat:
        request = decode(_requests, body, _WHAT)
        _keys.check(body, _counts(request), _WHAT)
        if not request.messages:
            raise Refusal("the request has no messages")
        turns = _system(request.system)
        preface = len(turns)
        for message in request.messages:
            turns += _turns(message)
        return Chat(
            messages=tuple(turns),
            stream=bool(request.stream),
            structured=_is_structured(request),
            model=request.model or "",
            preface=preface,
        )

    def seems_streamed(self, body: bytes) -> bool:
        return asks_to_stream(body)

    def steered(self, body: bytes, guidance: str) -> bytes:
        request = fields(body, _WHAT)
        system = decode(_systems, bytes(request.get("system", b"null")), _WHAT)
        if isinstance(system, list):
            guided: object = [*system, {"type": "text", "text": guidance}]
        else:
            guided = f"{system}\n\n{guidance}" if system else guidance
        request["system"] = msgspec.Raw(msgspec.json.encode(guided))
        return msgspec.json.encode(request)

    def resumed(self, body: bytes, follows: str, turns: Sequence[Message]) -> bytes:
        return body  # every request brings its history

    def read_reply(self, body: bytes) -> Reply:
        return anthropic_reply.read(body)

    def rewritten(self, body: bytes, texts: Mapping[str, str]) -> bytes:
        return anthropic_reply.rewritten(body, texts)

    def replacement(self, chat: Chat, text: str, *, reply_id: str, created: int) -> bytes:
        return anthropic_reply.authored(chat, text, reply_id)

    def error(self, status: int, message: str) -> bytes:
        kind = _ERRORS.get(status, "api_error" if status >= 500 else "invalid_request_error")
        return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})

    def stream_error(self, status: int, message: str) -> bytes:
        return error_event(self.error(status, message))

    def reader(self) -> StreamReader:
        return AnthropicReader()

    def writer(self, chat: Chat, *, reply_id: str, created: int) -> StreamWriter:
        return AnthropicWriter(chat, reply_id)


_ERRORS = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def _system(system: str | list[_Block] | None) -> list[Message]:
    text = _joined(system) if isinstance(system, list) else system
    return [Message("system", text)] if text else []


def _turns(message: _Message) -> list[Message]:
    """A message as turns. What a tool answered lies inside of the person's message, and is not their words."""
    # A role we do not know is read as the person's: then it is looked at, whatever the upstream makes of it.
    role: Role = _ROLES.get(message.role) or _ROLES.get(message.role.strip().lower(), "user")
    if isinstance(message.content, str):
        return [Message(role, message.content)]
    turns: list[Message] = []
    own: list[_Block | str] = []
    for block in message.content:
        own.append(block)  # a tool's answer too: whatever text stands beside it is not the tool's
        if block.type != "tool_result":
            continue
        if text := _joined(own):
            turns.append(Message(role, text))
        own = []
        turns.append(Message("tool", _result(block)))
    if (text := _joined(own)) or not turns:
        turns.append(Message(role, text))
    return turns


def _result(block: _Block) -> str:
    if block.content is UNSET:
        return ""
    content = decode(_results, bytes(block.content), _WHAT)
    return _joined(content) if isinstance(content, list) else content or ""


def _joined(blocks: list[_Block | str] | list[_Block]) -> str:
    return "\n".join([t for b in blocks if (t := b if isinstance(b, str) else b.text)])


def _is_structured(request: _Request) -> bool:
    if request.output_format is not None:
        return True
    if request.output_config is not None and request.output_config.format is not None:
        return True
    return request.tool_choice is not None and request.tool_choice.type in ("any", "tool")


def _counts(request: _Request) -> tuple[tuple[bytes, int], ...]:
    """How often each key we read occurs in the body of a plain chat when none is given twice."""
    messages = request.messages
    blocks = [b for m in messages if isinstance(m.content, list) for b in m.content]
    if isinstance(request.system, list):
        blocks += request.system
    return (
        (b'"messages"', 1),
        (b'"system"', int(request.system is not None)),
        (b'"role"', len(messages)),
        (b'"content"', len(messages) + sum(b.content is not UNSET for b in blocks)),
        (b'"text"', sum((b.text is not UNSET) + (b.type == "text") for b in blocks)),
        (b'"type"', sum(b.type is not UNSET for b in blocks)),
    )
