"""Running vignettes: does a policy do what they say, and which of its rules would be missed?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import msgspec

from guardrail.core.compose import compose, languages
from guardrail.core.conversation import State
from guardrail.core.decide import Verdict
from guardrail.core.model import Audience, Context, Direction, Finding, Found, Message, Role
from guardrail.core.ports import HelpQuery
from guardrail.core.rules import Policy, indexed
from guardrail.core.turn import Judged, judge
from guardrail.policy.vignettes import Turn, Vignette, listed
from guardrail.policy.vocabulary import bounds

Look = Callable[[str, Context], Sequence[Finding]]
"""Runs the detectors on one turn."""


class Seen:
    """What detectors see in vignettes, looked at once however many policies are tried on them."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._known: dict[tuple[str, int], Sequence[Finding]] = {}

    def of(self, vignette: Vignette, turn: int, text: str, context: Context) -> Sequence[Finding]:
        key = (vignette.id, turn)
        if key not in self._known:
            self._known[key] = self._look(text, context)
        return self._known[key]


class Outcome(msgspec.Struct, frozen=True):
    """How the vignettes went. ``failures`` are one line each; ``fired`` the rules that some turn made fire;
    ``unproven`` those whose absence no vignette would notice. Composites count as rules here."""

    total: int
    calm: int
    failures: tuple[str, ...]
    fired: tuple[str, ...]
    rules: int
    unproven: tuple[str, ...] = ()


def run(
    policy: Policy, vignettes: Sequence[Vignette], look: Look | Seen, progress: Callable[[int], None] = lambda n: None
) -> Outcome:
    """Run vignettes through the detectors and the policy, each from a calm beginning, its clock frozen."""
    seen = look if isinstance(look, Seen) else Seen(look)
    failures: list[str] = []
    fired: dict[str, list[Vignette]] = {}
    for n, vignette in enumerate(vignettes):
        progress(n)
        for turn, judged in verdicts(policy, vignette, seen):
            for step in judged.verdict.trail:
                if step.fired and vignette not in (known := fired.setdefault(step.rule, [])):
                    known.append(vignette)
            found = _differences(policy, turn.expect, judged.verdict, vignette)
            failures += [f"{turn.where}: {vignette.id}: {what}" for what in found]
    rules = [*(rule.id for rule in policy.rules), *(composite.id for composite in policy.composites)]
    calm = sum(v.must_not_escalate for v in vignettes)
    unproven = [rule for rule in rules if not any(_misses(policy, rule, v, seen) for v in fired.get(rule, ()))]
    return Outcome(
        len(vignettes), calm, tuple(failures), tuple(r for r in rules if r in fired), len(rules), tuple(unproven)
    )


def proofs(policy: Policy, vignettes: Sequence[Vignette], seen: Seen) -> dict[str, list[str]]:
    """The vignettes in which each rule fires, by rule."""
    found: dict[str, list[str]] = {}
    for vignette in vignettes:
        for _, judged in verdicts(policy, vignette, seen):
            for step in judged.verdict.trail:
                if step.fired and vignette.id not in (known := found.setdefault(step.rule, [])):
                    known.append(vignette.id)
    return found


def _misses(policy: Policy, rule: str, vignette: Vignette, seen: Seen) -> bool:
    """Whether a vignette that passes with a rule fails without it: only then does it prove the rule."""
    without = _without(policy, rule)
    return any(
        next(_differences(without, turn.expect, judged.verdict, vignette), None)
        for turn, judged in verdicts(without, vignette, seen)
    )


def _without(policy: Policy, rule: str) -> Policy:
    rules = tuple(r for r in policy.rules if r.id != rule)
    composites = tuple(c for c in policy.composites if c.id != rule)
    return msgspec.structs.replace(policy, rules=rules, composites=composites, index=indexed(rules))


def verdicts(policy: Policy, vignette: Vignette, seen: Seen) -> Iterator[tuple[Turn, Judged]]:
    """Each turn of a vignette, judged."""
    state = State(vignette.id)
    history: tuple[Message, ...] = ()
    audience = cast("Audience", vignette.audience)
    now = 0.0
    for i, turn in enumerate(vignette.turns):
        direction: Direction = "inbound" if turn.role == "user" else "outbound"
        now += turn.after
        around = vignette.around
        if around.minute is not None:
            around = msgspec.structs.replace(around, minute=int(around.minute + now // 60) % 1440)
        if turn.sees is None:
            findings = seen.of(vignette, i, turn.text, Context(direction, history, vignette.locale, audience))
        else:
            findings = (Found("stated", turn.sees),)
        judged = judge(
            policy,
            findings,
            state,
            direction=direction,
            now=now,
            locale=vignette.locale or "en",
            country=vignette.country,
            audience=audience,
            around=around,
        )
        state = judged.state
        history = (*history, Message(cast("Role", turn.role), turn.text))
        yield turn, judged


def _differences(policy: Policy, expect: dict[str, Any], verdict: Verdict, vignette: Vignette) -> Iterator[str]:
    actual: dict[str, Any] = {"action": verdict.action, "response": verdict.response, "case": bool(verdict.cases)}
    for key, value in actual.items():
        if key in expect and actual[key] not in listed(expect[key]):
            yield f"{key} is {value}, not {expect[key]}"
    if "severity" in expect:
        low, high = cast("tuple[float, float]", bounds(expect["severity"], 0, 4))
        if not low <= verdict.severity <= high:
            yield f"severity is {verdict.severity}, not {expect['severity']} (signals: {_signals(verdict)})"
    fired = [step.rule for step in verdict.trail if step.fired]
    if "rule" in expect and expect["rule"] not in fired:
        yield f"the rule {expect['rule']} did not fire (fired: {', '.join(fired) or 'none'})"
    if "not_rule" in expect and (wrong := [rule for rule in listed(expect["not_rule"]) if rule in fired]):
        yield f"the rule {wrong[0]} fired"
    if "signal" in expect and not set(listed(expect["signal"])) <= {s.name for s in verdict.signals}:
        yield f"no signal {expect['signal']} (signals: {_signals(verdict)})"
    if "deadline" in expect and expect["deadline"] not in [c.deadline for c in verdict.cases]:
        yield f"no case with a deadline of {expect['deadline']} s"
    if "reply" in expect:
        yield from _of_reply(expect["reply"], reply(policy, verdict, vignette))


def _of_reply(expected: dict[str, Any], text: str) -> Iterator[str]:
    for part in listed(expected.get("has", [])):
        if part.casefold() not in text.casefold():
            yield f"the reply lacks {part!r}"
    for part in listed(expected.get("lacks", [])):
        if part.casefold() in text.casefold():
            yield f"the reply has {part!r}"


class _Kinds:
    """Help as the names of its kinds: a vignette is about a policy, not about this year's telephone numbers."""

    def lines(self, query: HelpQuery) -> tuple[str, ...]:
        return tuple(f"[{kind}]" for kind in query.kinds)


def reply(policy: Policy, verdict: Verdict, vignette: Vignette) -> str:
    """The text of ours that the person would read, with the kinds of help in brackets; empty where there is none."""
    if not verdict.response:
        return ""
    return compose(
        policy,
        verdict,
        tongues=languages(vignette.locale, verdict.signals, "", "en", policy.responses),
        help_lines=_Kinds(),
        country=vignette.country,
        audience=cast("Audience", vignette.audience),
        at=0.0,
        told=bool(verdict.cases),
    )


def _signals(verdict: Verdict) -> str:
    return ", ".join(f"{s.name} {s.severity} {s.pattern}" for s in verdict.signals) or "none"
