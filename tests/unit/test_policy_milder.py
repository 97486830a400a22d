"""What does less for people than before is marked, wherever in a pack it was changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrail.cli import main
from guardrail.core.rules import More, When
from guardrail.policy import load
from guardrail.policy.difference import differences
from guardrail.policy.lint import lint
from guardrail.policy.narrower import _HOW, _HOW_MORE, narrower
from tests.packs import pack, rule
from tests.unit.test_policy import TODAY

SAD = "direction: inbound, signal: [acute_distress, self_harm]"
FAREWELL = "direction: inbound, signal: acute_distress"
FILE = "id: b\nversion: '1'\nowner: o\nsources: [s]\nreview_by: 2030-01-01\n"

NARROWER = [
    ("severity: '>=2'", "severity: '>=3'", "grade only from 3 (high), before from 2 (elevated)"),
    ("severity: '>=2'", "severity: '2..3'", "grade only up to 3 (high), before up to 4 (imminent)"),
    ("", "audience: adult", "only for an adult"),
    ("audience: [adult, minor]", "audience: adult", "no longer for a minor"),
    ("locale: de", "locale: de-AT", "no longer for locale de"),
    ("", "locale: [de, fr]", "only for locale de or fr"),
    ("country: [DE, AT]", "country: DE", "no longer for country AT"),
    ("", "subject: self", "only for signs about themselves"),
    ("", "detail: plan", "only for detail plan"),
    ("frame: [sincere, fiction]", "frame: sincere", "no longer for frame fiction"),
    ("", "time: now", "only for time now"),
    ("", "latch: '>=3'", "latch only from 3 (high), before from 0 (no sign)"),
    ("level: '>=1'", "level: '>=2'", "level only from 2, before from 1"),
    ("", "episode: closed", "only before a text of ours was shown"),
    ("", "score: '>=0.9'", "certainty only from 0.9, before from 0"),
    ("", "peak: '<=2'", "gravest so far only up to 2 (elevated), before up to 4 (imminent)"),
    ("trend: [rising, steady]", "trend: rising", "no longer for a course that is steady"),
    ("quiet: 2", "quiet: 3", "quiet turns only from 3, before from 2"),
    ("", "turns: '>=20'", "turn only from 20, before from 0"),
    ("", "session: 45m", "length of the visit only from 45 min, before at once"),
    ("", "between: '22:00..06:00'", "only between 22:00 and 06:00"),
    ("between: '22:00..06:00'", "between: '22:00..05:00'", "only between 22:00 and 05:00"),
    ("", "repeats: {times: 3, within: 24h}", "only when seen in 3 turns within 1 d"),
    ("repeats: {times: 2, within: 2d}", "repeats: {times: 2, within: 1d}", "only when seen in 2 turns within 1 d"),
    ("", "with: goodbye", "only for turns that also show goodbye"),
    ("", "without: retracts", "no longer together with retracts"),
    ("cue: {a: '>=0.5'}", "cue: {a: '>=0.8'}", "only where the app reads a from 0.8 to"),
    ("prefers: [text-only, slow]", "prefers: slow", "no longer for those who have chosen text-only"),
]  # fmt: skip


def when(*more: str) -> str:
    return ", ".join(one for one in (SAD, *more) if one)


@pytest.mark.parametrize(("wide", "narrow", "said"), NARROWER)
def test_a_narrower_condition_is_milder_and_a_wider_one_is_not(
    tmp_path: Path, wide: str, narrow: str, said: str
) -> None:
    before = load([pack(tmp_path / "a", rules=rule(when(wide)))])
    after = load([pack(tmp_path / "b", rules=rule(when(narrow)))])
    (change,) = differences(before, after)
    assert len(change.milder) == 1 and change.milder[0].startswith(said)
    (back,) = differences(after, before)
    assert back.milder == ()


def test_every_condition_there_is_has_its_own_meaning_here() -> None:
    assert {*_HOW, "direction", "signals", "more"} == set(When.__struct_fields__)
    assert set(_HOW_MORE) == set(More.__struct_fields__)


def test_what_counts_for_fewer_signs_or_another_direction_is_milder() -> None:
    two, one, turn = (When("inbound", names) for names in (("suicide", "self_harm"), ("suicide",), ()))
    assert list(narrower(two, one)) == ["self harm no longer counts"] and not list(narrower(one, two))
    assert list(narrower(one, turn)) == ["it is asked of the turn as a whole, and no longer of suicide"]
    assert list(narrower(turn, one)) == ["only suicide counts; before, the whole turn did"]
    assert list(narrower(turn, When("outbound", ())))
    everybody = When("inbound", ("suicide",), audience=("minor", "adult", "unknown"))
    assert not list(narrower(one, everybody)), "naming every audience is naming none"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("", "unless: {frame: fiction}", ["a new or wider exception: frame fiction"]),
        ("", "unless: {audience: minor, time: past}", ["a new or wider exception: for a minor, time past"]),
        (
            "unless: {frame: fiction, audience: adult}",
            "unless: {frame: fiction}",
            ["a new or wider exception: frame fiction"],
        ),
        ("unless: {frame: fiction}", "unless: {frame: fiction, audience: adult}", []),
        ("unless: [{frame: fiction}, {time: past}]", "unless: {time: past}", []),
    ],
)
def test_a_new_or_wider_exception_is_milder(tmp_path: Path, before: str, after: str, said: list[str]) -> None:
    a, b = (load([pack(tmp_path / n, rules=rule(SAD, more=f"    {x}\n"))]) for n, x in (("a", before), ("b", after)))
    (change,) = differences(a, b)
    assert list(change.milder) == said


def composite(weight: int, more: str = "", unless: str = "") -> str:
    exception = f", unless: {unless}" if unless else ""
    return f"composites:\n  - {{id: c, source: s, when: {{{FAREWELL}{more}}}, weight: {weight}{exception}}}\n"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("", composite(-1), "it takes 1 grade where somebody shows acute distress"),
        (composite(1), "", "nothing adds 1 grade any more where somebody shows acute distress"),
        (composite(2), composite(1), "it adds 1 grade, before it adds 2 grades"),
        (composite(-1), composite(-2), "it takes 2 grades, before it takes 1 grade"),
        (composite(1), composite(-1), "it takes 1 grade, before it adds 1 grade"),
        (composite(1), composite(1, ", audience: adult"), "only for an adult"),
        (composite(1), composite(1, unless="{time: past}"), "a new or wider exception: time past"),
        (
            composite(-1, ", audience: adult"),
            composite(-1),
            "it takes weight in more cases: where somebody shows acute distress",
        ),
        (composite(-1, unless="{time: now}"), composite(-1), "it takes weight also where time now"),
    ],
)
def test_what_lowers_more_or_raises_less_is_milder(tmp_path: Path, before: str, after: str, said: str) -> None:
    a, b = (load([pack(tmp_path / n, composites=x)]) for n, x in (("a", before), ("b", after)))
    (change,) = differences(a, b)
    assert change.milder == (said,)
    (back,) = differences(b, a)
    assert back.milder == (), "the other way round more is done"


def test_a_lost_text_is_milder_and_so_is_a_text_that_says_less(tmp_path: Path) -> None:
    german = "locale: de\nresponses: {card: 'so: {help}', unread: jetzt nicht}\n"
    a = load([pack(tmp_path / "a", german=german)])
    b = load([pack(tmp_path / "b", german=german.replace("card: 'so: {help}'", "card: so"))])
    c = load([pack(tmp_path / "c", german="locale: de\nresponses: {unread: jetzt nicht}\n")])
    assert [x.milder for x in differences(a, b)] == [("it no longer says where help is found",)]
    (gone,) = differences(a, c)
    assert gone.name == "card (de)" and gone.milder[0].startswith("there is no text in de any more")
    assert not any(x.milder for x in (*differences(c, a), *differences(b, a)))


def test_an_answer_to_a_failure_that_does_less_is_milder(tmp_path: Path) -> None:
    a, b = pack(tmp_path / "a"), pack(tmp_path / "b")
    harder = (
        (a / "failures.yaml").read_text().replace("store: {action: steer,", "store: {action: handoff, response: card,")
    )
    (a / "failures.yaml").write_text(harder)
    (change,) = differences(load([a]), load([b]))
    assert change.milder == ("steer instead of handoff", "no text of ours is shown, before card")


VIGNETTE = """vignettes:
  - id: v
    turns:
      - user: x
        sees: [{signal: suicide, severity: 3}]
        expect: {%s}
