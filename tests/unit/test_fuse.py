"""What detectors say of one turn, made one: the graver wins, a stray word can be outvoted, a plain statement never."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.core.fuse import NEARLY, UNLIKELY, fuse, own_severity
from guardrail.core.model import CATEGORIES, Failed, Finding, Found, Signal


def lexicon(*signals: Signal) -> Found:
    return Found("lexicon", signals)


def word(name: str = "suicide", severity: int = 2, **more: Any) -> Signal:
    return Signal(name, severity, 0.75, ((0, 5),), "lexicon", pattern="en.some", **more)


def model(**scores: float) -> Found:
    """The model's view: from 0.5 on it calls it danger, else it doubts."""
    return Found(
        "model",
        tuple(
            Signal(name, 2, score, ((0, 9),), "model") if score >= 0.5 else Signal(name, 0, score, detector="model")
            for name, score in scores.items()
        ),
    )


def grades(findings: Any) -> dict[str, int]:
    return {s.name: s.severity for f in findings if isinstance(f, Found) for s in f.signals}


def test_a_stray_word_is_outvoted_and_the_trail_says_by_what() -> None:
    fused, steps = fuse([lexicon(word(frame="idiom")), model(suicide=0.001)], "inbound", 0)
    assert grades(fused) == {"suicide": 1}
    [step] = steps
    assert step.rule == "fusion" and step.pattern == "en.some" and "outvoted" in step.why


@pytest.mark.parametrize("severity", [2, 3, 4])
def test_what_was_said_outright_in_earnest_of_oneself_is_outvoted_by_nobody(severity: int) -> None:
    fused, steps = fuse([lexicon(word(severity=severity)), model(suicide=0.0)], "inbound", 0)
    assert grades(fused) == {"suicide": severity}
    assert [s.fired for s in steps] == [False] and "not outvoted" in steps[0].why


@pytest.mark.parametrize("more", [{"subject": "other"}, {"frame": "fiction"}, {"time": "past"}])
def test_what_was_not_said_of_oneself_now_in_earnest_can_be(more: dict[str, Any]) -> None:
    fused, _ = fuse([lexicon(word(severity=3, **more)), model(suicide=0.0)], "inbound", 0)
    assert grades(fused) == {"suicide": 1}


def test_who_does_not_think_it_most_unlikely_outvotes_nothing() -> None:
    found = lexicon(word(frame="idiom"))
    assert grades(fuse([found, model(suicide=UNLIKELY)], "inbound", 0)[0]) == {"suicide": 2}
    assert grades(fuse([found, Failed("model", "deadline")], "inbound", 0)[0]) == {"suicide": 2}
    assert grades(fuse([found], "inbound", 0)[0]) == {"suicide": 2}


def test_two_that_see_it_make_one_signal_with_the_words_that_show_it() -> None:
    fused, steps = fuse([lexicon(word(cssrs=2)), model(suicide=0.97)], "inbound", 0)
    [signal] = [s for f in fused if isinstance(f, Found) for s in f.signals]
    assert (signal.severity, signal.score, signal.pattern, signal.cssrs) == (2, 0.97, "en.some", 2)
    assert steps[0].why == "2 by lexicon, 2 by model"


def test_the_graver_reading_wins_and_keeps_the_words() -> None:
    graver = Found("model", (Signal("suicide", 3, 0.9, ((0, 40),), "model"),))
    [signal] = [s for f in fuse([lexicon(word()), graver], "inbound", 0)[0] if isinstance(f, Found) for s in f.signals]
    assert (signal.severity, signal.detector, signal.pattern) == (3, "model", "en.some")


def test_a_friend_s_danger_and_one_s_own_stay_two() -> None:
    fused, _ = fuse([lexicon(word(subject="other", severity=3)), model(suicide=0.9)], "inbound", 0)
    assert sum(len(f.signals) for f in fused if isinstance(f, Found)) == 2


