"""Signals in the middle of things: SIGTERM ends every reply properly, SIGKILL loses nothing that was decided."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import Bot, Proxy, chatbot, proxy, until, webhook
from tests.wire import openai_stream

CRISIS = "I am going to kill myself tonight"
LATER = "Are you there?"
ORDINARY = "What can I cook today?"
WORDS = ["Soup ", "is ", "good. ", "Or ", "bread."]
NAMED = {"x-guardrail-conversation": "c"}


@pytest.fixture
def bot() -> Iterator[Any]:
    with chatbot(lambda b, r: b.stream(openai_stream(WORDS), size=200, pause=0.2)) as server:
        yield server


def stalls(bot: Bot, request: dict[str, Any]) -> None:
    """Begins to answer, and says no more."""
    frames = openai_stream(WORDS)
    bot.send_response(200)
    bot.send_header("content-type", "text/event-stream" if request.get("stream") else "application/json")
    bot.end_headers()
    bot.wfile.write(frames[: len(frames) // 2])
    bot.wfile.flush()
    time.sleep(20)


class Asking(threading.Thread):
    """A client with its own thread. ``body`` is what came, ``torn`` whether it had no end."""

    def __init__(self, running: Proxy, said: str, *, stream: bool) -> None:
        super().__init__(daemon=True)
        self._url = f"{running.url}/v1/chat/completions"
        self._request = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": said}]}
        self.body, self.status, self.torn = b"", 0, False
        self.start()

    def run(self) -> None:
        try:
            with httpx.stream("POST", self._url, json=self._request, headers=NAMED, timeout=30) as reply:
                self.status = reply.status_code
                for part in reply.iter_raw():
                    self.body += part
        except httpx.HTTPError:
            self.torn = True

    @property
    def text(self) -> str:
        said = ""
        for event in self.body.decode().split("\n\n"):
            if event.startswith("data: {"):
                choices = json.loads(event[6:]).get("choices") or [{}]
                said += choices[0].get("delta", {}).get("content") or ""
        return said or self.body.decode()


@pytest.mark.parametrize("situation", ["calm", "latched"])
def test_replies_under_way_are_finished_before_the_end(bot: Any, tmp_path: Path, situation: str) -> None:
    with proxy(bot.url, tmp_path / "data") as running:
        if situation == "latched":
            assert Asking(running, CRISIS, stream=False).join() is None
        asking = Asking(running, LATER, stream=True)
        until(lambda: bot.seen)
        running.stop()
        asking.join()
        assert running.process is not None and running.process.returncode in (0, -signal.SIGTERM)
    assert not asking.torn and asking.text == "".join(WORDS)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("situation", ["calm", "latched"])
def test_whoever_still_waits_at_the_end_gets_an_answer(bot: Any, tmp_path: Path, situation: str, stream: bool) -> None:
    bot.script = stalls
    with proxy(bot.url, tmp_path / "data", limits={"shutdown": "1s"}) as running:
        if situation == "latched":
            Asking(running, CRISIS, stream=False).join()
        asking = Asking(running, LATER, stream=stream)
        until(lambda: bot.seen)
        time.sleep(0.3)
        running.stop()
        asking.join(10)
        assert running.process is not None and running.process.returncode in (0, -signal.SIGTERM)
    if situation == "latched":
        assert (asking.status, asking.torn) == (200, False)
        assert "112" in asking.text and "TelefonSeelsorge" in asking.text
    else:
        # The API's own error; or, where a busy disk had not said in time who this is, an answer as if in care.
        assert "did not answer in time" in asking.body.decode() or "112" in asking.text


def test_in_a_crisis_a_signal_finds_the_person_answered_and_the_case_kept(bot: Any, tmp_path: Path) -> None:
    with webhook() as hook:
        running = Proxy(bot.url, tmp_path / "data", hook.url).start()
        assert running.process is not None
        asking = Asking(running, CRISIS, stream=True)
        asking.join()
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
        assert "112" in asking.text and not asking.torn
        running.start()
        until(lambda: hook.received)
        later = Asking(running, LATER, stream=True)
        later.join()
        assert later.text == "".join(WORDS), "the way back: it goes on, looked at as a whole"
        [case] = running.api("api/v1/cases")["items"]
        assert (case["category"], case["severity"]) == ("suicide", 4)
        running.stop()


def test_a_killed_proxy_ends_the_stream_and_forgets_nothing(bot: Any, tmp_path: Path) -> None:
    running = Proxy(bot.url, tmp_path / "data").start()
    assert running.process is not None
    Asking(running, CRISIS, stream=False).join()
    asking = Asking(running, LATER, stream=True)
    until(lambda: bot.seen)
    running.kill()
    asking.join()
    assert asking.torn, "the client can tell that this was not all"
    bot.script = lambda b, r: b.whole(b"{}", status=500)
    running.start()
    again = Asking(running, LATER, stream=False)
    again.join()
    assert again.status == 200 and "112" in again.body.decode(), "still in care after the restart"
    running.stop()
