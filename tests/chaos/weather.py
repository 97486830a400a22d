"""The weather: kills, a full disk and a webhook's moods, each when so many turns have been played."""

from __future__ import annotations

import asyncio
import collections
import random
import resource
import signal
import time
from collections.abc import Callable
from typing import Any, Literal

import httpx
import msgspec

from tests.chaos.hook import MOODS, Hook, Mood
from tests.chaos.ledger import Ledger, Loss
from tests.live import Proxy

Kind = Literal["SIGKILL", "SIGTERM", "full", "nearly full"]

ROOM = 32 * 1024
"""Bytes that a file may have where the disk is nearly full: a waiting case has room, the databases have not."""
AIM = 0.03
"""Seconds in which a crisis is judged, kept and answered."""
WAITS = 10.0
BOUT = 8.0
ENDS_WITHIN = 30.0
MENDS_WITHIN = 60.0


class Blow(msgspec.Struct, frozen=True):
    """Comes when ``turn`` turns have been played, and ``delay`` seconds. ``aimed``: when the next person in a crisis
    has just asked, so that it strikes between what is decided, kept and said.

    A full disk lasts for ``lasting`` turns, and ends with ``ending``, or ``None``: it has room again. ``early``: so
    many seconds after it was begun again the proxy is killed once more, while it starts.
    """

    turn: int
    aimed: bool
    delay: float
    kind: Kind
    lasting: int
    ending: signal.Signals | None
    early: float | None


class Gust(msgspec.Struct, frozen=True):
    """The webhook is in a mood for some seconds, from this turn on."""

    turn: int
    mood: Mood
    seconds: float


def forecast(chance: random.Random, turns: int, kills: int, disks: int) -> tuple[list[Blow], list[Gust]]:
    """All that will come in a play of so many turns."""
    kinds: list[Kind] = [*chance.choices(("SIGKILL", "SIGTERM"), (2, 1), k=kills)]
    kinds += [*chance.choices(("full", "nearly full"), (2, 1), k=disks)]
    chance.shuffle(kinds)
    last = turns * 9 // 10
    blows = [_blow(chance, turn, kind) for turn, kind in zip(_sorted(chance, last, len(kinds)), kinds, strict=True)]
    gusts = [Gust(turn, chance.choice(MOODS), chance.uniform(1, 5)) for turn in _sorted(chance, last, kills)]
    return blows, gusts


def _sorted(chance: random.Random, last: int, count: int) -> list[int]:
    return sorted(chance.randint(1, last) for _ in range(count))


def _blow(chance: random.Random, turn: int, kind: Kind) -> Blow:
    ending = chance.choice((signal.SIGKILL, signal.SIGTERM)) if chance.random() < 1 / 3 else None
    early = chance.uniform(0.3, 2.5) if chance.random() < 1 / 5 else None
    aimed = kind in ("SIGKILL", "SIGTERM") and chance.random() < 1 / 2
    return Blow(turn, aimed, chance.uniform(0, AIM if aimed else 0.5), kind, chance.randint(3, 20), ending, early)


