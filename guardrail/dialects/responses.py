"""The dialect of OpenAI's Responses API: ``POST …/responses``.

Requests are read in ``responses_request``, whole replies in ``responses_reply``, streams in
``responses_stream`` and written in ``responses_writer``; where in all of them the texts are, and what the
channels are called, is in ``responses_items``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from guardrail.core.model import Message
from guardrail.core.ports import Chat, Reply, StreamReader, StreamWriter
from guardrail.dialects import responses_reply, responses_request
from guardrail.dialects.paths import normalised
from guardrail.dialects.responses_stream import ResponsesReader
from guardrail.dialects.responses_writer import ResponsesWriter
from guardrail.dialects.sse import error_event
from guardrail.dialects.strict import asks_to_stream, decode, fields

_inputs: msgspec.json.Decoder[str | list[msgspec.Raw] | None] = msgspec.json.Decoder(str | list[msgspec.Raw] | None)
_texts: msgspec.json.Decoder[str | None] = msgspec.json.Decoder(str | None)
_WHAT = responses_request.WHAT
_ERRORS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_NULL = msgspec.Raw(b"null")


class OpenAIResponses:
    """``guardrail.core.ports.Dialect`` for OpenAI's responses."""

    name = "openai-responses"
    history = ""
    stream_type = "text/event-stream; charset=utf-8"
    keepalive = b": keep-alive\n\n"

    def claims(self, method: str, path: str, query: str) -> bool:
        return method.upper() == "POST" and normalised(path).endswith("/responses")

    def read_request(self, body: bytes) -> Chat:
        return responses_request.read(body)

    def seems_streamed(self, body: bytes) -> bool:
        return asks_to_stream(body)

    def steered(self, body: bytes, guidance: str) -> bytes:
        request = fields(body, _WHAT)
        instructions = decode(_texts, bytes(request.get("instructions", _NULL)), _WHAT)
        if instructions is None and bytes(request.get("prompt", _NULL)) != b"null":
            # Instructions would stand in place of those that are stored with the prompt.
            return _with_input(request, [{"role": "developer", "content": guidance}])
        request["instructions"] = _raw(f"{instructions}\n\n{guidance}" if instructions else guidance)
        return msgspec.json.encode(request)

    def resumed(self, body: bytes, follows: str, turns: Sequence[Message]) -> bytes:
        request = fields(body, _WHAT)
        request.pop("previous_response_id", None)
        if follows:
            request["previous_response_id"] = _raw(follows)
        return _with_input(request, [_item(turn) for turn in turns])

    def read_reply(self, body: bytes) -> Reply:
        return responses_reply.read(body)

    def rewritten(self, body: bytes, texts: Mapping[str, str]) -> bytes:
        return responses_reply.rewritten(body, texts)

    def replacement(self, chat: Chat, text: str, *, reply_id: str, created: int) -> bytes:
        return responses_reply.authored(chat, text, reply_id, created)

    def error(self, status: int, message: str) -> bytes:
        return msgspec.json.encode({"error": _error(status, message)})

    def stream_error(self, status: int, message: str) -> bytes:
        # The API tells it flat, and clients raise what lies under "error": both find it.
        error = _error(status, message)
        flat = {"type": "error", "code": error["type"], "message": message, "param": None, "sequence_number": 0}
        return error_event(msgspec.json.encode({**flat, "error": error}))

    def reader(self) -> StreamReader:
        return ResponsesReader()

    def writer(self, chat: Chat, *, reply_id: str, created: int) -> StreamWriter:
        return ResponsesWriter(chat, reply_id, created)


_STORED = re.compile(r"/responses/(?!compact$|input_tokens$)[^/]+$")
_CANCELLED = re.compile(r"/responses/[^/]+/cancel$")
_STREAMED = re.compile(r"(?:^|[&;])stream=(?:true|1)\b", re.IGNORECASE)


class StoredResponses(OpenAIResponses):
    """Responses that the server has kept: ``GET …/responses/ID``, whole or ``streamed``, and ``POST …/ID/cancel``.

    They are read like fresh ones. What was cut or replaced on its first way would come back here as it was.
    """

    def __init__(self, *, streamed: bool) -> None:
        self._streamed = streamed

    def claims(self, method: str, path: str, query: str) -> bool:
        known = {"GET": _STORED, "POST": _CANCELLED}.get(method.upper())
        if known is None or known.search(normalised(path)) is None:
            return False
        return (_STREAMED.search(query) is not None) is self._streamed

    def read_request(self, body: bytes) -> Chat:
        return Chat((), stream=self._streamed)

    def seems_streamed(self, body: bytes) -> bool:
        return self._streamed

    def steered(self, body: bytes, guidance: str) -> bytes:
        return body  # nobody is asked

    def resumed(self, body: bytes, follows: str, turns: Sequence[Message]) -> bytes:
        return body

    def read_reply(self, body: bytes) -> Reply:
        return responses_reply.read(body, finished=False)


def _error(status: int, message: str) -> dict[str, str | None]:
    kind = "server_error" if status >= 500 else _ERRORS.get(status, "invalid_request_error")
    return {"message": message, "type": kind, "param": None, "code": None}


def _item(turn: Message) -> dict[str, str]:
    # What a tool answered has no call here that it could belong to.
    role = "developer" if turn.role in ("system", "tool") else turn.role
    return {"role": role, "content": turn.text}


def _with_input(request: dict[str, msgspec.Raw], items: Sequence[object]) -> bytes:
    """The request with items before its own."""
    given = decode(_inputs, bytes(request.get("input", _NULL)), _WHAT)
    own: Sequence[object] = [{"role": "user", "content": given}] if isinstance(given, str) else given or []
    request["input"] = _raw([*items, *own])
    return msgspec.json.encode(request)


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
