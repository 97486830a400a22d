"""The tables at the end."""

from __future__ import annotations

import collections
from collections.abc import Sequence

from tests.chaos.chatbot import Script
from tests.chaos.hook import Hook
from tests.chaos.ledger import Ledger
from tests.chaos.scenes import DIALECTS, Scene


def tables(scenes: Sequence[Scene], ledger: Ledger, script: Script, hook: Hook, blows: collections.Counter[str]) -> str:
    """Three: the people, the weather, the laws."""
    parts = (_people(scenes, ledger), _weather(blows, script), _laws(ledger, script, hook))
    return "\n\n".join("\n".join(_lines(rows)) for rows in parts)


def _people(scenes: Sequence[Scene], ledger: Ledger) -> list[tuple[str, ...]]:
    names = ("turns", "crises answered", "cut", "given up", "later", "later in care")
    head = (
        "API",
        "conversations",
        "in crisis",
        "turns",
        "answers to a crisis",
        "cut off or refused",
        "given up",
        "turns after it",
        "in care",
    )
    rows = []
    for dialect in DIALECTS:
        ours = [scene for scene in scenes if scene.dialect == dialect]
        counts = [len(ours), sum(scene.in_crisis for scene in ours), *(ledger.counts[dialect, name] for name in names)]
        rows.append((dialect, *map(str, counts)))
    sums = (str(sum(int(row[at]) for row in rows)) for at in range(1, len(head)))
    return [head, *rows, ("all", *sums)]


def _weather(blows: collections.Counter[str], script: Script) -> list[tuple[str, ...]]:
    faults = {"500": "chatbot: 500", "gone": "chatbot: hangs up", "torn": "chatbot: breaks off in a reply"}
    rows = [(what, str(count)) for what, count in sorted(blows.items())]
    return [("weather", "times"), *rows, *((faults[fault], str(script.counts[fault])) for fault in faults)]


def _laws(ledger: Ledger, script: Script, hook: Hook) -> list[tuple[str, ...]]:
    barred = script.counts["lie"] + script.counts["harm"]
    repeats = hook.heard - len(hook.about)
    return [
        ("law", "seen"),
        (
            "1. decided = delivered",
            f"{len(ledger.decided)} answers to a crisis, {len(ledger.decided) - len(ledger.gone)} at a human; "
            f"{len(ledger.gone)} lost with a full disk, whose answer said so",
        ),
        ("1. one notice, one id", f"{len(hook.about)} notices, {repeats} repeats, {hook.acknowledged} acknowledged"),
        (
            "2. the journal holds",
            f"{ledger.records} records, verified {ledger.checks} times; {ledger.torn} unfinished lines set aside; "
            f"{ledger.unrecorded} answers not in it",
        ),
        ("3. nothing uninspected", f"{barred} replies with barred words, read by nobody"),
        ("3. no crisis to the chatbot", f"{len(script.crises)} reached it"),
        ("broken", str(len(ledger.broken))),
    ]


def _lines(rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], f"|{' --- |' * len(rows[0])}", *lines[1:]]
