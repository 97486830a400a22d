"""One judged turn: findings and what is remembered in, a verdict and what to remember out."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from guardrail.core.conversation import Episode, OpenCase, State, advance, drifted, rest, settle
from guardrail.core.decide import Policy, Verdict, View, decide, severity_of
from guardrail.core.model import OUTBOUND_SIGNALS, Audience, Direction, Failed, Finding, Signal


class Judged(msgspec.Struct, frozen=True):
    """A verdict, and the conversation's state once it has been acted on. ``earlier`` is the episode before it."""

    verdict: Verdict
    state: State
    earlier: Episode = Episode()


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
) -> Judged:
    """Judge one turn. ``now`` is POSIX seconds; ``audience`` is what the operator's app says, and is believed.

    ``spoken`` is false when the request brings nothing new from the person (a tool's result, say): what
    stands goes on standing, and nothing decays by a turn. ``store_failed``: what was remembered is missing.

    When the app does not know, a cue in the person's own words that they are a child is kept for the
    rest of the conversation: minors are answered more strictly, never less.
    """
    signals = tuple(s for f in findings if not isinstance(f, Failed) for s in f.signals)
    if direction == "inbound":
        rested = settle(msgspec.structs.replace(state, trajectory=rest(state.trajectory, now)))
        trajectory = rested.trajectory
        if spoken:
            trajectory = advance(trajectory, severity_of(signals, "inbound"), now)
        view = View(
            direction="inbound",
            trajectory=trajectory,
            episode=rested.episode,
            audience=_audience(audience, state, signals),
            locale=locale,
            country=country,
            drift=rested.drift,
            store_failed=store_failed,
        )
        return _remember(decide(policy, findings, view), rested, view, signals)
    drift = drifted(state.drift, _worst(signals))
    view = View(
        direction="outbound",
        trajectory=rest(state.trajectory, now),
        episode=state.episode,
        audience=_audience(audience, state, signals),
        locale=locale,
        country=country,
        drift=drift,
    )
    return Judged(decide(policy, findings, view), msgspec.structs.replace(state, drift=drift))


def _remember(verdict: Verdict, before: State, view: View, signals: Sequence[Signal]) -> Judged:
    after = msgspec.structs.replace(
        before,
        trajectory=view.trajectory,
        episode=_episode(before.episode, verdict, signals),
        audience=view.audience,
        language=_language(signals) or before.language,
    )
    return Judged(verdict, after, before.episode)


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
