"""What the model costs, one core, in process: ``python -m bench.model``.

Times are of reading alone, without HTTP. The exchanges are an ordinary mix: nineteen in twenty everyday talk, each with
a reply of three sentences, every sentence read when it ends. What the early exits save is shown beside what they lose.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

import corpus.files
from bench.table import Row, at_least, at_most, main, say
from guardrail import shipped
from guardrail.core.model import Context, Direction, Message, Severity, Signal
from guardrail.core.segments import boundaries
from guardrail.detectors.model_input import Window, parts, windows
from guardrail.detectors.model_output import script_of
from guardrail.evaluation.items import Item
from guardrail.evaluation.statistics import percentile
from guardrail.judges.model import Model
from guardrail.judges.onnx import Asked, Engine
from guardrail.judges.onnx import Row as Logits

ORDINARY = Path(__file__).with_name("ordinary.jsonl")
DIRECTIONS: tuple[Direction, ...] = ("inbound", "outbound")
TOKENS = 32
RUNS = 300
EXCHANGES = 400
EVERYDAY = 0.95


def resident() -> float:
    """MiB of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def timed(engine: Engine, asked: Sequence[Asked], *, whole: bool) -> list[float]:
    """Milliseconds for each window, to the last stage or as far as is needed."""
    found = []
    for one in asked:
        begun = time.perf_counter()
        if whole:
            for _ in engine.exits(one):
                pass
        else:
            engine.run(one)
        found.append(1000 * (time.perf_counter() - begun))
    return found


def of_length(engine: Engine, items: Sequence[Item], length: int) -> list[Asked]:
    """Windows of exactly ``length`` tokens, cut out of turns."""
    found = []
    for item in items:
        direction: Direction = item.direction
        [window, *_] = windows(item.text, item.turns[:-1], direction, engine.tokens, engine.reader.labels.marks)
        if len(window.ids) >= length:
            ids = (*window.ids[: length - 1], engine.reader.labels.marks.end)
            found.append(Asked(Window(ids, min(window.judged, length)), direction, script_of(item.text)))
    return found


class Exchange(NamedTuple):
    """What a person says, what was said before, and what the bot answers, cut to three sentences."""

    said: str
    before: tuple[Message, ...]
    reply: str


def everyday() -> list[Exchange]:
    """What people ask chatbots all day, and what those answer; nothing of it has been learnt from."""
    lines = [msgspec.json.decode(line) for line in ORDINARY.read_bytes().splitlines()]
    return [Exchange(line["person"], (), line["reply"]) for line in lines]


def mixed(said: Sequence[Item], replies: Sequence[Item], count: int) -> list[Exchange]:
    """An ordinary mix: nineteen in twenty everyday, else a turn of the corpus with a reply of it."""
    chance, ordinary = random.Random(3), everyday()
    found = []
    for _ in range(count):
        if chance.random() < EVERYDAY:
            found.append(chance.choice(ordinary))
            continue
        turn, reply = chance.choice(said), chance.choice(replies).text
        end = boundaries(reply, 0, "sentence", final=True)[2]
        found.append(Exchange(turn.text, turn.turns[:-1], reply[:end]))
    return found


def exchanges(engine: Engine, mix: Sequence[Exchange]) -> float:
    """Whole exchanges a second: a person's turn and a reply of three sentences, asked about at the end of each."""
    model = Model(engine)
    begun = time.perf_counter()
    for said, before, reply in mix:
        model.look(said, Context("inbound", before))
        context = Context("outbound", (*before, Message("user", said)))
        for end in boundaries(reply, 0, "sentence", final=True):
            model.look(reply[:end], context)
    return len(mix) / (time.perf_counter() - begun)


class ToTheEnd(Engine):
    """The same model without its early exits."""

    def run(self, asked: Asked) -> Logits:
        return super().run(msgspec.structs.replace(asked, whole=True))


def lost(engine: Engine, items: Sequence[Item]) -> tuple[int, int]:
    """Of items in danger that are found when everything is read to the end: how many, and how many of them the early
    exits let go."""
    whole, early = Model(ToTheEnd(engine.folder)), Model(engine)
    found = missed = 0
    for item in items:
        if not item.danger:
            continue
        context = Context(item.direction, item.turns[:-1])
        if _is_danger(whole.look(item.text, context)):
            found += 1
            missed += not _is_danger(early.look(item.text, context))
    return found, missed


def _is_danger(signals: Sequence[Signal]) -> bool:
    return any(signal.severity >= Severity.ELEVATED for signal in signals)


def let_go(engine: Engine, direction: Direction, said: Sequence[tuple[str, tuple[Message, ...]]]) -> float:
    """The share of turns, or of sentences of replies, that are not read to the end."""
    gone = []
    for text, before in said:
        for part in parts(text, before, direction):
            script = script_of(part.text)
            turns = part.history if direction == "inbound" else ()
            for window in windows(part.text, turns, direction, engine.tokens, engine.reader.labels.marks):
                rows = list(engine.exits(Asked(window, direction, script)))[:-1]
                gone.append(any(engine.reader.calm(n, direction, row.tolist(), script) for n, row in enumerate(rows)))
    return sum(gone) / len(gone)


def run(_: argparse.Namespace) -> list[Row]:
    before = resident()
    model = shipped.model()
    engine: Engine = model._engine  # type: ignore[assignment]
    test = [item for item in corpus.files.load() if item.split == "test"]
    inbound = [item for item in test if item.direction == "inbound"]
    outbound = [item for item in test if item.direction == "outbound"]
    chance = random.Random(5)
    calm = [item for item in outbound if not item.danger and len(boundaries(item.text, 0, "sentence", final=True)) >= 3]
    windows_ = of_length(engine, inbound, TOKENS)
    timed(engine, windows_[:20], whole=True)
    say("one turn")
    whole = timed(engine, [chance.choice(windows_) for _ in range(RUNS)], whole=True)
    sentences = [
        Asked(window, "outbound", script_of(part.text))
        for item in outbound[:150]
        for part in parts(item.text, item.turns[:-1], "outbound")
        for window in windows(part.text, part.history, "outbound", engine.tokens, engine.reader.labels.marks)
    ]
    streamed = timed(engine, sentences[:RUNS], whole=False)
    say("exchanges")
    rate = exchanges(engine, mixed(inbound, calm, EXCHANGES))
    say("what early exits lose")
    found, missed = lost(engine, test)
    said = let_go(engine, "inbound", [(e.said, e.before) for e in everyday()])
    answered = let_go(engine, "outbound", [(e.reply, ()) for e in everyday()])
    of = f" ({missed} of {found:,})"
    return [
        at_most(f"a turn of {TOKENS} tokens, all layers, p50", percentile(whole, 0.5), 8, " ms"),
        at_most(f"a turn of {TOKENS} tokens, all layers, p99", percentile(whole, 0.99), 25, " ms"),
        at_most("a sentence of a reply with its context, p50", percentile(streamed, 0.5), 8, " ms"),
        at_least("exchanges a second, ordinary mix", rate, 100),
        at_most("danger found that letting the calm go early loses", 100 * missed / max(1, found), 0.1, " %", of),
        Row("everyday turns let go early", f"{100 * said:.0f} %"),
        Row("sentences of everyday replies let go early", f"{100 * answered:.0f} %"),
        at_most("resident, what the model adds", resident() - before, 500, " MiB"),
    ]  # fmt: skip


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    sys.exit(main(options, run))
