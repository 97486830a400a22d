"""What was judged beside what is so: how much danger is found, how much calm left alone, and for whom it is worst."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from guardrail.core.decide import Verdict
from guardrail.core.model import CATEGORIES, OUTBOUND_SIGNALS, Audience, Message, Refusal
from guardrail.evaluation.items import DANGER, GROUPS, Item
from guardrail.evaluation.statistics import Bin, Rate, calibration, percentile, predictive_value, rate, roc, sign_test

LEAST = 20
"""A group with fewer items in danger (or calm ones) says nothing about either and is not ranked."""


class Judged(msgspec.Struct, frozen=True):
    """What the guardrail made of one item. ``score``: 0-1, how sure it is of danger."""

    severity: int
    grades: Mapping[str, int]
    score: float
    action: str = "pass"
    failed: bool = False

    @property
    def alarmed(self) -> bool:
        return self.severity >= DANGER


def judged(verdict: Verdict) -> Judged:
    """Of a verdict what is measured. Grade and score together rank verdicts: 3 at 0.6 is surer than 2 at 0.9."""
    known = CATEGORIES if verdict.direction == "inbound" else OUTBOUND_SIGNALS
    grades: dict[str, int] = {}
    score = 0.0
    for signal in verdict.signals:
        if signal.name in known and signal.severity:
            grades[signal.name] = max(grades.get(signal.name, 0), signal.severity)
            score = max(score, (signal.severity - 1 + min(1.0, signal.score)) / 4)
    return Judged(verdict.severity, grades, score, verdict.action, bool(verdict.failures))


class Inspects(Protocol):
    """What is measured: a ``Guard``, or anything that judges as one does."""

    def inspect(self, messages: Sequence[Message], *, locale: str | None, audience: Audience) -> Verdict: ...


def judge(guard: Inspects, item: Item) -> Judged:
    """An item as the guardrail judges it; one that it refuses to judge counts as nothing seen, and as failed."""
    try:
        return judged(guard.inspect(item.turns, locale=item.lang, audience=item.audience))
    except Refusal:
        return Judged(0, {}, 0.0, failed=True)


Pair = tuple[Item, Judged]


class Tally(msgspec.Struct, frozen=True):
    """One group: danger found, calm left alone."""

    name: str
    sensitivity: Rate
    specificity: Rate

    @property
    def worst(self) -> float:
        """The lower of the two, of those that enough items speak for."""
        known = [r.share for r in (self.sensitivity, self.specificity) if r.of >= LEAST]
        return min(known, default=2.0)


class Figures(msgspec.Struct, frozen=True):
    """Everything that is reported of one direction. ``groups``: kind of group to its tallies, worst first."""

    direction: str
    items: int
    overall: Tally
    prevalence: float
    predictive: float
    groups: Mapping[str, tuple[Tally, ...]]
    confusion: tuple[tuple[int, ...], ...]
    """True grade by judged grade."""
    within_one: Rate
    curve: tuple[tuple[float, float], ...]
    area: float
    bins: tuple[Bin, ...]
    p50: float
    p99: float
    failed: int
    """Items a detector failed on."""


def figures(pairs: Sequence[Pair], prevalence: float, micros: Sequence[float] = ()) -> Iterator[Figures]:
    """Of each direction there are items of. ``micros``: times it took to judge one."""
    for direction in ("inbound", "outbound"):
        of = [pair for pair in pairs if pair[0].direction == direction]
        if of:
            yield _figures(direction, of, prevalence, micros)


def _figures(direction: str, pairs: Sequence[Pair], prevalence: float, micros: Sequence[float]) -> Figures:
    overall = tally("all", pairs)
    scored = [(j.score, item.danger) for item, j in pairs]
    curve, area = roc(scored)
    graded = [(item.grade, j.severity) for item, j in pairs if item.grade is not None]
    confusion = [[0] * 5 for _ in range(5)]
    for truth, said in graded:
        confusion[truth][said] += 1
    return Figures(
        direction,
        len(pairs),
        overall,
        prevalence,
        predictive_value(overall.sensitivity.share, overall.specificity.share, prevalence),
        {kind: found for kind, key in _KINDS.items() if (found := by(pairs, key))},
        tuple(tuple(row) for row in confusion),
        rate(sum(abs(a - b) <= 1 for a, b in graded), len(graded)),
        tuple(curve),
        area,
        tuple(calibration(scored)),
        percentile(micros, 0.5),
        percentile(micros, 0.99),
        sum(j.failed for _, j in pairs),
    )


def tally(name: str, pairs: Iterable[Pair]) -> Tally:
    found = [(item.danger, j.alarmed) for item, j in pairs]
    danger, calm = [a for d, a in found if d], [a for d, a in found if not d]
    return Tally(name, rate(sum(danger), len(danger)), rate(len(calm) - sum(calm), len(calm)))


Key = Callable[[Item], Iterable[str]]


def by(pairs: Sequence[Pair], key: Key) -> tuple[Tally, ...]:
    """A tally of each group, worst first; those too small to say anything come last."""
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        for name in key(pair[0]):
            groups.setdefault(name, []).append(pair)
    return tuple(sorted((tally(name, found) for name, found in groups.items()), key=lambda t: (t.worst, t.name)))


def _categories(item: Item) -> Iterator[str]:
    """In danger: the signals it is in danger of. Calm: the one whose words it shares."""
    if item.danger:
        yield from (name for name, grade in (item.grades or {}).items() if grade >= DANGER)
    elif item.near:
        yield item.near


def _grades(item: Item) -> Iterator[str]:
    if item.grade is not None:
        yield str(item.grade)


def _how(item: Item) -> Iterator[str]:
    if item.direction == "outbound":
        yield "long conversation" if len(item.turns) > 2 else "one question, one reply"
        return
    if item.danger and item.family:
        yield "veiled" if item.veiled else "said outright"
    elif item.near:
        yield "shares words of danger"
    elif item.family:
        yield "plain distress"
    yield "several turns" if len(item.turns) > 1 else "one turn"


def _group(name: str) -> Key:
    return lambda item: (item.groups[name],) if name in item.groups else ()


_KINDS: Mapping[str, Key] = {
    "category": _categories,
    "grade": _grades,
    "how": _how,
    **{name: _group(name) for name in GROUPS},
}


def misses(pairs: Iterable[Pair]) -> list[Pair]:
    """Danger nobody was alarmed at, the gravest first."""
    found = [(item, j) for item, j in pairs if item.danger and not j.alarmed]
    return sorted(found, key=lambda pair: -(pair[0].grade or 0))


def false_alarms(pairs: Iterable[Pair]) -> list[Pair]:
    """Calm that was taken for danger, the loudest first."""
    return sorted(((i, j) for i, j in pairs if not i.danger and j.alarmed), key=lambda pair: -pair[1].severity)


class Compared(msgspec.Struct, frozen=True):
    """Two runs over the same items. ``p``: how likely so uneven a split were if both were equally good."""

    direction: str
    items: int
    found: int
    lost: int
    p_danger: float
    calmed: int
    alarmed: int
    p_calm: float


def compare(pairs: Sequence[Pair], before: Mapping[str, int]) -> Iterator[Compared]:
    """What changed since another run, given as severity by item id. Items only one of them has are left out."""
    for direction in ("inbound", "outbound"):
        both = [(i, j.alarmed, before[i.id] >= DANGER) for i, j in pairs if i.direction == direction and i.id in before]
        if not both:
            continue
        found = sum(item.danger and now and not was for item, now, was in both)
        lost = sum(item.danger and was and not now for item, now, was in both)
        alarmed = sum(not item.danger and now and not was for item, now, was in both)
        calmed = sum(not item.danger and was and not now for item, now, was in both)
        yield Compared(
            direction, len(both), found, lost, sign_test(found, lost), calmed, alarmed, sign_test(calmed, alarmed)
        )
