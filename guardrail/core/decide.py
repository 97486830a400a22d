"""Findings and a compiled policy in, one verdict out.

Rules are indexed by the signal they speak of, so the cost follows the signals present and not the number of rules.
What a verdict says happened is in its trail: which rules were considered, why each did or did not fire. Trails hold
pattern identifiers and offsets, never words.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence

import msgspec

from guardrail.core.conditions import View, exception, refusal
from guardrail.core.conversation import SENTENCE_FROM, Granularity, Trajectory, granularity
from guardrail.core.model import (
    ACTION_RANK,
    CATEGORIES,
    GRADED,
    PRIORITIES,
    Action,
    Audience,
    Direction,
    Failed,
    Finding,
    Severity,
    Signal,
)
from guardrail.core.rules import CaseRule, Policy, Rule, Then, When


class CaseDraft(msgspec.Struct, frozen=True):
    """A case the verdict asks for; the edge gives it an id and commits it."""

    category: str
    severity: int
    deadline: float
    rule: str
    subject: str = "self"
    detail: str = ""
    priority: str = ""
    ladder: str = ""


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a trail: a rule that was considered for a signal, and why it did or did not fire."""

    rule: str
    fired: bool
    signal: str = ""
    severity: int = 0
    pattern: str = ""
    spans: tuple[tuple[int, int], ...] = ()
    why: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """What is done with one turn, and the trail that explains it."""

    direction: Direction
    severity: int
    action: Action
    actions: tuple[Action, ...]
    signals: tuple[Signal, ...]
    rule: str
    policy: str
    policy_hash: str
    signed_by: str = ""
    category: str = ""
    subject: str = "self"
    response: str = ""
    steer: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    cases: tuple[CaseDraft, ...] = ()
    granularity: Granularity = "clause"
    failures: tuple[Failed, ...] = ()
    trail: tuple[Step, ...] = ()
    locale: str = ""
    country: str = ""
    audience: Audience = "unknown"
    grades: tuple[int, ...] = ()
    """The severity that detectors gave each of ``signals``, before composites moved it."""
    cues: tuple[str, ...] = ()
    prefers: tuple[str, ...] = ()
    """As the decision knew them, cues by their names only: what is needed to decide again under another policy."""


def effect_of(verdict: Verdict) -> tuple[object, ...]:
    """What a verdict comes to for the people concerned: two that agree in this differ in names only."""
    cases = tuple(sorted((c.category, c.severity, c.deadline, c.priority, c.ladder) for c in verdict.cases))
    return (verdict.severity, verdict.actions, verdict.response, verdict.resources, verdict.steer, cases)


_CATEGORY_RANK = {name: rank for rank, name in enumerate(CATEGORIES)}
_URGENCY = {name: rank for rank, name in enumerate((*PRIORITIES, ""))}
_NEARNESS: Mapping[str, int] = {"self": 2, "child": 1, "other": 0}
"""Between equals: the person, then a child, then anybody else. Detectors report in no order."""


def severity_of(signals: Sequence[Signal], direction: Direction) -> int:
    """The judged turn's own severity: the maximum over the signals that carry one in this direction."""
    graded = GRADED[direction]
    return max((s.severity for s in signals if s.name in graded), default=0)


def decide(
    policy: Policy,
    findings: Sequence[Finding],
    view: View,
    weighed: Sequence[Step] = (),
    grades: tuple[int, ...] | None = None,
) -> Verdict:
    """The verdict on one turn. Total: any findings, any view, always an answer.

    ``weighed``: what composites have done to the findings, for the trail. ``grades``: the severity of each signal
    before that; ``None``: as it is.
    """
    signals = tuple(s for f in findings if not isinstance(f, Failed) for s in f.signals)
    failures = tuple(f for f in findings if isinstance(f, Failed))
    fired, trail = _consider(policy, signals, view)
    trail[:0] = weighed
    if any(failed.required for failed in failures):
        answer = (
            policy.on_failure.detector_inbound if view.direction == "inbound" else policy.on_failure.detector_outbound
        )
        fired.append((Rule(id="on_failure.detector", when=When(view.direction, ()), then=answer), None))
        trail.append(
            Step(rule="on_failure.detector", fired=True, why=", ".join(f"{f.detector}: {f.reason}" for f in failures))
        )
    if view.store_failed:
        fired.append((Rule(id="on_failure.store", when=When(view.direction, ()), then=policy.on_failure.store), None))
        trail.append(Step(rule="on_failure.store", fired=True, why="the conversation store did not answer"))
    if not fired and not signals and not failures:
        return _nothing(policy.name, policy.hash, policy.signed_by, view.direction, granularity(view.trajectory))
    grades = tuple(int(s.severity) for s in signals) if grades is None else grades
    return _combine(policy, signals, failures, fired, trail, view, grades)


