"""The proxy beside a bare pass-through: same core, same upstream, one run. ``python -m bench.proxy``.

The proxy and the yardstick take turns on one core; the chatbot and the load share the other. What is
reported are ratios, which travel between machines better than rates do. Exit 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from bench.load import Measured, measure

TARGETS = {"json": 0.6, "sse": 0.6}
START_WITHIN = 2.0
RESIDENT_MB = 150.0


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextlib.contextmanager
def process(core: int, command: list[str], port: int, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    pinned = ["taskset", "-c", str(core), *command] if shutil.which("taskset") else command
    child = subprocess.Popen(
        pinned, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await_port(port, child)
        yield child
    finally:
        child.terminate()
        child.wait(20)


def _await_port(port: int, child: subprocess.Popen[bytes]) -> None:
    for _ in range(2000):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.1):
            return
        if child.poll() is not None:
            raise SystemExit(f"a process ended at once with {child.returncode}")
        time.sleep(0.005)
    raise SystemExit("a process did not begin to listen")


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def serve_command(upstream: int, port: int, data: str) -> list[str]:
    return [
        sys.executable, "-m", "guardrail.cli", "serve", "--upstream", f"http://127.0.0.1:{upstream}",
        "--listen", f"127.0.0.1:{port}", "--data", data,
    ]  # fmt: skip


def ready_after(port: int, begun: float) -> float:
    while True:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/guardrail/health/ready", timeout=1),
        ):
            return time.monotonic() - begun
        time.sleep(0.005)


Servers = dict[str, tuple[int, int]]
"""Name to port and process id."""


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rounds(
    servers: Servers, *, streamed: bool, seconds: float, times: int, connections: int
) -> dict[str, list[Measured]]:
    """Take turns, so that a slow moment of the machine meets both."""
    found: dict[str, list[Measured]] = {name: [] for name in servers}
    for turn in range(times):
        for name, (port, pid) in servers.items():
            print(f"  {'sse ' if streamed else 'json'} round {turn + 1}/{times}: {name}", file=sys.stderr)
            before = cpu_seconds(pid)
            measured = asyncio.run(measure(port, streamed=streamed, seconds=seconds, connections=connections))
            measured.cpu = (cpu_seconds(pid) - before) / max(1, measured.work)
            found[name].append(measured)
    return found


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=4.0)
    options.add_argument("--rounds", type=int, default=5)
    arguments = options.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    load_core, core = cores[0], cores[-1]
    os.sched_setaffinity(0, {load_core})
    stub, bare, guarded = free_port(), free_port(), free_port()
    with (
        tempfile.TemporaryDirectory() as data,
        process(load_core, [sys.executable, "-m", "bench.stub", str(stub)], stub),
        process(
            core,
            [
                sys.executable,
                "-m",
                "uvicorn",
                "bench.passthrough:app",
                "--port",
                str(bare),
                "--no-access-log",
                "--log-level",
                "error",
            ],
            bare,
            BENCH_UPSTREAM=f"http://127.0.0.1:{stub}",
        ) as yardstick,
    ):
        begun = time.monotonic()
        with process(core, serve_command(stub, guarded, data), guarded) as child:
            started = ready_after(guarded, begun)
            servers = {"pass-through": (bare, yardstick.pid), "guardrail": (guarded, child.pid)}
            rounds(servers, streamed=False, seconds=1, times=1, connections=32)
            json_ = rounds(servers, streamed=False, seconds=arguments.seconds, times=arguments.rounds, connections=32)
            sse = rounds(servers, streamed=True, seconds=arguments.seconds, times=arguments.rounds, connections=8)
            memory = resident_mb(child.pid)
    return report(json_, sse, started, memory)


def report(json_: dict[str, list[Measured]], sse: dict[str, list[Measured]], started: float, memory: float) -> int:
    def middle(found: list[Measured], field: str) -> float:
        return float(statistics.median(getattr(m, field) for m in found))

    ratio_json = middle(json_["guardrail"], "rate") / middle(json_["pass-through"], "rate")
    ratio_sse = middle(sse["guardrail"], "events") / middle(sse["pass-through"], "events")
    print(
        f"{time.strftime('%Y-%m-%d')}  {platform.machine()}  {os.cpu_count()} cores  Python {platform.python_version()}"
    )
    for name in ("pass-through", "guardrail"):
        print(
            f"{name:13} json {middle(json_[name], 'rate'):8.0f} req/s  p50 {middle(json_[name], 'p50') * 1e3:6.2f} ms"
            f"  p99 {middle(json_[name], 'p99') * 1e3:6.2f} ms   sse {middle(sse[name], 'events'):9.0f} events/s"
        )
    print(
        f"ratio         json {ratio_json:.2f} (target {TARGETS['json']})"
        f"   sse {ratio_sse:.2f} (target {TARGETS['sse']})"
    )
    cpu = {name: (middle(json_[name], "cpu") * 1e6, middle(sse[name], "cpu") * 1e6) for name in json_}
    print(
        f"cpu           json {cpu['guardrail'][0]:.0f} us a request (pass-through {cpu['pass-through'][0]:.0f})"
        f"   sse {cpu['guardrail'][1]:.0f} us an event (pass-through {cpu['pass-through'][1]:.0f})"
    )
    print(
        f"start to ready {started:.2f} s (target {START_WITHIN})   resident {memory:.0f} MB (target {RESIDENT_MB:.0f})"
    )
    good = (
        ratio_json >= TARGETS["json"]
        and ratio_sse >= TARGETS["sse"]
        and started <= START_WITHIN
        and memory <= RESIDENT_MB
    )
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
