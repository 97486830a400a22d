"""Another open middleware on the same work: ``humane-proxy`` from PyPI. ``python -m bench.beside``.

It looks at the person's last message with regular expressions, and at no reply. It is installed into a folder of
its own and started as its documents say. It, we and a bare pass-through take turns on one core, before the same
chatbot. Exit 1 when we are not as many times faster as we say.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

from bench.client import Connection
from bench.dialects import OPENAI
from bench.load import Make, Measured, measure, numbers
from bench.processes import CORE, Server, chatbot, free_port, guardrail, pass_through, process, stay_on_the_load_core
from bench.sample import REPLY, turns
from bench.table import Row, at_least, main, say
from bench.wire import http

PACKAGE = "humane-proxy==0.6.0"
LEAST = 6.0
"""Our rate against its."""
CONNECTIONS = 16
GRAVE = "I want to kill myself"


def body(number: int, last: str = "") -> bytes:
    """One request, the same for all; only the other one needs ``session_id``."""
    said = [*turns(number)[:-1], ("user", last)] if last else turns(number)
    return json.dumps({**OPENAI.body(said, False), "session_id": f"visit-{number}"}).encode()


def to(path: str, last: str = "") -> Make:
    return lambda number: http(path, body(number, last))


PATHS = {"pass-through": OPENAI.paths[0], "guardrail": OPENAI.paths[0], "humane-proxy": "/chat"}


def installed(folder: Path) -> Path:
    """Its command, in a virtual environment that is made when it is not there."""
    command = folder / "bin" / "humane-proxy"
    if not command.exists():
        say(f"installing {PACKAGE} into {folder}")
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-qq", PACKAGE], check=True)
    return command.absolute()


@contextlib.contextmanager
def humane_proxy(command: Path, upstream: str) -> Iterator[Server]:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "LLM_API_URL": upstream + OPENAI.paths[0],
            "LLM_API_KEY": "none",
            "HUMANE_PROXY_DB_PATH": f"{folder}/escalations.db",
        }
        start = [str(command), "start", "--host", "127.0.0.1", "--port", str(port)]
        with process(CORE, start, port, folder, **environment) as server:
            yield server


async def check(server: Server, path: str, guards: bool) -> None:
    """Each must pass the calm reply on, and a guard must stop something grave. Raises ``RuntimeError``."""
    async with Connection(server.port) as connection:
        _, calm = await connection.whole(to(path)(next(numbers)))
        _, grave = await connection.whole(to(path, GRAVE)(next(numbers)))
    if REPLY not in calm.decode() or guards != (REPLY not in grave.decode()):
        raise RuntimeError(f"{path}: not the work that is to be compared")


def compare(servers: Mapping[str, Server], seconds: float, times: int) -> list[Row]:
    found: dict[str, list[Measured]] = {name: [] for name in servers}
    for name, server in servers.items():
        asyncio.run(check(server, PATHS[name], guards=name != "pass-through"))
        measure(server, to(PATHS[name]), seconds=min(1.0, seconds), connections=CONNECTIONS)  # warm
    for turn in range(times):
        for name, server in servers.items():
            say(f"round {turn + 1}/{times}: {name}")
            found[name].append(measure(server, to(PATHS[name]), seconds=seconds, connections=CONNECTIONS))
    rate = {name: median(m.rate for m in each) for name, each in found.items()}
    cpu = {name: median(m.cpu for m in each) * 1e6 for name, each in found.items()}
    rows = [
        Row(f"JSON, {CONNECTIONS} connections: {name}", f"{value:.0f} requests/s (cpu {cpu[name]:.0f} µs)")
        for name, value in rate.items()
    ]
    return [*rows, at_least("guardrail against humane-proxy 0.6.0", rate["guardrail"] / rate["humane-proxy"], LEAST)]


def run(arguments: argparse.Namespace) -> list[Row]:
    command = installed(arguments.venv)
    stay_on_the_load_core()
    with (
        tempfile.TemporaryDirectory() as data,
        chatbot() as upstream,
        pass_through(upstream) as bare,
        guardrail(upstream, data) as ours,
        humane_proxy(command, upstream) as theirs,
    ):
        servers = {"pass-through": bare, "guardrail": ours, "humane-proxy": theirs}
        return compare(servers, arguments.seconds, arguments.rounds)


def options() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--venv", type=Path, default=Path("build/humane-proxy"), help="where it is installed")
    made.add_argument("--seconds", type=float, default=4.0)
    made.add_argument("--rounds", type=int, default=3)
    return made


if __name__ == "__main__":
    raise SystemExit(main(options(), run))
