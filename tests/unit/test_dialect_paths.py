"""No spelling of a chat path that some server accepts goes past the dialect that reads it."""

from __future__ import annotations

import pytest

from guardrail.dialects import ALL, claiming


def name(method: str, path: str) -> str | None:
    dialect = claiming(method, path)
    return dialect.name if dialect is not None else None


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/chat/completions",
        "/v1/chat/completions/",
        "/openai/deployments/mine/chat/completions",
        "//v1//chat///completions",
        "/v1/Chat/Completions",
        "/v1/chat%2Fcompletions",
        "/v1/%63hat/completions",
        "/v1/%2563hat/completions",
        "/v1/./chat/completions",
        "/v1/x/../chat/completions",
        "/v1/chat/completions;a=b",
        "/v1/chat/completions%20",
        "/v1/chat/completions%00",
        "/v1\\chat\\completions",
        "/v1/chat/completions?api-version=1",
        "/v1/chat/%2e/completions",
    ],
)
def test_chat_completions(path: str) -> None:
    assert name("POST", path) == "openai-chat"


@pytest.mark.parametrize("path", ["/v1/messages", "/anthropic/v1/messages/", "/V1//Messages", "/v1/messages%2F"])
def test_messages(path: str) -> None:
    assert name("POST", path) == "anthropic-messages"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/chat/completions/chatcmpl-1"),
        ("POST", "/v1/chat/completions/.."),
        ("POST", "/v1/messages/batches"),
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/v1/embeddings"),
        ("POST", "/"),
        ("POST", ""),
    ],
)
def test_what_is_no_chat_is_left_alone(method: str, path: str) -> None:
    assert name(method, path) is None


def test_names_are_the_fixed_ones() -> None:
    fixed = {"openai-chat", "openai-responses", "anthropic-messages", "ollama-chat", "gemini"}
    assert {dialect.name for dialect in ALL} <= fixed
