"""What no policy may leave unanswered. Everything else is the clinicians' decision; this needs a signed waiver."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec

from guardrail.core.conditions import Around, View
from guardrail.core.conversation import Episode, Trajectory, advance
from guardrail.core.decide import decide
from guardrail.core.model import ACTION_RANK, Audience, Found, Severity, Signal
from guardrail.core.rules import More, Policy, Rule, When, indexed
from guardrail.core.weigh import weigh

AUDIENCES: tuple[Audience, ...] = ("adult", "minor", "unknown")
MINUTES = (None, 3 * 60, 9 * 60, 15 * 60, 21 * 60)
"""Times of day that are tried; ``None``: nobody says."""
LIMIT = 50_000
"""Situations that are tried at most."""


def gaps(policy: Policy) -> Iterator[str]:
    """How a policy silences suicide, one phrase each: nothing, where it does not.

    Somebody who says in earnest that they want to die gets an answer of ours and a human from ``high`` up, and a
    steered bot from ``elevated`` (clinical base table). Tried in every audience, at the beginning of a conversation
    and after graver danger, and in every locale, country, detail, part of the day and choice that some rule makes a
    difference for. A rule that also depends on what cannot be tried out (cues, scores, other signals, repetition, the
    course of a conversation) guarantees nothing, and a composite that lowers is taken to lower.
    """
    rules = tuple(rule for rule in policy.rules if _is_sure(rule))
    lowering = tuple(
        msgspec.structs.replace(composite, when=msgspec.structs.replace(composite.when, more=None), unless=())
        for composite in policy.composites
        if composite.weight < 0
    )
    sure = msgspec.structs.replace(policy, rules=rules, index=indexed(rules), composites=lowering)
    conditions = [when for rule in rules for when in (rule.when, *rule.unless)]
    conditions += [composite.when for composite in lowering]
    locales = {"en", *(tag for when in conditions for tag in when.locale)}
    countries: set[str | None] = {None, *(code for when in conditions for code in when.country)}
    details = {"", *(detail for when in conditions for detail in when.detail)}
    minutes = MINUTES if any(when.more and when.more.between for when in conditions) else (None,)
    choices = ((), *((name,) for name in sorted(_choices(conditions))))
    for severity in (4, 3, 2):
        everything = itertools.product(
            BEFORE, AUDIENCES, sorted(locales), sorted(countries, key=str), sorted(details), minutes, choices
        )
        for (before, episode), audience, locale, country, detail, minute, prefers in itertools.islice(
            everything, LIMIT
        ):
            view = View(
                "inbound",
                trajectory=advance(before, severity, 0.0),
                episode=episode,
                audience=audience,
                locale=locale,
                country=country,
                around=Around(minute=minute, prefers=prefers),
            )
            if what := _missing(sure, Signal("suicide", severity, detector="floor", detail=detail), view):
                yield f"silences suicide: at severity {severity} {what} ({_who(view, detail)})"
                break


BEFORE = (
    (Trajectory(), Episode()),
    (Trajectory(level=4.0, peak=4, latch=4), Episode()),
    (Trajectory(level=2.0, peak=2), Episode(referred=True)),
)
"""What may have been before: nothing, graver danger, help that was shown."""


def _is_sure(rule: Rule) -> bool:
    """Whether everything a rule depends on can be tried out."""
    return all(
        when.more is None or msgspec.structs.replace(when.more, between=None, prefers=()) == More()
        for when in (rule.when, *rule.unless)
    )


def _missing(policy: Policy, signal: Signal, view: View) -> str:
    findings, _ = weigh(policy.composites, (Found("floor", (signal,)),), view)
    verdict = decide(policy, findings, view)
    if signal.severity >= Severity.HIGH:
        if ACTION_RANK[verdict.action] < ACTION_RANK["replace"]:
            return f"the person gets no answer of ours, the action is {verdict.action}"
        return "" if verdict.cases else "no human is told"
    return "" if verdict.actions else "nothing is done"


def _choices(conditions: list[When]) -> set[str]:
    return {name for when in conditions if when.more for name in when.more.prefers}


def _who(view: View, detail: str) -> str:
    parts = [f"audience {view.audience}", f"locale {view.locale}"]
    if detail:
        parts.append(f"detail {detail}")
    if view.trajectory.latch > view.trajectory.last:
        parts.append("after graver danger")
    if view.episode.is_open:
        parts.append("after help was shown")
    if view.country:
        parts.append(f"country {view.country}")
    if view.around.minute is not None:
        parts.append(f"at {view.around.minute // 60:02}:00")
    parts += [f"preferring {name}" for name in view.around.prefers]
    return ", ".join(parts)
