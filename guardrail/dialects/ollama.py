"""What the two paths of Ollama's API have in common. Each of them, with what it asks, is a module of its own.

Whole replies are in ``ollama_reply``; streams, which are JSON by lines, are in ``ollama_stream`` and
``ollama_writer``. A reply is always one: ``content:0`` is its text, ``thinking:0`` its reasoning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from guardrail.core.model import Message
from guardrail.core.ports import Chat, Reply, StreamReader, StreamWriter
from guardrail.dialects import ollama_reply
from guardrail.dialects.ndjson import written
from guardrail.dialects.ollama_reply import Endpoint
from guardrail.dialects.ollama_stream import OllamaReader
from guardrail.dialects.ollama_writer import OllamaWriter
from guardrail.dialects.paths import normalised

_WHOLE = re.compile(rb'"stream"\s*:\s*false')


class Ollama:
    """``guardrail.core.ports.Dialect`` but for what one of the paths is asked."""

    name = "ollama-chat"
    history = ""
    stream_type = "application/x-ndjson"

    def __init__(self, path: str, endpoint: Endpoint) -> None:
        self._path, self._endpoint = path, endpoint
        # There are no comments, and a blank line is an error to clients; a line that says nothing is ordinary.
        self.keepalive = written({**ollama_reply.head("", 0), **endpoint.said("", ""), "done": False})

    def claims(self, method: str, path: str, query: str) -> bool:
        return method.upper() == "POST" and normalised(path).endswith(self._path)

    def seems_streamed(self, body: bytes) -> bool:
        return _WHOLE.search(body) is None  # replies are streams unless the client says no

    def resumed(self, body: bytes, follows: str, turns: Sequence[Message]) -> bytes:
        return body  # no request names the reply it goes on from

    def read_reply(self, body: bytes) -> Reply:
        return ollama_reply.read(body)

    def rewritten(self, body: bytes, texts: Mapping[str, str]) -> bytes:
        return ollama_reply.rewritten(body, texts)

    def replacement(self, chat: Chat, text: str, *, reply_id: str, created: int) -> bytes:
        return ollama_reply.authored(self._endpoint, chat, text, created)

    def error(self, status: int, message: str) -> bytes:
        return msgspec.json.encode({"error": message})

    def stream_error(self, status: int, message: str) -> bytes:
        return written({"error": message})

    def reader(self) -> StreamReader:
        return OllamaReader()

    def writer(self, chat: Chat, *, reply_id: str, created: int) -> StreamWriter:
        return OllamaWriter(self._endpoint, chat, created)


def is_structured(format: object) -> bool:
    """Whether a request's ``format`` ("json", or a JSON schema) demands JSON output."""
    return format not in (None, "")
