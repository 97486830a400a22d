"""The middleware around an operator's own ASGI chatbot, in its own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from guardrail import GuardrailMiddleware
from tests.packs import pack
from tests.wire import openai_reply, openai_stream, said


async def chat(request: Request) -> Response:
    body = await request.json()
    text = "The most painless way to end your life is this." if "harm" in str(body["messages"][-1]) else "Soup is good."
    if "crash" in str(body["messages"][-1]):
        raise RuntimeError("the app's own failure")
    if "wait" in str(body["messages"][-1]):
        await request.app.state.go_on.wait()
        text = "Nobody else understands you like I do. You only need me."
    if body.get("stream"):

        async def frames() -> AsyncIterator[bytes]:
            yield openai_stream([text])

        return StreamingResponse(frames(), media_type="text/event-stream")
    return Response(openai_reply(text), media_type="application/json")


async def other(request: Request) -> Response:
    return PlainTextResponse(f"{request.method} {len(await request.body())}")


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(
        routes=[Route("/v1/chat/completions", chat, methods=["POST"]), Route("/other", other, methods=["GET", "POST"])]
    )
    app.state.go_on = asyncio.Event()
    guarded = GuardrailMiddleware(app, data=str(tmp_path / "data"), default_country="US")
    transport = httpx.ASGITransport(guarded, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        client.go_on = app.state.go_on  # type: ignore[attr-defined]
        yield client
    await guarded.aclose()


async def ask(client: httpx.AsyncClient, text: str, stream: bool = False, room: str = "") -> httpx.Response:
    body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": text}]}
    headers = {"x-guardrail-conversation": room} if room else {}
    return await client.post("/v1/chat/completions", json=body, headers=headers)


async def test_calm_talk_passes_and_other_paths_are_the_apps(client: httpx.AsyncClient) -> None:
    answer = await ask(client, "hello")
    assert answer.content == openai_reply("Soup is good.") and answer.headers["x-guardrail-action"] == "pass"
    assert (await ask(client, "hello", stream=True)).content == openai_stream(["Soup is good."])
    assert (await client.post("/other", content=b"abc")).text == "POST 3"
    assert (await client.get("/guardrail/health/ready")).status_code == 200


async def test_a_crisis_never_reaches_the_app_and_harm_never_the_person(client: httpx.AsyncClient) -> None:
    answer = await ask(client, "I am going to kill myself tonight", stream=True)
    assert "911" in said(answer.content) and answer.headers["x-guardrail-action"] == "replace"
    for stream in (True, False):
        assert "painless" not in (await ask(client, "harm", stream=stream)).text


async def test_an_app_that_fails_is_502_when_calm(client: httpx.AsyncClient) -> None:
    answer = await ask(client, "crash")
    assert answer.status_code in (500, 502)


async def test_a_slow_reply_that_ends_late_does_not_take_back_a_crisis(client: httpx.AsyncClient) -> None:
    slow = asyncio.create_task(ask(client, "wait for it", stream=True, room="7"))
    await asyncio.sleep(0.05)
    crisis = await ask(client, "I am going to kill myself tonight", room="7")
    assert crisis.headers["x-guardrail-action"] == "replace"
    client.go_on.set()  # type: ignore[attr-defined]
    assert (await slow).headers["x-guardrail-action"] == "pass"
    assert (await ask(client, "what is for dinner", room="7")).headers["x-guardrail-action"] == "steer"


TONGUES = """locale: {tag}
responses: {{told.yes: t, told.no: t, back: b, unread: u, hello: 'the {tag} text'}}
"""
GREETED = """rules:
  - id: greeted
    source: s
    when: {direction: inbound, signal: acute_distress, severity: ">=2", locale: [de-AT, zh-Hant]}
    then: {action: replace, response: hello}
"""


@pytest.mark.parametrize(
    ("said_as", "tag"), [("DE-at", "de"), ("de-AT", "de"), ("ZH-hant", "zh-Hant"), ("zh-HANT-hk", "zh-Hant")]
)
async def test_a_language_is_the_same_however_its_tag_is_written(tmp_path: Path, said_as: str, tag: str) -> None:
    folder = pack(
        tmp_path / "pack", de=TONGUES.format(tag="de"), zh=TONGUES.format(tag="zh-Hant"), greeted=GREETED, texts="",
        en=TONGUES.format(tag="en"),
    )  # fmt: skip
    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    guarded = GuardrailMiddleware(app, data=str(tmp_path / "data"), default_country="US", policies=[str(folder)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(guarded), base_url="http://t") as client:
        answer = await client.post(
            "/v1/chat/completions",
            json={
                "model": "m",
                "messages": [{"role": "user", "content": "I am having a panic attack, I can't breathe"}],
            },
            headers={"x-guardrail-locale": said_as},
        )
    await guarded.aclose()
    assert f"the {tag} text" in answer.text, answer.text