class Weather:
    """Owns the proxy's process. ``life`` is its number; ``blows`` counts what was done."""

    def __init__(self, proxy: Proxy, hook: Hook, ledger: Ledger) -> None:
        self.proxy, self._hook, self._ledger = proxy, hook, ledger
        self.url = proxy.url
        self.life = 0
        self.blows: collections.Counter[str] = collections.Counter()

    # --- the machine

    async def storm(self, blows: list[Blow]) -> None:
        """Strike as forecast, one blow after another."""
        for blow in blows:
            await _until(lambda blow=blow: self._ledger.turns >= blow.turn)  # type: ignore[misc]
            if blow.aimed:
                await self._ledger.next_cry(WAITS)
            await asyncio.sleep(blow.delay)
            self.blows[f"{blow.kind} in a crisis" if blow.aimed else blow.kind] += 1
            if blow.kind == "full" or blow.kind == "nearly full":
                await self._fill(blow)
            else:
                await self._end(signal.SIGKILL if blow.kind == "SIGKILL" else signal.SIGTERM)
                await self._begin_again(blow.early)

    async def start(self) -> None:
        await asyncio.to_thread(self.proxy.start)
        self.life += 1

    async def _begin_again(self, early: float | None) -> None:
        """Start, now and then killed while starting; then the journal must hold."""
        if early is not None:
            dead = self.proxy.process
            starting = asyncio.ensure_future(asyncio.to_thread(self.proxy.start))
            await _until(lambda: self.proxy.process is not dead)
            await asyncio.sleep(early)
            self.blows["SIGKILL at the start"] += 1
            await self._end(signal.SIGKILL)
            await asyncio.gather(starting, return_exceptions=True)
        await self.start()
        await self._check(stopped=False)

    async def _end(self, how: signal.Signals) -> None:
        process = self.proxy.process
        assert process is not None
        process.send_signal(how)
        begun = time.monotonic()
        while process.poll() is None:
            if time.monotonic() - begun > ENDS_WITHIN:
                self._ledger.broken.append(f"{how.name} had not ended the proxy after {ENDS_WITHIN:.0f} s")
                process.kill()
            await asyncio.sleep(0.02)
        await self._check(stopped=True)

    async def _check(self, *, stopped: bool) -> None:
        await asyncio.to_thread(self._ledger.check_journal, self.proxy.data, stopped=stopped)

    async def _fill(self, blow: Blow) -> None:
        """The disk takes no more for a while. At times the proxy does not live to see the end of it."""
        begun, enough = time.monotonic(), self._ledger.turns + blow.lasting
        self._limit(0 if blow.kind == "full" else ROOM)
        await _until(lambda: self._ledger.turns >= enough or time.monotonic() - begun > BOUT)
        if blow.ending is not None:
            self.blows[f"{blow.ending.name} on that disk"] += 1
            self._ledger.losses.append(Loss(self.life, begun))
            await self._end(blow.ending)
            await self._begin_again(blow.early)
        else:
            self._limit(resource.RLIM_INFINITY)
            await self._mended()

    def _limit(self, room: int) -> None:
        assert self.proxy.process is not None
        resource.prlimit(self.proxy.process.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

    async def _mended(self) -> None:
        """What had to wait is where it belongs, and health says so."""
        end = time.monotonic() + MENDS_WITHIN
        while (left := waiting(await asyncio.to_thread(self.health))) and time.monotonic() < end:
            await asyncio.sleep(0.2)
        if left:
            self._ledger.broken.append(f"the disk has room, and after {MENDS_WITHIN:.0f} s still: {left}")

    def health(self) -> dict[str, Any]:
        try:
            return dict(self.proxy.api("api/v1/health"))
        except httpx.HTTPError as error:
            return {"unanswered": type(error).__name__}

    # --- the webhook

    async def blow_over(self, gusts: list[Gust]) -> None:
        """The webhook's moods, one after another."""
        for gust in gusts:
            await _until(lambda gust=gust: self._ledger.turns >= gust.turn)  # type: ignore[misc]
            self.blows[f"webhook: {gust.mood}"] += 1
            await self._hook.turn(gust.mood)
            await asyncio.sleep(gust.seconds)
            await self._hook.turn("fine")


def waiting(health: dict[str, Any]) -> str:
    """What is not yet where it belongs; empty when all is."""
    if "unanswered" in health:
        return f"health is not answered: {health['unanswered']}"
    desk, journal = health["desk"], health["journal"]
    found = {
        "cases in memory": desk["in_memory"],
        "cases in the spool": desk["spooled"],
        "the journal": not journal["ok"],
    }
    return ", ".join(what for what, amiss in found.items() if amiss)


async def _until(done: Callable[[], bool]) -> None:
    while not done():
        await asyncio.sleep(0.02)
