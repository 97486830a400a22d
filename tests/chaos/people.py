"""The people, each with a client library that tries again when a connection breaks, and a button to send once more."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Protocol

import httpx

from tests.chaos.ledger import Attempt, Ledger
from tests.chaos.scenes import Scene
from tests.chaos.speech import SPEECHES, id_of, said

RETRIES = 2
"""Of the usual client libraries: so often they try again by themselves."""
PRESSES = 10
"""So often a person sends the same again before they give up."""
BACKOFF = 0.5
PAUSE = 1.0
PATIENCE = 30.0


class Served(Protocol):
    url: str
    life: int


class Person:
    """Plays one scene to its end."""

    def __init__(self, scene: Scene, seed: int, served: Served, client: httpx.AsyncClient, ledger: Ledger) -> None:
        self._scene, self._served, self._client, self._ledger = scene, served, client, ledger
        self._speech = SPEECHES[scene.dialect]
        self._chance = random.Random(f"{seed}/person/{scene.number}")
        self._turns: list[tuple[str, str]] = []
        self._follows = ""
        self._in_care = False

    async def play(self) -> None:
        for index, turn in enumerate(self._scene.turns):
            self._turns.append(("user", turn.text))
            got = await self._say(index)
            self._note(index, got)
            if got is None:
                self._turns.pop()
            else:
                self._turns.append(("assistant", got.text))
                self._follows = id_of(got.raw) if self._scene.follows else ""
            await asyncio.sleep(self._chance.uniform(0, PAUSE))

    def _note(self, index: int, got: Attempt | None) -> None:
        counts, dialect, turn = self._ledger.counts, self._scene.dialect, self._scene.turns[index]
        self._ledger.turns += 1
        counts[dialect, "turns"] += 1
        counts[dialect, "given up"] += got is None
        if self._in_care and not turn.crisis and got is not None:
            counts[dialect, "later"] += 1
            counts[dialect, "later in care"] += got.action != "pass"
        self._in_care = self._in_care or (turn.crisis and got is not None)

    async def _say(self, index: int) -> Attempt | None:
        """The answer; ``None`` when none came, or an error."""
        for _ in range(PRESSES):
            for retry in range(RETRIES + 1):
                got = await self._once(index, retry)
                self._ledger.saw(self._scene, index, got)
                if got.status == 200 and got.over:
                    return got
                if got.status and (self._scene.streamed or got.status < 500):
                    break  # a stream that has begun is not begun again by a library
                await asyncio.sleep(BACKOFF * 2**retry * self._chance.uniform(0.75, 1))
            if not got.cut:
                return None
            await asyncio.sleep(self._chance.uniform(0.2, 2))
        return None

    async def _once(self, index: int, retry: int) -> Attempt:
        scene, speech, life = self._scene, self._speech, self._served.life
        body = speech.request(self._turns, scene.streamed, self._follows)
        headers = {scene.named: f"person-{scene.number}"} if scene.named else {}
        if scene.dialect != "ollama-chat":
            headers["x-stainless-retry-count"] = str(retry)
        raw, status, cut, action, exchange, at = b"", 0, False, "", "", 0.0
        try:
            if scene.turns[index].crisis:
                self._ledger.cries()
            url = f"{self._served.url}{speech.path}"
            async with self._client.stream("POST", url, json=body, headers=headers, timeout=PATIENCE) as answer:
                status, life, at = answer.status_code, self._served.life, time.monotonic()
                action = answer.headers.get("x-guardrail-action", "")
                exchange = answer.headers.get("x-guardrail-exchange", "")
                async for part in answer.aiter_raw():
                    raw += part
        except httpx.HTTPError:
            cut = True
        over = not cut and (speech.over in raw if scene.streamed else _is_json(raw))
        return Attempt(status, action, exchange, raw, said(speech, raw), cut, over, life, at)


def _is_json(raw: bytes) -> bool:
    try:
        json.loads(raw)
    except ValueError:
        return False
    return True
