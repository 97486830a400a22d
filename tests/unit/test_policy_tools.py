"""What clinicians see of a policy: explained, compared, tried on what was recorded, in words."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.cli import main
from guardrail.core.model import Found, Signal
from guardrail.evaluation.statistics import rate
from guardrail.policy import load
from guardrail.policy.compile import compile_packs
from guardrail.policy.lint import lint
from guardrail.policy.proving import run
from guardrail.policy.schema import schema
from guardrail.policy.simulate import Recorded, simulate
from guardrail.policy.vignettes import read_vignettes
from guardrail.policy.vocabulary import FILE_KEYS, PACK_KEYS, THEN_KEYS, WHEN_KEYS
from guardrail.policy.wording import hard, unsafe
from tests.packs import pack, rule
from tests.unit.test_policy import TODAY

DOCS = Path(__file__).resolve().parents[2] / "docs"
VIGNETTES = """vignettes:
  - {id: sad, turns: [{user: x, sees: [{signal: acute_distress, severity: 2}], expect: {action: steer, rule: r}}]}
  - {id: calm, turns: [{user: x, sees: [], expect: {action: pass}}]}
"""
SAD = "direction: inbound, signal: acute_distress, severity: 2"


def test_explaining_marks_the_words_and_says_why_a_rule_did_not_fire(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "explain", "base", "--text", "Ach. I want to kill myself.", "--audience", "minor"]) == 0
    told = capsys.readouterr().out
    assert "\u27e6I want to kill myself\u27e7" in told
    assert "suicide 3 (high), about themselves" in told or "suicide 4 (imminent), about themselves" in told
    assert "Rules that fired" in told and "minor" in told
    assert main(["policy", "explain", "base", "--vignette", "helper-friend-nothing"]) == 2
    assert "there is no vignette" in capsys.readouterr().err


def test_comparing_says_what_is_milder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = "action: support, response: card, help: [suicide_crisis], steer: watch"
    before = pack(tmp_path / "a", rules=rule(SAD, card), vignettes=VIGNETTES)
    after = pack(tmp_path / "b", rules=rule(SAD), vignettes=VIGNETTES)
    assert main(["policy", "diff", str(before), str(after)]) == 0
    told = capsys.readouterr().out
    assert "rule r changed" in told and "help is missing: suicide_crisis" in told
    assert "vignette sad turn 1" in told and "2 of them milder" in told
    assert main(["policy", "diff", str(before), str(before)]) == 0
    assert "0 differences" in capsys.readouterr().out


def test_trying_a_policy_on_recorded_turns_finds_what_is_missed_and_what_is_new(tmp_path: Path) -> None:
    case = "action: replace, response: card, help: [suicide_crisis], case: {deadline: 1h}"
    before = load([pack(tmp_path / "a", rules=rule(SAD, case))])
    other = rule("direction: inbound, signal: eating_disorder, severity: 2", case)
    after = load([pack(tmp_path / "b", rules=other)])
    turns = [
        Recorded(str(i), f"c{i}", float(i), "inbound", (Found("d", (Signal(name, 2),)),))
        for i, name in enumerate(["acute_distress"] * 3 + ["eating_disorder"] * 2 + ["suicide"] * 5)
    ]
    found = simulate(before, after, turns)
    assert (found.newly_missed.count, found.newly_escalated.count, found.turns) == (3, 2, 10)
    assert [m.id for m in found.moved if m.kind == "newly missed"] == ["0", "1", "2"]
    assert simulate(before, before, turns).moved == ()


def test_trying_a_policy_on_a_file_of_conversations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"id": "a", "messages": [{"role": "user", "content": "hi"}, {"role": "user", "content": "I want to die"}]},
        {"id": "b", "text": "How long does soup take?"},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    folder = str(pack(tmp_path / "p"))
    arguments = ["policy", "simulate", folder, "--against", "base", "--on", str(tmp_path / "rows.jsonl"), "--json"]
    assert main(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["turns"] == 3 and told["conversations"] == 2
    assert all(m["id"].startswith("a ") for m in told["moved"])
    (tmp_path / "rows.jsonl").write_text("[]\n")
    assert main(arguments) == 2
    assert "rows.jsonl:1:1" in capsys.readouterr().err


@given(st.integers(0, 500), st.integers(0, 500))
def test_an_interval_holds_its_share(count: int, more: int) -> None:
    found = rate(count, count + more)
    assert 0.0 <= found.low <= found.share + 1e-9 and found.share - 1e-9 <= found.high <= 1.0


def test_a_rule_is_proven_only_where_a_vignette_would_fail_without_it(tmp_path: Path) -> None:
    weak = VIGNETTES.replace(", rule: r", "").replace("action: steer", "severity: 2")
    for vignettes, unproven in ((VIGNETTES, {"floor"}), (weak, {"r", "floor"})):
        compiled = compile_packs([pack(tmp_path / str(len(unproven)), rules=rule(SAD), vignettes=vignettes)])
        outcome = run(compiled.policy, read_vignettes(compiled.packs, []), lambda text, context: [])
        assert set(outcome.unproven) == unproven and not outcome.failures
        report = lint([compiled.packs[0].folder], TODAY, listen=lambda entries: lambda text, context: [])
        assert len([w for w in report.warnings if "proven by no vignette" in w]) == len(unproven)


def test_a_vignette_may_ask_what_the_reply_holds_and_stand_for_several(tmp_path: Path) -> None:
    text = """vignettes:
  - id: v
    audience: [adult, minor]
    at: "23:30"
    turns:
      - {user: x, sees: [{signal: suicide, severity: 3}], expect: {reply: {has: NOT NOW, lacks: [card]}}}
      - {user: x, sees: [], after: 72h, expect: {reply: {has: gone}}}
