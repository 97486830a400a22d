"""What several detectors say of one turn, made into one severity for each signal and subject.

Who hears only words can be wrong about what they mean, and who hears only meaning can miss what is said outright. So
the graver reading wins, with four exceptions that the trail names: a person's stray word is outvoted by a judge that
has read the whole and thinks it most unlikely; what was said outright, in earnest and of oneself is outvoted by nobody
(clinical base table); in a conversation that worries already, what is nearly seen counts as seen; and where the turns
before were found grave when they were said, their echo in a calm turn is no more than the conversation's level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from guardrail.core.decide import Step
from guardrail.core.model import GRADED, Direction, Failed, Finding, Found, Severity, Signal

UNLIKELY = 0.03
"""Below this a judge that has read the whole outvotes a person's stray word. What a bot has said is outvoted by nobody:
its words are taken as they stand."""
NEARLY = 0.35
"""From this on, what is not seen counts as seen where the conversation worries already."""

_SAID_OUTRIGHT = frozenset(("suicide", "self_harm"))


def fuse(
    findings: Sequence[Finding], direction: Direction, level: float, peak: int = 0
) -> tuple[Sequence[Finding], tuple[Step, ...]]:
    """The findings with each signal and subject said once, and what was decided between detectors.

    A graded signal of severity 0 is a detector's doubt: how likely it thinks it (``score``) without calling it so.
    No doubt is left in what is returned. ``level`` and ``peak``: the conversation's, 0-4, before this turn.
    """
    graded = GRADED[direction]
    said = [
        (at, s) for at, f in enumerate(findings) if not isinstance(f, Failed) for s in f.signals if s.name in graded
    ]
    if not said:
        return findings, ()
    steps: list[Step] = []
    likely: dict[str, float] = {}
    for _, signal in said:
        if not signal.severity:
            likely[signal.name] = max(likely.get(signal.name, 0.0), signal.score)
    kept: dict[tuple[str, str], tuple[int, Signal]] = {}
    for at, signal in said:
        weighed = _weighed(signal, likely, level, steps) if direction == "inbound" else signal
        if weighed.echo and peak >= Severity.ELEVATED:
            weighed = _faded(weighed, int(level), steps)
        elif weighed.echo:
            weighed = msgspec.structs.replace(weighed, echo=False)  # nobody has seen it yet: it is new
        if not weighed.severity:
            continue
        key = (weighed.name, weighed.subject)
        kept[key] = _graver(kept[key], (at, weighed), steps) if key in kept else (at, weighed)
    return [_with(f, at, graded, kept) for at, f in enumerate(findings)], tuple(steps)


def _weighed(signal: Signal, likely: Mapping[str, float], level: float, steps: list[Step]) -> Signal:
    if not signal.severity:
        if level < Severity.ELEVATED or signal.score < NEARLY:
            return signal
        why = "nearly seen, in a conversation that worries already"
        steps.append(Step("fusion", True, signal.name, Severity.ELEVATED, why=why))
        return msgspec.structs.replace(signal, severity=Severity.ELEVATED)
    if likely.get(signal.name, 1.0) >= UNLIKELY:
        return signal
    if is_outright(signal):
        why = "said outright, in earnest and of oneself: not outvoted"
        steps.append(Step("fusion", False, signal.name, signal.severity, signal.pattern, signal.spans, why))
        return signal
    to = min(signal.severity - 1, int(Severity.CONCERN))
    why = f"{signal.name} {signal.severity} by {signal.detector} is outvoted and counts as {to}"
    steps.append(Step("fusion", True, signal.name, to, signal.pattern, signal.spans, why))
    return msgspec.structs.replace(signal, severity=to)


def _faded(signal: Signal, level: int, steps: list[Step]) -> Signal:
    if signal.severity <= level:
        return signal
    why = f"{signal.name} {signal.severity} only in the light of turns that were judged before: counts as {level}"
    steps.append(Step("fusion", True, signal.name, level, signal.pattern, signal.spans, why))
    return msgspec.structs.replace(signal, severity=level)


def own_severity(signals: Sequence[Signal], direction: Direction) -> int:
    """What is new in a turn. An echo of what was judged before keeps no conversation up."""
    return max((s.severity for s in signals if s.name in GRADED[direction] and not s.echo), default=0)


def is_outright(signal: Signal) -> bool:
    """An explicit, sincere statement in the first person, of now."""
    if signal.subject != "self" or signal.frame != "sincere" or signal.time != "now":
        return False
    return signal.severity >= Severity.HIGH or (
        signal.severity >= Severity.ELEVATED and signal.name in _SAID_OUTRIGHT and bool(signal.pattern)
    )


def _graver(one: tuple[int, Signal], other: tuple[int, Signal], steps: list[Step]) -> tuple[int, Signal]:
    """The graver of two; of equals the first. It keeps the words that show it, whoever found them."""
    (at, top), rest = (other, one[1]) if other[1].severity > one[1].severity else (one, other[1])
    if top.severity == Severity.IMMINENT and not top.pattern and rest.name in _SAID_OUTRIGHT and is_outright(rest):
        # That it is now is said in words, or was not said: somebody is woken for it.
        top = msgspec.structs.replace(top, severity=max(int(Severity.HIGH), rest.severity))
    if top.detector != rest.detector:
        why = f"{top.severity} by {top.detector}, {rest.severity} by {rest.detector}"
        steps.append(Step("fusion", True, top.name, top.severity, top.pattern or rest.pattern, top.spans, why))
    if not top.pattern and rest.pattern:
        top = msgspec.structs.replace(
            top,
            pattern=rest.pattern,
            spans=top.spans or rest.spans,
            detail=top.detail or rest.detail,
            cssrs=max(top.cssrs, rest.cssrs),
            language=top.language or rest.language,
        )
    echo = top.echo and (rest.echo or rest.severity < Severity.ELEVATED)
    return at, msgspec.structs.replace(top, score=max(top.score, rest.score), echo=echo)


def _with(
    finding: Finding, at: int, graded: frozenset[str], kept: Mapping[tuple[str, str], tuple[int, Signal]]
) -> Finding:
    if isinstance(finding, Failed):
        return finding
    mine = [signal for owner, signal in kept.values() if owner == at]
    others = [s for s in finding.signals if s.name not in graded]
    return Found(finding.detector, (*mine, *others))
