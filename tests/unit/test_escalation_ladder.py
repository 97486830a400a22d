"""Who is told when, for any case at any time."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from escalation.case import NewCase, State, opened
from escalation.ladder import LONGEST_SILENCE, SHORTEST_SILENCE, Rung, pages

EVERYBODY = ("oncall", "team", "head")
RUNGS = (Rung(0.0, ("oncall",)), Rung(300.0, ("oncall", "team")))
CASE = opened(NewCase("a", "c", 3, "suicide", 1000.0, 4600.0))


def keys(state: State, now: float, deadline: float = 4600.0) -> list[str]:
    case = msgspec.structs.replace(CASE, state=state, deadline=deadline)
    return [page.key for page in pages(case, RUNGS, EVERYBODY, now)]


def test_rungs_are_due_in_their_time() -> None:
    assert keys("open", 999.0) == []
    assert keys("open", 1000.0) == ["3:rung:0"]
    assert keys("notified", 1300.0) == ["3:rung:0", "3:rung:1"]


def test_everybody_is_told_at_the_deadline_those_on_no_rung_included() -> None:
    assert "3:expired:0" not in keys("notified", 4599.0)
    case = msgspec.structs.replace(CASE, state="notified")
    assert pages(case, RUNGS, EVERYBODY, 4600.0)[-1].channels == EVERYBODY
    assert keys("expired", 4600.0 + LONGEST_SILENCE)[-1] == "3:expired:1"


def test_the_most_urgent_are_told_again_each_five_minutes() -> None:
    assert keys("expired", 1300.0 + 300.0, deadline=1300.0)[-1] == "3:expired:1"


def test_what_has_got_through_to_nobody_is_told_to_everybody() -> None:
    assert keys("open", 1000.0 + LONGEST_SILENCE)[-1] == "3:unheard:1"
    assert keys("notified", 1000.0 + LONGEST_SILENCE)[-1] == "3:rung:1"


@given(
    st.sampled_from(["acknowledged", "claimed", "resolved"]), st.floats(0, 1e9), st.floats(0, 1e9), st.integers(0, 4)
)
def test_nobody_is_ever_told_of_what_was_answered(state: State, now: float, deadline: float, severity: int) -> None:
    case = msgspec.structs.replace(CASE, state=state, deadline=deadline, severity=severity)
    assert pages(case, RUNGS, EVERYBODY, now) == []


@given(st.floats(1000, 1e7), st.floats(1000, 1e7), st.sampled_from(["open", "notified", "expired"]))
def test_an_unanswered_case_is_never_silent_for_long_after_its_deadline(
    deadline: float, now: float, state: State
) -> None:
    later = max(now, deadline)
    assert set(keys(state, later + LONGEST_SILENCE + 1, deadline)) - set(keys(state, later, deadline))
    assert len(set(keys(state, later + SHORTEST_SILENCE / 2, deadline)) - set(keys(state, later, deadline))) <= 2
