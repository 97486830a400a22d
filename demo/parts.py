"""The three processes of the demonstration: chatbot, webhook receiver, and the proxy between."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import msgspec

ROOT = Path(__file__).resolve().parent.parent
START_WITHIN = 30.0
STOP_WITHIN = 15.0


class Failed(Exception):
    """A part did not start or did not answer. ``str`` is fit for a person."""


class Addresses(msgspec.Struct, frozen=True):
    """Base URLs, and the proxy's data folder."""

    chatbot: str
    webhook: str
    proxy: str
    data: Path


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Addresses]:
    """All three, up and answering; stopped on the way out. Logs and data go under ``folder``. Raises ``Failed``."""
    ports = _free_ports(3)
    chatbot, webhook, proxy = (f"http://127.0.0.1:{port}" for port in ports)
    environment = {
        "DEMO_CHATBOT": chatbot,
        "DEMO_WEBHOOK": f"{webhook}/cases",
        "WEBHOOK_SECRET": "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
    }
    where = Addresses(chatbot, webhook, proxy, folder / "data")
    serve = ["-m", "guardrail.cli", "serve", "--config", str(ROOT / "demo" / "guardrail.yaml")]
    serve += ["--listen", f"127.0.0.1:{ports[2]}", "--data", str(where.data)]
    with contextlib.ExitStack() as parts:
        for name, command, ready in (
            ("chatbot", _uvicorn("demo.chatbot:app", ports[0]), f"{chatbot}/v1/models"),
            ("webhook", _uvicorn("demo.webhook:app", ports[1]), f"{webhook}/cases"),
            ("proxy", serve, f"{proxy}/guardrail/health/ready"),
        ):
            log = folder / f"{name}.log"
            child = parts.enter_context(_process(command, log, environment))
            _await_ready(name, child, ready, log)
        yield where


def _uvicorn(app: str, port: int) -> list[str]:
    return [
        "-m",
        "uvicorn",
        app,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-access-log",
        "--log-level",
        "warning",
    ]


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


@contextlib.contextmanager
def _process(command: list[str], log: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    # Settings of a real installation, should some be in the environment, are none of the demonstration's business.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("GUARDRAIL_") and k != "REDIS_URL"}
    with log.open("wb") as file:
        child = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**inherited, **environment},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is ours: the parts are stopped in order
        )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _await_ready(name: str, child: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + START_WITHIN
    with httpx.Client(trust_env=False, timeout=1.0) as client:
        while time.monotonic() < until:
            if child.poll() is not None:
                raise Failed(f"the {name} ended at once:\n{_tail(log)}")
            with contextlib.suppress(httpx.TransportError):
                if client.get(url).status_code == 200:
                    return
            time.sleep(0.05)
    raise Failed(f"the {name} was not ready within {START_WITHIN:.0f} seconds:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:]
