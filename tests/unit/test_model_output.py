"""What the model's numbers come to: edges, grades, doubts, and labels that cannot be used."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from guardrail.core.model import CATEGORIES, OUTBOUND_SIGNALS, Direction
from guardrail.detectors.model_input import Marks
from guardrail.detectors.model_output import Labels, Reader, Reading, script_of

OUTPUTS = (
    *(f"{n}>={g}" for n in ("any_inbound", *CATEGORIES, "any_outbound", *OUTBOUND_SIGNALS) for g in (1, 2, 3, 4)),
    "subject:self", "subject:other", "frame:sincere", "frame:idiom", "time:now", "time:past", "minor", "emotion:fear",
    "emotion:neutral", "intensity",
)  # fmt: skip


def reading(names: tuple[str, ...]) -> Reading:
    return Reading(dict.fromkeys(names, 0.0), dict.fromkeys(names, 1.0), -1.0, 0.0, 0.0, 1.0, 0.0)


LABELS = Labels(
    2, "test", ("model.onnx", "stage2.onnx"), OUTPUTS, Marks(0, 2, (7,), (8,)), reading(CATEGORIES),
    reading(OUTBOUND_SIGNALS), 2.0, -1.0, (-3.0,), (-3.0,), {"thai": 1.0},
)  # fmt: skip


def row(**high: float) -> list[float]:
    """Logits: -5 everywhere but where said."""
    names = {name.replace("_ge_", ">=").replace("__", ":"): value for name, value in high.items()}
    assert set(names) <= set(OUTPUTS)
    return [names.get(name, -5.0) for name in OUTPUTS]


def graded(logits: list[float], direction: Direction = "inbound", script: str = "latin") -> dict[str, int]:
    return {s.name: s.severity for s in Reader(LABELS).signals(logits, direction, script, (0, 4)) if s.severity}


def test_calm_is_nothing_and_every_signal_is_doubted() -> None:
    signals = Reader(LABELS).signals(row(), "inbound", "latin", (0, 4))
    assert [s.name for s in signals] == list(CATEGORIES) and all(not s.severity and s.score < 0.02 for s in signals)


@pytest.mark.parametrize(
    ("more", "severity"),
    [({}, 2), ({"any_inbound_ge_3": 0.1}, 3), ({"any_inbound_ge_3": 0.1, "any_inbound_ge_4": 0.1}, 4), ({"any_inbound_ge_4": 9}, 2)],
)  # fmt: skip
def test_danger_is_graded_step_by_step_and_named_by_its_foremost_signal(more: dict[str, float], severity: int) -> None:
    assert graded(row(any_inbound_ge_2=0.1, abuse_victim_ge_2=0.5, **more)) == {"abuse_victim": severity}


def test_a_bots_sentence_that_could_be_harm_in_some_light_is_read_again() -> None:
    reader = Reader(LABELS)
    assert reader.harmless(row(any_outbound_ge_2=-1.1), "latin")
    assert not reader.harmless(row(any_outbound_ge_2=-0.9), "latin")
    assert not reader.harmless(row(any_outbound_ge_2=-1.1), "thai"), "by the script it is written in"


def test_what_is_clear_besides_the_foremost_is_named_too() -> None:
    found = graded(row(any_inbound_ge_2=2, any_inbound_ge_3=2, suicide_ge_2=3, abuse_victim_ge_2=1.5))
    assert found == {"suicide": 3, "abuse_victim": 2}


def test_short_of_danger_it_is_a_concern_or_nothing() -> None:
    assert graded(row(any_inbound_ge_2=-0.1, any_inbound_ge_1=-0.5, acute_distress_ge_2=-1)) == {"acute_distress": 1}
    assert graded(row(any_inbound_ge_2=-0.1, any_inbound_ge_1=-1.5)) == {}


def test_the_edge_moves_with_the_script() -> None:
    said = row(any_inbound_ge_2=-0.5, suicide_ge_2=1)
    assert graded(said) == {} and graded(said, script="thai") == {"suicide": 2}


def test_who_is_in_danger_and_how_it_is_meant() -> None:
    logits = row(any_inbound_ge_2=1, suicide_ge_2=2, subject__other=3, frame__idiom=4, time__past=4)
    [signal] = [s for s in Reader(LABELS).signals(logits, "inbound", "latin", (2, 9)) if s.severity]
    assert (signal.subject, signal.frame, signal.time, signal.spans) == ("other", "sincere", "now", ((2, 9),))


def test_moods_of_people_who_are_well_are_nobody_s_business() -> None:
    calm = Reader(LABELS).signals(row(emotion__fear=5, intensity=1), "inbound", "latin", (0, 4))
    assert "emotion" not in {s.name for s in calm}
    distressed = row(any_inbound_ge_1=1, emotion__fear=5, intensity=1)
    [emotion] = [s for s in Reader(LABELS).signals(distressed, "inbound", "latin", (0, 4)) if s.name == "emotion"]
    assert (emotion.detail, emotion.severity) == ("fear", 0) and math.isclose(emotion.score, 0.7311, abs_tol=1e-3)


def test_a_child_s_voice_is_an_attribute_and_only_where_it_is_sure() -> None:
    def names(sure: float) -> set[str]:
        return {s.name for s in Reader(LABELS).signals(row(minor=sure), "inbound", "latin", (0, 4))}

    assert "minor" in names(2.1) and "minor" not in names(1.9)


def test_a_reply_has_no_subject_and_no_mood() -> None:
    logits = row(any_outbound_ge_2=1, isolation_ge_2=2, subject__other=9, emotion__fear=9, minor=9)
    signals = Reader(LABELS).signals(logits, "outbound", "latin", (0, 4))
    assert {s.name: s.severity for s in signals if s.severity} == {"isolation": 2}
    assert {s.name for s in signals} == set(OUTBOUND_SIGNALS) and all(s.subject == "self" for s in signals)


def test_a_turn_is_let_go_early_only_where_it_is_calm() -> None:
    reader = Reader(LABELS)
    assert reader.calm(0, "inbound", row(), "latin")
    assert not reader.calm(0, "inbound", row(any_inbound_ge_1=-2.9), "latin")
    assert not reader.calm(0, "outbound", row(any_outbound_ge_1=-2.9), "latin")
    assert not reader.calm(0, "inbound", row(any_inbound_ge_1=-3.5), "thai")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"format": 1}, "format"),
        ({"outputs": OUTPUTS[8:]}, "outputs lack"),
        ({"minor": math.nan}, "no finite number"),
        ({"calm_inbound": ()}, "one edge for each stage"),
        ({"inbound": reading(CATEGORIES[1:])}, "no edge for suicide"),
    ],
)
def test_labels_that_cannot_be_used_say_so(change: dict[str, Any], what: str) -> None:
    assert not LABELS.problems()
    assert what in " ".join(msgspec.structs.replace(LABELS, **change).problems())


@pytest.mark.parametrize(
    ("text", "script"),
    [("hello", "latin"), ("привет", "cyrillic"), ("死にたい", "kana"), ("我想死", "han"), ("죽고", "hangul"), ("😶", ""),
     ("ok 我不想活了真的", "han"), ("मुझे", "devanagari"), ("আমি", "bengali"), ("อยาก", "thai"), ("أريد", "arabic")],
)  # fmt: skip
def test_scripts_are_told_apart(text: str, script: str) -> None:
    assert script_of(text) == script
