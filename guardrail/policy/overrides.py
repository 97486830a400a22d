"""Overrides: something stricter for some people. What would be milder is an error, never a choice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from guardrail.core.model import ACTION_RANK, PRIORITIES
from guardrail.core.rules import CaseRule, Rule, Then
from guardrail.policy.rules import At, Override, read_then
from guardrail.policy.sense import mismatches
from guardrail.policy.source import Problems, Source

T = TypeVar("T")


def tighter(rule: Rule, override: Override, source: Source, problems: Problems, at: At) -> Rule | None:
    """The rule as it is for the override's people; what is wrong with it is added to ``problems``."""
    before = len(problems)
    then = read_then(source, problems, (*at, "then"), _over(_raw(rule.then), override.then))
    for what in loosened(rule.then, then):
        wrong = f"{override.id} is milder than {rule.id}: {what}; an override may only tighten"
        problems.add(source, (*at, "then"), wrong)
    narrowed = {
        name: _both(getattr(rule.when, name), getattr(override.whom, name))
        for name in ("audience", "locale", "country")
    }
    for name, found in narrowed.items():
        if found is None:
            problems.add(source, (*at, "for"), f"{rule.id} is never asked for this {name}; change for")
    if len(problems) > before:
        return None
    when = msgspec.structs.replace(rule.when, **narrowed)
    for what in mismatches(when, then):
        problems.add(source, (*at, "then"), what)
    return Rule(override.id, when, then, override.source, rule.unless)


def _over(rule: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """What an override leaves out is as in the rule, within its case too."""
    whole = {**rule, **override}
    if isinstance(rule.get("case"), dict) and isinstance(override.get("case"), dict):
        whole["case"] = {**rule["case"], **override["case"]}
    return whole


def loosened(before: Then, after: Then) -> Iterator[str]:
    """In what ``after`` is milder than ``before``, one phrase each."""
    if ACTION_RANK[after.action] < ACTION_RANK[before.action]:
        yield f"{after.action} instead of {before.action}"
    if before.case is not None and after.case is None:
        yield "no human is told"
    if before.case is not None and after.case is not None and after.case.deadline > before.case.deadline:
        yield f"a human has {after.case.deadline / 60:g} min instead of {before.case.deadline / 60:g}"
    if before.case is not None and after.case is not None and _rank(after.case) > _rank(before.case):
        yield f"the case has no longer {before.case.priority} priority"
    if missing := [kind for kind in before.resources if kind not in after.resources]:
        yield f"help is missing: {', '.join(missing)}"
    if before.steer and not after.steer:
        yield "the bot is not steered"
    if after.cool_down > before.cool_down:
        yield "it is answered less often"


def _rank(case: CaseRule) -> int:
    return (*PRIORITIES, "").index(case.priority)


def _both(rule: tuple[T, ...], override: tuple[T, ...]) -> tuple[T, ...] | None:
    """What both allow; empty means any. ``None``: nothing."""
    if not rule or not override:
        return rule or override
    return tuple(one for one in override if one in rule) or None


def _raw(then: Then) -> dict[str, Any]:
    """A consequence as it would be written."""
    raw: dict[str, Any] = {"action": then.action}
    if then.response:
        raw["response"] = then.response
    if then.steer:
        raw["steer"] = then.steer
    if then.resources:
        raw["help"] = list(then.resources)
    if then.case is not None:
        raw["case"] = {"deadline": f"{then.case.deadline:.0f}s"}
        raw["case"] |= {"priority": then.case.priority} if then.case.priority else {}
        raw["case"] |= {"ladder": then.case.ladder} if then.case.ladder else {}
    if then.cool_down:
        raw["cool_down"] = f"{then.cool_down:.0f}s"
    return raw
