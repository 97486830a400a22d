"""Questions as raw HTTP in three APIs, and whether a stream has the end that its API prescribes."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import httpx

CRISIS = "I am going to kill myself tonight"
ORDINARY = "What can I cook today?"
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}
ENDS = {
    "chat": ("[DONE]",),
    "responses": ('"type":"response.completed"', '"type":"response.incomplete"'),
    "messages": ('"type":"message_stop"',),
}


def ask(url: str, api: str, *said: str, stream: bool = False, **more: Any) -> httpx.Response:
    """What was said by the person, oldest first; the chatbot said "I see." in between."""
    turns: list[dict[str, str]] = []
    for text in said:
        turns += [{"role": "user", "content": text}, {"role": "assistant", "content": "I see."}]
    body = {"model": "m", "stream": stream, **more, "input" if api == "responses" else "messages": turns[:-1]}
    if api == "messages":
        body.setdefault("max_tokens", 100)
    headers = {"authorization": "Bearer sk-test", "x-api-key": "sk-test", "anthropic-version": "2023-06-01"}
    return _read(url + PATHS[api], body, headers)


def _read(url: str, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
    """What came, also where the connection was broken off: after an error in a stream it is."""
    content = b""
    with (
        httpx.stream("POST", url, json=body, headers=headers, timeout=60) as answer,
        suppress(httpx.RemoteProtocolError),
    ):
        for part in answer.iter_raw():
            content += part
    return httpx.Response(answer.status_code, headers=answer.headers, content=content)


def ended(api: str, answer: httpx.Response) -> str:
    """``whole`` or ``error``: how a stream says that it is over. Raises ``AssertionError`` where it does not."""
    data = [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]
    assert data, answer.text[-500:]
    compact = ["".join(value.split()) for value in data]
    if any(_is_error(value) for value in data if value != "[DONE]"):
        return "error"
    assert any(sign in compact[-1] for sign in ENDS[api]), data[-2:]
    return "whole"


def _is_error(data: str) -> bool:
    value = json.loads(data)
    kind = value.get("type", "")
    return ("error" in value and "choices" not in value and not kind.startswith("response.")) or kind in (
        "error",
        "response.failed",
    )