def test_in_a_conversation_that_worries_already_what_is_nearly_seen_counts() -> None:
    nearly = model(suicide=NEARLY, abuse_victim=NEARLY - 0.01)
    assert grades(fuse([nearly], "inbound", 0)[0]) == {}
    fused, steps = fuse([nearly], "inbound", 2.0)
    assert grades(fused) == {"suicide": 2} and steps[0].signal == "suicide"


def test_what_a_bot_has_said_is_outvoted_by_nobody() -> None:
    found = Found("lexicon", (Signal("claims_human", 2, 0.8, ((0, 5),), "lexicon", pattern="en.human"),))
    doubt = Found("model", (Signal("claims_human", 0, 0.001, detector="model"),))
    assert grades(fuse([found, doubt], "outbound", 0)[0]) == {"claims_human": 2}


@pytest.mark.parametrize(("level", "left"), [(4.0, {"suicide": 3}), (2.7, {"suicide": 2}), (0.4, {})])
def test_an_echo_of_what_was_judged_before_is_no_more_than_what_is_left_of_it(
    level: float, left: dict[str, int]
) -> None:
    echo = Found("model", (Signal("suicide", 3, 0.9, detector="model", echo=True),))
    assert grades(fuse([echo], "inbound", level, 3)[0]) == left
    assert own_severity(echo.signals, "inbound") == 0, "and it keeps no conversation up"


def test_what_shows_for_the_first_time_in_the_light_of_calm_turns_counts_whole() -> None:
    """Danger that builds up over turns none of which is alarming."""
    slow = Found("model", (Signal("suicide", 3, 0.9, detector="model", echo=True),))
    [fused] = fuse([slow], "inbound", 0.5, 1)[0]
    assert isinstance(fused, Found) and own_severity(fused.signals, "inbound") == 3


def test_that_it_is_now_was_said_in_words_or_not_at_all() -> None:
    """Somebody is woken for imminent: the model does not make it of a plain statement without a time."""
    graver = Found("model", (Signal("suicide", 4, 0.9, detector="model"),))
    assert grades(fuse([lexicon(word(severity=2)), graver], "inbound", 0)[0]) == {"suicide": 3}
    assert grades(fuse([lexicon(word(severity=4)), graver], "inbound", 0)[0]) == {"suicide": 4}
    assert grades(fuse([graver], "inbound", 0)[0]) == {"suicide": 4}, (
        "where no words are known it is the model's to say"
    )


SIGNALS = st.builds(
    Signal,
    st.sampled_from((*CATEGORIES[:3], "goodbye", "minor")),
    st.integers(0, 4),
    st.floats(0, 1),
    detector=st.sampled_from(("lexicon", "model", "another")),
    subject=st.sampled_from(("self", "other")),
    frame=st.sampled_from(("sincere", "idiom")),
    pattern=st.sampled_from(("", "en.some")),
)
FINDINGS = st.lists(
    st.one_of(st.builds(Found, st.just("d"), st.lists(SIGNALS, max_size=5).map(tuple)), st.just(Failed("d", "raised"))),
    max_size=4,
)


@given(FINDINGS, st.floats(0, 4))
def test_whatever_is_found_nothing_outright_is_lost_and_no_doubt_is_left(findings: list[Finding], level: float) -> None:
    fused, _ = fuse(findings, "inbound", level)
    assert [f for f in fused if isinstance(f, Failed)] == [f for f in findings if isinstance(f, Failed)]
    after = [s for f in fused if isinstance(f, Found) for s in f.signals]
    graded = [(s.name, s.subject) for s in after if s.name in CATEGORIES]
    assert len(graded) == len(set(graded)), "each signal and subject once"
    assert all(s.severity for s in after if s.name in CATEGORIES)
    for signal in (s for f in findings if isinstance(f, Found) for s in f.signals):
        if signal.name not in CATEGORIES:
            assert signal in after, "cues and attributes are nobody's to weigh"
        elif signal.severity >= 3 and signal.subject == "self" and signal.frame == "sincere":
            assert any(a.name == signal.name and a.severity >= signal.severity for a in after)
