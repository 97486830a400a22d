"""Why a turn got its verdict: what was seen, which rules were considered, and why each did or did not fire."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from guardrail.core.conditions import View
from guardrail.core.decide import Verdict, why_not
from guardrail.core.model import Signal
from guardrail.core.rules import Policy
from guardrail.policy.phrases import ACTIONS, GRADES, describe, span

MARKS = ("\u27e6", "\u27e7")
"""What stands around a span in plain text."""


class Considered(msgspec.Struct, frozen=True):
    """One rule and one signal (empty: the turn as a whole)."""

    rule: str
    signal: str
    fired: bool
    why: str
    says: str


class Explained(msgspec.Struct, frozen=True):
    text: str
    verdict: Verdict
    considered: tuple[Considered, ...]


def explain(policy: Policy, text: str, verdict: Verdict, view: View) -> Explained:
    """Every rule that speaks of what was seen, in the policy's order. ``view``: what the decision depended on."""
    present = {s.name for s in verdict.signals}
    fired = {(step.rule, step.signal) for step in verdict.trail if step.fired}
    found = []
    for rule in policy.rules:
        if rule.when.direction != verdict.direction:
            continue
        asked = [s for s in verdict.signals if s.name in rule.when.signals]
        for signal in asked or ([Signal("", verdict.severity)] if not rule.when.signals else []):
            why = why_not(rule, signal, view, present)
            found.append(Considered(rule.id, signal.name, (rule.id, signal.name) in fired, why, describe(rule)))
    return Explained(text, verdict, tuple(found))


def lines(explained: Explained) -> Iterator[str]:
    """The explanation in plain sentences."""
    verdict = explained.verdict
    yield highlighted(explained.text, [span for s in verdict.signals for span in s.spans])
    yield ""
    if not verdict.signals:
        yield "Nothing was seen."
    for s in verdict.signals:
        about = {"self": "themselves", "other": "somebody else", "child": "a child"}[s.subject]
        seen = f"{s.name} {s.severity} ({GRADES[s.severity]}), about {about}, {s.frame}, {s.time}"
        yield f"Seen: {seen}{f', {s.detail}' if s.detail else ''}; by {s.detector}, {s.pattern}, score {s.score:.2f}"
    for failed in verdict.failures:
        yield f"Failed: {failed.detector} ({failed.reason})"
    for step in verdict.trail:
        if "counts as" in step.why or "never lowered" in step.why:
            yield f"Weighed by {step.rule}: {step.why}"
    yield ""
    done = " and ".join(ACTIONS[action] for action in verdict.actions) or "nothing is done"
    yield f"What happens: {done}" + (f" ({verdict.response})" if verdict.response else "") + "."
    if verdict.resources:
        yield f"Help: {', '.join(kind.replace('_', ' ') for kind in verdict.resources)}."
    if verdict.steer:
        yield f"Guidance to the bot: {', '.join(verdict.steer)}."
    yield from (f"A human is told: {c.category}, to answer within {span(c.deadline)}." for c in verdict.cases)
    yield ""
    fired = [c for c in explained.considered if c.fired]
    yield f"Rules that fired: {len(fired)}"
    yield from (f"  {c.rule}: {c.says}" for c in fired)
    yield "Rules that speak of it and did not fire, and why:"
    for c in explained.considered:
        if not c.fired:
            yield f"  {c.rule} ({c.signal or 'the turn'}): {c.why or 'it has answered already'}"


def highlighted(text: str, spans: list[tuple[int, int]]) -> str:
    """The text with its spans marked; those that overlap are joined."""
    joined: list[list[int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([start, end])
    for start, end in reversed(joined):
        text = f"{text[:start]}{MARKS[0]}{text[start:end]}{MARKS[1]}{text[end:]}"
    return text
