"""Lines of our own in a streamed reply of Ollama's, so that it ends well formed wherever it is cut."""

from __future__ import annotations

from typing import Any

import msgspec

from guardrail.core.ports import Chat, Frame
from guardrail.dialects.ndjson import parse, written
from guardrail.dialects.ollama_reply import Endpoint, head
from guardrail.dialects.strict import decode


class _Head(msgspec.Struct, gc=False):
    model: Any = None
    created_at: Any = None


_heads = msgspec.json.Decoder(_Head)


class OllamaWriter:
    """``StreamWriter`` for both paths. Lines take model and time from the last one that was released."""

    def __init__(self, endpoint: Endpoint, chat: Chat, created: int) -> None:
        self._endpoint = endpoint
        self._ours = head(chat.model, created)
        self._last = b""
        self._ended = False

    def released(self, frame: Frame) -> None:
        self._ended = self._ended or frame.end
        self._last = parse(frame.raw).data or self._last

    def say(self, text: str, channel: str | None = None) -> bytes:
        is_thought = channel is not None and channel.startswith("thinking:")
        said = self._endpoint.said("", text) if is_thought else self._endpoint.said(text, "")
        return written({**self._head(), **said, "done": False})

    def finish(self) -> bytes:
        return b"" if self._ended else written({**self._head(), **self._endpoint.said("", ""), **self._endpoint.last})

    def _head(self) -> dict[str, object]:
        if self._last:
            theirs = decode(_heads, self._last, "a line of the stream")
            self._ours = {
                "model": theirs.model or self._ours["model"],
                "created_at": theirs.created_at or self._ours["created_at"],
            }
            self._last = b""
        return self._ours
