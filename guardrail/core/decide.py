"""Findings and a compiled policy in, one verdict out.

A policy is plain data made by ``guardrail.policy``; nothing here reads files. Rules are indexed by the
signal they speak of, so the cost follows the signals present and not the number of rules. What a verdict
says happened is in its trail: which rules were considered, why each did or did not fire. Trails hold
pattern identifiers and offsets, never words.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import msgspec

from guardrail.core.conversation import SENTENCE_FROM, Episode, Granularity, Trajectory, granularity
from guardrail.core.model import (
    ACTION_RANK,
    CATEGORIES,
    OUTBOUND_SIGNALS,
    Action,
    Audience,
    Direction,
    Failed,
    Finding,
    Severity,
    Signal,
)


class When(msgspec.Struct, frozen=True):
    """A rule's condition. Empty tuples mean "any"; ranges are inclusive.

    A rule without signals is considered once a turn: its ``severity`` is then the whole turn's. That is
    how a latched conversation is steered on a turn which shows nothing.
    """

    direction: Direction
    signals: tuple[str, ...]
    severity: tuple[int, int] = (0, 4)
    audience: tuple[Audience, ...] = ()
    locale: tuple[str, ...] = ()
    country: tuple[str, ...] = ()
    subject: tuple[str, ...] = ()
    detail: tuple[str, ...] = ()
    frame: tuple[str, ...] = ()
    time: tuple[str, ...] = ()
    latch: tuple[int, int] = (0, 4)
    level: tuple[float, float] = (0.0, 4.0)
    episode: bool | None = None
    drift: float = 0.0
    """For outbound signals: the least sum over the turns (this reply included) that makes a pattern."""


class CaseRule(msgspec.Struct, frozen=True):
    """Open a case for a human, to be acknowledged within ``deadline`` seconds."""

    deadline: float


class Then(msgspec.Struct, frozen=True):
    """What a rule does. ``response`` and ``steer`` name texts of the pack, ``resources`` kinds of help."""

    action: Action
    response: str = ""
    steer: str = ""
    resources: tuple[str, ...] = ()
    case: CaseRule | None = None


class Rule(msgspec.Struct, frozen=True):
    """One clinical rule. ``source`` says which guideline or law it follows."""

    id: str
    when: When
    then: Then
    source: str = ""


class OnFailure(msgspec.Struct, frozen=True):
    """The answer the policy declares for a part that failed. Never ``pass`` for an unread outbound reply."""

    detector_inbound: Then
    detector_outbound: Then
    store: Then
    upstream: Then


class Policy(msgspec.Struct, frozen=True):
    """A compiled policy. ``hash`` covers every byte that went into it."""

    id: str
    version: str
    hash: str
    rules: tuple[Rule, ...]
    on_failure: OnFailure
    responses: Mapping[str, Mapping[str, str]] = {}
    """locale -> response name -> text."""
    guidance: Mapping[str, str] = {}
    """steer name -> guidance for the upstream model, in English."""
    index: Mapping[tuple[str, str], tuple[Rule, ...]] = {}

    @property
    def name(self) -> str:
        return f"{self.id}@{self.version}"


def indexed(rules: Sequence[Rule]) -> dict[tuple[str, str], tuple[Rule, ...]]:
    """Rules by (direction, signal name), in the order they were written; under "" those without signals."""
    table: dict[tuple[str, str], list[Rule]] = {}
    for rule in rules:
        for name in rule.when.signals or ("",):
            table.setdefault((rule.when.direction, name), []).append(rule)
    return {key: tuple(found) for key, found in table.items()}


class View(msgspec.Struct, frozen=True):
    """What a decision may depend on besides the findings. The trajectory is the one *after* this turn."""

    direction: Direction
    trajectory: Trajectory = Trajectory()
    episode: Episode = Episode()
    audience: Audience = "unknown"
    locale: str = "en"
    country: str | None = None
    drift: tuple[tuple[str, float], ...] = ()
    store_failed: bool = False


class CaseDraft(msgspec.Struct, frozen=True):
    """A case the verdict asks for; the edge gives it an id and commits it."""

    category: str
    severity: int
    deadline: float
    rule: str
    subject: str = "self"
    detail: str = ""


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
    category: str = ""
    subject: str = "self"
    response: str = ""
    steer: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    cases: tuple[CaseDraft, ...] = ()
    granularity: Granularity = "clause"
    failures: tuple[Failed, ...] = ()
    trail: tuple[Step, ...] = ()


_CATEGORY_RANK = {name: rank for rank, name in enumerate(CATEGORIES)}
_NEARNESS: Mapping[str, int] = {"self": 2, "child": 1, "other": 0}
"""Between equals: the person, then a child, then anybody else. Detectors report in no order."""
_GRADED = {"inbound": frozenset(CATEGORIES), "outbound": frozenset(OUTBOUND_SIGNALS)}


def severity_of(signals: Sequence[Signal], direction: Direction) -> int:
    """The judged turn's own severity: the maximum over the signals that carry one in this direction."""
    graded = _GRADED[direction]
    return max((s.severity for s in signals if s.name in graded), default=0)


