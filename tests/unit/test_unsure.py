"""When a turn is open: only then may more be asked of it, and then it must be."""

from __future__ import annotations

import pytest

from guardrail.core.model import Direction, Failed, Finding, Found, Signal
from guardrail.core.unsure import is_unsure

NOTHING = Found("lexicon")


def found(detector: str, *signals: Signal) -> Found:
    return Found(detector, signals)


@pytest.mark.parametrize(
    ("findings", "is_open"),
    [
        ([], False),
        ([NOTHING, found("model", Signal("suicide", 0, 0.02))], False),
        ([NOTHING, found("model", Signal("suicide", 0, 0.15))], True),
        ([NOTHING, found("model", Signal("acute_distress", 1))], True),
        ([NOTHING, found("model", Signal("suicide", 2))], True),
        ([found("lexicon", Signal("suicide", 4)), found("model", Signal("suicide", 3))], False),
        ([found("lexicon", Signal("suicide", 4)), found("model", Signal("self_harm", 2))], True),
        ([found("lexicon", Signal("suicide", 3))], False),
        ([NOTHING, found("model", Signal("minor", 0, 0.9), Signal("goodbye", 0, 1.0))], False),
        ([NOTHING, Failed("model", "deadline")], True),
        ([NOTHING, Failed("plug-in", "deadline", required=False)], False),
    ],
)
def test_what_leaves_a_turn_open(findings: list[Finding], is_open: bool) -> None:
    assert is_unsure(findings, "inbound") is is_open


@pytest.mark.parametrize(("direction", "is_open"), [("inbound", False), ("outbound", True)])
def test_only_the_grades_of_its_own_direction_count(direction: Direction, is_open: bool) -> None:
    assert is_unsure([NOTHING, found("model", Signal("dismisses", 1))], direction) is is_open
