"""What a rule may ask for, and that it then holds exactly there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardrail.core.conditions import Around, View
from guardrail.core.conversation import State, Trajectory, advance
from guardrail.core.decide import decide, why_not
from guardrail.core.model import CATEGORIES, Failed, Found, Signal
from guardrail.core.rules import Composite, Policy, When
from guardrail.core.turn import judge
from guardrail.core.weigh import weigh
from guardrail.policy import load
from guardrail.shipped import policy as shipped_policy
from tests.packs import FILES, fires, pack, problems, rule

SAD = Signal("acute_distress", 2, score=0.7)
SIGNAL = "direction: inbound, signal: acute_distress"


def course(**fields: Any) -> Trajectory:
    return Trajectory(**fields)


def around(**fields: Any) -> Around:
    return Around(**fields)


@pytest.mark.parametrize(
    ("condition", "holds", "does_not"),
    [
        ('score: ">=0.6"', {"signal": {"score": 0.6}}, {"signal": {"score": 0.5}}),
        ('peak: ">=3"', {"trajectory": course(peak=3)}, {"trajectory": course(peak=2)}),
        ("trend: rising", {"trajectory": course(last=3, average=1.0)}, {"trajectory": course(last=1, average=1.0)}),
        ("trend: falling", {"trajectory": course(last=0, average=2.0)}, {"trajectory": course(last=2, average=2.0)}),
        ("quiet: 3", {"trajectory": course(quiet_turns=3)}, {"trajectory": course(quiet_turns=2)}),
        ('turns: ">=20"', {"trajectory": course(turns=20)}, {"trajectory": course(turns=19)}),
        (
            "session: 30m",
            {"trajectory": course(session_from=1.0, seen_at=1801.0)},
            {"trajectory": course(session_from=1.0, seen_at=1800.0)},
        ),
        ('between: "22:00..06:00"', {"around": around(minute=120)}, {"around": around(minute=360)}),
        ('between: "22:00..06:00"', {"around": around(minute=1320)}, {"around": around(minute=1319)}),
        ('between: "09:00..17:00"', {"around": around(minute=540)}, {"around": around(minute=1020)}),
        ('between: "09:00..17:00"', {"around": around(minute=600)}, {"around": around()}),
        (
            "repeats: {times: 3, within: 1h}",
            {"now": 4000.0, "recent": (("acute_distress", (500.0, 2000.0, 4000.0)),)},
            {"now": 4000.0, "recent": (("acute_distress", (300.0, 2000.0, 4000.0)),)},
        ),
        ("with: goodbye", {"others": ["goodbye"]}, {"others": ["stop"]}),
        ("without: [goodbye, stop]", {"others": []}, {"others": ["stop"]}),
        ('cue: {voice.arousal: ">=0.8"}', {"around": around(cues=(("voice.arousal", 0.8),))}, {"around": around()}),
        (
            'cue: {voice.arousal: "0.2..0.5"}',
            {"around": around(cues=(("voice.arousal", 0.3),))},
            {"around": around(cues=(("voice.arousal", 0.6),))},
        ),
        ("prefers: text-only", {"around": around(prefers=("text-only",))}, {"around": around(prefers=("voice",))}),
    ],
)
def test_a_condition_holds_where_it_says_and_nowhere_else(
    tmp_path: Path, condition: str, holds: dict[str, Any], does_not: dict[str, Any]
) -> None:
    policy = load([pack(tmp_path, rules=rule(f"{SIGNAL}, {condition}"))])
    for case, expected in ((holds, True), (does_not, False)):
        given_ = dict(case)
        signal = msgspec.structs.replace(SAD, **given_.pop("signal", {}))
        others = [Signal(name, 0) for name in given_.pop("others", [])]
        assert fires(policy, signal, *others, **given_) is expected, case


@pytest.mark.parametrize(
    ("condition", "what"),
    [
        ("score: 7", "score is no range"),
        ("trend: sideways", "unknown trend"),
        ("quiet: often", "quiet must be a whole number"),
        ("session: soon", "session must be a time"),
        ('between: "25:00..26:00"', "between is no time of day"),
        ("repeats: {times: 1, within: 1h}", "repeats needs times from 2"),
        ("repeats: {times: 3, within: 90d}", "repeats needs times from 2"),
        ("with: sadness", "unknown with sadness"),
        ("cue: {Voice: 1}", "cue Voice is none"),
        ("prefers: Text only", "never met"),
    ],
)
def test_a_condition_that_is_none_is_refused_at_its_place(tmp_path: Path, condition: str, what: str) -> None:
    found = problems(pack(tmp_path, rules=rule(f"{SIGNAL}, {condition}")))
    assert any(what in line and "rules.yaml:4:" in line for line in found), found


def test_exceptions_stand_apart_and_any_of_them_is_enough(tmp_path: Path) -> None:
    unless = "    unless: [{frame: fiction}, {time: past, without: goodbye}]\n"
    policy = load([pack(tmp_path, rules=rule(SIGNAL, more=unless))])
    assert fires(policy, SAD)
    assert not fires(policy, msgspec.structs.replace(SAD, frame="fiction"))
    assert not fires(policy, msgspec.structs.replace(SAD, time="past"))
    assert fires(policy, msgspec.structs.replace(SAD, time="past"), Signal("goodbye", 0))
    broken = rule(SIGNAL, more="    unless: {signal: suicide}\n")
    assert any("unknown key signal" in line for line in problems(pack(tmp_path / "b", rules=broken)))


def test_what_cools_down_is_said_again_only_after_its_time(tmp_path: Path) -> None:
    policy = load([pack(tmp_path, rules=rule(f"{SIGNAL}, severity: 2", "action: steer, steer: watch, cool_down: 10m"))])
    state, steered = State("c"), []
    for now in (0.0, 60.0, 599.0, 601.0):
        judged = judge(policy, (Found("d", (SAD,)),), state, direction="inbound", now=now)
        state = judged.state
        steered.append(judged.verdict.steer)
    assert steered == [("watch",), (), (), ("watch",)]


@pytest.mark.parametrize(
    "then", ["action: steer, steer: watch, cool_down: 1h", "action: replace, response: card, cool_down: 1h"]
)
def test_danger_never_cools_down(tmp_path: Path, then: str) -> None:
    found = problems(pack(tmp_path, rules=rule('direction: inbound, signal: suicide, severity: ">=3"', then)))
    assert any("answered each time" in line for line in found), found


def test_the_course_of_a_conversation_is_kept() -> None:
    course_ = Trajectory()
    for severity, now in ((0, 60.0), (0, 120.0), (2, 180.0)):
        course_ = advance(course_, severity, now)
    assert (course_.trend, course_.session, course_.turns) == ("rising", 120.0, 3)
    course_ = advance(course_, 0, 180.0)
    assert course_.trend == "steady"
    assert advance(course_, 0, 180.0 + 1801.0).session == 0.0, "after half an hour it is another visit"


# --- composites


def test_a_composite_moves_a_severity_before_rules_are_asked_and_says_so(tmp_path: Path) -> None:
    text = (
        "composites:\n  - {id: c, source: s, weight: 1, unless: {time: past},\n"
        "     when: {direction: inbound, signal: suicide, severity: 2, with: substance_crisis}}\n"
    )
    policy = load([pack(tmp_path, composites=text)])
    seen = Found("d", (Signal("suicide", 2), Signal("substance_crisis", 1)))
    judged = judge(policy, (seen,), State("c"), direction="inbound", now=0.0)
    assert judged.verdict.severity == 3
    assert judged.state.trajectory.latch == 3
    assert ("c", "suicide 2 counts as 3") in [(step.rule, step.why) for step in judged.verdict.trail]
    alone = judge(policy, (Found("d", (Signal("suicide", 2),)),), State("c"), direction="inbound", now=0.0)
    assert alone.verdict.severity == 2


SIGNALS = st.builds(
    Signal,
    name=st.sampled_from(CATEGORIES),
    severity=st.integers(0, 4),
    subject=st.sampled_from(("self", "other", "child")),
    frame=st.sampled_from(("sincere", "fiction", "idiom", "intrusive")),
    time=st.sampled_from(("now", "past")),
)
COMPOSITES = st.builds(
    Composite,
    id=st.just("c"),
    when=st.builds(When, direction=st.just("inbound"), signals=st.lists(st.sampled_from(CATEGORIES)).map(tuple)),
    weight=st.sampled_from((-2, -1, 1, 2)),
)


@given(st.lists(COMPOSITES, max_size=5), st.lists(SIGNALS, max_size=6))
def test_no_composite_lowers_danger_said_of_oneself_in_earnest(
    composites: list[Composite], signals: list[Signal]
) -> None:
    findings, _ = weigh(composites, [Found("d", tuple(signals)), Failed("e", "raised")], View("inbound"))
    after = [s for f in findings if isinstance(f, Found) for s in f.signals]
    assert len(findings) == 2 and len(after) == len(signals)
    for before, now in zip(signals, after, strict=True):
        assert 0 <= now.severity <= 4
        if before.severity >= 3 and (before.subject, before.frame, before.time) == ("self", "sincere", "now"):
            assert now.severity >= before.severity


# --- one compiled form


BASE = shipped_policy()


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(SIGNALS, max_size=4),
    st.sampled_from(("adult", "minor", "unknown")),
    st.integers(0, 4),
)
def test_looking_rules_up_finds_every_rule_that_fires(signals: list[Signal], audience: Any, latch: int) -> None:
    """The index spares rules that could not fire, and never one that would."""
    view = View("inbound", Trajectory(latch=latch), audience=audience)
    verdict = decide(BASE, (Found("d", tuple(signals)),), view)
    fired = {(step.rule, step.signal) for step in verdict.trail if step.fired}
    present = {s.name for s in signals if s.severity}
    turn = Signal("", max((s.severity for s in signals), default=0))
    expected = set()
    for each in BASE.rules:
        if each.when.direction == "inbound":
            asked = [s for s in signals if s.name in each.when.signals] if each.when.signals else [turn]
            expected |= {(each.id, s.name) for s in asked if not why_not(each, s, view, present)}
    assert fired == expected


def test_a_turn_meets_no_more_rules_when_a_pack_has_a_hundred_times_as_many(tmp_path: Path) -> None:
    lines = ["rules:"]
    for n in range(1000):
        when = f"direction: inbound, signal: {CATEGORIES[n % 10]}, severity: {n % 5}, audience: adult, subject: other"
        lines.append(
            f"  - {{id: r{n}, source: s, when: {{{when}, detail: d{n}}}, then: {{action: steer, steer: watch}}}}"
        )
    many = load([pack(tmp_path, rules="\n".join(lines) + "\n")])
    met = max(len(found) for key, found in many.index.items() if key[4] == "self")
    assert met <= 1, "who writes of themselves meets none of the thousand"
    assert len(many.rules) == 1001


# --- overrides


OVERRIDE = """overrides:
  - id: card.minor
    rule: r
    source: s
    for: {audience: minor}
    then: {%s}
