"""One process of ``bench.languages``: a lexicon of the languages it is told, and how long it takes to judge."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import msgspec

from bench.dialects import OPENAI
from bench.processes import resident_mb
from bench.sample import REPLY
from bench.texts import GROUPS, texts
from guardrail import shipped
from guardrail.core.conversation import State
from guardrail.core.events import (
    Commit,
    Committed,
    Effect,
    Event,
    Opened,
    Scan,
    SendUpstream,
    UpstreamChunk,
    UpstreamEnded,
    UpstreamHeaders,
)
from guardrail.core.exchange import Exchange
from guardrail.core.model import Message
from guardrail.core.ports import Chat, Dialect
from guardrail.core.reply import Terms
from guardrail.detectors import load_lexicon
from guardrail.dialects import claiming
from guardrail.resources import Directory
from guardrail.server.scanner import Scanner

AT = 100.0
STRETCH = 60
"""Exchanges that are timed together."""


class Timed(msgspec.Struct):
    """Seconds to load, megabytes resident, and microseconds of processor time an exchange, by group of texts."""

    load: float
    resident: float
    cost: dict[str, float]


class Judge:
    """Takes exchanges from request to reply as the proxy does, without a socket."""

    def __init__(self, lexicon: list[Path]) -> None:
        self._policy = shipped.policy()
        self._scanner = Scanner((load_lexicon(lexicon),), lambda: AT)
        self._help = Directory(shipped.POLICIES / "resources")
        dialect = claiming("POST", OPENAI.paths[0])
        assert dialect is not None
        self._dialect: Dialect = dialect
        self._reply = msgspec.json.encode(OPENAI.whole(REPLY))

    async def warm(self) -> None:
        await self._scanner.warm(0)

    async def exchange(self, said: str) -> None:
        """One request and its reply, judged."""
        exchange = Exchange(self._policy, self._dialect, self._help, Terms())
        chat = Chat((Message("user", said),), model="stub")
        events: deque[Event] = deque([Opened("x1", AT, chat, State("c1"), country="DE")])
        while events:
            for effect in exchange.handle(events.popleft()):
                events.extend(await self._perform(effect))
        assert exchange.phase == "done"

    async def _perform(self, effect: Effect) -> Sequence[Event]:
        match effect:
            case Scan():
                return [await self._scanner.scan(effect)]
            case Commit():
                return [Committed(AT, (), told=False)]
            case SendUpstream():
                whole = UpstreamChunk(AT, self._reply)
                return [UpstreamHeaders(AT, 200, "application/json"), whole, UpstreamEnded(AT)]
        return ()


async def _cost(judge: Judge, group: str, seconds: float) -> float:
    """Microseconds an exchange: the middle of many short stretches."""
    said, found = texts(group), list[float]()
    end = perf_counter() + seconds
    while perf_counter() < end or not found:
        begun = process_time()
        for _ in range(STRETCH):
            await judge.exchange(next(said))
        found.append((process_time() - begun) / STRETCH * 1e6)
    return median(found)


async def _timed(files: list[Path], seconds: float) -> Timed:
    begun = process_time()
    judge = Judge(files)
    await judge.warm()
    load = process_time() - begun
    for group in GROUPS:
        await _cost(judge, group, 0)  # warm
    cost = {group: await _cost(judge, group, seconds) for group in GROUPS}
    return Timed(load, resident_mb(os.getpid()), cost)


def files(languages: Sequence[str]) -> list[Path]:
    """The shipped lexicons of these languages, both directions; of all, where none is named."""
    found = sorted((shipped.POLICIES / "lexicon").glob("*.yaml"))
    return [f for f in found if not languages or f.stem.removeprefix("outbound-") in languages]


if __name__ == "__main__":
    print(msgspec.json.encode(asyncio.run(_timed(files(sys.argv[2:]), float(sys.argv[1])))).decode())
