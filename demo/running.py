"""Starts the demo's three programs on free ports, and ends them again."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import uvicorn

CONFIG = Path(__file__).with_name("guardrail.yaml")
START_WITHIN = 30.0


class DemoFailed(Exception):
    """The demo cannot go on; the message is for whoever ran it."""


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an ASGI app in a thread on a free port; yields its base URL."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    _await(lambda: server.started, thread.is_alive, "a part of the demo did not start")
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


@contextlib.contextmanager
def proxy(data: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """Run ``guardrail serve`` with the demo's configuration; yields its base URL once it is ready.

    What it prints goes to ``serve.log`` in ``data``. Raises ``DemoFailed`` with its end when it does not start.
    """
    listen = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "guardrail.cli", "serve", "--config", str(CONFIG)]
    # Settings of an installation on this machine, in the environment, would override the demo's own.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GUARDRAIL_")}
    inherited.pop("REDIS_URL", None)
    environment = {**inherited, **variables, "DEMO_LISTEN": listen, "DEMO_DATA": str(data)}
    log = data / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        _await(lambda: _ready(f"http://{listen}"), lambda: process.poll() is None, "the proxy did not start", log)
        yield f"http://{listen}"
    finally:
        process.terminate()
        try:
            process.wait(25)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(base: str) -> bool:
    try:
        return httpx.get(f"{base}/guardrail/health/ready", timeout=1, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _await(is_done: Callable[[], bool], is_alive: Callable[[], bool], failure: str, log: Path | None = None) -> None:
    deadline = time.monotonic() + START_WITHIN
    while not is_done():
        if not is_alive() or time.monotonic() > deadline:
            said = log.read_text(errors="replace").strip().splitlines()[-5:] if log else []
            raise DemoFailed("\n".join([failure, *said]))
        time.sleep(0.02)
