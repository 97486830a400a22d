"""What a person in a known country is told: which lines, in which order, and the directory where they fall short."""

from __future__ import annotations

from collections.abc import Sequence

from guardrail.core.ports import HelpQuery
from guardrail.resources.model import EMERGENCY, Resource
from guardrail.resources.phrases import phrases
from guardrail.resources.render import line
from guardrail.resources.select import Standing, select, standing

MOST = 3
_EMERGENCIES = 2


def answer(resources: Sequence[Resource], query: HelpQuery) -> tuple[str, ...]:
    """One to three lines. May raise for resources whose hours cannot be computed, or a moment beyond the calendar."""
    kinds = _kinds(query)
    found = select(resources, kinds, query.locale, query.audience, query.at)
    others = [r for r in found if not r.is_emergency]
    emergencies = [line(r, query.locale, query.at, kinds) for r in found if r.is_emergency][:_EMERGENCIES]
    if not emergencies and _needs_emergency(kinds, others, query):
        emergencies = _ambulance(resources, query)
    return tuple((emergencies + _lines(kinds, others, query))[:MOST])


def _kinds(query: HelpQuery) -> tuple[str, ...]:
    """What is asked for, within two rules: poisoning never shows police (clinical base policy, emergency numbers);
    and a minor is offered the children's line too, since one for adults only may be all there is otherwise."""
    kinds = tuple(k for k in query.kinds if k != "emergency_police" or "poison" not in query.kinds)
    if query.audience == "minor" and any(k not in EMERGENCY for k in kinds) and "child_youth" not in kinds:
        return (*kinds, "child_youth")
    return kinds


def _crisis(others: Sequence[Resource], query: HelpQuery) -> list[Resource]:
    """Lines for somebody with suicide on their mind; for a minor the children's line is one."""
    kinds = {"suicide_crisis", "child_youth"} if query.audience == "minor" else {"suicide_crisis"}
    return [r for r in others if kinds.intersection(r.kind)]


def _lacks_line(kinds: Sequence[str], others: Sequence[Resource], query: HelpQuery) -> bool:
    """Nothing for what was asked, which is said plainly: a line of another kind does not stand for a crisis line."""
    if not others:
        return any(kind not in EMERGENCY for kind in kinds)
    return "suicide_crisis" in kinds and not _crisis(others, query)


def _needs_emergency(kinds: Sequence[str], others: Sequence[Resource], query: HelpQuery) -> bool:
    """Asked for; or nothing to offer; or suicide is on their mind and no crisis line is open to them for certain."""
    if not others or any(kind in EMERGENCY for kind in kinds):
        return True
    return "suicide_crisis" in kinds and all(standing(r, query.at) > Standing.USABLE for r in _crisis(others, query))


def _ambulance(resources: Sequence[Resource], query: HelpQuery) -> list[str]:
    """A country's ambulance, or the wording that is right in any country."""
    found = select(resources, EMERGENCY[:1], query.locale, query.audience, query.at)
    return [line(r, query.locale, query.at, EMERGENCY[:1]) for r in found][:1] or [phrases(query.locale)["unknown"]]


def _lines(kinds: Sequence[str], others: Sequence[Resource], query: HelpQuery) -> list[str]:
    """Lines open now; the directory where those may not be enough; then what is closed or long unchecked."""
    words = phrases(query.locale)
    grades = [standing(r, query.at) for r in others]
    now = [line(r, query.locale, query.at) for r, g in zip(others, grades, strict=True) if g <= Standing.REGIONAL]
    later = [line(r, query.locale, query.at) for r, g in zip(others, grades, strict=True) if g > Standing.REGIONAL]
    if _lacks_line(kinds, others, query):
        return [words["no_line"], *now, *later]
    if not others or (Standing.USABLE in grades and Standing.DEMOTED not in grades):
        return now + later
    return [*now, words["directory"], *later]
