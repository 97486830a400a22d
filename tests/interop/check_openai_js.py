"""The openai client for JavaScript reads what the proxy says: replies, help in a crisis, and errors."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.components import HERE
from tests.interop.servers import aimock, tap
from tests.live import Bot, Proxy, chatbot, free_port, proxy
from tests.wire import openai_stream

COMPONENT = "npm:openai"
SOUP = "Soup is good, and bread is good too. Both are warm."
CRISIS = "I am going to kill myself tonight"
ORDINARY = "What can I cook today?"
both_ways = pytest.mark.parametrize("mode", ["whole", "stream"])
both_apis = pytest.mark.parametrize(("api", "end"), [("chat", "stop"), ("responses", "completed")])


@pytest.fixture(scope="module")
def bot(folder: Path) -> Iterator[Any]:
    with aimock(folder) as url, tap(url) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(bot: Any, folder: Path) -> Iterator[Proxy]:
    with proxy(bot.url, folder / "data") as running:
        yield running


def ask(url: str, api: str, mode: str, text: str) -> dict[str, Any]:
    command = ["node", str(HERE / "client.mjs"), url, api, mode, text]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    return dict(json.loads(done.stdout))


@both_ways
@both_apis
def test_an_ordinary_reply_arrives(guarded: Proxy, api: str, end: str, mode: str) -> None:
    answer = ask(guarded.url, api, mode, ORDINARY)
    assert (answer.get("text"), answer.get("end")) == (SOUP, end), answer
    assert mode == "whole" or answer["parts"] > 2


@both_ways
@both_apis
def test_a_crisis_is_answered_in_its_own_types(guarded: Proxy, bot: Any, api: str, end: str, mode: str) -> None:
    bot.seen.clear()
    answer = ask(guarded.url, api, mode, CRISIS)
    assert answer.get("end") == end and "112" in answer["text"], answer
    assert bot.seen == [], "the chatbot is not asked"


def test_a_chatbot_that_is_gone_is_an_error_of_its_class_and_help_is_there_all_the_same(folder: Path) -> None:
    with proxy(f"http://127.0.0.1:{free_port()}", folder / "gone") as running:
        for api, mode in itertools.product(("chat", "responses"), ("whole", "stream")):
            answer = ask(running.url, api, mode, ORDINARY)
            assert answer.get("error") == "InternalServerError" and answer["status"] >= 500, answer
            assert "112" in ask(running.url, api, mode, CRISIS)["text"]


@pytest.mark.parametrize(("status", "error"), [(401, "AuthenticationError"), (429, "RateLimitError")])
def test_the_chatbots_own_error_keeps_its_class(folder: Path, status: int, error: str) -> None:
    body = json.dumps({"error": {"message": "No.", "type": "t", "param": None, "code": "its_own"}}).encode()
    with chatbot(lambda b, _: b.whole(body, status)) as bot, proxy(bot.url, folder / f"own-{status}") as running:
        answer = ask(running.url, "chat", "whole", ORDINARY)
    assert (answer.get("error"), answer["status"], answer["code"]) == (error, status, "its_own")


def test_a_torn_stream_is_an_error_of_its_class_and_no_silent_end(folder: Path) -> None:
    torn = openai_stream(["Soup ", "is ", "good. "])[:-40]

    def script(b: Bot, _: dict[str, Any]) -> None:
        b.stream(torn, tear=True)

    with chatbot(script) as bot, proxy(bot.url, folder / "torn") as running:
        answer = ask(running.url, "chat", "stream", ORDINARY)
    assert answer.get("typed") is True, answer
