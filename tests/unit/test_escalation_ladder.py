"""Who is told when, for any case at any time."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from escalation.case import Case, NewCase, State, joined, opened
from escalation.ladder import LONGEST_SILENCE, SHORTEST_SILENCE, Ladders, Rung, pages

EVERYBODY = ("oncall", "team", "head")
RUNGS = (Rung(0.0, ("oncall",)), Rung(300.0, ("oncall", "team")))
LADDERS = Ladders(RUNGS, {"safeguarding": (Rung(0.0, ("head",)), Rung(60.0, ("team",)))})
CASE = opened(NewCase("a", "c", 3, "suicide", 1000.0, 4600.0))


def keys(state: State, now: float, deadline: float = 4600.0) -> list[str]:
    case = msgspec.structs.replace(CASE, state=state, deadline=deadline)
    return [page.key for page in pages(case, LADDERS, EVERYBODY, now)]


def test_rungs_are_due_in_their_time() -> None:
    assert keys("open", 999.0) == []
    assert keys("open", 1000.0) == ["3:rung:0"]
    assert keys("notified", 1300.0) == ["3:rung:0", "3:rung:1"]


def told(case: Case, now: float) -> list[tuple[str, ...]]:
    return [page.channels for page in pages(case, LADDERS, EVERYBODY, now)]


def test_a_case_climbs_the_ladder_its_rule_names() -> None:
    case = msgspec.structs.replace(CASE, ladder="safeguarding")
    assert told(case, 1000.0) == [("head",)]
    assert told(case, 1060.0) == [("head",), ("team",)]
    assert told(case, 4600.0)[-1] == EVERYBODY, "past its deadline a case is everybody's, on whatever ladder"


def test_a_ladder_nobody_has_set_up_is_the_usual_one_and_never_nobody() -> None:
    assert told(msgspec.structs.replace(CASE, ladder="gone"), 1000.0) == [("oncall",)]


def test_a_later_signal_raises_priority_and_never_lowers_it() -> None:
    new = NewCase("b", "c", 3, "suicide", 1001.0, 4600.0)
    urgent = msgspec.structs.replace(new, raised="urgent", ladder="safeguarding")
    assert (CASE.priority, joined(CASE, urgent).priority, joined(joined(CASE, urgent), new).priority) == (
        "high",
        "urgent",
        "urgent",
    )
    assert joined(CASE, urgent).ladder == "safeguarding"
    risen = joined(CASE, msgspec.structs.replace(new, severity=4))
    assert risen.priority == "urgent" and risen.ladder == ""


def test_everybody_is_told_at_the_deadline_those_on_no_rung_included() -> None:
    assert "3:expired:0" not in keys("notified", 4599.0)
    case = msgspec.structs.replace(CASE, state="notified")
    assert pages(case, LADDERS, EVERYBODY, 4600.0)[-1].channels == EVERYBODY
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
    assert pages(case, LADDERS, EVERYBODY, now) == []


@given(st.floats(1000, 1e7), st.floats(1000, 1e7), st.sampled_from(["open", "notified", "expired"]))
def test_an_unanswered_case_is_never_silent_for_long_after_its_deadline(
    deadline: float, now: float, state: State
) -> None:
    later = max(now, deadline)
    assert set(keys(state, later + LONGEST_SILENCE + 1, deadline)) - set(keys(state, later, deadline))
    assert len(set(keys(state, later + SHORTEST_SILENCE / 2, deadline)) - set(keys(state, later, deadline))) <= 2
