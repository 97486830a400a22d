"""The dialect of a chat API that an operator describes: ``json_dialect`` in ``guardrail.yaml``.

What may be said there is in ``json_layout``. Whole requests and replies are in ``json_request`` and
``json_reply``; streams, as server-sent events or JSON by lines, in ``json_stream`` (what their events mean is
``json_course``) and ``json_writer``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import msgspec

from guardrail.core.model import Message
from guardrail.core.ports import Chat, Reply, StreamReader, StreamWriter
from guardrail.dialects import json_reply, json_request, json_stream, json_writer
from guardrail.dialects.json_layout import Layout
from guardrail.dialects.json_pointer import built

_NO_STREAM = "application/x-no-stream"
"""What no upstream sends: where streams are not described, one that comes cannot be read and is not released."""


class JsonApi:
    """``guardrail.core.ports.Dialect`` for one path of an operator's own API."""

    name = "json"
    history = ""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._conversation = ""
        self.stream_type = layout.stream.type if layout.reply.stream is not None else _NO_STREAM
        self.keepalive = json_writer.keepalive(layout.stream)

    def claims(self, method: str, path: str, query: str) -> bool:
        return method.upper() == self._layout.method and self._layout.path.match(path) is not None

    def at(self, path: str) -> JsonApi:
        """This dialect for a request to ``path``, which it claims and which may name the conversation."""
        name = self._layout.request.conversation
        if not isinstance(name, str):
            return self
        here = copy.copy(self)
        here._conversation = (self._layout.path.match(path) or {}).get(name, "")
        return here

    def read_request(self, body: bytes) -> Chat:
        return json_request.read(self._layout, body, self._conversation)

    def seems_streamed(self, body: bytes) -> bool:
        return json_request.seems_streamed(self._layout, body)

    def steered(self, body: bytes, guidance: str) -> bytes:
        return json_request.steered(self._layout, body, guidance)

    def resumed(self, body: bytes, follows: str, turns: Sequence[Message]) -> bytes:
        return body  # a conversation is named, never the reply it goes on from

    def read_reply(self, body: bytes) -> Reply:
        return json_reply.read(self._layout, body)

    def rewritten(self, body: bytes, texts: Mapping[str, str]) -> bytes:
        return json_reply.rewritten(self._layout, body, texts)

    def replacement(self, chat: Chat, text: str, *, reply_id: str, created: int) -> bytes:
        return json_reply.authored(self._layout, chat, text)

    def error(self, status: int, message: str) -> bytes:
        return msgspec.json.encode(built(self._layout.error.parts(message)))

    def stream_error(self, status: int, message: str) -> bytes:
        return json_writer.failure(self._layout, message)

    def reader(self) -> StreamReader:
        return json_stream.reader(self._layout)

    def writer(self, chat: Chat, *, reply_id: str, created: int) -> StreamWriter:
        return json_writer.JsonWriter(self._layout, chat)
