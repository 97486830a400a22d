"""A thousand conversations in bad weather: ``python -m tests.chaos.driver [--conversations N] [--seed N]``.

Ends with a table, and 1 where a law was broken: which conversation, and why.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from urllib.parse import quote

import httpx

from tests.chaos.chatbot import Script
from tests.chaos.hook import Hook
from tests.chaos.ledger import Ledger
from tests.chaos.people import Person
from tests.chaos.scenes import Scene, scenes
from tests.chaos.table import tables
from tests.chaos.weather import Weather, forecast, waiting
from tests.live import Proxy, chatbot

AT_ONCE = 16
"""Conversations under way."""
ARRIVES_WITHIN = 180.0
"""Seconds in fair weather: longer than the longest wait before a notice is tried again, and a lease."""
LIMITS = {"shutdown": "2s", "upstream_headers": "5s", "upstream_idle": "5s"}


class Play:
    """One run: who plays, what is kept of it, and what strikes."""

    def __init__(self, seed: int, count: int, kills: int, folder: Path) -> None:
        self._seed, self._kills, self._folder = seed, kills, folder
        self.scenes = scenes(seed, count)
        self.script, self.hook, self.ledger = Script(seed), Hook(), Ledger()

    async def run(self, progress: bool) -> str:
        """Play it to the end, and give the tables."""
        self._folder.mkdir(parents=True, exist_ok=True)
        await self.hook.start()
        with chatbot(self.script) as bot:
            bot.handle_error = _nothing
            async with self._standing(bot.url) as weather:
                async with _shown(self.scenes, self.ledger, weather) if progress else contextlib.nullcontext():
                    await self._storm(weather)
                await self._settle(weather)
        await self.hook.stop()
        return tables(self.scenes, self.ledger, self.script, self.hook, weather.blows)

    @contextlib.asynccontextmanager
    async def _standing(self, upstream: str) -> AsyncIterator[Weather]:
        proxy = Proxy(upstream, self._folder / "data", self.hook.url, limits=LIMITS)
        weather = Weather(proxy, self.hook, self.ledger)
        await weather.start()
        try:
            yield weather
        finally:
            await asyncio.to_thread(proxy.stop)
        self.ledger.check_journal(proxy.data, stopped=False)
        self.ledger.read_journal(map(json.loads, proxy.journal().splitlines()))

    async def _storm(self, weather: Weather) -> None:
        turns = sum(len(scene.turns) for scene in self.scenes)
        chance = random.Random(f"{self._seed}/weather")
        blows, gusts = forecast(chance, turns, self._kills, max(1, self._kills // 2))
        doors = asyncio.Semaphore(AT_ONCE)
        async with (
            httpx.AsyncClient(limits=httpx.Limits(max_connections=4 * AT_ONCE)) as client,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(weather.storm(blows))
            group.create_task(weather.blow_over(gusts))
            for scene in self.scenes:
                group.create_task(_play(doors, Person(scene, self._seed, weather, client, self.ledger)))

    async def _settle(self, weather: Weather) -> None:
        """Fair weather: now everything must arrive."""
        end = time.monotonic() + ARRIVES_WITHIN
        while True:
            cases = await asyncio.to_thread(_cases, weather.proxy)
            if not self.ledger.undelivered(cases, self.hook) or time.monotonic() > end:
                break
            await asyncio.sleep(0.5)
        self.ledger.check_deliveries(cases, self.hook)
        self.ledger.broken += [f"the chatbot was asked in a crisis: {asked!r}" for asked in self.script.crises]
        health = await asyncio.to_thread(weather.health)
        if amiss := waiting(health):
            self.ledger.broken.append(f"at the end, health still says: {amiss}")
        self.ledger.check_health(health)


def _nothing(*_: object) -> None:
    """A proxy that was killed breaks its connections off: no error of the chatbot's."""


async def _play(doors: asyncio.Semaphore, person: Person) -> None:
    async with doors:
        await person.play()


def _cases(proxy: Proxy) -> dict[str, str]:
    """Every exchange that belongs to a case, and the case."""
    found: dict[str, str] = {}
    cursor = ""
    while True:
        page = proxy.api(f"api/v1/cases?limit=1000{cursor}")
        found.update((exchange, case["id"]) for case in page["items"] for exchange in case["exchanges"])
        if not page["next"]:
            return found
        cursor = f"&cursor={quote(page['next'])}"


@contextlib.asynccontextmanager
async def _shown(scenes: Sequence[Scene], ledger: Ledger, weather: Weather) -> AsyncIterator[None]:
    """A line of progress every few seconds."""
    turns = sum(len(scene.turns) for scene in scenes)

    async def show() -> None:
        while True:
            await asyncio.sleep(5)
            blows = sum(weather.blows.values())
            print(
                f"{ledger.turns} of {turns} turns, {len(ledger.decided)} answers to a crisis, {blows} blows, "
                f"{len(ledger.broken)} laws broken",
                flush=True,
            )

    showing = asyncio.create_task(show())
    try:
        yield
    finally:
        showing.cancel()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, help="by signal, besides those on a full disk (default: one for 40)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where data and log are left")
    given = parser.parse_args()
    kills = max(1, given.conversations // 40) if given.kills is None else given.kills
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch:
        play = Play(given.seed, given.conversations, kills, given.keep or Path(scratch))
        print(asyncio.run(play.run(progress=True)))
    print(f"\n{given.conversations} conversations, seed {given.seed}, {time.monotonic() - begun:.0f} s")
    for line in play.ledger.broken:
        print(f"BROKEN {line}")
    return 1 if play.ledger.broken else 0


if __name__ == "__main__":
    sys.exit(main())