def decide(policy: Policy, findings: Sequence[Finding], view: View) -> Verdict:
    """The verdict on one turn. Total: any findings, any view, always an answer."""
    signals = tuple(s for f in findings if not isinstance(f, Failed) for s in f.signals)
    failures = tuple(f for f in findings if isinstance(f, Failed))
    fired, trail = _consider(policy, signals, view)
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
        return _nothing(policy.name, policy.hash, view.direction, granularity(view.trajectory))
    return _combine(policy, signals, failures, fired, trail, view)


@functools.lru_cache(maxsize=64)
def _nothing(policy: str, policy_hash: str, direction: Direction, grain: Granularity) -> Verdict:
    """The verdict on nearly every turn there is: nothing was seen, nothing is done."""
    return Verdict(direction, 0, "pass", (), (), "", policy, policy_hash, granularity=grain)


def _consider(
    policy: Policy, signals: Sequence[Signal], view: View
) -> tuple[list[tuple[Rule, Signal | None]], list[Step]]:
    fired: list[tuple[Rule, Signal | None]] = []
    trail: list[Step] = []
    for signal in signals:
        for rule in policy.index.get((view.direction, signal.name), ()):
            why = _refusal(rule.when, signal, view)
            trail.append(Step(rule.id, not why, signal.name, signal.severity, signal.pattern, signal.spans, why))
            if not why:
                fired.append((rule, signal))
    turn = Signal("", severity_of(signals, view.direction))
    for rule in policy.index.get((view.direction, ""), ()):
        if not _refusal(rule.when, turn, view):
            trail.append(Step(rule.id, True, severity=turn.severity))
            fired.append((rule, None))
    return fired, trail


def _refusal(when: When, signal: Signal, view: View) -> str:
    """Why a rule does not fire for a signal; empty when it does."""
    low, high = when.severity
    if not low <= signal.severity <= high:
        return f"severity {signal.severity} is not in {low}..{high}"
    for field, allowed, actual in (
        ("audience", when.audience, view.audience),
        ("subject", when.subject, signal.subject),
        ("detail", when.detail, signal.detail),
        ("frame", when.frame, signal.frame),
        ("time", when.time, signal.time),
        ("country", when.country, view.country or ""),
    ):
        if allowed and actual not in allowed:
            return f"{field} is {actual or 'unknown'}"
    if when.locale and not any(view.locale == tag or view.locale.startswith(tag + "-") for tag in when.locale):
        return f"locale is {view.locale}"
    if not when.latch[0] <= view.trajectory.latch <= when.latch[1]:
        return f"latch is {view.trajectory.latch}"
    if not when.level[0] <= view.trajectory.level <= when.level[1]:
        return f"level is {view.trajectory.level:.1f}"
    if when.episode is not None and when.episode != view.episode.is_open:
        return "an episode is open" if view.episode.is_open else "no episode is open"
    if when.drift and dict(view.drift).get(signal.name, 0.0) < when.drift:
        return f"pattern over turns is below {when.drift:g}"
    return ""


def _combine(
    policy: Policy,
    signals: tuple[Signal, ...],
    failures: tuple[Failed, ...],
    fired: list[tuple[Rule, Signal | None]],
    trail: list[Step],
    view: View,
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
            known = cases.get(signal.name)
            if known is None or then.case.deadline < known.deadline:
                cases[signal.name] = CaseDraft(
                    signal.name, signal.severity, then.case.deadline, rule.id, signal.subject, signal.detail
                )
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
        category=top.name if top else "",
        subject=top.subject if top else "self",
        response=response,
        steer=tuple(steers),
        resources=tuple(resources),
        cases=tuple(cases.values()),
        granularity=granularity(view.trajectory),
        failures=failures,
        trail=tuple(trail),
    )


def _is_repeat(then: Then, signal: Signal | None, severity: int, view: View) -> bool:
    """One authored reply an episode: after that the bot goes on, steered, unless urgency rises.

    A card that showed no help (abuse: privacy first) does not keep help from another danger said after it,
    and a card for somebody worried about another is no answer to their own danger.
    """
    if then.action != "replace" or signal is None or view.direction == "outbound":
        return False
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
    graded = [s for s in signals if s.name in _GRADED[direction] and s.severity > Severity.NONE]
    return max(graded, key=_weight, default=None)


def needs_care(trajectory: Trajectory, verdict: Verdict | None) -> bool:
    """Whether a failure must be answered humanely and never with a bare error: in crisis, or not long after.

    Sadness alone is no crisis: it gets the error, and no emergency numbers.
    """
    if trajectory.latch or trajectory.level >= SENTENCE_FROM:
        return True
    return verdict is not None and verdict.severity >= Severity.ELEVATED
