"""What no policy may leave unanswered. Everything else is the clinicians' decision; this needs a signed waiver."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from guardrail.core.conditions import Around, View
from guardrail.core.conversation import Trajectory, advance
from guardrail.core.decide import decide
from guardrail.core.model import ACTION_RANK, Audience, Found, Severity, Signal
from guardrail.core.rules import Policy, When

AUDIENCES: tuple[Audience, ...] = ("adult", "minor", "unknown")
MINUTES = (None, 3 * 60, 9 * 60, 15 * 60, 21 * 60)
"""Times of day that are tried; ``None``: nobody says."""
LIMIT = 50_000
"""Situations that are tried at most."""


def gaps(policy: Policy) -> Iterator[str]:
    """How a policy silences suicide, one phrase each: nothing, where it does not.

    Somebody who says in earnest that they want to die gets an answer of ours and a human from ``high`` up, and a
    steered bot from ``elevated`` (clinical base table). Tried in every audience, and in every locale, country
    and part of the day that some rule of the policy makes a difference for.
    """
    conditions = [when for rule in policy.rules for when in (rule.when, *rule.unless)]
    locales = {"en", *(tag for when in conditions for tag in when.locale)}
    countries: set[str | None] = {None, *(code for when in conditions for code in when.country)}
    minutes = MINUTES if any(when.more and when.more.between for when in conditions) else (None,)
    choices = ((), *((name,) for name in sorted(_choices(conditions))))
    for severity in (4, 3, 2):
        everything = itertools.product(AUDIENCES, sorted(locales), sorted(countries, key=str), minutes, choices)
        for audience, locale, country, minute, prefers in itertools.islice(everything, LIMIT):
            view = View(
                "inbound",
                trajectory=advance(Trajectory(), severity, 0.0),
                audience=audience,
                locale=locale,
                country=country,
                around=Around(minute=minute, prefers=prefers),
            )
            if what := _missing(policy, severity, view):
                yield f"silences suicide: at severity {severity} {what} ({_who(view)})"
                break


def _missing(policy: Policy, severity: int, view: View) -> str:
    signal = Signal("suicide", severity, detector="floor", language=view.locale)
    verdict = decide(policy, (Found("floor", (signal,)),), view)
    if severity >= Severity.HIGH:
        if ACTION_RANK[verdict.action] < ACTION_RANK["replace"]:
            return f"the person gets no answer of ours, the action is {verdict.action}"
        return "" if verdict.cases else "no human is told"
    return "" if verdict.actions else "nothing is done"


def _choices(conditions: list[When]) -> set[str]:
    return {name for when in conditions if when.more for name in when.more.prefers}


def _who(view: View) -> str:
    parts = [f"audience {view.audience}", f"locale {view.locale}"]
    if view.country:
        parts.append(f"country {view.country}")
    if view.around.minute is not None:
        parts.append(f"at {view.around.minute // 60:02}:00")
    parts += [f"preferring {name}" for name in view.around.prefers]
    return ", ".join(parts)