"""


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("action: replace", "action: [replace, steer]", "steer is enough, before replace was asked for"),
        ("action: replace, severity: 3", "severity: 3", "replace is no longer asked for"),
        ("case: true, severity: 3", "severity: 3", "that a human is told is no longer asked for"),
        ("case: true", "case: false", "that a human is told is no longer asked for"),
        ("severity: 3", "severity: '>=2'", "grade 2 is enough, before 3 was asked for"),
        ("severity: 3, case: true", "case: true", "grade 3 is no longer asked for"),
        ("reply: {has: [not, now]}", "reply: {has: now}", "the reply need no longer hold not"),
        ("response: unread, action: replace", "action: replace", "a text of ours is no longer asked for"),
        ("deadline: 3600", "deadline: 7200", "a human may take 2 h instead of 1 h"),
        ("deadline: 3600, case: true", "case: true", "how soon a human answers is no longer asked for"),
    ],
)
def test_a_vignette_that_asks_for_less_is_milder(
    tmp_path: Path, before: str, after: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (str(pack(tmp_path / n, vignettes=VIGNETTE % x)) for n, x in (("a", before), ("b", after)))
    assert main(["policy", "diff", a, b]) == 0
    told = capsys.readouterr().out
    assert f"vignette v turn 1 asks for less\n  before: expects {before.split(':')[0]}" in told
    assert f"  MILDER: {said}\n" in told and "1 of them milder" in told
    assert main(["policy", "diff", b, a]) == 0
    assert "0 of them milder" in capsys.readouterr().out


def test_a_vignette_that_is_gone_is_milder_and_still_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = "  - {id: w, turns: [{user: y, sees: [], expect: {action: pass}}]}\n"
    before = pack(tmp_path / "a", vignettes=VIGNETTE % "action: replace, case: true" + other)
    floor = (before / "floor.yaml").read_text().replace("1h", "2h")
    after = pack(tmp_path / "b", vignettes=f"vignettes:\n{other}", floor=floor)
    assert main(["policy", "diff", str(before), str(after)]) == 0
    told = capsys.readouterr().out
    assert "vignette v is gone, with turn 1" in told
    assert "vignette v turn 1: x" in told and "MILDER: a human has 2 h instead of 1 h" in told


def test_lint_warns_of_a_later_pack_that_does_less_anywhere(tmp_path: Path) -> None:
    answer = "action: support, response: card, help: [suicide_crisis]"
    before = pack(tmp_path / "a", rules=rule(when("severity: '>=2'"), answer), composites=composite(1))
    later = tmp_path / "b"
    later.mkdir()
    (later / "pack.yaml").write_text(FILE)
    exception = "    unless: {time: past}\n"
    (later / "rules.yaml").write_text(rule(when("severity: '>=3'"), answer, more=exception))
    lowering = composite(-1).replace("id: c", "id: low").removeprefix("composites:\n")
    (later / "composites.yaml").write_text(composite(1, ", audience: adult") + lowering)
    hint = "on_failure:\n  detector_inbound: {action: support, help: [suicide_crisis], response: card}\n"
    (later / "failures.yaml").write_text(hint)
    report = lint([before, later], TODAY)
    assert not report.errors
    told = [w.partition(": ")[2] for w in report.warnings if "milder than in an earlier pack" in w]
    assert told == [
        f"{name} is milder than in an earlier pack: {what}; be sure that is meant"
        for name, what in (
            ("r", "grade only from 3 (high), before from 2 (elevated)"),
            ("r", "a new or wider exception: time past"),
            ("c", "only for an adult"),
            ("low", "it takes 1 grade where somebody shows acute distress"),
            ("the answer to a failed detector_inbound", "support instead of steer"),
            ("the answer to a failed detector_inbound", "the bot is not steered"),
        )
    ]
    assert not any("milder" in w for w in lint([before], TODAY).warnings)
