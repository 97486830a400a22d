"""A proxy with a judge on another machine: what it says counts, and what it does not say keeps nobody waiting."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from guardrail import GuardrailMiddleware
from tests.live import chatbot
from tests.wire import openai_reply

TOKEN = "a-token-for-tests-only"
VEILED = "I have given everything away and the letters are written"


async def chat(_: Request) -> Response:
    return Response(openai_reply("Soup is good."), media_type="application/json")


@asynccontextmanager
async def guarded(folder: Path, judge: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    middleware = GuardrailMiddleware(
        app, data=str(folder / "data"), log_level="error", default_country="US", admin_token=TOKEN,
        model={"folder": "none"}, judges={"second": judge},
    )  # fmt: skip
    headers = {"authorization": f"Bearer {TOKEN}"}
    transport = httpx.ASGITransport(middleware)
    async with httpx.AsyncClient(transport=transport, base_url="http://t", headers=headers) as client:
        yield client
    await middleware.aclose()


def judge(url: str, **more: object) -> dict[str, Any]:
    return {"kind": "chat", "url": f"{url}/v1/chat/completions", "model": "m", "deadline": "20s", **more}


def judgement(severity: int, category: str) -> bytes:
    content = json.dumps({"severity": severity, "category": category})
    message = {"role": "assistant", "content": content}
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()


async def say(client: httpx.AsyncClient, text: str) -> str:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    return (await client.post("/v1/chat/completions", json=body)).headers["x-guardrail-action"]


async def test_danger_that_only_a_judge_reads_is_answered(tmp_path: Path) -> None:
    with chatbot(lambda bot, request: bot.whole(judgement(4, "suicide"))) as other:
        async with guarded(tmp_path, judge(other.url, directions=["inbound"])) as client:
            assert await say(client, VEILED) == "replace"
        [(_, path, _, body)] = other.seen
        assert path == "/v1/chat/completions" and VEILED.encode() in body


async def test_what_everybody_is_sure_of_does_not_leave_the_house(tmp_path: Path) -> None:
    with chatbot(lambda bot, request: bot.whole(judgement(2, "suicide"))) as other:
        async with guarded(tmp_path, judge(other.url, when="ambiguous", directions=["inbound"])) as client:
            assert await say(client, "What can I cook today?") == "pass"
            assert other.seen == []
            assert await say(client, "I feel so lonely since she died") != "pass"
            assert len(other.seen) == 1


async def test_a_judge_that_fails_is_named_and_the_others_decide(tmp_path: Path) -> None:
    def elsewhere(bot: Any, request: Any) -> None:
        bot.whole(b"", status=307, location="/v1/safe")

    with chatbot(elsewhere) as other:
        async with guarded(tmp_path, judge(other.url)) as client:
            assert await say(client, "What can I cook today?") == "pass"
            assert await say(client, "I am going to kill myself tonight") == "replace"
            health = (await client.get("/guardrail/api/v1/health")).json()
            metrics = (await client.get("/guardrail/metrics")).text
        assert {path for _, path, _, _ in other.seen} == {"/v1/chat/completions"}, "no redirect is followed"
    journal = "".join(path.read_text() for path in (tmp_path / "data" / "journal").glob("*.jsonl"))
    kept = [record for record in map(json.loads, journal.splitlines()) if record["kind"] == "verdict"]
    assert {record["action"] for record in kept if record.get("failures")} == {"pass", "replace"}
    [about] = health["judges"]
    assert about["name"] == "second" and about["failing"] and about["failed"]["absent"] >= 2
    assert any(line.startswith("judge second fails: absent") for line in health["degraded"])
    assert 'guardrail_detector_failures_total{detector="second",reason="absent"}' in metrics


async def test_one_that_is_required_and_fails_is_answered_by_the_policy(tmp_path: Path) -> None:
    with chatbot(lambda bot, request: bot.whole(b"fine, fine")) as other:
        async with guarded(tmp_path, judge(other.url, required=True, directions=["inbound"])) as client:
            assert await say(client, "What can I cook today?") == "steer"
