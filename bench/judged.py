"""One process of ``bench.languages``: a lexicon of the languages it is told, and how long it takes to judge."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter, process_time

import msgspec

from bench.dialects import OPENAI
from bench.processes import resident_mb
from bench.sample import REPLY
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
TEXTS: Mapping[str, Mapping[str, str]] = {
    "English": {
        "en": "What could I cook this week without much work? I am home late most days and have only one pot.",
    },
    "German, Spanish, French": {
        "de": "Was kann ich diese Woche ohne viel Arbeit kochen? Ich komme spät heim und habe nur einen Topf.",
        "es": "¿Qué puedo cocinar esta semana sin mucho trabajo? Llego tarde a casa y solo tengo una olla.",
        "fr": "Que puis-je cuisiner cette semaine sans trop d'effort ? Je rentre tard et je n'ai qu'une casserole.",
    },
    "other languages": {
        "it": "Cosa posso cucinare questa settimana senza troppa fatica? Torno tardi e ho una sola pentola.",
        "pt": "O que posso cozinhar esta semana sem muito trabalho? Chego tarde em casa e só tenho uma panela.",
        "tr": "Bu hafta fazla uğraşmadan ne pişirebilirim? Eve geç geliyorum ve yalnızca bir tencerem var.",
        "ar": "ماذا يمكنني أن أطبخ هذا الأسبوع دون عناء كبير؟ أعود إلى البيت متأخرا وعندي قدر واحدة فقط.",
    },
    "a wish to die, English and Spanish": {
        "en": "I want to die, I am so tired.",
        "es": "Quiero morirme, no puedo más.",
    },
}
"""What the person says, by the group it is counted in."""


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
        self._scanner.warm()
        self._help = Directory(shipped.POLICIES / "resources")
        dialect = claiming("POST", OPENAI.paths[0])
        assert dialect is not None
        self._dialect: Dialect = dialect
        self._reply = msgspec.json.encode(OPENAI.whole(REPLY))

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


async def _cost(judge: Judge, texts: Sequence[str], seconds: float) -> float:
    """Microseconds an exchange: the best of some short stretches, which nothing disturbed."""
    found: list[float] = []
    end = perf_counter() + seconds
    while perf_counter() < end or not found:
        begun = process_time()
        for at in range(STRETCH):
            await judge.exchange(texts[at % len(texts)])
        found.append((process_time() - begun) / STRETCH * 1e6)
    return min(found)


async def _timed(files: list[Path], seconds: float) -> Timed:
    begun = process_time()
    judge = Judge(files)
    load = process_time() - begun
    for group in TEXTS.values():
        await _cost(judge, list(group.values()), 0)  # warm
    cost = {name: await _cost(judge, list(group.values()), seconds) for name, group in TEXTS.items()}
    return Timed(load, resident_mb(os.getpid()), cost)


def files(languages: Sequence[str]) -> list[Path]:
    """The shipped lexicons of these languages, both directions; of all, where none is named."""
    found = sorted((shipped.POLICIES / "lexicon").glob("*.yaml"))
    return [f for f in found if not languages or f.stem.removeprefix("outbound-") in languages]


if __name__ == "__main__":
    print(msgspec.json.encode(asyncio.run(_timed(files(sys.argv[2:]), float(sys.argv[1])))).decode())
