"""The dialect of Ollama's completions: ``POST …/api/generate``.

The prompt is the person's turn. What came before lies in ``context``, in the model's own tokens, which cannot
be read: it is passed on, and never judged. An app that uses it names its conversations in the header for that.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from guardrail.core.model import Message
from guardrail.core.ports import Chat
from guardrail.dialects.ollama import Ollama, is_structured
from guardrail.dialects.ollama_reply import GENERATE
from guardrail.dialects.strict import Keys, decode, fields


class _Request(msgspec.Struct, gc=False):
    prompt: str | UnsetType | None = UNSET
    suffix: str | UnsetType | None = UNSET
    system: str | UnsetType | None = UNSET
    raw: bool | None = None
    model: str | None = None
    stream: bool | None = None
    format: Any = None


_requests = msgspec.json.Decoder(_Request)
_keys = Keys("prompt", "suffix", "system")
_WHAT = "the request"


class OllamaGenerate(Ollama):
    """``guardrail.core.ports.Dialect`` for Ollama's completions. Without a prompt, they only load the model."""

    def __init__(self) -> None:
        super().__init__("/api/generate", GENERATE)

    def read_request(self, body: bytes) -> Chat:
        request = decode(_requests, body, _WHAT)
        _keys.check(body, _counts(request), _WHAT)
        said = "\n".join([text for text in (request.prompt, request.suffix) if text])
        turns = [Message("system", request.system)] if request.system else []
        return Chat(
            messages=(*turns, Message("user", said)) if said else tuple(turns),
            stream=request.stream is not False,
            structured=is_structured(request.format),
            model=request.model or "",
        )

    def steered(self, body: bytes, guidance: str) -> bytes:
        read = decode(_requests, body, _WHAT)
        if not (read.prompt or read.suffix):
            return body
        request = fields(body, _WHAT)
        # A raw prompt is all that the model gets, and Ollama refuses instructions beside it.
        name, before = ("prompt", read.prompt) if read.raw else ("system", read.system)
        guided = [guidance, before] if read.raw else [before, guidance]
        request[name] = msgspec.Raw(msgspec.json.encode("\n\n".join([text for text in guided if text])))
        return msgspec.json.encode(request)


def _counts(request: _Request) -> tuple[tuple[bytes, int], ...]:
    """How often each key we read occurs in the body when none is given twice."""
    return (
        (b'"prompt"', int(request.prompt is not UNSET)),
        (b'"suffix"', int(request.suffix is not UNSET)),
        (b'"system"', int(request.system is not UNSET)),
    )