"""
CARD = rule(
    'direction: inbound, signal: acute_distress, severity: ">=2"',
    "action: replace, response: card, help: [suicide_crisis], case: {deadline: 1h, priority: urgent}",
)


def test_an_override_is_stricter_for_its_people_and_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    policy = load([pack(tmp_path, rules=CARD, over=OVERRIDE % "case: {deadline: 10m}, steer: look")])
    minor, adult = ((Found("d", (SAD,)),), View("inbound", audience="minor")), View("inbound", audience="adult")
    strict = decide(policy, *minor)
    assert strict.rule == "card.minor" and min(c.deadline for c in strict.cases) == 600.0 and "look" in strict.steer
    assert [c.deadline for c in decide(policy, minor[0], adult).cases] == [3600.0]


def test_two_rules_for_one_case_give_it_the_stricter_of_each(tmp_path: Path) -> None:
    then = "action: steer, steer: watch, case: {deadline: %s}"
    when = "direction: inbound, signal: acute_distress, severity: '>=2'"
    text = rule(when, then % "10m") + rule(when, then % "1h, priority: urgent, ladder: night", id="r2").removeprefix(
        "rules:\n"
    )
    [draft] = decide(load([pack(tmp_path, rules=text)]), (Found("d", (SAD,)),), View("inbound")).cases
    assert (draft.deadline, draft.priority, draft.ladder) == (600.0, "urgent", "night")


@pytest.mark.parametrize(
    ("case", "what"),
    [
        ("{deadline: 8d}", "7d at most"),
        ("{deadline: 0s}", "7d at most"),
        ("{deadline: 1h, priority: normal}", "unknown priority normal; "),
        ("{deadline: 1h, ladder: 'Night shift'}", "ladder names one of the operator's ladders"),
        ("{deadline: 1h, ladders: night}", "unknown key ladders; did you mean ladder?"),
    ],
)
def test_a_case_that_cannot_be_is_refused_at_its_place(tmp_path: Path, case: str, what: str) -> None:
    text = rule("direction: inbound, signal: acute_distress", f"action: steer, steer: watch, case: {case}")
    assert any(what in line and "rules.yaml:5:" in line for line in problems(pack(tmp_path, rules=text)))


@pytest.mark.parametrize(
    ("then", "what"),
    [
        ("action: steer, steer: watch, response: '', help: [], case: {deadline: 1h}", "steer instead of replace"),
        ("case: {deadline: 2h}", "120 min instead of 60"),
        ("case: {priority: high}", "no longer urgent priority"),
        ("help: [child_youth]", "help is missing: suicide_crisis"),
    ],
)
def test_an_override_that_is_milder_is_refused(tmp_path: Path, then: str, what: str) -> None:
    found = problems(pack(tmp_path, rules=CARD, over=OVERRIDE % then))
    assert any(what in line and "may only tighten" in line and "over.yaml:6:" in line for line in found), found


def test_an_override_of_nobodys_rule_names_the_nearest(tmp_path: Path) -> None:
    text = OVERRIDE.replace("rule: r", "rule: flor") % "case: {deadline: 10m}"
    assert any("unknown rule flor; did you mean floor?" in line for line in problems(pack(tmp_path, over=text)))


# --- what nobody may leave unanswered


@pytest.mark.parametrize(
    ("floor", "what"),
    [
        ("when: {direction: inbound, signal: suicide, severity: 4}", "at severity 3"),
        ("when: {direction: inbound, signal: suicide, severity: '>=3'}", "at severity 2"),
        ("when: {direction: inbound, signal: suicide, severity: '>=2', audience: adult}", "audience minor"),
        ("when: {direction: inbound, signal: suicide, severity: '>=2', locale: de}", "locale en"),
        ("when: {direction: inbound, signal: suicide, severity: '>=2', between: '09:00..17:00'}", "at severity 4"),
        ("when: {direction: inbound, signal: suicide, severity: '>=2', country: DE}", "at severity 4"),
    ],
)
def test_a_pack_that_silences_suicide_is_refused(tmp_path: Path, floor: str, what: str) -> None:
    text = f"rules:\n  - id: floor\n    source: s\n    {floor}\n    then: {{action: replace, response: unread, case: {{deadline: 1h}}}}\n"
    assert any("silences suicide" in line and what in line for line in problems(pack(tmp_path, floor=text)))


@pytest.mark.parametrize(
    "exception",
    [
        "{between: '22:00..06:00'}",
        "{audience: minor}",
        "{country: JP}",
        "{prefers: no-alarms}",
        "{turns: '>=2'}",
        "{cue: {voice.arousal: '<=0.5'}}",
        "{with: goodbye}",
        "{without: acute_distress}",
        "{score: '<=0.9'}",
        "{session: 30m}",
        "{quiet: 1}",
        "{trend: rising}",
        "{peak: 4}",
        "{latch: 4}",
        "{level: '>=3'}",
        "{episode: open}",
        "{detail: plan}",
        "{repeats: {times: 2, within: 1h}}",
        "[{frame: fiction}, {severity: 3}]",
        "{locale: und}",
        "{between: '11:00..11:01'}",
        "{between: '00:00..00:01'}",
        "{latch: 3}",
        "{latch: '>=3', episode: open}",
        "{latch: 0, episode: open}",
    ],
)
def test_an_exception_silences_nobody_either(tmp_path: Path, exception: str) -> None:
    text = FILES["floor"] + f"    unless: {exception}\n"
    assert any("silences suicide" in line for line in problems(pack(tmp_path, floor=text)))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("prefers: quiet", "prefers: alone"),
        ("between: '22:00..06:00'", "prefers: alone"),
        ("locale: fr", "country: FR"),
    ],
)
def test_two_rules_that_each_leave_a_gap_are_tried_together(tmp_path: Path, first: str, second: str) -> None:
    """Each gap is covered by the other rule, but not where both open at once."""
    text = "rules:\n" + "".join(
        f"  - id: {name}\n    source: s\n    when: {{direction: inbound, signal: suicide, severity: '>=2'}}\n"
        f"    then: {{action: replace, response: unread, case: {{deadline: 1h}}}}\n    unless: {{{gap}}}\n"
        for name, gap in (("floor", first), ("other", second))
    )
    assert any("silences suicide" in line for line in problems(pack(tmp_path, floor=text)))


def test_a_rule_that_rests_guarantees_nothing(tmp_path: Path) -> None:
    text = (
        "rules:\n  - {id: a, source: s, when: {direction: inbound, signal: suicide, severity: '>=3'},\n"
        "     then: {action: replace, response: unread, case: {deadline: 1h}}}\n"
        "  - {id: b, source: s, when: {direction: inbound, signal: suicide, severity: 2},\n"
        "     then: {action: steer, steer: watch, cool_down: 24h}}\n"
    )
    found = problems(pack(tmp_path, floor=text))
    assert any("at severity 2 nothing is done" in line for line in found), found


@pytest.mark.parametrize("course", ["latch: 0", "level: '<=1'", "episode: closed", "with: goodbye, trend: falling"])
def test_a_composite_is_asked_of_the_course_before_the_turn(tmp_path: Path, course: str) -> None:
    text = (
        "composites:\n  - {id: c, source: s, weight: -2,\n"
        f"     when: {{direction: inbound, signal: suicide, severity: 2, {course}}}}}\n"
    )
    found = problems(pack(tmp_path, composites=text))
    assert any("silences suicide: at severity 2 nothing is done" in line for line in found), found


def test_more_distinctions_than_can_be_tried_are_refused_and_not_cut_short(tmp_path: Path) -> None:
    names = ", ".join(f"p{i}" for i in range(25))
    text = FILES["floor"] + f"    unless: {{prefers: [{names}]}}\n"
    found = problems(pack(tmp_path, floor=text))
    assert any("more distinctions than can be tried out" in line for line in found), found


def test_distinctions_of_other_rules_do_not_count(tmp_path: Path) -> None:
    names = ", ".join(f"p{i}" for i in range(25))
    load([pack(tmp_path, rules=rule(f"direction: inbound, signal: emotion, prefers: [{names}]"))])


def test_a_later_pack_that_silences_suicide_is_refused_too(tmp_path: Path) -> None:
    later = tmp_path / "b"
    later.mkdir()
    (later / "pack.yaml").write_text("id: b\nversion: '1'\nowner: o\nsources: [s]\n")
    (later / "rules.yaml").write_text(rule("direction: inbound, signal: suicide, severity: '>=2'", id="floor"))
    found = problems(pack(tmp_path / "a"), later)
    assert any("the person gets no answer of ours, the action is steer" in line for line in found), found


def test_a_composite_that_lowers_is_a_silence_whatever_it_asks_for(tmp_path: Path) -> None:
    text = (
        "composites:\n  - {id: c, source: s, weight: -2, unless: {time: past},\n"
        "     when: {direction: inbound, signal: suicide, severity: 2, with: goodbye}}\n"
    )
    found = problems(pack(tmp_path, composites=text))
    assert any("silences suicide: at severity 2 nothing is done" in line for line in found), found


def test_an_exception_for_what_is_not_meant_in_earnest_is_none(tmp_path: Path) -> None:
    load([pack(tmp_path, floor=FILES["floor"] + "    unless: [{frame: [fiction, quotation]}, {time: past}]\n")])


def test_no_case_is_a_silence_as_well(tmp_path: Path) -> None:
    text = FILES["floor"].replace(", case: {deadline: 1h}", "")
    assert any("no human is told" in line for line in problems(pack(tmp_path, floor=text)))


def test_the_shipped_policy_silences_nobody() -> None:
    assert isinstance(BASE, Policy)