"""
    compiled = compile_packs([pack(tmp_path, vignettes=text)])
    outcome = run(compiled.policy, read_vignettes(compiled.packs, []), lambda text, context: [])
    assert outcome.total == 2
    assert [line.partition(": ")[2] for line in outcome.failures] == [
        "v/adult: the reply lacks 'gone'",
        "v/minor: the reply lacks 'gone'",
    ]


def test_a_milder_rule_in_a_later_pack_is_warned_of(tmp_path: Path) -> None:
    before = pack(
        tmp_path / "a", rules=rule(SAD, "action: support, response: card, help: [suicide_crisis], steer: watch")
    )
    later = tmp_path / "b"
    later.mkdir()
    (later / "pack.yaml").write_text("id: b\nversion: '1'\nowner: o\nsources: [s]\nreview_by: 2030-01-01\n")
    (later / "rules.yaml").write_text(rule(SAD))
    report = lint([before, later], TODAY)
    assert any("r is milder than in an earlier pack: help is missing" in w for w in report.warnings), report


@pytest.mark.parametrize(
    ("locale", "text"),
    [
        ("en", "I understand how you feel."),
        ("en", "Help is on its way."),
        ("en", "Think of your family."),
        ("en-GB", "People who commit suicide"),
        ("de", "Ich verstehe dich."),
        ("es", "no cometas... cometer suicidio"),
        ("fr", "Les secours arrivent."),
    ],
)
def test_unsafe_wording_of_our_own_is_found(locale: str, text: str) -> None:
    assert list(unsafe(locale, text))
    assert not list(unsafe("en", "I'm an AI. Are you thinking about suicide right now?"))


def test_what_is_hard_to_read_is_found() -> None:
    assert list(hard("en", "word " * 27))
    assert list(hard("en", "Psychological stabilisation necessitates immediate professional intervention."))
    assert not list(hard("en", "Please move away from anything you could use, and call now."))


def test_the_schema_knows_every_key_there_is() -> None:
    found = schema()
    assert set(found["properties"]) == {*PACK_KEYS, *FILE_KEYS}
    assert set(found["$defs"]["when"]["properties"]) == set(WHEN_KEYS)
    assert set(found["$defs"]["then"]["properties"]) == set(THEN_KEYS)


def test_the_hazard_log_is_of_the_shipped_policy_and_leaves_no_rule_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "hazards", "base"]) == 0
    text = capsys.readouterr().out
    path = DOCS / "hazards.md"
    if os.environ.get("REGENERATE"):
        path.write_text(text)
    assert path.read_text() == text, "run this test with REGENERATE=1"
    assert "Rules under no hazard" not in text and "| none |" not in text
