"""A Chainlit page in Chromium: the chatbot's words are seen when all is calm, ours with the helpline in a crisis."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.asking import CRISIS, ORDINARY
from tests.interop.components import HERE, PYTHON, VENV, browser
from tests.interop.servers import process
from tests.live import Bot, Proxy, chatbot, free_port, proxy
from tests.wire import openai_stream

COMPONENT = "chainlit"


def soup(bot: Bot, _: dict[str, Any]) -> None:
    bot.stream(openai_stream(["Soup ", "is ", "good."]))


@pytest.fixture(scope="module")
def bot() -> Iterator[Any]:
    with chatbot(soup) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(bot: Any, folder: Path) -> Iterator[Proxy]:
    with proxy(bot.url, folder / "data") as running:
        yield running


@pytest.fixture(scope="module")
def page(guarded: Proxy, folder: Path) -> Iterator[str]:
    port = free_port()
    shutil.copy(HERE / "page.py", folder)  # it writes its settings beside the page
    command = [str(VENV / "bin" / "chainlit"), "run", str(folder / "page.py"), "--headless", "--port", str(port)]
    more = {"OPENAI_BASE_URL": f"{guarded.url}/v1", "CHAINLIT_APP_ROOT": str(folder)}
    with process(command, port, folder / "chainlit.log", more=more) as url:
        yield url


def visit(page: str, folder: Path, *turns: tuple[str, str]) -> str:
    folder.mkdir(exist_ok=True)
    said = [f"{text}={expected}" for text, expected in turns]
    command = [str(PYTHON), str(HERE / "browse.py"), str(browser()), page, str(folder), *said]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-2000:]
    return str(json.loads(done.stdout))


def test_an_ordinary_message_is_answered_by_the_chatbot(page: str, folder: Path) -> None:
    seen = visit(page, folder / "calm", (ORDINARY, "Soup is good."))
    assert "112" not in seen


def test_a_crisis_is_answered_by_us_with_the_helpline_and_care_stays(page: str, bot: Any, folder: Path) -> None:
    turns = (ORDINARY, "Soup is good."), (CRISIS, "112")
    seen = visit(page, folder / "crisis", *turns)
    asked = [body for *_, body in bot.seen]
    assert seen.index("Soup is good.") < seen.index("112")
    assert not any(CRISIS.encode() in body for body in asked), "the chatbot is not asked"
