"""What a compiled policy is: rules, composites, texts. Plain data, made by ``guardrail.policy``."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import msgspec

from guardrail.core.model import Action, Audience, Direction


class Repeats(msgspec.Struct, frozen=True):
    """The signal has been seen in so many turns, this one included, ``within`` seconds."""

    times: int
    within: float


class More(msgspec.Struct, frozen=True):
    """Conditions few rules have. Ranges are inclusive; empty means "any".

    ``quiet``: least turns since one of severity 2 or more. ``session``: least seconds since this visit began.
    ``between``: minutes of the operator's day, from and until; over midnight when the first is later.
    ``present``, ``absent``: other signals of the same turn. ``cues``: the app's own readings, name and range.
    ``prefers``: what the app says the person has chosen, one of these.
    """

    score: tuple[float, float] = (0.0, 1.0)
    peak: tuple[int, int] = (0, 4)
    trend: tuple[str, ...] = ()
    quiet: int = 0
    turns: tuple[float, float] = (0.0, float("inf"))
    session: float = 0.0
    between: tuple[int, int] | None = None
    repeats: Repeats | None = None
    present: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    cues: tuple[tuple[str, float, float], ...] = ()
    prefers: tuple[str, ...] = ()


class When(msgspec.Struct, frozen=True):
    """A rule's condition. Empty tuples mean "any"; ranges are inclusive.

    A rule without signals is considered once a turn: its ``severity`` is then the whole turn's. That is
    how a latched conversation is steered on a turn which shows nothing.
    """

    direction: Direction
    signals: tuple[str, ...]
    severity: tuple[int, int] = (0, 4)
    audience: tuple[Audience, ...] = ()
    locale: tuple[str, ...] = ()
    country: tuple[str, ...] = ()
    subject: tuple[str, ...] = ()
    detail: tuple[str, ...] = ()
    frame: tuple[str, ...] = ()
    time: tuple[str, ...] = ()
    latch: tuple[int, int] = (0, 4)
    level: tuple[float, float] = (0.0, 4.0)
    episode: bool | None = None
    drift: float = 0.0
    """For outbound signals: the least sum over the turns (this reply included) that makes a pattern."""
    more: More | None = None


class CaseRule(msgspec.Struct, frozen=True):
    """Open a case for a human, to be acknowledged within ``deadline`` seconds.

    ``priority``: raises it among the cases that wait; empty: as its severity says. ``ladder``: the
    operator's ladder by name that says who is told; empty: the usual one.
    """

    deadline: float
    priority: str = ""
    ladder: str = ""


class Then(msgspec.Struct, frozen=True):
    """What a rule does. ``response`` and ``steer`` name texts of the pack, ``resources`` kinds of help.

    ``cool_down``: seconds after it fired in which it does not again. Never for danger: see ``policy.sense``.
    """

    action: Action
    response: str = ""
    steer: str = ""
    resources: tuple[str, ...] = ()
    case: CaseRule | None = None
    cool_down: float = 0.0


class Rule(msgspec.Struct, frozen=True):
    """One clinical rule. ``source`` says which guideline or law it follows, ``unless`` when it does not hold."""

    id: str
    when: When
    then: Then
    source: str = ""
    unless: tuple[When, ...] = ()


class Composite(msgspec.Struct, frozen=True):
    """Where ``when`` holds for a signal, its severity moves by ``weight`` before the rules are asked.

    A clinical law stands above every composite: a sincere first-person signal from ``high`` up is never lowered.
    """

    id: str
    when: When
    weight: int
    source: str = ""
    unless: tuple[When, ...] = ()


class OnFailure(msgspec.Struct, frozen=True):
    """The answer the policy declares for a part that failed. Never ``pass`` for an unread outbound reply."""

    detector_inbound: Then
    detector_outbound: Then
    store: Then
    upstream: Then


Key = tuple[str, str, int, str, str]
"""Direction, signal ("" for rules about the whole turn), severity, audience, subject."""


class Policy(msgspec.Struct, frozen=True):
    """A compiled policy. ``hash`` covers every byte that went into it; ``signed_by`` says who released it, if any."""

    id: str
    version: str
    hash: str
    rules: tuple[Rule, ...]
    on_failure: OnFailure
    responses: Mapping[str, Mapping[str, str]] = {}
    """locale -> response name -> text."""
    guidance: Mapping[str, str] = {}
    """steer name -> guidance for the upstream model, in English."""
    index: Mapping[Key, tuple[Rule, ...]] = {}
    composites: tuple[Composite, ...] = ()
    signed_by: str = ""
    waived: tuple[str, ...] = ()
    """Why suicide may go unanswered, in the words of those who signed for it. Empty: it never does."""

    @property
    def name(self) -> str:
        return f"{self.id}@{self.version}"


_AUDIENCES: tuple[Audience, ...] = ("adult", "minor", "unknown")
_SUBJECTS = ("self", "other", "child")


def indexed(rules: Sequence[Rule]) -> dict[Key, tuple[Rule, ...]]:
    """Rules by what every signal has, in the order they were written: a turn meets only those that could fire."""
    table: dict[Key, list[Rule]] = {}
    for rule in rules:
        when = rule.when
        keys = itertools.product(
            when.signals or ("",),
            range(when.severity[0], when.severity[1] + 1),
            when.audience or _AUDIENCES,
            when.subject or _SUBJECTS,
        )
        for name, severity, audience, subject in keys:
            table.setdefault((when.direction, name, severity, audience, subject), []).append(rule)
    return {key: tuple(found) for key, found in table.items()}
