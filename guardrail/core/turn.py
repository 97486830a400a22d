"""One judged turn: findings and what is remembered in, a verdict and what to remember out."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from guardrail.core.conditions import Around, View
from guardrail.core.conversation import (
    Episode,
    OpenCase,
    State,
    Times,
    Trajectory,
    advance,
    drifted,
    noted,
    rest,
    settle,
)
from guardrail.core.decide import Step, Verdict, decide
from guardrail.core.fuse import fuse, own_severity
from guardrail.core.model import CUES, OUTBOUND_SIGNALS, Audience, Direction, Failed, Finding, Signal
from guardrail.core.rules import Policy
from guardrail.core.weigh import weigh

NOTHING_KNOWN = Around()


class Judged(msgspec.Struct, frozen=True):
    """A verdict, and the conversation's state once it has been acted on. ``earlier`` is the episode before it."""

    verdict: Verdict
    state: State
    earlier: Episode = Episode()
    view: View | None = None
    """What the decision depended on."""


def judge(
    policy: Policy,
    findings: Sequence[Finding],
    state: State,
    *,
    direction: Direction,
    now: float,
    locale: str = "en",
    country: str | None = None,
    audience: Audience = "unknown",
    spoken: bool = True,
    store_failed: bool = False,
    around: Around = NOTHING_KNOWN,
) -> Judged:
    """Judge one turn. ``now`` is POSIX seconds; ``audience`` is what the operator's app says, and is believed.

    ``spoken`` is false when the request brings nothing new from the person (a tool's result, say): what
    stands goes on standing, and nothing decays by a turn. ``store_failed``: what was remembered is missing.

    When the app does not know, a cue in the person's own words that they are a child is kept for the
    rest of the conversation: minors are answered more strictly, never less.
    """
    rested = msgspec.structs.replace(state, trajectory=rest(state.trajectory, now))
    inbound = direction == "inbound"
    if inbound:
        rested = settle(rested)
    findings, fused = fuse(findings, direction, rested.trajectory.level, rested.trajectory.peak)
    seen = _signals(findings)
    recent = _noted(rested.recent, seen, now) if spoken and inbound else rested.recent
    who = _audience(audience, state, seen)

    def view_of(trajectory: Trajectory, drift: tuple[tuple[str, float], ...]) -> View:
        return View(
            direction=direction,
            trajectory=trajectory,
            episode=rested.episode,
            audience=who,
            locale=locale,
            country=country,
            drift=drift,
            store_failed=store_failed and inbound,
            now=now,
            around=around,
            recent=recent,
            cooled=rested.cooled,
        )

    steps: tuple[Step, ...] = fused
    grades = tuple(int(s.severity) for s in seen)
    if policy.composites and seen:
        findings, weighed = weigh(policy.composites, findings, view_of(rested.trajectory, rested.drift))
        steps = (*fused, *weighed)
        seen = _signals(findings)
    if not inbound:
        drift = drifted(state.drift, _worst(seen))
        view = view_of(rested.trajectory, drift)
        verdict = decide(policy, findings, view, steps, grades)
        return Judged(verdict, msgspec.structs.replace(state, drift=drift), view=view)
    trajectory = advance(rested.trajectory, own_severity(seen, direction), now) if spoken else rested.trajectory
    view = view_of(trajectory, rested.drift)
    return _remember(policy, decide(policy, findings, view, steps, grades), rested, view, seen)


def _signals(findings: Sequence[Finding]) -> tuple[Signal, ...]:
    return tuple(s for f in findings if not isinstance(f, Failed) for s in f.signals)


def _noted(before: Times, signals: Sequence[Signal], now: float) -> Times:
    return noted(before, (s.name for s in signals if s.severity or s.name in CUES), now) if signals else before


def _cooled(policy: Policy, verdict: Verdict, view: View) -> tuple[tuple[str, float], ...]:
    """When rules that cool down have fired, with those of this turn."""
    fired = {step.rule for step in verdict.trail if step.fired}
    cooling = {rule.id for rule in policy.rules if rule.then.cool_down and rule.id in fired} if fired else set()
    return tuple({**dict(view.cooled), **dict.fromkeys(sorted(cooling), view.now)}.items()) if cooling else view.cooled


def _remember(policy: Policy, verdict: Verdict, before: State, view: View, signals: Sequence[Signal]) -> Judged:
    after = msgspec.structs.replace(
        before,
        trajectory=view.trajectory,
        episode=_episode(before.episode, verdict, signals),
        audience=view.audience,
        language=_language(signals) or before.language,
        recent=view.recent,
        cooled=_cooled(policy, verdict, view),
    )
    return Judged(verdict, after, before.episode, view)


def _episode(before: Episode, verdict: Verdict, signals: Sequence[Signal]) -> Episode:
    answered = before.answered
    spoke = "replace" in verdict.actions or "handoff" in verdict.actions
    if spoke:
        answered = max(answered, verdict.severity)
    about = verdict if spoke and (answered > before.answered or verdict.subject == "self") else before
    return Episode(
        answered=answered,
        category=about.category,
        subject=about.subject,
        referred=before.referred or "support" in verdict.actions,
        reassured=before.reassured or any(s.name == "safe_now" for s in signals),
    )


def _audience(told: Audience, state: State, signals: Sequence[Signal]) -> Audience:
    if told != "unknown":
        return told
    return "minor" if any(s.name == "minor" for s in signals) else state.audience


def _language(signals: Sequence[Signal]) -> str:
    """The language of the strongest evidence."""
    best = max((s for s in signals if s.language), key=lambda s: (s.severity, s.score), default=None)
    return best.language if best else ""


def _worst(signals: Sequence[Signal]) -> dict[str, int]:
    worst: dict[str, int] = {}
    for s in signals:
        if s.name in OUTBOUND_SIGNALS and s.severity:
            worst[s.name] = max(worst.get(s.name, 0), s.severity)
    return worst


def with_case(state: State, case: OpenCase) -> State:
    """Remember a committed case, in place of the one of its category that was there."""
    others = tuple(c for c in state.cases if c.category != case.category)
    return msgspec.structs.replace(state, cases=(*others, case))
