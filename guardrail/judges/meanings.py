"""What the labels of a judge with a vocabulary of its own mean here: from its scores to signals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from guardrail.core.model import CATEGORIES, OUTBOUND_SIGNALS, Direction, Signal

NAMES: Mapping[Direction, tuple[str, ...]] = {"inbound": CATEGORIES, "outbound": OUTBOUND_SIGNALS}
"""The signals that a judge may give, by direction."""


class Meaning(msgspec.Struct, frozen=True):
    """From a score of ``least`` (0-1) on, a label means ``signal`` at ``severity`` (1-4)."""

    signal: str
    least: float
    severity: int


Meanings = Mapping[str, tuple[Meaning, ...]]
"""By label. One label may mean several things: more from a higher score on, another thing of a bot than of a person."""


def of_direction(meanings: Meanings, direction: Direction) -> Iterator[tuple[str, Meaning]]:
    """Each label with what it means in a direction. A signal belongs to one direction only."""
    for label, several in meanings.items():
        yield from ((label, meaning) for meaning in several if meaning.signal in NAMES[direction])


def signals(
    detector: str,
    scores: Mapping[str, float],
    meanings: Meanings,
    direction: Direction,
    length: int,
    *,
    outvotes: bool,
) -> list[Signal]:
    """The gravest that the scores mean, one of each signal, over all ``length`` code points of the turn.

    ``outvotes``: a signal that no score reaches is a doubt (severity 0), as likely as the highest score for it.
    Raises ``KeyError`` for a label without a score.
    """
    gravest: dict[str, tuple[int, float]] = {}
    for label, meaning in of_direction(meanings, direction):
        score = scores[label]
        grade = (meaning.severity if score >= meaning.least else 0, score)
        gravest[meaning.signal] = max(gravest.get(meaning.signal, (0, 0.0)), grade)
    found = [
        Signal(name, severity, score, ((0, length),), detector)
        for name, (severity, score) in gravest.items()
        if severity
    ]
    doubts = [Signal(name, 0, score, detector=detector) for name, (severity, score) in gravest.items() if not severity]
    return [*found, *doubts] if outvotes else found
