"""Whether what detectors have found of one turn leaves it open what the turn means: then more may be asked of it."""

from __future__ import annotations

from collections.abc import Sequence

from guardrail.core.model import GRADED, Direction, Failed, Finding, Severity

DOUBT = 0.15
"""From this likelihood on, a detector's doubt leaves a turn open."""
APART = 2
"""Detectors whose gravest grades of a turn lie this far apart do not agree on it."""


def is_unsure(findings: Sequence[Finding], direction: Direction) -> bool:
    """Whether one of the findings is a concern (severity 1) or a likely doubt, two of them lie ``APART``, or one that
    is required is missing: who has not looked cannot be sure.

    A detector that found nothing grades the turn 0. Attributes and cues are no grades.
    """
    graded = GRADED[direction]
    grades: list[int] = []
    for finding in findings:
        if isinstance(finding, Failed):
            if finding.required:
                return True
            continue
        grade = 0
        for signal in finding.signals:
            if signal.name not in graded:
                continue
            if signal.severity == Severity.CONCERN or (not signal.severity and signal.score >= DOUBT):
                return True
            grade = max(grade, signal.severity)
        grades.append(grade)
    return bool(grades) and max(grades) - min(grades) >= APART
