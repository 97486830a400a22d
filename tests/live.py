"""Real parts for end-to-end tests: a scripted chatbot, a webhook receiver and the proxy, each on a port of its own."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from standardwebhooks import Webhook

SECRET = "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
TOKEN = "a-token-for-tests-only"

Script = Callable[["Bot", dict[str, Any]], None]


_PORTS_A_WORKER = 1500
_ports = itertools.count(os.getpid() % _PORTS_A_WORKER)


def free_port() -> int:
    """A port that nobody listens on, and that neither another worker nor an outgoing connection will take meanwhile:
    below those the system gives out, each worker its own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    for step in itertools.islice(_ports, _PORTS_A_WORKER):
        port = 20_000 + worker * _PORTS_A_WORKER + step % _PORTS_A_WORKER
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free")


class Bot(BaseHTTPRequestHandler):
    """One request at the chatbot. A script answers it."""

    protocol_version = "HTTP/1.1"
    server: Any

    def _take(self) -> None:
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length)
        if self.headers.get("transfer-encoding", "") == "chunked":
            body = b"".join(self._chunks())
        self.server.seen.append((self.command, self.path, dict(self.headers.items()), body))
        try:
            self.server.script(self, json.loads(body) if body.startswith(b"{") else {})
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = _take

    def whole(self, body: bytes, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def stream(
        self, body: bytes, size: int = 40, pause: float = 0.0, tear: bool = False, kind: str = "text/event-stream"
    ) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for at in range(0, len(body), size):
            part = body[at : at + size]
            self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            self.wfile.flush()
            if pause:
                time.sleep(pause)
        if tear:
            self.hang_up()
            return
        self.wfile.write(b"0\r\n\r\n")

    def hang_up(self) -> None:
        """Break the connection off."""
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        return


@contextlib.contextmanager
def chatbot(script: Script) -> Iterator[Any]:
    """A chatbot. ``seen`` holds (method, path, headers, body) of every request; ``script`` may be exchanged."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Bot)
    server.daemon_threads = True
    server.script, server.seen = script, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class _Hook(BaseHTTPRequestHandler):
    server: Any

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        data = Webhook(SECRET).verify(body, headers)
        self.server.received.append((headers["webhook-id"], data))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@contextlib.contextmanager
def webhook() -> Iterator[Any]:
    """A receiver that verifies signatures. ``received`` holds (webhook-id, payload)."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Hook)
    server.daemon_threads = True
    server.received = []
    server.url = f"http://127.0.0.1:{server.server_port}/hook"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class Proxy:
    """``guardrail serve`` as a process of its own."""

    def __init__(self, upstream: str, data: Path, hook: str = "", **settings: object) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = data
        self.log = data.parent / f"{data.name}.log"
        config: dict[str, object] = {
            "upstream": upstream, "listen": f"127.0.0.1:{self.port}", "data": str(data), "default_country": "DE", **settings,
        }  # fmt: skip
        if hook:
            channels = {"hook": {"kind": "webhook", "url": hook, "secret": SECRET}}
            config["escalation"] = {"channels": channels, "ladder": [{"after": "0s", "notify": ["hook"]}]}
        self.config = data.parent / f"{data.name}.yaml"
        self.config.write_text(json.dumps(config))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Proxy:
        environment = {**os.environ, "GUARDRAIL_ADMIN_TOKEN": TOKEN}
        command = [sys.executable, "-m", "guardrail.cli", "serve", "--config", str(self.config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        for _ in range(400):
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(f"{self.url}/guardrail/health/ready", timeout=1)
                if self.process.poll() is None:
                    return self
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"the proxy did not start: {self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)

    def api(self, path: str, body: dict[str, object] | None = None) -> Any:
        """Our own API, as an operator's script would ask it. Raises ``httpx.HTTPStatusError``."""
        method = "GET" if body is None else "POST"
        headers = {"authorization": f"Bearer {TOKEN}"}
        return (
            httpx.request(method, f"{self.url}/guardrail/{path}", json=body, headers=headers).raise_for_status().json()
        )

    def journal(self) -> str:
        return "".join(path.read_text() for path in sorted((self.data / "journal").glob("*.jsonl")))


@contextlib.contextmanager
def proxy(upstream: str, data: Path, hook: str = "", **settings: object) -> Iterator[Proxy]:
    running = Proxy(upstream, data, hook, **settings)
    try:
        yield running.start()
    finally:
        running.stop()


def until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
