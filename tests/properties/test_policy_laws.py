"""What a decision may never do, whatever is seen: claims about the shipped policy and about any other."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from guardrail.core import compose
from guardrail.core.conditions import View
from guardrail.core.conversation import Episode, State, Trajectory, rest, settle
from guardrail.core.decide import Verdict, decide
from guardrail.core.model import ACTION_RANK, CATEGORIES, CUES, OUTBOUND_SIGNALS, Failed, Finding, Found, Signal
from guardrail.core.ports import HelpQuery
from guardrail.core.rules import CaseRule, OnFailure, Policy, Rule, Then, When, indexed
from guardrail.core.turn import judge
from guardrail.shipped import policy

BASE = policy()
DETAILS = ("", "ingestion", "strangulation", "child", "named_target")


def signals(names: tuple[str, ...], most: int = 4) -> st.SearchStrategy[list[Signal]]:
    return st.lists(
        st.builds(
            Signal,
            name=st.sampled_from(names),
            severity=st.integers(0, most),
            subject=st.sampled_from(("self", "other", "child")),
            frame=st.sampled_from(("sincere", "intrusive", "professional")),
            detail=st.sampled_from(DETAILS),
        ),
        max_size=4,
    )


DANGERS = signals(CATEGORIES)
CUED = st.lists(st.builds(Signal, name=st.sampled_from((*CUES, "minor")), severity=st.just(0)), max_size=2)
INBOUND = st.tuples(DANGERS, CUED).map(lambda two: [*two[0], *two[1]])
OUTBOUND = signals(OUTBOUND_SIGNALS)
AUDIENCES = st.sampled_from(("adult", "minor", "unknown"))
VIEWS = st.builds(
    View,
    direction=st.just("inbound"),
    trajectory=st.builds(Trajectory, level=st.floats(0, 4), latch=st.sampled_from((0, 3, 4))),
    episode=st.builds(
        Episode,
        answered=st.sampled_from((0, 3, 4)),
        category=st.sampled_from(("suicide", "abuse_victim")),
        referred=st.booleans(),
    ),
    audience=AUDIENCES,
)
FAILURES = st.lists(
    st.builds(
        Failed, detector=st.just("d"), reason=st.sampled_from(("raised", "deadline", "absent", "invalid"))
    ),
    min_size=1,
    max_size=2,
)  # fmt: skip


def found(seen: list[Signal]) -> list[Finding]:
    return [Found("d", tuple(seen))]


class Kinds:
    """Help that says its kinds, so that a text shows which were asked for."""

    def lines(self, query: HelpQuery) -> tuple[str, ...]:
        return tuple(f"<{kind}>" for kind in query.kinds)


def said(verdict: Verdict, told: bool = False) -> str:
    return compose.compose(
        BASE, verdict, tongues=("en",), help_lines=Kinds(), country="GB", audience="unknown", at=0.0, told=told
    )


@given(INBOUND, VIEWS)
def test_severity_is_the_worst_of_what_was_seen_and_attributes_never_raise_it(seen: list[Signal], view: View) -> None:
    verdict = decide(BASE, found(seen), view)
    assert verdict.severity == max((s.severity for s in seen if s.name in CATEGORIES), default=0)
    assert verdict.granularity == "whole" or (view.trajectory.latch < 3 and view.trajectory.level < 3)


@given(INBOUND, VIEWS)
def test_the_strictest_action_wins(seen: list[Signal], view: View) -> None:
    verdict = decide(BASE, found(seen), view)
    assert verdict.action == max(verdict.actions, key=ACTION_RANK.__getitem__, default="pass")
    speakers = [r for r in BASE.rules if r.id == verdict.rule]
    if verdict.action == "replace":
        assert speakers[0].then.response == verdict.response, "the rule that is named is the one that speaks"


@given(st.lists(st.tuples(INBOUND, st.floats(0, 400_000)), max_size=12), AUDIENCES)
def test_one_authored_reply_an_episode_and_never_without_fresh_evidence(
    turns: list[tuple[list[Signal], float]], audience: str
) -> None:
    state, now = State("c"), 1.0
    for seen, gap in turns:
        now += gap
        before = settle(msgspec.structs.replace(state, trajectory=rest(state.trajectory, now))).episode
        judged = judge(BASE, found(seen), state, direction="inbound", now=now, audience=audience)  # type: ignore[arg-type]
        verdict, state = judged.verdict, judged.state
        if verdict.action == "replace":
            # Composites may have raised it: what is weighed is what was seen in this very turn.
            assert verdict.severity >= 3 and any(s.severity == verdict.severity for s in verdict.signals)
            # A doubt, of severity 0, is weighed and not kept; nothing else is lost, and nothing comes from elsewhere.
            assert {s.name for s in seen if s.severity} <= {s.name for s in verdict.signals} <= {s.name for s in seen}
            first_help = bool(verdict.resources) and not before.referred and before.category == "abuse_victim"
            own_after_helper = before.subject != "self" and verdict.subject == "self"
            assert verdict.severity > before.answered or first_help or own_after_helper


AT_THREE = st.tuples(
    st.builds(
        Signal,
        name=st.sampled_from([name for name in CATEGORIES if name != "dependency_on_bot"]),
        severity=st.just(3),
        subject=st.sampled_from(("self", "other", "child")),
    ),
    signals(CATEGORIES, most=3),
).map(lambda two: [two[0], *two[1]])


@given(st.lists(AT_THREE, min_size=2, max_size=10))
def test_within_an_episode_the_same_card_is_never_shown_twice(turns: list[list[Signal]]) -> None:
    state, shown = State("c"), []
    for i, seen in enumerate(turns):
        judged = judge(BASE, found(seen), state, direction="inbound", now=60.0 * (i + 1))
        state = judged.state
        if judged.verdict.action == "replace":
            shown.append(judged.verdict.response)
    assert len(shown) == len(set(shown)) and 1 <= len(shown) <= 3, shown
    assert all(card == "abuse.high" or card.startswith("helper.") for card in shown[:-1]), "only these leave room"


@given(INBOUND, INBOUND, VIEWS)
def test_seeing_more_never_means_doing_less(seen: list[Signal], more: list[Signal], view: View) -> None:
    less, whole = decide(BASE, found(seen), view), decide(BASE, found([*seen, *more]), view)
    assert whole.severity >= less.severity
    assert ACTION_RANK[whole.action] >= ACTION_RANK[less.action]
    assert {c.category for c in whole.cases} >= {c.category for c in less.cases}
    for case in less.cases:
        assert next(c for c in whole.cases if c.category == case.category).deadline <= case.deadline


@given(INBOUND, st.randoms(use_true_random=False), VIEWS)
def test_the_order_in_which_detectors_report_changes_nothing_a_person_reads(
    seen: list[Signal], random: object, view: View
) -> None:
    shuffled = list(seen)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = decide(BASE, found(seen), view), decide(BASE, found(shuffled), view)
    for what in ("action", "severity", "category", "subject", "response"):
        assert getattr(one, what) == getattr(other, what), what
    assert set(one.resources) == set(other.resources) and set(one.steer) == set(other.steer)
    assert {(c.category, c.deadline) for c in one.cases} == {(c.category, c.deadline) for c in other.cases}


@given(INBOUND, VIEWS)
def test_no_case_without_a_rule_that_opens_it_and_the_signal_it_is_about(seen: list[Signal], view: View) -> None:
    rules = {rule.id: rule for rule in BASE.rules}
    for case in decide(BASE, found(seen), view).cases:
        rule = rules[case.rule]
        assert rule.then.case is not None and rule.then.case.deadline == case.deadline
        assert case.severity >= 3 and case.category in rule.when.signals
        assert any((s.name, s.severity, s.subject) == (case.category, case.severity, case.subject) for s in seen)


@given(INBOUND, VIEWS)
def test_danger_is_never_left_to_the_bot_alone(seen: list[Signal], view: View) -> None:
    """At 3 and more: a case, and an answer or guidance; at 2 and 1 at least guidance."""
    verdict = decide(BASE, found(seen), view)
    if verdict.severity >= 3 and verdict.category not in ("dependency_on_bot", ""):
        assert verdict.cases
        assert verdict.action == "replace" or verdict.steer
    if verdict.severity >= 1:
        assert ACTION_RANK[verdict.action] >= ACTION_RANK["steer"]
        assert all(name in BASE.guidance for name in verdict.steer)


@given(INBOUND, VIEWS)
def test_help_is_never_shown_without_the_text_it_belongs_to(seen: list[Signal], view: View) -> None:
    verdict = decide(BASE, found(seen), view)
    if "support" in verdict.actions or verdict.action == "replace":
        assert verdict.response and said(verdict) != compose.LAST_RESORT
    if verdict.response == "abuse.high":
        asked = any(s.name == "asks_numbers" for s in seen)
        assert asked or verdict.resources == (), "privacy first, numbers after"


@given(OUTBOUND, st.sampled_from((0, 3, 4)), AUDIENCES)
def test_a_reply_that_harms_never_passes(seen: list[Signal], latch: int, audience: str) -> None:
    view = View("outbound", Trajectory(level=float(latch), latch=latch), audience=audience)  # type: ignore[arg-type]
    verdict = decide(BASE, found(seen), view)
    if verdict.severity >= 2:
        assert ACTION_RANK[verdict.action] >= ACTION_RANK["rewrite"] and verdict.response
    calm = decide(BASE, found(seen), View("outbound", audience=audience))  # type: ignore[arg-type]
    assert ACTION_RANK[verdict.action] >= ACTION_RANK[calm.action], "never milder with a person in danger"


@given(OUTBOUND, FAILURES)
def test_a_reply_that_was_not_read_never_passes(seen: list[Signal], failures: list[Failed]) -> None:
    verdict = decide(BASE, [*found(seen), *failures], View("outbound"))
    assert verdict.action == "replace" and verdict.response and verdict.failures == tuple(failures)


@given(INBOUND, FAILURES, VIEWS)
def test_a_message_that_was_not_read_is_steered_and_gets_no_crisis_text(
    seen: list[Signal], failures: list[Failed], view: View
) -> None:
    verdict = decide(BASE, [*found(seen), *failures], view)
    assert "watchful" in verdict.steer
    sure = decide(BASE, found(seen), view)
    assert verdict.response == sure.response and verdict.severity == sure.severity
    assert decide(BASE, list(failures), view).response == ""


# --- any policy

THENS = st.builds(
    Then,
    action=st.sampled_from(("pass", "support", "steer", "replace", "handoff")),
    response=st.just("text"),
    steer=st.sampled_from(("", "a", "b")),
    resources=st.sampled_from(((), ("suicide_crisis",), ("emergency_ambulance", "suicide_crisis"))),
    case=st.sampled_from((None, CaseRule(300.0), CaseRule(3600.0))),
)
WHENS = st.builds(
    When,
    direction=st.just("inbound"),
    signals=st.lists(st.sampled_from(CATEGORIES), min_size=1, max_size=3, unique=True).map(tuple),
    severity=st.tuples(st.integers(0, 4), st.integers(0, 4)).map(lambda two: (min(two), max(two))),
    subject=st.sampled_from(((), ("self",), ("other", "child"))),
)
RULES = st.lists(st.builds(Rule, id=st.uuids().map(str), when=WHENS, then=THENS), max_size=8)


def compiled(rules: list[Rule]) -> Policy:
    replace = Then("replace", "text")
    return Policy(
        "p", "1", "0", tuple(rules), OnFailure(Then("steer", steer="a"), replace, Then("steer", steer="a"), replace),
        index=indexed(rules),
    )  # fmt: skip


@given(RULES, DANGERS, DANGERS, VIEWS)
def test_under_any_policy_a_verdict_is_no_stricter_than_its_rules_and_more_is_never_less(
    rules: list[Rule], seen: list[Signal], more: list[Signal], view: View
) -> None:
    made = compiled(rules)
    less, whole = decide(made, found(seen), view), decide(made, found([*seen, *more]), view)
    fired = {step.rule for step in less.trail if step.fired}
    strictest = max((ACTION_RANK[r.then.action] for r in rules if r.id in fired), default=0)
    assert ACTION_RANK[less.action] <= max(strictest, ACTION_RANK["steer"])
    assert bool(less.cases) == any(r.then.case for r in rules if r.id in fired)
    if less.severity == whole.severity:
        assert ACTION_RANK[whole.action] >= ACTION_RANK[less.action]
    assert set(less.signals) == set(seen)


@given(RULES, DANGERS, VIEWS)
def test_a_verdict_survives_being_written_down(rules: list[Rule], seen: list[Signal], view: View) -> None:
    verdict = decide(compiled(rules), found(seen), view)
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict) == verdict
