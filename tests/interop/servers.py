"""Model servers that others wrote, each as a process on a port of its own, and a tap on the wire before one."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.interop.components import HERE, NODE_MODULES, PYTHON, VENV
from tests.live import Bot, chatbot, free_port, until

NOT_PASSED_ON = {"host", "connection", "content-length", "transfer-encoding"}


@contextlib.contextmanager
def process(
    command: list[str], port: int, log: Path, *, more: dict[str, str] | None = None, seconds: float = 60.0
) -> Iterator[str]:
    """A server that is up as soon as it answers anything at all. Yields its URL. ``more`` is added to its environment."""
    url = f"http://127.0.0.1:{port}"
    with log.open("ab") as out:
        running = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **(more or {})})

    def up() -> bool:
        assert running.poll() is None, f"it ended: {log.read_text(errors='replace')[-2000:]}"
        with contextlib.suppress(httpx.HTTPError):
            return bool(httpx.get(url, timeout=2).status_code)
        return False

    try:
        until(up, seconds)
        yield url
    finally:
        running.terminate()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@contextlib.contextmanager
def aimock(folder: Path) -> Iterator[str]:
    """The npm package: chat, Responses and Messages, from ``fixtures``."""
    port = free_port()
    program = str(NODE_MODULES / ".bin" / "llmock")
    with process([program, "-p", str(port), "-f", str(HERE / "fixtures")], port, folder / "aimock.log") as url:
        yield url


@contextlib.contextmanager
def llmock(folder: Path, *arguments: str) -> Iterator[str]:
    """The wheel: chat and Responses, Messages under ``/anthropic``, and faults on demand."""
    port = free_port()
    command = [str(VENV / "bin" / "llmock"), "serve", "--port", str(port), *arguments]
    with process(command, port, folder / "llmock.log") as url:
        yield url


@contextlib.contextmanager
def llama(folder: Path) -> Iterator[str]:
    """llama.cpp with a model of random weights: it speaks bytes."""
    port, model = free_port(), folder / "tiny.gguf"
    subprocess.run([str(PYTHON), str(HERE / "tiny_llama.py"), str(model)], check=True)
    command = [str(PYTHON), str(HERE / "llama_server.py"), str(model), str(port)]
    with process(command, port, folder / "llama.log") as url:
        yield url


@contextlib.contextmanager
def tap(target: str) -> Iterator[Any]:
    """Passes everything on to ``target``. ``said`` holds the bytes of every reply, ``seen`` what was asked."""

    def script(bot: Bot, _: dict[str, Any]) -> None:
        headers = {k: v for k, v in bot.headers.items() if k.lower() not in NOT_PASSED_ON}
        body = bot.server.seen[-1][3]
        answer = httpx.request(bot.command, target + bot.path, content=body, headers=headers, timeout=60)
        bot.server.said.append(answer.content)
        kind = answer.headers.get("content-type", "")
        if "event-stream" in kind:
            bot.stream(answer.content, kind=kind)
        else:
            bot.whole(answer.content, answer.status_code, kind)

    with chatbot(script) as server:
        server.said = []
        yield server
