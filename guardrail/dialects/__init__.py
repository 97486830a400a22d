"""Chat APIs: one dialect each, all pure. ``claiming`` finds the one that reads a request."""

from __future__ import annotations

from guardrail.core.ports import Dialect
from guardrail.dialects.anthropic_messages import AnthropicMessages
from guardrail.dialects.ollama_chat import OllamaChat
from guardrail.dialects.ollama_generate import OllamaGenerate
from guardrail.dialects.openai_chat import OpenAIChat

ALL: tuple[Dialect, ...] = (OpenAIChat(), AnthropicMessages(), OllamaChat(), OllamaGenerate())


def claiming(method: str, path: str, query: str = "") -> Dialect | None:
    """The dialect a request to ``path`` speaks, if we know it. ``query`` is without its question mark."""
    return next((dialect for dialect in ALL if dialect.claims(method, path, query)), None)
