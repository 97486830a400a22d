"""What 10,000 open conversations that are worth remembering take in memory. ``python -m bench.conversations``.

Each says once that it wishes to die and is answered with help, then goes on with an ordinary turn: such a
conversation is kept, on disk and in memory, where a calm one would be told again by its own next request.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter

from bench.client import Connection
from bench.dialects import OPENAI
from bench.processes import Server, chatbot, guardrail, stay_on_the_load_core
from bench.sample import LAST, REPLY, turns
from bench.table import Row, at_most, main, say

RESIDENT_MB = 250.0
CONNECTIONS = 32
WARM = 50
WISH = "I want to die"


async def _talk(port: int, numbers: Iterator[int], every: int) -> None:
    """Conversations one after the other, each to its end."""
    async with Connection(port) as connection:
        for number in numbers:
            name = f"x-guardrail-conversation: visit-{number}\r\n"
            said = [*turns(number)[:2], ("user", WISH)]
            head, _ = await connection.whole(OPENAI.request(said, False, name))
            if b"x-guardrail-action: pass" in head.lower():
                raise RuntimeError("a wish to die was not noticed")
            said += [("assistant", REPLY), ("user", LAST)]
            await connection.whole(OPENAI.request(said, False, name))
            if (number + 1) % every == 0:
                say(f"conversation {number + 1}")


async def _hold(port: int, numbers: range) -> None:
    waiting, every = iter(numbers), max(1, len(numbers) // 5)
    await asyncio.gather(*(_talk(port, waiting, every) for _ in range(min(CONNECTIONS, len(numbers)))))


def kept(data: str) -> int:
    """Conversations in the store of a proxy that has stopped."""
    with closing(sqlite3.connect(Path(data) / "data" / "conversations.db")) as database:
        return int(database.execute("select count(*) from conversations").fetchone()[0])


def warm(ours: Server) -> None:
    """Have the patterns compiled, which takes a moment after the start and is no conversation's doing."""
    asyncio.run(_hold(ours.port, range(-WARM, 0)))
    before = 0.0
    while ours.resident_mb - before > 1:
        before = ours.resident_mb
        time.sleep(1)


def hold(ours: Server, count: int) -> list[Row]:
    before, begun = ours.resident_mb, perf_counter()
    asyncio.run(_hold(ours.port, range(count)))
    took, after = perf_counter() - begun, ours.resident_mb
    each = (after - before) * 1024 / count
    more = f" ({before:.0f} MB before; {each:.1f} kB a conversation)"
    return [
        at_most(f"resident memory with {count:,} open conversations", after, RESIDENT_MB, " MB", more),
        Row(f"time for two turns of each of {count:,} conversations", f"{took:.0f} s, {2 * count / took:.0f} turns/s"),
    ]


def run(arguments: argparse.Namespace) -> list[Row]:
    stay_on_the_load_core()
    with tempfile.TemporaryDirectory() as data, chatbot() as upstream:
        with guardrail(upstream, data) as ours:
            warm(ours)
            rows = hold(ours, arguments.conversations)
        stored = kept(data)
    told = arguments.conversations + WARM
    return [*rows, Row("conversations in the store after it stopped", f"{stored:,}", f"= {told:,}", stored == told)]


def options() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--conversations", type=int, default=10_000)
    return made


if __name__ == "__main__":
    raise SystemExit(main(options(), run))
