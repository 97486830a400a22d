"""In what one version of a policy does less for people than another: one phrase each, for ``diff`` and ``lint``.

It reads each rule by itself: that another rule stands in for what one no longer does is for the reader to see.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from guardrail.core.decide import Verdict
from guardrail.core.model import ACTION_RANK
from guardrail.core.rules import Composite, Rule, Then, When
from guardrail.policy.narrower import narrower
from guardrail.policy.overrides import loosened
from guardrail.policy.phrases import exception, span, when
from guardrail.policy.vignettes import listed
from guardrail.policy.vocabulary import bounds


def milder_then(before: Then, after: Then) -> Iterator[str]:
    yield from loosened(before, after)
    if before.response and not after.response:
        yield f"no text of ours is shown, before {before.response}"


def milder_rule(before: Rule, after: Rule) -> Iterator[str]:
    """What is done, when, and with which exceptions."""
    yield from milder_then(before.then, after.then)
    yield from narrower(before.when, after.when)
    yield from _exceptions(before.unless, after.unless)


def milder_composite(before: Composite | None, after: Composite | None) -> Iterator[str]:
    """``None``: there is none. What lowers more, or raises less, is milder."""
    if before is None or after is None:
        if after is not None and after.weight < 0:
            yield f"it takes {_weight(after)} where {when(after.when)}"
        if before is not None and before.weight > 0:
            yield f"nothing adds {_weight(before)} any more where {when(before.when)}"
        return
    if after.weight < before.weight:
        yield f"it {_moves(after)}, before it {_moves(before)}"
    if before.weight > 0:
        yield from narrower(before.when, after.when)
        yield from _exceptions(before.unless, after.unless)
    if after.weight < 0 and any(narrower(after.when, before.when)):
        yield f"it takes weight in more cases: where {when(after.when)}"
    if after.weight < 0:
        for one in before.unless:
            if not _is_covered(one, after.unless):
                yield f"it takes weight also where {exception(one)}"


def _weight(composite: Composite) -> str:
    count = abs(composite.weight)
    return f"{count} grade{'s' * (count > 1)}"


def _moves(composite: Composite) -> str:
    return f"{'adds' if composite.weight > 0 else 'takes'} {_weight(composite)}"


def _exceptions(before: Sequence[When], after: Sequence[When]) -> Iterator[str]:
    """Exceptions that none of those before covers."""
    for one in after:
        if not _is_covered(one, before):
            yield f"a new or wider exception: {exception(one)}"


def _is_covered(one: When, by: Sequence[When]) -> bool:
    return any(not any(narrower(one, other)) for other in by)


def milder_text(before: str | None, after: str | None, locale: str) -> Iterator[str]:
    """Of a response. A text that no longer holds a placeholder no longer says what stood there."""
    if before is None:
        return
    if after is None:
        yield f"there is no text in {locale} any more: people are answered in another language, or not"
        return
    for placeholder, what in (("{help}", "where help is found"), ("{told}", "whether a human was told")):
        if placeholder in before and placeholder not in after:
            yield f"it no longer says {what}"


def milder_verdict(before: Verdict, after: Verdict) -> Iterator[str]:
    """Of one and the same turn."""
    if after.severity < before.severity:
        yield f"grade {after.severity} instead of {before.severity}"
    if gone := [action for action in before.actions if ACTION_RANK[action] > ACTION_RANK[after.action]]:
        yield f"{after.action} instead of {gone[-1]}"
    if before.response and not after.response:
        yield f"no text of ours is shown, before {before.response}"
    if missing := [kind for kind in before.resources if kind not in after.resources]:
        yield f"help is missing: {', '.join(missing)}"
    if before.steer and not after.steer:
        yield "the bot is not steered"
    cases = {case.category: case.deadline for case in after.cases}
    for case in before.cases:
        if case.category not in cases:
            yield f"no human is told of {case.category.replace('_', ' ')}"
        elif cases[case.category] > case.deadline:
            yield f"a human has {span(cases[case.category])} instead of {span(case.deadline)}"


def milder_expectation(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """In what a vignette's turn asks for less than it did. What it no longer asks is no longer proven."""
    old, new = _least_action(before), _least_action(after)
    if old and ACTION_RANK[new or "pass"] < ACTION_RANK[old]:
        yield f"{new} is enough, before {old} was asked for" if new else f"{old} is no longer asked for"
    if before.get("case") is True and after.get("case") is not True:
        yield "that a human is told is no longer asked for"
    if "deadline" in before and "deadline" not in after:
        yield "how soon a human answers is no longer asked for"
    elif "deadline" in before and _seconds(after["deadline"]) > _seconds(before["deadline"]):
        yield f"a human may take {span(_seconds(after['deadline']))} instead of {span(_seconds(before['deadline']))}"
    if "response" in before and any(listed(before["response"])) and not any(listed(after.get("response"))):
        yield "a text of ours is no longer asked for"
    had, has = ([str(part) for part in listed(one.get("reply", {}).get("has", []))] for one in (before, after))
    if gone := [part for part in had if part not in has]:
        yield f"the reply need no longer hold {', '.join(gone)}"
    least = [_least_grade(one) for one in (before, after)]
    if least[1] < least[0] and "severity" not in after:
        yield f"grade {least[0]:g} is no longer asked for"
    elif least[1] < least[0]:
        yield f"grade {least[1]:g} is enough, before {least[0]:g} was asked for"


def _least_action(expect: Mapping[str, Any]) -> str:
    """The mildest of the actions that would do; empty: nothing is asked."""
    return min((str(one) for one in listed(expect.get("action")) if one), key=ACTION_RANK.__getitem__, default="")


def _least_grade(expect: Mapping[str, Any]) -> float:
    return cast("tuple[float, float]", bounds(expect["severity"], 0, 4))[0] if "severity" in expect else 0.0


def _seconds(deadline: Any) -> float:
    """The longest of the deadlines that would do."""
    return max((float(one) for one in listed(deadline) if isinstance(one, int | float)), default=0.0)
