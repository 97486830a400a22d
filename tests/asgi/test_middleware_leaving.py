"""Clients that leave and apps that hang: the middleware lets go of both, and a person in danger is answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from guardrail import GuardrailMiddleware
from tests.wire import openai_stream, said

SCOPE = {
    "type": "http", "http_version": "1.1", "method": "POST", "path": "/v1/chat/completions", "query_string": b"",
    "raw_path": b"/v1/chat/completions", "headers": [(b"content-type", b"application/json")], "scheme": "http",
}  # fmt: skip
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream")],
}


class SlowApp:
    """Says ``first``, if anything, and then nothing more. ``ended`` once it was let go of."""

    def __init__(self, first: bytes | None) -> None:
        self.first = first
        self.said, self.ended = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            if self.first is not None:
                await send(START)
                await send({"type": "http.response.body", "body": self.first, "more_body": True})
            self.said.set()
            await asyncio.Event().wait()
        finally:
            self.ended.set()


class Client:
    """One request as a server would bring it; it leaves once ``left`` is set."""

    def __init__(self, text: str, stream: bool = True) -> None:
        body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": text}]}
        self._request: dict[str, Any] | None = {"type": "http.request", "body": json.dumps(body).encode()}
        self.left = asyncio.Event()
        self.sent: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        if self._request is not None:
            request, self._request = self._request, None
            return request
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.sent)


@pytest.fixture
async def guard(tmp_path: Path) -> AsyncIterator[Callable[..., GuardrailMiddleware]]:
    made: list[GuardrailMiddleware] = []

    def make(app: Any, **settings: object) -> GuardrailMiddleware:
        made.append(GuardrailMiddleware(app, data=str(tmp_path / "data"), default_country="US", **settings))
        return made[-1]

    yield make
    for guarded in made:
        await guarded.aclose()


@pytest.mark.parametrize("first", [None, openai_stream(["Soup is good. ", "Or bread."])[:300]])
async def test_who_leaves_is_let_go_of_and_so_is_the_app(guard: Any, first: bytes | None) -> None:
    app, client = SlowApp(first), Client("hello")
    request = asyncio.create_task(guard(app)(SCOPE, client.receive, client.send))
    await asyncio.wait_for(app.said.wait(), 10)
    client.left.set()
    await asyncio.wait_for(request, 10)
    await asyncio.wait_for(app.ended.wait(), 10)


async def test_an_app_that_hangs_is_a_timeout_when_calm_and_answered_in_a_crisis(guard: Any) -> None:
    app = SlowApp(None)
    guarded = guard(app, limits={"upstream_headers": "0.2s"})
    for text, status in (("hello", 504), ("I wish I was dead", 200)):
        client = Client(text)
        await asyncio.wait_for(guarded(SCOPE, client.receive, client.send), 10)
        assert client.sent[0]["status"] == status
    assert "988" in said(client.body) or "911" in said(client.body)


async def test_an_app_that_falls_silent_in_the_middle_is_ended(guard: Any) -> None:
    app, client = SlowApp(openai_stream(["Soup is good. "])[:300]), Client("hello")
    guarded = guard(app, limits={"upstream_idle": "0.2s"})
    await asyncio.wait_for(guarded(SCOPE, client.receive, client.send), 10)
    await asyncio.wait_for(app.ended.wait(), 10)


async def test_a_part_of_ours_that_breaks_is_no_error_to_a_person_in_danger(guard: Any) -> None:
    guarded, client = guard(SlowApp(None)), Client("I am going to kill myself tonight")
    await guarded._services.start()

    def broken(*_: object) -> None:
        raise RuntimeError("a secret sentence")

    guarded._services.store.remember = broken
    guarded._services.finder.replied = broken
    await asyncio.wait_for(guarded(SCOPE, client.receive, client.send), 10)
    assert client.sent[0]["status"] == 200 and "911" in said(client.body)
    guarded._services.scanner.scan = broken
    client = Client("I am going to kill myself tonight")
    await asyncio.wait_for(guarded(SCOPE, client.receive, client.send), 10)
    assert client.sent[0]["status"] == 200 and "findahelpline.com" in said(client.body)
    assert client.body.endswith(b"data: [DONE]\n\n")
