"""The dialect of Google's Gemini: ``POST …:generateContent`` and ``…:streamGenerateContent``.

Three forms of one API, told apart by path and query: a whole reply, a stream of server-sent events
(``alt=sse``), and a stream that is a JSON array. Requests are in ``gemini_request``; whole replies in
``gemini_reply`` and ``gemini_rewrite``; streams in ``gemini_stream``, ``gemini_array`` and ``gemini_writer``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import parse_qsl

import msgspec

from guardrail.core.model import Message
from guardrail.core.ports import Chat, Reply, StreamReader, StreamWriter
from guardrail.dialects import gemini_reply, gemini_request, gemini_rewrite
from guardrail.dialects.gemini_array import GeminiArrayReader
from guardrail.dialects.gemini_stream import GeminiReader
from guardrail.dialects.gemini_writer import CRLF, GeminiArrayWriter, GeminiWriter
from guardrail.dialects.paths import normalised

Form = Literal["whole", "events", "array"]

_WHOLE = ":generatecontent"
_STREAMED = ":streamgeneratecontent"


def form_of(path: str, query: str) -> Form | None:
    """The form of the answer to a request, if it is one for generated content."""
    path = normalised(path)
    if not path.endswith((_WHOLE, _STREAMED)):
        return None
    if _wants_events(query):
        return "events"
    return "array" if path.endswith(_STREAMED) else "whole"


def _wants_events(query: str) -> bool:
    # Some clients append to a query as to a path, which gives ``alt=sse?key=…``.
    return any(
        name.lower() in ("alt", "$alt") and value.replace("?", ";").partition(";")[0].strip().lower() == "sse"
        for name, value in parse_qsl(query)
    )


class Gemini:
    """``guardrail.core.ports.Dialect`` for replies that are whole, or server-sent events."""

    name = "gemini"
    history = ""
    stream_type = "text/event-stream"
    keepalive = CRLF * 2
    """A blank line: Google's own clients take a comment for a broken response."""

    def __init__(self, form: Form) -> None:
        self._form = form

    def claims(self, method: str, path: str, query: str) -> bool:
        return method.upper() == "POST" and form_of(path, query) == self._form

    def read_request(self, body: bytes) -> Chat:
        return gemini_request.read(body, stream=self._form != "whole")

    def seems_streamed(self, body: bytes) -> bool:
        return self._form != "whole"

    def steered(self, body: bytes, guidance: str) -> bytes:
        return gemini_request.steered(body, guidance)

    def resumed(self, body: bytes, follows: str, turns: Sequence[Message]) -> bytes:
        return body  # no request names the reply it goes on from

    def read_reply(self, body: bytes) -> Reply:
        return gemini_reply.read(body)

    def rewritten(self, body: bytes, texts: Mapping[str, str]) -> bytes:
        return gemini_rewrite.rewritten(body, texts)

    def replacement(self, chat: Chat, text: str, *, reply_id: str, created: int) -> bytes:
        return gemini_reply.authored(chat, text, reply_id)

    def error(self, status: int, message: str) -> bytes:
        kind = _ERRORS.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
        return msgspec.json.encode({"error": {"code": status, "message": message, "status": kind}})

    def stream_error(self, status: int, message: str) -> bytes:
        return self.error(status, message) + CRLF * 2  # no field's name before it: so Google's clients expect it

    def reader(self) -> StreamReader:
        return GeminiReader()

    def writer(self, chat: Chat, *, reply_id: str, created: int) -> StreamWriter:
        return GeminiWriter(chat, reply_id)


class GeminiArray(Gemini):
    """The same for a stream that is a JSON array."""

    stream_type = "application/json"
    keepalive = b" "

    def __init__(self) -> None:
        super().__init__("array")

    def error(self, status: int, message: str) -> bytes:
        return b"[" + super().error(status, message) + b"]"

    def stream_error(self, status: int, message: str) -> bytes:
        return b",\n" + super().error(status, message) + b"]"

    def reader(self) -> StreamReader:
        return GeminiArrayReader()

    def writer(self, chat: Chat, *, reply_id: str, created: int) -> StreamWriter:
        return GeminiArrayWriter(chat, reply_id)


_ERRORS = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
