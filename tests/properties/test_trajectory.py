"""Laws of what is remembered about a person's risk."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guardrail.core.conversation import (
    STEP_DOWN_AFTER,
    Episode,
    State,
    Trajectory,
    advance,
    drifted,
    granularity,
    is_calm,
    lower,
    merged,
    rest,
    settle,
)

SEVERITIES = st.integers(0, 4)
GAPS = st.floats(-1e6, 1e6, allow_nan=False)
TURNS = st.lists(st.tuples(SEVERITIES, GAPS), max_size=30)


def walk(turns: list[tuple[int, float]]) -> list[tuple[Trajectory, float]]:
    at, trajectory, seen = 0.0, Trajectory(), []
    for severity, gap in turns:
        at += gap
        trajectory = advance(trajectory, severity, at)
        seen.append((trajectory, at))
    return seen


@given(TURNS)
def test_the_peak_never_falls_and_the_level_is_never_below_the_turn(turns: list[tuple[int, float]]) -> None:
    peak = 0
    for (trajectory, _), (severity, _) in zip(walk(turns), turns, strict=True):
        peak = max(peak, severity)
        assert trajectory.peak == peak
        assert severity <= trajectory.level <= 4


@given(TURNS, SEVERITIES, st.integers(3, 4), GAPS)
def test_words_alone_never_lower_a_latch_within_a_day(
    turns: list[tuple[int, float]], after: int, high: int, gap: float
) -> None:
    """ "I was joking" lowers nothing: three steps down after 72 quiet hours, four by a human only."""
    before = walk([*turns, (high, 0.0)])[-1][0]
    later = advance(before, after, before.seen_at + min(abs(gap), 24 * 3600))
    assert later.latch >= before.latch >= high


@given(TURNS, st.floats(0, 1e8))
def test_imminent_never_steps_down_by_itself(turns: list[tuple[int, float]], hours: float) -> None:
    before = walk([*turns, (4, 0.0)])[-1][0]
    assert rest(before, before.seen_at + hours).latch == 4
    assert lower(before, 0).latch == 0


@given(TURNS)
def test_high_steps_down_after_three_quiet_days(turns: list[tuple[int, float]]) -> None:
    calm_before = [(min(severity, 2), gap) for severity, gap in turns]
    before = walk([*calm_before, (3, 0.0)])[-1][0]
    assert rest(before, before.seen_at + STEP_DOWN_AFTER - 1).latch == 3
    assert rest(before, before.seen_at + STEP_DOWN_AFTER + 1).latch == 0


@given(TURNS, st.floats(0, 1e9))
def test_a_clock_that_runs_backwards_releases_nothing(turns: list[tuple[int, float]], back: float) -> None:
    for trajectory, _ in walk(turns):
        assert rest(trajectory, trajectory.seen_at - back) == trajectory
        assert advance(trajectory, 0, trajectory.seen_at - back).latch == trajectory.latch


@given(TURNS, SEVERITIES)
def test_lowering_never_raises(turns: list[tuple[int, float]], to: int) -> None:
    for trajectory, _ in walk(turns):
        lowered = lower(trajectory, to)
        assert lowered.latch <= trajectory.latch and lowered.level <= trajectory.level


@given(TURNS)
def test_more_risk_never_means_less_reading(turns: list[tuple[int, float]]) -> None:
    order = ["clause", "sentence", "whole"]
    for (trajectory, at), (severity, _) in zip(walk(turns), turns, strict=True):
        worse = advance(trajectory, 4, at)
        assert order.index(granularity(worse)) >= order.index(granularity(trajectory))
        assert severity < 3 or granularity(trajectory) == "whole"


@given(TURNS)
def test_an_episode_ends_only_in_calm(turns: list[tuple[int, float]]) -> None:
    for trajectory, _ in walk(turns):
        state = State("c", trajectory, Episode(answered=3, referred=True))
        assert settle(state).episode.is_open != is_calm(trajectory)


@given(
    st.lists(st.dictionaries(st.sampled_from(["isolation", "dependency_fostering"]), st.integers(1, 4)), max_size=60)
)
def test_patterns_over_turns_are_bounded_and_fade(replies: list[dict[str, int]]) -> None:
    sums: tuple[tuple[str, float], ...] = ()
    for severities in replies:
        sums = drifted(sums, severities)
    assert all(0 < total <= 40.1 for _, total in sums)
    for _ in range(80):
        sums = drifted(sums, {})
    assert sums == ()


@given(TURNS, SEVERITIES, SEVERITIES)
def test_of_two_exchanges_at_once_neither_takes_back_what_the_other_found(
    turns: list[tuple[int, float]], one: int, other: int
) -> None:
    trajectory, at = ([(Trajectory(), 0.0)] + walk(turns))[-1]
    before = State("c", trajectory)
    ours = State("c", advance(trajectory, one, at + 1), Episode(answered=one))
    theirs = State("c", advance(trajectory, other, at + 2), Episode(answered=other))
    both = merged(before, ours, theirs)
    assert both.trajectory.latch == max(ours.trajectory.latch, theirs.trajectory.latch)
    assert both.trajectory.level >= max(one, other) and both.episode.answered == max(one, other)
    assert merged(before, theirs, ours).trajectory.latch == both.trajectory.latch
    assert both.trajectory.last == max(one, other)
    began = {ours.trajectory.session_from, theirs.trajectory.session_from} - {0.0}  # 0: not remembered
    assert both.trajectory.session_from == min(began, default=0.0)


TIMES = st.dictionaries(
    st.sampled_from(["suicide", "goodbye"]), st.sets(st.floats(1, 100), min_size=1, max_size=4).map(sorted).map(tuple)
)
FIRED = st.dictionaries(st.sampled_from(["a", "b"]), st.floats(1, 100))


@given(TIMES, TIMES, FIRED, FIRED)
def test_what_either_of_two_exchanges_saw_or_let_rest_is_remembered(
    one: dict[str, tuple[float, ...]],
    other: dict[str, tuple[float, ...]],
    rests: dict[str, float],
    rest_: dict[str, float],
) -> None:
    """A repetition is not lost, and a rule that rests since the later exchange does not fire again too soon."""
    ours = State("c", recent=tuple(one.items()), cooled=tuple(rests.items()))
    theirs = State("c", recent=tuple(other.items()), cooled=tuple(rest_.items()))
    both = merged(State("c"), ours, theirs)
    for name in {*one, *other}:
        assert set(dict(both.recent)[name]) == {*one.get(name, ()), *other.get(name, ())}
    for name in {*rests, *rest_}:
        assert dict(both.cooled)[name] == max(rests.get(name, 0), rest_.get(name, 0))


def test_a_visit_whose_beginning_was_not_remembered_begins_now() -> None:
    """States from before visits were remembered must not read as a visit of half a million hours."""
    old = Trajectory(turns=5, seen_at=1_795_000_000.0)
    assert old.session == 0.0
    assert advance(old, 0, 1_795_000_060.0).session == 0.0


@given(TURNS, SEVERITIES)
def test_a_reply_that_ends_late_changes_nothing_that_was_said_or_lowered_meanwhile(
    turns: list[tuple[int, float]], severity: int
) -> None:
    trajectory, at = ([(Trajectory(), 0.0)] + walk(turns))[-1]
    before = State("c", trajectory)
    ours = State("c", trajectory, drift=(("isolation", 1.0),))
    for theirs in (
        State("c", advance(trajectory, severity, at + 1), Episode(answered=severity)),
        State("c", lower(trajectory, 0)),
    ):
        both = merged(before, ours, theirs)
        assert both == State("c", theirs.trajectory, theirs.episode, drift=ours.drift)
