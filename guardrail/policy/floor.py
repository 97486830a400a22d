"""What no policy may leave unanswered. Everything else is the clinicians' decision; this needs a signed waiver."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from math import prod

import msgspec

from guardrail.core.conditions import Around, View
from guardrail.core.conversation import Episode, Trajectory, advance
from guardrail.core.decide import Verdict, decide
from guardrail.core.model import ACTION_RANK, Audience, Found, Severity, Signal
from guardrail.core.rules import Composite, More, Policy, Rule, When, indexed
from guardrail.core.weigh import weigh

AUDIENCES: tuple[Audience, ...] = ("adult", "minor", "unknown")
LIMIT = 50_000
"""Situations that are tried at most for each severity; a policy that distinguishes more is refused."""
DAY = 24 * 60
BEFORE = tuple(
    (Trajectory(level=float(level), peak=level, latch=level if level >= Severity.HIGH else 0), episode)
    for level in (0, 2, 3, 4)
    for episode in (
        Episode(),
        Episode(referred=True),
        Episode(answered=4, category="suicide", referred=True),
    )
)
"""What may have been before: nothing or danger of each grade, unanswered, with help shown, or answered."""


def gaps(policy: Policy) -> Iterator[str]:
    """How a policy silences suicide, one phrase each: nothing, where it does not.

    Somebody who says in earnest that they want to die gets an answer of ours and a human from ``high`` up, and a
    steered bot from ``elevated`` (clinical base table); once answered, what they say again goes to a human and steers
    the bot. Tried in every audience, after every grade of danger, and in every locale, country, detail, minute of the
    day and set of choices that some rule about suicide makes a difference for. A rule that also depends on what cannot
    be tried out (cues, scores, other signals, repetition, the course of a conversation) or that rests after it has
    fired guarantees nothing, and a composite that lowers is taken to lower.
    """
    rules = tuple(rule for rule in policy.rules if _is_about_it(rule.when) and _is_sure(rule))
    lowering = tuple(_unconditional(c) for c in policy.composites if c.weight < 0 and _is_about_it(c.when))
    sure = msgspec.structs.replace(policy, rules=rules, index=indexed(rules), composites=lowering)
    conditions = [when for rule in rules for when in (rule.when, *rule.unless)]
    conditions += [composite.when for composite in lowering]
    locales = sorted({"en", "und", *(tag for when in conditions for tag in when.locale)})
    countries = sorted({"", *(code for when in conditions for code in when.country)})
    details = sorted({"", *(detail for when in conditions for detail in when.detail)})
    minutes, choices = _minutes(conditions), _choices(conditions)
    if prod(map(len, (BEFORE, AUDIENCES, locales, countries, details, minutes, choices))) > LIMIT:
        yield "silences suicide, or may: it makes more distinctions than can be tried out"
        return
    for severity in (4, 3, 2):
        surroundings = itertools.product(BEFORE, AUDIENCES, locales, countries)
        for ((before, episode), audience, locale, country), detail, minute, prefers in itertools.product(
            surroundings, details, minutes, choices
        ):
            view = View(
                "inbound",
                trajectory=advance(before, severity, 0.0),
                episode=episode,
                audience=audience,
                locale=locale,
                country=country or None,
                around=Around(minute=minute, prefers=prefers),
            )
            if what := _missing(sure, Signal("suicide", severity, detector="floor", detail=detail), view):
                yield f"silences suicide: at severity {severity} {what} ({_who(before, view, detail)})"
                break


def _is_about_it(when: When) -> bool:
    return when.direction == "inbound" and (not when.signals or "suicide" in when.signals)


def _is_sure(rule: Rule) -> bool:
    """Whether everything a rule depends on can be tried out, and it fires each time."""
    return not rule.then.cool_down and all(
        when.level == (0.0, 4.0)
        and (when.more is None or msgspec.structs.replace(when.more, between=None, prefers=()) == More())
        for when in (rule.when, *rule.unless)
    )


def _unconditional(composite: Composite) -> Composite:
    """A composite as if all that cannot be tried out were so. Composites see the course *before* the turn."""
    when = msgspec.structs.replace(composite.when, latch=(0, 4), level=(0.0, 4.0), episode=None, drift=0.0, more=None)
    return msgspec.structs.replace(composite, when=when, unless=())


def _minutes(conditions: Iterable[When]) -> list[int | None]:
    """Minutes of the day on both sides of every edge some rule names, and ``None``: nobody says."""
    edges = {edge for when in conditions if when.more and when.more.between for edge in when.more.between}
    return [None, *sorted({(edge + step) % DAY for edge in edges for step in (-1, 0, 1)})]


def _choices(conditions: Iterable[When]) -> list[tuple[str, ...]]:
    """Every set of preferences out of those some rule names."""
    names = sorted({name for when in conditions if when.more for name in when.more.prefers})
    if len(names) > LIMIT.bit_length():
        return [()] * LIMIT
    return [chosen for size in range(len(names) + 1) for chosen in itertools.combinations(names, size)]


def _missing(policy: Policy, signal: Signal, view: View) -> str:
    findings, _ = weigh(policy.composites, (Found("floor", (signal,)),), view)
    verdict = decide(policy, findings, view)
    if signal.severity < Severity.HIGH:
        return "" if verdict.actions else "nothing is done"
    if not _is_answered(verdict, view):
        return f"the person gets no answer of ours, the action is {verdict.action}"
    return "" if verdict.cases else "no human is told"


def _is_answered(verdict: Verdict, view: View) -> bool:
    least = "steer" if view.episode.answered else "replace"
    return ACTION_RANK[verdict.action] >= ACTION_RANK[least]


def _who(before: Trajectory, view: View, detail: str) -> str:
    parts = [f"audience {view.audience}", f"locale {view.locale}"]
    if detail:
        parts.append(f"detail {detail}")
    if before.peak:
        parts.append(f"after severity {before.peak}")
    if view.episode.is_open:
        parts.append("after help was shown")
    if view.country:
        parts.append(f"country {view.country}")
    if view.around.minute is not None:
        parts.append(f"at {view.around.minute // 60:02}:{view.around.minute % 60:02}")
    parts += [f"preferring {name}" for name in view.around.prefers]
    return ", ".join(parts)
