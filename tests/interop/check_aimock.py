"""A model server from npm behind the proxy: its replies arrive byte for byte, in a crisis it is not asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.asking import CRISIS, ORDINARY, PATHS, ask, ended
from tests.interop.servers import aimock, tap
from tests.live import Proxy, proxy

COMPONENT = "npm:@copilotkit/aimock"
each_api = pytest.mark.parametrize("api", PATHS)
both_ways = pytest.mark.parametrize("stream", [False, True])


@pytest.fixture(scope="module")
def bot(folder: Path) -> Iterator[Any]:
    with aimock(folder) as url, tap(url) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(bot: Any, folder: Path) -> Iterator[Proxy]:
    with proxy(bot.url, folder / "data") as running:
        yield running


@each_api
@both_ways
def test_an_ordinary_reply_passes_byte_for_byte(guarded: Proxy, bot: Any, api: str, stream: bool) -> None:
    answer = ask(guarded.url, api, ORDINARY, stream=stream)
    assert answer.content == bot.said[-1] and b"Soup is good" in answer.content
    assert answer.headers["x-guardrail-action"] == "pass"
    assert not stream or ended(api, answer) == "whole"


@each_api
@both_ways
def test_in_a_crisis_the_answer_is_ours(guarded: Proxy, bot: Any, api: str, stream: bool) -> None:
    bot.seen.clear()
    answer = ask(guarded.url, api, CRISIS, stream=stream)
    assert answer.status_code == 200 and "112" in answer.text and bot.seen == []
    assert not stream or ended(api, answer) == "whole"
