"""Blind readings: every item is graded by its writer and, without their label, by another reader.

``readings/<direction>/<lang>/<name>.jsonl`` has one line an item: its ``id``, what the ``writer`` and the ``reader``
said it is, and a ``third`` reader where there was one. What the corpus' line says is what was settled.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median

import msgspec

from corpus.files import ROOT
from guardrail.core.model import CATEGORIES, OUTBOUND_SIGNALS
from guardrail.evaluation.items import DANGER, Item
from guardrail.evaluation.statistics import kappa

Grades = dict[str, int]


class Reading(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What readers said of one item, each without seeing the others."""

    id: str
    writer: Grades
    reader: Grades
    third: Grades | None = None


def load(root: Path = ROOT) -> dict[str, Reading]:
    """By item id. Raises ``msgspec.DecodeError``."""
    found = {}
    for path in sorted((root / "readings").glob("*/*/*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            reading = msgspec.json.decode(line, type=Reading)
            found[reading.id] = reading
    return found


def settled(reading: Reading) -> Grades:
    """What counts where three have read: what two of them said; else, of the three, the one in the middle."""
    writer, reader, third = reading.writer, reading.reader, reading.third
    if third is None or third == writer or reader == writer:
        return writer
    if third == reader:
        return reader
    middle = median(map(gravest, (writer, reader, third)))
    return next(one for one in (writer, third, reader) if gravest(one) == middle)


def gravest(grades: Grades) -> int:
    return max(grades.values(), default=0)


class Agreement(msgspec.Struct, frozen=True):
    """Of one signal: items either reader saw it in, weighted kappa of the grades over all items, and how many were
    danger to one and not to the other."""

    signal: str
    items: int
    kappa: float
    apart: int


def agreement(readings: Iterable[Reading], signals: Iterable[str]) -> list[Agreement]:
    """Writer and reader, signal by signal; ``any`` is the gravest of all."""
    both = [(r.writer, r.reader) for r in readings]
    found = [_agreement("any", [(gravest(a), gravest(b)) for a, b in both])]
    for signal in signals:
        pairs = [(a.get(signal, 0), b.get(signal, 0)) for a, b in both]
        if any(a or b for a, b in pairs):
            found.append(_agreement(signal, pairs))
    return found


def _agreement(signal: str, pairs: list[tuple[int, int]]) -> Agreement:
    seen = sum(bool(a or b) for a, b in pairs)
    apart = sum((a >= DANGER) != (b >= DANGER) for a, b in pairs)
    return Agreement(signal, seen, kappa(pairs), apart)


def signals(direction: str) -> tuple[str, ...]:
    return CATEGORIES if direction == "inbound" else OUTBOUND_SIGNALS


def path_of(item: Item, root: Path = ROOT) -> Path:
    """Where an item's reading belongs."""
    return root / "readings" / item.place.rpartition(":")[0]
