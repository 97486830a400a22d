"""Which rules a replay could not judge, because what they ask for was not kept with the turn.

A rule is named only where it hangs on that: where all else it asks for holds, and no known exception applies.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from guardrail.core.conditions import View, exception, refusal
from guardrail.core.model import Signal
from guardrail.core.rules import Composite, Policy, Rule, When

TIME, CHOICES = "the time of day", "what the person had chosen"


class Known(msgspec.Struct, frozen=True):
    """What is known of what surrounded a turn. ``unread``: cues without their values; ``None``: nor their names."""

    time: bool = True
    choices: bool = True
    unread: tuple[str, ...] | None = ()

    @property
    def is_all(self) -> bool:
        return self.time and self.choices and self.unread == ()


def asking(policy: Policy) -> tuple[Rule | Composite, ...]:
    """Rules and composites that ask for the time of day, cues or choices at all."""
    nothing = Known(time=False, choices=False, unread=None)
    both: tuple[Rule | Composite, ...] = (*policy.composites, *policy.rules)
    return tuple(one for one in both if any(_missing(when, nothing) for when in (one.when, *one.unless)))


def unjudged(
    asked: tuple[Rule | Composite, ...], signals: tuple[Signal, ...], severity: int, view: View, known: Known
) -> Iterator[tuple[str, str]]:
    """The id of each of ``asked`` that hangs on what is not known, and what that is."""
    present = {s.name for s in signals}
    for one in asked:
        if one.when.direction != view.direction:
            continue
        about = [s for s in signals if s.name in one.when.signals] if one.when.signals else [Signal("", severity)]
        if isinstance(one, Composite):  # it is asked before others have moved the grade, and of the course before
            lacking = {what for when in (one.when, *one.unless) for what in _missing(when, known)} if about else set()
        else:
            lacking = {what for signal in about for what in _hangs_on(one, signal, view, present, known)}
        if lacking:
            yield one.id, " and ".join(sorted(lacking))


def _hangs_on(rule: Rule, signal: Signal, view: View, present: set[str], known: Known) -> Iterator[str]:
    if refusal(_without(rule.when, known), signal, view, present):
        return
    clear = [when for when in rule.unless if not _missing(when, known)]
    if exception(clear, signal, view, present):
        return
    yield from _missing(rule.when, known)
    for when in rule.unless:
        if not refusal(_without(when, known), signal, view, present):
            yield from _missing(when, known)


def _missing(when: When, known: Known) -> list[str]:
    more = when.more
    if more is None:
        return []
    found = [TIME] if more.between is not None and not known.time else []
    found += [f"the cue {name}" for name, _, _ in more.cues if known.unread is None or name in known.unread]
    return found + ([CHOICES] if more.prefers and not known.choices else [])


def _without(when: When, known: Known) -> When:
    """The condition as far as it can be asked."""
    if when.more is None:
        return when
    more = msgspec.structs.replace(
        when.more,
        between=when.more.between if known.time else None,
        prefers=when.more.prefers if known.choices else (),
        cues=tuple(c for c in when.more.cues if known.unread is not None and c[0] not in known.unread),
    )
    return msgspec.structs.replace(when, more=more)
