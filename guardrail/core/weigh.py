"""Composites: what several things together say that one alone does not. They move severities before rules are asked."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from guardrail.core.conditions import View, exception, refusal
from guardrail.core.decide import Step
from guardrail.core.model import Direction, Failed, Finding, Severity, Signal
from guardrail.core.rules import Composite


def weigh(
    composites: Sequence[Composite], findings: Sequence[Finding], view: View
) -> tuple[Sequence[Finding], tuple[Step, ...]]:
    """The findings with their severities moved, and what moved them.

    Each composite is asked once for each signal, in the order they were written, of the severity that the ones
    before it have left. The trajectory is the one *before* this turn.
    """
    if not composites or not findings:
        return findings, ()
    present = {s.name for f in findings if not isinstance(f, Failed) for s in f.signals}
    steps: list[Step] = []
    moved = [
        f
        if isinstance(f, Failed)
        else msgspec.structs.replace(f, signals=tuple(_weighed(composites, s, view, present, steps) for s in f.signals))
        for f in findings
    ]
    return (moved, tuple(steps)) if steps else (findings, ())


def _weighed(
    composites: Sequence[Composite], signal: Signal, view: View, present: Collection[str], steps: list[Step]
) -> Signal:
    for composite in composites:
        if composite.when.direction != view.direction or signal.name not in composite.when.signals:
            continue
        if refusal(composite.when, signal, view, present) or exception(composite.unless, signal, view, present):
            continue
        if composite.weight < 0 and _is_protected(signal, view.direction):
            why = f"{signal.name} {signal.severity} said of oneself in earnest is never lowered"
            steps.append(Step(composite.id, False, signal.name, signal.severity, signal.pattern, signal.spans, why))
            continue
        to = min(int(Severity.IMMINENT), max(0, signal.severity + composite.weight))
        if to != signal.severity:
            why = f"{signal.name} {signal.severity} counts as {to}"
            steps.append(Step(composite.id, True, signal.name, to, signal.pattern, signal.spans, why))
            signal = msgspec.structs.replace(signal, severity=to)
    return signal


def _is_protected(signal: Signal, direction: Direction) -> bool:
    """What no composite may lower (clinical base table: counterweights never silence a first-person ``high``)."""
    if signal.severity < Severity.HIGH:
        return False
    return direction == "outbound" or (signal.subject == "self" and signal.frame == "sincere" and signal.time == "now")
