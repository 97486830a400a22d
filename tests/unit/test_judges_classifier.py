"""A classifier on this machine: what its labels mean, and that what it cannot read is a failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from guardrail.core.events import Scan
from guardrail.core.gate import Look
from guardrail.core.model import Failed, Finding, Found, Signal
from guardrail.judges.classifier import LONGEST, Classifier
from guardrail.judges.meanings import Meaning, Meanings, signals
from guardrail.server.scanner import Scanner

LABELS: Meanings = {
    "risk": (Meaning("suicide", 0.5, 2), Meaning("suicide", 0.9, 3)),
    "harm": (Meaning("self_harm", 0.5, 2), Meaning("encourages_harm", 0.5, 3)),
}


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({"risk": 0.4, "harm": 0.0}, []),
        ({"risk": 0.5, "harm": 0.0}, [("suicide", 2, 0.5)]),
        ({"risk": 0.95, "harm": 0.6}, [("suicide", 3, 0.95), ("self_harm", 2, 0.6)]),
    ],
)
def test_a_label_means_more_from_a_higher_score_on(
    scores: dict[str, float], expected: list[tuple[str, int, float]]
) -> None:
    found = signals("mine", scores, LABELS, "inbound", 7, outvotes=False)
    assert [(s.name, s.severity, s.score) for s in found] == expected
    assert all(s.spans == ((0, 7),) and s.detector == "mine" for s in found)


def test_a_label_means_another_thing_of_a_bot() -> None:
    [found] = signals("mine", {"harm": 0.8}, LABELS, "outbound", 7, outvotes=False)
    assert (found.name, found.severity) == ("encourages_harm", 3)


def test_a_doubt_is_as_likely_as_the_highest_score_for_it() -> None:
    found = signals("mine", {"risk": 0.2, "harm": 0.7}, LABELS, "inbound", 7, outvotes=True)
    assert [(s.name, s.severity, s.score) for s in found] == [("self_harm", 2, 0.7), ("suicide", 0, 0.2)]


async def finding(classify: Callable[[str], Mapping[str, float]], text: str = "soup") -> Finding:
    options: dict[str, Any] = {
        "directions": frozenset(("inbound",)), "deadline": 5.0, "required": True, "only_unsure": False,
    }  # fmt: skip
    scanner = Scanner([Classifier("mine", classify, LABELS, **options)], lambda: 5.0)
    scanned = await scanner.scan(Scan("inbound", (Look("user:0", text, 0, (len(text),), 0),)))
    scanner.close()
    return scanned.findings[0][0]


def fails(text: str) -> Mapping[str, float]:
    raise RuntimeError(text)


@pytest.mark.parametrize(
    ("classify", "text", "reason"),
    [
        (fails, "soup", "raised"),
        (lambda text: {"risk": 0.1}, "soup", "invalid"),
        (lambda text: {"risk": float("nan"), "harm": 0.1}, "soup", "invalid"),
        (lambda text: {"risk": 0.1, "harm": 0.1}, "x" * (LONGEST + 1), "invalid"),
    ],
)
async def test_what_it_cannot_read_is_a_failure(
    classify: Callable[[str], Mapping[str, float]], text: str, reason: str
) -> None:
    assert await finding(classify, text) == Failed("mine", reason, True)  # type: ignore[arg-type]


async def test_what_stands_at_the_end_of_a_long_text_is_read() -> None:
    def classify(piece: str) -> Mapping[str, float]:
        assert len(piece) <= 400
        return {"risk": float("die" in piece), "harm": 0.0}

    text = "soup " * 500 + "I want to die"
    assert await finding(classify, text) == Found("mine", (Signal("suicide", 3, 1.0, ((0, len(text)),), "mine"),))