@functools.lru_cache(maxsize=64)
def _nothing(policy: str, policy_hash: str, signed_by: str, direction: Direction, grain: Granularity) -> Verdict:
    """The verdict on nearly every turn there is: nothing was seen, nothing is done."""
    return Verdict(direction, 0, "pass", (), (), "", policy, policy_hash, signed_by, granularity=grain)


def _consider(
    policy: Policy, signals: Sequence[Signal], view: View
) -> tuple[list[tuple[Rule, Signal | None]], list[Step]]:
    fired: list[tuple[Rule, Signal | None]] = []
    trail: list[Step] = []
    present = {s.name for s in signals if s.severity or s.name not in GRADED[view.direction]}
    for signal in signals:
        key = (view.direction, signal.name, signal.severity, view.audience, signal.subject)
        for rule in policy.index.get(key, ()):
            why = why_not(rule, signal, view, present)
            trail.append(Step(rule.id, not why, signal.name, signal.severity, signal.pattern, signal.spans, why))
            if not why:
                fired.append((rule, signal))
    turn = Signal("", severity_of(signals, view.direction))
    for rule in policy.index.get((view.direction, "", turn.severity, view.audience, turn.subject), ()):
        if not why_not(rule, turn, view, present):
            trail.append(Step(rule.id, True, severity=turn.severity))
            fired.append((rule, None))
    return fired, trail


def why_not(rule: Rule, signal: Signal, view: View, present: Collection[str]) -> str:
    """Why a rule does not fire for a signal; empty when it does."""
    why = refusal(rule.when, signal, view, present)
    if not why and rule.unless:
        why = exception(rule.unless, signal, view, present)
    if not why and rule.then.cool_down:
        last = dict(view.cooled).get(rule.id)
        if last is not None and 0 <= view.now - last < rule.then.cool_down:
            why = "it fired a moment ago, and cools down"
    return why


def _combine(
    policy: Policy,
    signals: tuple[Signal, ...],
    failures: tuple[Failed, ...],
    fired: list[tuple[Rule, Signal | None]],
    trail: list[Step],
    view: View,
    grades: tuple[int, ...],
) -> Verdict:
    severity = severity_of(signals, view.direction)
    ranked = sorted(fired, key=_strength, reverse=True)
    repeats = [_is_repeat(rule.then, signal, severity, view) for rule, signal in ranked]
    voice = next((p for p, again in zip(ranked, repeats, strict=True) if _takes_over(p[0].then) and not again), None)
    shows_again = not view.episode.referred or any(s.name == "asks_numbers" for s in signals)
    steers: list[str] = []
    resources: list[str] = []
    actions: set[Action] = set()
    cases: dict[str, CaseDraft] = {}
    response = ""
    for (rule, signal), again in zip(ranked, repeats, strict=True):
        then = rule.then
        action = then.action
        if then.steer and then.steer not in steers:
            steers.append(then.steer)
            actions.add("steer")
        if again and signal is not None:
            trail.append(Step(rule.id, False, signal.name, signal.severity, why="already answered in this episode"))
            action = "steer"
        if action not in ("support", "pass"):
            actions.add(action)
        shown = not again and (_takes_over(then) or shows_again) and _goes_with(voice, rule, signal)
        if then.resources and shown:
            actions.add("support")
            resources.extend(kind for kind in then.resources if kind not in resources)
        if not response and _speaks(action, actions):
            response = then.response
        if then.case and signal is not None:
            cases[signal.name] = _both(cases.get(signal.name), _draft(rule.id, then.case, signal))
    strictest: Action = max(actions, key=ACTION_RANK.__getitem__, default="pass")
    top = (voice[1] if voice else None) or _foremost(signals, view.direction)
    return Verdict(
        direction=view.direction,
        severity=severity,
        action=strictest,
        actions=tuple(sorted(actions, key=ACTION_RANK.__getitem__)),
        signals=signals,
        rule=(voice or ranked[0])[0].id if ranked else "",
        policy=policy.name,
        policy_hash=policy.hash,
        signed_by=policy.signed_by,
        category=top.name if top else "",
        subject=top.subject if top else "self",
        response=response,
        steer=tuple(steers),
        resources=tuple(resources),
        cases=tuple(cases.values()),
        granularity=granularity(view.trajectory),
        failures=failures,
        trail=tuple(trail),
        locale=view.locale,
        country=view.country or "",
        audience=view.audience,
        grades=grades,
        cues=tuple(name for name, _ in view.around.cues),
        prefers=view.around.prefers,
    )


