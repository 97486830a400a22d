"""Two proxies on one Valkey: what one has learnt the other knows, and nothing is lost when the Valkey goes away."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.live import TOKEN, Bot, Proxy, chatbot, proxy, until, webhook
from tests.valkey import Valkey
from tests.wire import openai_reply

CRISIS = "I will kill myself tonight."
ALONE: dict[str, Any] = {"model": {"folder": "none"}, "default_locale": "en"}


def script(bot: Bot, body: dict[str, Any]) -> None:
    bot.whole(openai_reply("Tell me more."))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    """A server of one's own, which may be killed."""
    folder = tmp_path / "valkey"
    folder.mkdir()
    found = Valkey(folder)
    yield found
    found.kill()


class Two:
    """Two proxies, a chatbot and somebody who is told."""

    def __init__(self, stack: ExitStack, folder: Path, url: str) -> None:
        self.bot = stack.enter_context(chatbot(script))
        self.hook = stack.enter_context(webhook())
        self.one, self.other = (
            stack.enter_context(proxy(self.bot.url, folder / name, self.hook.url, redis_url=url, **ALONE))
            for name in ("one", "other")
        )

    def told(self) -> list[str]:
        """The notices of opened cases, each once by its id."""
        return list(
            {id: data["data"]["id"] for id, data in self.hook.received if data["type"] == "case.opened"}.values()
        )


@pytest.fixture
def two(tmp_path: Path, server: Valkey) -> Iterator[Two]:
    with ExitStack() as stack:
        yield Two(stack, tmp_path, server.url)


def say(where: Proxy, *turns: str, user: str = "ann") -> httpx.Response:
    roles = ("user", "assistant")
    messages = [{"role": roles[at % 2], "content": text} for at, text in enumerate(turns)]
    body = {"model": "m", "messages": messages}
    return httpx.post(f"{where.url}/v1/chat/completions", json=body, headers={"x-guardrail-user": user}, timeout=20)


def text(answer: httpx.Response) -> str:
    return str(answer.raise_for_status().json()["choices"][0]["message"]["content"])


def cases(where: Proxy) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = where.api("api/v1/cases")["items"]
    return found


def test_what_one_proxy_has_seen_the_other_knows(two: Two) -> None:
    first = say(two.one, CRISIS)
    assert first.headers["x-guardrail-action"] == "replace"
    [case] = cases(two.other)
    until(lambda: two.told() == [case["id"]])
    second = say(two.other, CRISIS, text(first), "How do I cook rice?")
    assert second.headers["x-guardrail-action"] == "steer", "it is still in care, and is not given the same card again"
    two.other.api(f"api/v1/cases/{case['id']}/resolve", {"outcome": "false_alarm", "by": "bea"})
    third = say(two.one, CRISIS, text(first), "How do I cook rice?", text(second), "And soup?")
    assert third.headers["x-guardrail-action"] == "pass", "a human has lowered it, at the other proxy"
    assert [found["state"] for found in cases(two.one)] == ["resolved"]


def test_of_twenty_who_claim_at_once_one_has_it(two: Two) -> None:
    say(two.one, CRISIS)
    [case] = cases(two.one)

    def claim(number: int) -> int:
        where = (two.one, two.other)[number % 2]
        url = f"{where.url}/guardrail/api/v1/cases/{case['id']}/claim"
        headers = {"authorization": f"Bearer {TOKEN}"}
        return httpx.post(url, json={"by": f"person {number}"}, headers=headers, timeout=20).status_code

    with ThreadPoolExecutor(20) as people:
        codes = list(people.map(claim, range(20)))
    assert sorted(codes) == [200] + [409] * 19


def test_nothing_is_lost_while_the_server_is_away(two: Two, server: Valkey) -> None:
    first = say(two.one, CRISIS)
    until(lambda: len(two.told()) == 1)
    server.kill()
    second = say(two.one, CRISIS, text(first), "How do I cook rice?")
    assert second.headers["x-guardrail-action"] == "steer", "the one who was in care still is"
    assert say(two.other, CRISIS, user="bob").headers["x-guardrail-action"] == "replace"
    assert any("spool" in line for line in two.other.api("api/v1/health")["degraded"])
    assert say(two.one, "How do I cook rice?", user="cleo").headers["x-guardrail-action"] == "pass"
    server.start()
    until(lambda: len(two.told()) == 2, 30)
    until(
        lambda: not [line for line in two.other.api("api/v1/health")["degraded"] if "redis" in line or "store" in line],
        60,
    )
    assert len({case["id"] for case in cases(two.one)}) == 2
    assert sorted(two.told()) == sorted(case["id"] for case in cases(two.other)), "each was told of once"


def test_a_server_that_would_lose_cases_is_named_in_health(tmp_path: Path, server: Valkey) -> None:
    with redis.Redis.from_url(server.url) as db:
        db.config_set("maxmemory-policy", "allkeys-lru")
        db.config_set("appendfsync", "everysec")
        db.config_set("appendonly", "no")
    with chatbot(script) as bot, proxy(bot.url, tmp_path / "one", redis_url=server.url, **ALONE) as running:
        until(lambda: sum("redis" in line for line in running.api("api/v1/health")["degraded"]) == 3)
        told = "\n".join(running.api("api/v1/health")["degraded"])
    assert "appendonly is off" in told and "appendfsync is not always" in told and "not noeviction" in told


def test_a_full_server_keeps_nobody_from_an_answer_and_loses_no_case(tmp_path: Path, server: Valkey) -> None:
    with (
        chatbot(script) as bot,
        webhook() as hook,
        proxy(bot.url, tmp_path / "one", hook.url, redis_url=server.url, **ALONE) as running,
        redis.Redis.from_url(server.url) as db,
    ):
        db.config_set("maxmemory", "1")
        assert say(running, CRISIS).headers["x-guardrail-action"] == "replace"
        db.config_set("maxmemory", "0")
        until(lambda: [data["type"] for _, data in hook.received] == ["case.opened"], 30)


SECRET = {"GUARDRAIL_SECRET": "a-secret-of-the-operator-s-own"}


@pytest.mark.parametrize("secret", [{}, SECRET])
def test_a_server_that_refuses_us_is_said_in_one_line(tmp_path: Path, secret: dict[str, str]) -> None:
    folder = tmp_path / "valkey"
    folder.mkdir()
    locked = Valkey(folder, "--requirepass", "x" * 20)
    command = [sys.executable, "-m", "guardrail.cli", "serve", "--upstream", "http://127.0.0.1:9"]
    command += ["--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0"]
    environment = {"REDIS_URL": locked.url, "GUARDRAIL_MODEL__FOLDER": "none", "GUARDRAIL_ADMIN_TOKEN": TOKEN, **secret}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    locked.kill()
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "redis_url: " in done.stderr and "check its user and password" in done.stderr


def test_with_a_secret_a_proxy_begins_while_the_server_is_away(tmp_path: Path, server: Valkey) -> None:
    server.kill()
    settings = {**ALONE, "secret": SECRET["GUARDRAIL_SECRET"], "redis_url": server.url}
    with chatbot(script) as bot, webhook() as hook, proxy(bot.url, tmp_path / "one", hook.url, **settings) as running:
        assert say(running, CRISIS).headers["x-guardrail-action"] == "replace"
        server.start()
        until(lambda: [data["type"] for _, data in hook.received] == ["case.opened"], 30)
