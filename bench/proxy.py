"""The proxy beside a bare pass-through: same core, same upstream, one run. ``python -m bench.proxy``.

The proxy and the yardstick take turns on one core; the chatbot and the load share the other. What counts
are ratios, which travel between machines better than rates do. Exit 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from statistics import median

from bench.client import Connection
from bench.dialects import OWN, WIRES
from bench.load import Make, Measured, measure, numbers
from bench.processes import Server, chatbot, guardrail, pass_through, stay_on_the_load_core
from bench.sample import WORDS, turns
from bench.table import Row, at_least, at_most, main, say
from bench.wire import Wire

LEAST = 0.6
"""Of the pass-through's rate, in requests and in events of streams."""
START_WITHIN = 2.0
RESIDENT_MB = 150.0
CONNECTIONS = {False: 32, True: 8}

Servers = Mapping[str, Server]
Found = Mapping[str, Sequence[Measured]]


def maker(wire: Wire, streamed: bool) -> Make:
    return lambda number: wire.request(turns(number), streamed)


async def check(server: Server, wire: Wire, streamed: bool, guarded: bool) -> None:
    """What is compared must be the same work: a whole answer, looked at or not. Raises ``RuntimeError``."""
    async with Connection(server.port) as connection:
        head, body = await connection.whole(maker(wire, streamed)(next(numbers)))
    if streamed and body.count(wire.mark) != len(wire.stream(WORDS)):
        raise RuntimeError(f"{wire.name}: events were lost")
    if guarded != (b"x-guardrail-action: pass" in head.lower()):
        raise RuntimeError(f"{wire.name}: the proxy did not guard this, or did not let it pass")


def rounds(servers: Servers, wire: Wire, streamed: bool, seconds: float, times: int) -> Found:
    """Take turns, so that a slow moment of the machine meets both."""
    found: dict[str, list[Measured]] = {name: [] for name in servers}
    for name, server in servers.items():
        asyncio.run(check(server, wire, streamed, guarded=name == "guardrail"))
    for turn in range(times):
        for name, server in servers.items():
            say(f"{wire.name} {'stream' if streamed else 'json'} round {turn + 1}/{times}: {name}")
            found[name].append(
                measure(
                    server,
                    maker(wire, streamed),
                    mark=wire.mark if streamed else b"",
                    seconds=seconds,
                    connections=CONNECTIONS[streamed],
                )
            )
    return found


def middle(found: Sequence[Measured], field: str) -> float:
    return float(median(getattr(measured, field) for measured in found))


def row(wire: Wire, streamed: bool, found: Found) -> Row:
    ours, bare = found["guardrail"], found["pass-through"]
    times = "; ".join(
        f"{name} {middle(m, 'p50') * 1e3:.1f}/{middle(m, 'p99') * 1e3:.1f} ms"
        for name, m in (("p50/p99", ours), ("bare", bare))
    )
    cpu = f"{middle(ours, 'cpu') * 1e6:.0f} µs, bare {middle(bare, 'cpu') * 1e6:.0f}"
    rate = f"{middle(ours, 'rate'):.0f}/s, bare {middle(bare, 'rate'):.0f}"
    what = f"{wire.name}, {'events of a stream' if streamed else 'JSON'}, against a bare pass-through"
    return at_least(what, middle(ours, "rate") / middle(bare, "rate"), LEAST, f" ({rate}; {times}; cpu {cpu})")


def compare(wires: Sequence[Wire], seconds: float, times: int) -> list[Row]:
    with (
        tempfile.TemporaryDirectory() as data,
        chatbot() as upstream,
        pass_through(upstream) as bare,
        guardrail(upstream, data, json_dialect=[OWN]) as ours,
    ):
        servers = {"pass-through": bare, "guardrail": ours}
        for server in servers.values():
            measure(server, maker(wires[0], False), seconds=min(1.0, seconds), connections=8)  # both warm
        rows = [
            row(wire, streamed, rounds(servers, wire, streamed, seconds, times))
            for wire in wires
            for streamed in (False, True)
        ]
        rows.append(at_most("from the start until ready", ours.ready, START_WITHIN, " s"))
        rows.append(at_most("resident memory of the proxy after it", ours.resident_mb, RESIDENT_MB, " MB"))
    return rows


def run(arguments: argparse.Namespace) -> list[Row]:
    stay_on_the_load_core()
    wires = list(WIRES.values()) if arguments.dialect == "all" else [WIRES[arguments.dialect]]
    return compare(wires, arguments.seconds, arguments.rounds)


def options() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--dialect", choices=[*WIRES, "all"], default="openai-chat")
    made.add_argument("--seconds", type=float, default=4.0)
    made.add_argument("--rounds", type=int, default=5)
    return made


if __name__ == "__main__":
    raise SystemExit(main(options(), run))
