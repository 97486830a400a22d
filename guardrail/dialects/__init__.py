"""Chat APIs: one dialect each, all pure. ``claiming`` finds the one that reads a request."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from guardrail.core.ports import Dialect
from guardrail.dialects.anthropic_messages import AnthropicMessages
from guardrail.dialects.gemini import Gemini, GeminiArray
from guardrail.dialects.json_api import JsonApi
from guardrail.dialects.ollama_chat import OllamaChat
from guardrail.dialects.ollama_generate import OllamaGenerate
from guardrail.dialects.openai_chat import OpenAIChat
from guardrail.dialects.responses import OpenAIResponses, StoredResponses

ALL: tuple[Dialect, ...] = (
    OpenAIChat(),
    AnthropicMessages(),
    OllamaChat(),
    OllamaGenerate(),
    Gemini("whole"),
    Gemini("events"),
    GeminiArray(),
    OpenAIResponses(),
    StoredResponses(streamed=False),
    StoredResponses(streamed=True),
)


def claiming(method: str, path: str, query: str = "", configured: Sequence[JsonApi] = ()) -> Dialect | None:
    """The dialect a request to ``path`` speaks, if we know it. ``query`` is without its question mark.

    ``configured`` are the APIs that the operator describes: what is said of a path there goes before our own guess.
    """
    for api in configured:
        if api.claims(method, path, query):
            return api.at(path)
    return _shipped(method, path, query)


@lru_cache(maxsize=512)
def _shipped(method: str, path: str, query: str) -> Dialect | None:
    return next((dialect for dialect in ALL if dialect.claims(method, path, query)), None)
