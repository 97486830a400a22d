"""What is known about a conversation between its turns: trajectory, episode, and how they move.

All functions are pure and total. Times are POSIX seconds handed in by the caller; a clock that runs
backwards is read as "no time has passed", so it can neither decay nor release anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from guardrail.core.model import Audience, Severity

HOUR = 3600.0
STEP_DOWN_AFTER = 72 * HOUR
"""A latch at ``high`` steps down after 72 quiet hours; ``imminent`` only by a human (clinical base table)."""

TURN_DECAY = 0.9
HALF_LIFE = 24 * HOUR
CALM_BELOW = 1.0
SENTENCE_FROM = 1.5
"""From this level on replies go sentence by sentence, and a failure is answered and never passed on."""

AVERAGE_WEIGHT = 0.3
TREND = 0.5
SESSION_GAP = 1800.0
"""Seconds of silence after which somebody who writes again has come back."""
LATELY = 30 * 24 * HOUR
MOST_TIMES = 8

Trend = Literal["rising", "steady", "falling"]
Times = tuple[tuple[str, tuple[float, ...]], ...]
"""When each signal was seen: the last ``MOST_TIMES`` turns that showed it, oldest first."""

Granularity = Literal["clause", "sentence", "whole"]


class Trajectory(msgspec.Struct, frozen=True, omit_defaults=True):
    """The conversation's risk over time.

    ``level`` decays by turn and by hour; ``peak`` never falls; ``latch`` is 0 or the highest severity
    from ``high`` up that no human and no written rule has lowered. ``last`` is the last turn's severity, ``average``
    a slow mean over the turns, ``session_from`` when this visit began; 0 where that was not remembered.
    """

    level: float = 0.0
    peak: int = 0
    latch: int = 0
    latch_evidence_at: float = 0.0
    seen_at: float = 0.0
    turns: int = 0
    quiet_turns: int = 0
    last: int = 0
    average: float = 0.0
    session_from: float = 0.0

    @property
    def trend(self) -> Trend:
        """Whether the last turn was graver than those before it, lighter, or much the same."""
        if self.last > self.average + TREND:
            return "rising"
        return "falling" if self.last < self.average - TREND else "steady"

    @property
    def session(self) -> float:
        """Seconds from the beginning of this visit to the last turn."""
        return max(0.0, self.seen_at - self.session_from) if self.session_from else 0.0


def advance(before: Trajectory, severity: int, now: float) -> Trajectory:
    """The trajectory after one judged inbound turn. The level is never below that turn's own severity."""
    now = max(now, before.seen_at)
    rested = rest(before, now)
    latch, evidence_at = rested.latch, rested.latch_evidence_at
    if severity >= Severity.HIGH:
        latch, evidence_at = max(latch, severity), now
    elif severity >= Severity.ELEVATED and latch:
        evidence_at = now
    return Trajectory(
        level=max(float(severity), rested.level * TURN_DECAY),
        peak=max(before.peak, severity),
        latch=latch,
        latch_evidence_at=evidence_at,
        seen_at=now,
        turns=before.turns + 1,
        quiet_turns=0 if severity >= Severity.ELEVATED else before.quiet_turns + 1,
        last=severity,
        average=round(before.average + (severity - before.average) * AVERAGE_WEIGHT, 4),
        session_from=before.session_from if before.session_from and now - before.seen_at <= SESSION_GAP else now,
    )


def noted(before: Times, names: Iterable[str], now: float) -> Times:
    """The times of signals, with those of this turn. What is older than ``LATELY`` is forgotten."""
    here = sorted(set(names))
    if not here:
        return before
    times = {name: tuple(at for at in seen if now - at <= LATELY) for name, seen in before}
    for name in here:
        times[name] = (*times.get(name, ()), now)[-MOST_TIMES:]
    return tuple((name, seen) for name, seen in times.items() if seen)


def rest(before: Trajectory, now: float) -> Trajectory:
    """The trajectory as it stands at ``now`` when nothing was said meanwhile."""
    elapsed = max(0.0, now - before.seen_at)
    latch = before.latch
    if latch == Severity.HIGH and now - before.latch_evidence_at >= STEP_DOWN_AFTER:
        latch = 0
    level = before.level * 0.5 ** (elapsed / HALF_LIFE)
    return msgspec.structs.replace(before, level=level, latch=latch)


def lower(before: Trajectory, to: int) -> Trajectory:
    """A human (or a written rule) lowers the latch. Raising through this door is not possible."""
    latch = min(before.latch, to) if to >= Severity.HIGH else 0
    return msgspec.structs.replace(before, latch=latch, level=min(before.level, float(to)))


def is_calm(trajectory: Trajectory) -> bool:
    """Nothing latched and the level has faded: an episode ends here."""
    return trajectory.latch == 0 and trajectory.level < CALM_BELOW


def granularity(trajectory: Trajectory) -> Granularity:
    """How much of a streamed reply must be read before any of it is released."""
    if trajectory.latch >= Severity.HIGH or trajectory.level >= Severity.HIGH:
        return "whole"
    return "sentence" if trajectory.level >= SENTENCE_FROM else "clause"


