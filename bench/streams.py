"""Many slow streams of people in care, whose replies are held whole. ``python -m bench.streams``.

Each conversation has said something grave and been answered, so the chatbot's next reply is kept back until all
of it was looked at. Meanwhile each client must be shown, in time, that its stream lives; and in the end it must have
the whole reply. Beside them some calm streams, released as they come. Exit 1 when a silence was too long.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections.abc import Sequence
from time import perf_counter

import msgspec

from bench.client import Connection
from bench.dialects import OPENAI
from bench.processes import Server, chatbot, guardrail, stay_on_the_load_core
from bench.sample import REPLY, SENTENCES, turns
from bench.table import Row, at_most, main, say

WITHIN = 1.5
"""The longest silence a client may meet, in units of ``keep_alive``."""
CALM = 10
"""One calm stream to so many held ones."""
GRAVE = "I want to kill myself"


class Heard(msgspec.Struct, frozen=True):
    """What one client got: its longest wait for a byte in seconds, how often it was kept alive, and the text."""

    gap: float
    kept_alive: int
    text: str


async def _in_care(port: int, number: int) -> str:
    """Begin a conversation with something grave. The header by which it goes on."""
    name = f"x-guardrail-conversation: care-{number}\r\n"
    async with Connection(port) as connection:
        head, _ = await connection.whole(OPENAI.request([("user", GRAVE)], False, name))
    if b"x-guardrail-action: replace" not in head.lower():
        raise RuntimeError("something grave was not answered")
    return name


async def _stream(port: int, number: int, name: str) -> Heard:
    parts, gap, last = [], 0.0, perf_counter()
    async with Connection(port) as connection:
        await connection.ask(OPENAI.request(turns(number), True, name))
        async for part in connection.body():
            now = perf_counter()
            gap, last = max(gap, now - last), now
            parts.append(part)
    body = b"".join(parts)
    return Heard(gap, body.count(b": keep-alive"), _text(body))


def _text(body: bytes) -> str:
    events = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: {")]
    return "".join(json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events)


async def _listen(port: int, streams: int) -> tuple[list[Heard], list[Heard]]:
    """What the clients of held streams got, and those of calm ones. All begin within one second."""
    say(f"{streams} conversations come into care")
    names = [await _in_care(port, number) for number in range(streams)]
    say(f"{streams} held streams, and {streams // CALM} calm ones")

    async def later(at: int, name: str) -> Heard:
        await asyncio.sleep(at / streams)
        return await _stream(port, at, name)

    calm = [later(at * CALM, "") for at in range(streams // CALM)]
    heard = await asyncio.gather(*(later(at, name) for at, name in enumerate(names)), *calm)
    return heard[:streams], heard[streams:]


def rows(held: Sequence[Heard], calm: Sequence[Heard], keep_alive: float) -> list[Row]:
    worst = max(h.gap for h in held)
    whole = sum(h.text.strip() == REPLY for h in [*held, *calm])
    alive = min(h.kept_alive for h in held)
    found = [
        at_most(f"longest silence of {len(held)} held streams", worst, WITHIN * keep_alive, " s",
                f" (keep_alive {keep_alive:g} s; each was kept alive {alive} times or more)"),
        Row("streams whose reply came whole", f"{whole} of {len(held) + len(calm)}", "all",
            whole == len(held) + len(calm)),
    ]  # fmt: skip
    if calm:
        found.append(Row("longest silence of calm streams beside them", f"{max(h.gap for h in calm):.2f} s"))
    return found


def listen(ours: Server, streams: int, keep_alive: float) -> list[Row]:
    return rows(*asyncio.run(_listen(ours.port, streams)), keep_alive)


def run(arguments: argparse.Namespace) -> list[Row]:
    stay_on_the_load_core()
    keep_alive = arguments.keep_alive
    say(f"{len(SENTENCES) + 3} pieces, one each {2.5 * keep_alive:g} s")
    with (
        tempfile.TemporaryDirectory() as data,
        chatbot(pause=2.5 * keep_alive) as upstream,
        guardrail(upstream, data, limits={"keep_alive": f"{keep_alive}s"}) as ours,
    ):
        return listen(ours, arguments.streams, keep_alive)


def options() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--streams", type=int, default=500)
    made.add_argument(
        "--keep-alive", type=float, default=2.0, help="seconds; the chatbot says something each 2.5 of it"
    )
    return made


if __name__ == "__main__":
    raise SystemExit(main(options(), run))
