"""The processes that are measured, each pinned to a core, and what the kernel says of them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec

CORES = sorted(os.sched_getaffinity(0))
LOAD_CORE, CORE = CORES[0], CORES[-1]
"""The chatbot and the load share one core; what is measured has the other."""


class Server(msgspec.Struct, frozen=True):
    """A process that serves: its port, its id, and the seconds until it was ready."""

    port: int
    pid: int
    ready: float = 0.0

    @property
    def cpu_seconds(self) -> float:
        """Processor time its threads have used."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    @property
    def resident_mb(self) -> float:
        return resident_mb(self.pid)


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def stay_on_the_load_core() -> None:
    """This process makes the load; what it starts is pinned by itself."""
    os.sched_setaffinity(0, {LOAD_CORE})


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextlib.contextmanager
def process(
    core: int, command: list[str], port: int, folder: str | None = None, **environment: str
) -> Iterator[Server]:
    """A process that listens on ``port``. Its output is kept and shown when it ends before it was told to."""
    pinned = ["taskset", "-c", str(core), *command] if shutil.which("taskset") else command
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(pinned, env={**os.environ, **environment}, stdout=output, stderr=output, cwd=folder)
        try:
            if not _listens(port, child):
                output.seek(0)
                raise SystemExit(f"{command[:4]} did not begin to listen:\n{output.read()[-2000:].decode()}")
            yield Server(port, child.pid)
        finally:
            child.terminate()
            child.wait(30)


def _listens(port: int, child: subprocess.Popen[bytes]) -> bool:
    for _ in range(6000):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.1):
            return True
        if child.poll() is not None:
            return False
        time.sleep(0.005)
    return False


@contextlib.contextmanager
def chatbot(pause: float = 0.0) -> Iterator[str]:
    """The stub upstream's address. ``pause``: seconds between the pieces of a stream; 0: all at once."""
    port = free_port()
    with process(LOAD_CORE, [sys.executable, "-m", "bench.stub", str(port), str(pause)], port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def pass_through(upstream: str) -> Iterator[Server]:
    port = free_port()
    command = [
        sys.executable, "-m", "uvicorn", "bench.passthrough:app", "--port", str(port),
        "--no-access-log", "--log-level", "error",
    ]  # fmt: skip
    with process(CORE, command, port, BENCH_UPSTREAM=upstream) as server:
        yield server


@contextlib.contextmanager
def guardrail(upstream: str, data: str, **settings: object) -> Iterator[Server]:
    """The proxy, ready, with its data under ``data`` and any further keys of ``guardrail.yaml``.

    Without the model, whose cost is measured by itself (``bench.model``) and would hide that of the proxy.
    """
    settings = {"model": {"folder": "none"}, **settings}
    port = free_port()
    config = Path(data) / "guardrail.yaml"
    config.write_text(
        json.dumps({"upstream": upstream, "listen": f"127.0.0.1:{port}", "data": f"{data}/data", **settings})
    )
    begun = time.monotonic()
    with process(CORE, [sys.executable, "-m", "guardrail.cli", "serve", "--config", str(config)], port) as server:
        ready = _ready_after(port, begun)
        yield msgspec.structs.replace(server, ready=ready)


def _ready_after(port: int, begun: float) -> float:
    while True:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/guardrail/health/ready", timeout=1),
        ):
            return time.monotonic() - begun
        time.sleep(0.005)