class Episode(msgspec.Struct, frozen=True, omit_defaults=True):
    """From the first authored reply until the trajectory is calm again.

    ``answered`` is the highest severity an authored reply has answered, ``referred`` whether resources
    have been shown, ``reassured`` whether the person took the way back ("I'm safe, carry on"). ``shadow``: all of it
    was only decided, in shadow mode, and nobody has been shown any of it.
    """

    answered: int = 0
    category: str = ""
    subject: str = "self"
    referred: bool = False
    reassured: bool = False
    shadow: bool = False

    @property
    def is_open(self) -> bool:
        return self.answered > 0 or self.referred


class OpenCase(msgspec.Struct, frozen=True):
    """A case this conversation already has. Later signals of its category join it."""

    id: str
    category: str
    severity: int


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything remembered about one conversation. It holds no message text."""

    id: str
    trajectory: Trajectory = Trajectory()
    episode: Episode = Episode()
    audience: Audience = "unknown"
    language: str = ""
    cases: tuple[OpenCase, ...] = ()
    drift: tuple[tuple[str, float], ...] = ()
    """Mild outbound manipulation adding up over turns: signal name and decayed sum of severities."""
    recent: Times = ()
    cooled: tuple[tuple[str, float], ...] = ()
    """When rules that cool down fired last, by rule."""


def settle(state: State) -> State:
    """Close the episode of a conversation that has become calm."""
    if state.episode.is_open and is_calm(state.trajectory):
        return msgspec.structs.replace(state, episode=Episode())
    return state


def merged(before: State, ours: State, theirs: State) -> State:
    """Two exchanges began from ``before`` at once, and ``theirs`` was remembered first: what either found stands.

    Only what ``ours`` changed counts, so nothing takes back a rise of the latch, nor what a human has lowered.
    """
    raised = (
        ours.trajectory.latch > before.trajectory.latch
        or ours.trajectory.latch_evidence_at > before.trajectory.latch_evidence_at
    )
    spoken = ours.trajectory.turns > before.trajectory.turns
    said = ours.trajectory if spoken else theirs.trajectory
    trajectory = msgspec.structs.replace(
        theirs.trajectory,
        level=max(theirs.trajectory.level, said.level),
        peak=max(theirs.trajectory.peak, said.peak),
        latch=max(theirs.trajectory.latch, ours.trajectory.latch if raised else 0),
        latch_evidence_at=max(theirs.trajectory.latch_evidence_at, said.latch_evidence_at),
        seen_at=max(theirs.trajectory.seen_at, said.seen_at),
        turns=max(theirs.trajectory.turns, said.turns),
        quiet_turns=min(theirs.trajectory.quiet_turns, said.quiet_turns),
        last=max(theirs.trajectory.last, said.last),
        average=max(theirs.trajectory.average, said.average),
        session_from=_first(theirs.trajectory.session_from, said.session_from),
    )
    new = [case for case in ours.cases if case not in before.cases]
    named = {case.category for case in new}
    sums = dict(theirs.drift)
    for name, total in ours.drift:
        if dict(before.drift).get(name) != total:
            sums[name] = max(sums.get(name, 0.0), total)
    return State(
        id=theirs.id,
        trajectory=trajectory,
        episode=_both(before.episode, ours.episode, theirs.episode),
        audience=ours.audience if ours.audience != before.audience else theirs.audience,
        language=ours.language if ours.language != before.language else theirs.language,
        cases=(*(case for case in theirs.cases if case.category not in named), *new),
        drift=tuple(sums.items()),
        recent=_union(ours.recent, theirs.recent),
        cooled=_latest(ours.cooled, theirs.cooled),
    )


def _first(*begins: float) -> float:
    """The earliest of the times that are known."""
    return min((at for at in begins if at), default=0.0)


def _union(ours: Times, theirs: Times) -> Times:
    """Every time either has seen. A turn that both saw has one time, so it counts once."""
    times = dict(theirs)
    for name, seen in ours:
        times[name] = tuple(sorted({*times.get(name, ()), *seen}))[-MOST_TIMES:]
    return tuple(times.items())


def _latest(
    ours: tuple[tuple[str, float], ...], theirs: tuple[tuple[str, float], ...]
) -> tuple[tuple[str, float], ...]:
    at = dict(theirs)
    for name, when in ours:
        at[name] = max(at.get(name, when), when)
    return tuple(at.items())


def _both(before: Episode, ours: Episode, theirs: Episode) -> Episode:
    if ours == before or theirs == before:
        return theirs if ours == before else ours
    first = max(ours, theirs, key=lambda e: e.answered)
    return msgspec.structs.replace(
        first, referred=ours.referred or theirs.referred, reassured=ours.reassured or theirs.reassured
    )


DRIFT_DECAY = 0.9


def drifted(before: tuple[tuple[str, float], ...], severities: dict[str, int]) -> tuple[tuple[str, float], ...]:
    """Add this reply's outbound severities to the decayed sums of the replies before it."""
    sums = {name: total * DRIFT_DECAY for name, total in before}
    for name, severity in severities.items():
        sums[name] = sums.get(name, 0.0) + severity
    return tuple(sorted((name, round(total, 4)) for name, total in sums.items() if total >= 0.05))
