"""A real llama.cpp that speaks random bytes: the proxy stays whole, and every stream has an end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.interop.asking import CRISIS, ORDINARY, ask, ended
from tests.interop.servers import llama, tap
from tests.live import Proxy, proxy

COMPONENT = "xllamacpp"
SEEDS = range(1, 31)


@pytest.fixture(scope="module")
def bot(folder: Path) -> Iterator[Any]:
    with llama(folder) as url, tap(url) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(bot: Any, folder: Path) -> Iterator[Proxy]:
    with proxy(bot.url, folder / "data") as running:
        yield running


def babble(guarded: Proxy, seed: int, stream: bool, length: int = 200) -> httpx.Response:
    return ask(guarded.url, "chat", ORDINARY, stream=stream, seed=seed, temperature=1.5, max_tokens=length)


@pytest.mark.parametrize("stream", [False, True])
def test_garbage_passes_as_it_is_and_always_ends(guarded: Proxy, bot: Any, stream: bool) -> None:
    said = set()
    for seed in SEEDS:
        answer = babble(guarded, seed, stream)
        assert answer.status_code == 200, answer.text
        assert not stream or ended("chat", answer) == "whole"
        if answer.headers["x-guardrail-action"] == "pass":
            assert answer.content == bot.said[-1]
        said.add(bot.said[-1])
    everything = b"".join(said)
    assert "\ufffd".encode() in everything and b"\\u00" in everything, "broken letters and control characters were said"


def test_a_long_reply_of_garbage_ends(guarded: Proxy) -> None:
    assert ended("chat", babble(guarded, 1, stream=True, length=900)) == "whole"


@pytest.mark.parametrize("stream", [False, True])
def test_in_a_crisis_the_answer_is_ours_and_the_model_is_not_asked(guarded: Proxy, bot: Any, stream: bool) -> None:
    bot.seen.clear()
    answer = ask(guarded.url, "chat", CRISIS, stream=stream)
    assert "112" in answer.text and bot.seen == []


def test_garbage_in_care_is_not_shown_unread(guarded: Proxy) -> None:
    for stream in (False, True):
        answer = ask(guarded.url, "chat", CRISIS, ORDINARY, stream=stream, seed=3, temperature=1.5, max_tokens=100)
        assert answer.status_code == 200
        assert not stream or ended("chat", answer) == "whole"


def test_a_client_that_leaves_in_the_middle_does_not_hurt_the_next(guarded: Proxy) -> None:
    body = {"model": "m", "stream": True, "max_tokens": 900, "messages": [{"role": "user", "content": ORDINARY}]}
    for _ in range(5):
        with httpx.stream("POST", f"{guarded.url}/v1/chat/completions", json=body, timeout=30) as answer:
            next(answer.iter_raw(64))
    assert ended("chat", babble(guarded, 2, stream=True)) == "whole"
    assert httpx.get(f"{guarded.url}/guardrail/health/live").status_code == 200
