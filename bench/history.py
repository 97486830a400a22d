"""What a long history costs, beside what sending it costs anyway. ``python -m bench.history``.

Every request goes on with a known conversation: all that was said, and two messages more. What is counted is
processor time of the proxy less that of the bare pass-through for the same bytes: what is left is ours, reading
and judging, and not the network's. Exit 1 when a longer history costs too much more than one of 10 messages.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Mapping, Sequence

from bench.client import Connection
from bench.dialects import OPENAI
from bench.load import numbers
from bench.processes import Server, chatbot, guardrail, pass_through, stay_on_the_load_core
from bench.sample import REPLY, Turn, long_history
from bench.table import Row, at_most, main, say

MOST = 1.5
"""A longer history's cost against the shortest's."""
LENGTHS = (10, 100, 1000)
TURNS = 4
"""A conversation goes on so many times, two messages longer each time."""
CONNECTIONS = 8

Bytes = Sequence[bytes]
"""The requests of one conversation, in order. The first makes it known, and is not counted."""


def conversation(length: int) -> Bytes:
    number = next(numbers)
    said: list[Turn] = long_history(number, length)
    asked = [OPENAI.request(said, False)]
    for turn in range(TURNS):
        said += [("assistant", REPLY), ("user", f"And what else could I cook on day {turn} of visit {number}?")]
        asked.append(OPENAI.request(said, False))
    return asked


async def _send(port: int, requests: Sequence[Bytes]) -> None:
    """Some conversations at a time; each one's requests in their order."""
    waiting = iter(requests)

    async def talk() -> None:
        async with Connection(port) as connection:
            for each in waiting:
                for request in each:
                    await connection.whole(request)

    await asyncio.gather(*(talk() for _ in range(CONNECTIONS)))


def cost(server: Server, length: int, conversations: int) -> float:
    """Microseconds of processor time a request."""
    made = [conversation(length) for _ in range(conversations)]
    asyncio.run(_send(server.port, [each[:1] for each in made]))
    before = server.cpu_seconds
    asyncio.run(_send(server.port, [each[1:] for each in made]))
    return (server.cpu_seconds - before) / (conversations * TURNS) * 1e6


def compare(
    servers: Mapping[str, Server], conversations: int, times: int, lengths: Sequence[int] = LENGTHS
) -> list[Row]:
    found: dict[tuple[str, int], list[float]] = {}
    for turn in range(times):
        for length in lengths:
            for name, server in servers.items():
                say(f"{length} messages, round {turn + 1}/{times}: {name}")
                found.setdefault((name, length), []).append(cost(server, length, conversations))
    # what else the machine does only ever adds to processor time: the least of each is the nearest to the truth
    costs = {key: min(values) for key, values in found.items()}
    ours = {length: costs["guardrail", length] - costs["pass-through", length] for length in lengths}
    rows = [
        Row(
            f"a request with {length:,} messages of history, over the pass-through",
            f"{ours[length]:.0f} µs (in all {costs['guardrail', length]:.0f}, bare "
            f"{costs['pass-through', length]:.0f})",
        )
        for length in lengths
    ]
    least = max(1.0, ours[lengths[0]])
    return rows + [at_most(f"{n:,} messages against {lengths[0]}", ours[n] / least, MOST, " ×") for n in lengths[1:]]


def run(arguments: argparse.Namespace) -> list[Row]:
    stay_on_the_load_core()
    with (
        tempfile.TemporaryDirectory() as data,
        chatbot() as upstream,
        pass_through(upstream) as bare,
        guardrail(upstream, data) as ours,
    ):
        servers = {"pass-through": bare, "guardrail": ours}
        for server in servers.values():
            cost(server, LENGTHS[0], CONNECTIONS)  # both warm
        return compare(servers, arguments.conversations, arguments.rounds)


def options() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--conversations", type=int, default=60, help="in each round, at each length")
    made.add_argument("--rounds", type=int, default=8)
    return made


if __name__ == "__main__":
    raise SystemExit(main(options(), run))
