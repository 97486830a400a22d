"""A model server from a wheel, which breaks on demand: what it does right passes, its faults are answered as designed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.interop.asking import CRISIS, ORDINARY, PATHS, ask, ended
from tests.interop.servers import llmock, tap
from tests.live import Proxy, proxy

COMPONENT = "llmock"
PREFIX = {"chat": "", "responses": "", "messages": "/anthropic"}
each_api = pytest.mark.parametrize("api", PATHS)
both_ways = pytest.mark.parametrize("stream", [False, True])
QUIET = {"upstream_idle": "2s", "upstream_headers": "5s"}


@contextmanager
def breaking(folder: Path, *arguments: str) -> Iterator[dict[str, Proxy]]:
    """A proxy for each API before a server with a fault. The wheel has Messages under a path of its own."""
    with ExitStack() as stack:
        url = stack.enter_context(llmock(folder, *arguments))
        plain = stack.enter_context(proxy(url, folder / "data", limits=QUIET))
        prefixed = stack.enter_context(proxy(url + "/anthropic", folder / "data-messages", limits=QUIET))
        yield {"chat": plain, "responses": plain, "messages": prefixed}


def checked_in_care(proxies: dict[str, Proxy]) -> None:
    """Whatever the server breaks: in a crisis, and after it, everybody reads words of ours, with an end."""
    for api, guarded in proxies.items():
        for stream in (False, True):
            answer = ask(guarded.url, api, CRISIS, stream=stream)
            assert answer.status_code == 200 and "112" in answer.text, answer.text
            assert not stream or ended(api, answer) == "whole"
            later = ask(guarded.url, api, CRISIS, ORDINARY, stream=stream)
            assert later.status_code == 200, later.text
            assert not stream or ended(api, later) == "whole"


@pytest.fixture(scope="module")
def bot(folder: Path) -> Iterator[Any]:
    with llmock(folder) as url, tap(url) as server:
        yield server


@each_api
def test_an_ordinary_reply_passes_byte_for_byte(bot: Any, folder: Path, api: str) -> None:
    with proxy(bot.url + PREFIX[api], folder / f"calm-{api}") as guarded:
        for stream in (False, True):
            answer = ask(guarded.url, api, ORDINARY, stream=stream)
            assert answer.content == bot.said[-1] and b"today?" in answer.content, answer.text
            assert not stream or ended(api, answer) == "whole"


def test_its_own_error_is_its_own_and_in_a_crisis_the_answer_is_ours(tmp_path: Path) -> None:
    with breaking(tmp_path, "--error-rate", "503=1.0") as proxies:
        for api, guarded in proxies.items():
            answer = ask(guarded.url, api, ORDINARY)
            assert answer.status_code == 503 and "unavailable" in answer.text.lower() and answer.headers["retry-after"]
        checked_in_care(proxies)


@pytest.mark.parametrize("fault", ["truncate", "disconnect", "stall", "malformed"])
def test_a_broken_stream_ends_as_its_api_says_an_error(tmp_path: Path, fault: str) -> None:
    with breaking(tmp_path, "--stream-fault", f"{fault}=1.0", "--stream-stall-seconds", "20") as proxies:
        for api, guarded in proxies.items():
            assert ended(api, ask(guarded.url, api, ORDINARY, stream=True)) == "error"
        client = openai.OpenAI(base_url=f"{proxies['chat'].url}/v1", api_key="sk-test", max_retries=0)
        stream = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": ORDINARY}], stream=True
        )
        with pytest.raises(openai.APIError):
            list(stream)
        checked_in_care(proxies)