def _draft(rule: str, case: CaseRule, signal: Signal) -> CaseDraft:
    return CaseDraft(
        signal.name, signal.severity, case.deadline, rule, signal.subject, signal.detail, case.priority, case.ladder
    )


def _both(known: CaseDraft | None, new: CaseDraft) -> CaseDraft:
    """One case a category: the shorter deadline, with the more urgent priority and a ladder either asks for."""
    if known is None:
        return new
    first, second = (new, known) if new.deadline < known.deadline else (known, new)
    return msgspec.structs.replace(
        first,
        priority=min(first.priority, second.priority, key=_URGENCY.__getitem__),
        ladder=first.ladder or second.ladder,
    )


def _is_repeat(then: Then, signal: Signal | None, severity: int, view: View) -> bool:
    """One authored reply an episode: after that the bot goes on, steered, unless urgency rises.

    A card that showed no help (abuse: privacy first) does not keep help from another danger said after it,
    and a card for somebody worried about another is no answer to their own danger. An echo of turns that were judged
    before is no fresh evidence.
    """
    if then.action != "replace" or signal is None or view.direction == "outbound":
        return False
    if signal.echo:
        return True
    another = view.episode.category not in ("", signal.name)
    brings_first_help = another and bool(then.resources) and not view.episode.referred
    own_after_helper = signal.subject == "self" and view.episode.subject != "self"
    return 0 < severity <= view.episode.answered and not brings_first_help and not own_after_helper


def _takes_over(then: Then) -> bool:
    return ACTION_RANK[then.action] >= ACTION_RANK["replace"]


def _goes_with(voice: tuple[Rule, Signal | None] | None, rule: Rule, signal: Signal | None) -> bool:
    """Whether a rule's help is shown beside the text that takes the reply's place.

    A text goes with its own rule's help, that of equally urgent ones, and what was asked for. One written
    without help is shown without: somebody may be reading along, and must not find a helpline beside it.
    """
    if voice is None or rule is voice[0] or (signal is not None and signal.name == "asks_numbers"):
        return True
    if not voice[0].then.resources or signal is None or voice[1] is None:
        return False
    return _takes_over(rule.then) and signal.severity == voice[1].severity


def _speaks(action: Action, actions: set[Action]) -> bool:
    """Whether a rule's text is used: it takes the reply's place, or goes with help that is offered."""
    return ACTION_RANK[action] >= ACTION_RANK["rewrite"] or (action == "support" and "support" in actions)


def _strength(pair: tuple[Rule, Signal | None]) -> tuple[int, int, int, int]:
    rule, signal = pair
    if signal is None:
        return (ACTION_RANK[rule.then.action], 0, 0, 0)
    return (ACTION_RANK[rule.then.action], *_weight(signal))


def _weight(signal: Signal) -> tuple[int, int, int]:
    """The gravest first; of two alike, the danger to the one who writes."""
    return (signal.severity, -_CATEGORY_RANK.get(signal.name, 99), _NEARNESS[signal.subject])


def _foremost(signals: Sequence[Signal], direction: Direction) -> Signal | None:
    graded = [s for s in signals if s.name in GRADED[direction] and s.severity > Severity.NONE]
    return max(graded, key=_weight, default=None)


def needs_care(trajectory: Trajectory, verdict: Verdict | None) -> bool:
    """Whether a failure must be answered humanely and never with a bare error: in crisis, or not long after.

    Sadness alone is no crisis: it gets the error, and no emergency numbers.
    """
    if trajectory.latch or trajectory.level >= SENTENCE_FROM:
        return True
    return verdict is not None and verdict.severity >= Severity.ELEVATED
