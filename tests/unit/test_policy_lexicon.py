"""A pack listens for words of its own: a clinic's slang, a new game, what people there say for dying."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from guardrail.cli import main
from guardrail.guard import Guard
from guardrail.policy import PolicyError
from guardrail.shipped import load
from tests.packs import FILES, rule

OWN = """language: en
direction: inbound
shows:
  - id: clinic.lantern
    signal: suicide
    severity: 3
    any: ["putting (?:out my|my own) lantern out", "put my lantern out"]
    match: ["i am going to put my lantern out", "put my lantern out"]
    spare: ["we carried a lantern out to the garden", "the lantern went out"]
"""
SAID = "nobody will notice if I put my lantern out"
SILENT = "nobody will notice if I blow my whistle"
DAY = datetime.date(2026, 1, 1)


def clinic(folder: Path, lexicon: str = OWN) -> Path:
    (folder / "lexicon").mkdir(parents=True, exist_ok=True)
    (folder / "pack.yaml").write_text(FILES["pack"].replace("id: t", "id: clinic"))
    (folder / "lexicon" / "own.yaml").write_text(lexicon)
    return folder


def test_what_a_pack_listens_for_is_heard_and_acted_on(tmp_path: Path) -> None:
    guard = Guard.load(["base", clinic(tmp_path / "clinic")])
    verdict = guard.inspect(SAID, direction="inbound")
    assert (verdict.severity, verdict.action, verdict.rule) == (3, "replace", "suicide.high")
    assert guard.inspect(SILENT, direction="inbound").action == "pass"
    assert Guard.load().inspect(SAID, direction="inbound").severity == 0, "and the shipped lexicon is as it was"


@pytest.mark.parametrize(
    ("lexicon", "what"),
    [
        (OWN.replace('put my lantern out"]\n    match', 'put my (lantern"]\n    match'), "own.yaml:7:"),
        (OWN.replace("signal: suicide", "signal: suicid"), "own.yaml:5:"),
        (OWN.replace("id: clinic.lantern", "id: en.wants_to_die"), "is used twice"),
        (OWN.replace("any:", "ani:"), "own.yaml:"),
        ("rules: []\n", "own.yaml:1:1: "),
        ("- a\n", "own.yaml:1:1: "),
    ],
)
def test_a_lexicon_that_cannot_be_used_keeps_the_whole_pack_out(tmp_path: Path, lexicon: str, what: str) -> None:
    from guardrail.shipped import lexicon as shipped

    taken = next(e.id for e in shipped().entries if e.kind == "shows" and e.language == "en")
    with pytest.raises(PolicyError) as refused:
        load(["base", clinic(tmp_path / "clinic", lexicon.replace("en.wants_to_die", taken.removeprefix("en.")))])
    assert any(what in line and ";" in line for line in refused.value.problems), refused.value.problems


def test_lint_holds_entries_to_their_examples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = clinic(tmp_path / "clinic", OWN.replace("i am going to put my lantern out", "i dropped my lantern"))
    assert main(["policy", "lint", "base", str(folder), "--json"]) == 1
    [error] = json.loads(capsys.readouterr().out)["errors"]
    assert "own.yaml:4:5: en.clinic.lantern does not see its example 'i dropped my lantern'" in error
    assert main(["policy", "lint", "base", str(clinic(tmp_path / "clinic"))]) == 0


def test_vignettes_of_a_pack_are_tried_with_what_it_listens_for(tmp_path: Path) -> None:
    folder = clinic(tmp_path / "clinic")
    vignette = f"vignettes:\n  - {{id: lantern, turns: [{{user: {SAID!r}, expect: {{severity: 3, case: true}}}}]}}\n"
    (folder / "vignettes.yaml").write_text(vignette)
    assert main(["policy", "test", "base", str(folder), "--failures"]) == 0


def test_diff_says_what_is_newly_heard_and_what_no_longer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = clinic(tmp_path / "clinic")
    assert main(["policy", "diff", "base", f"base,{folder}", "--json"]) in (0, 1)
    added = [c for c in json.loads(capsys.readouterr().out)["changes"] if c["kind"] == "lexicon"]
    assert [(c["name"], c["what"], c["milder"]) for c in added] == [("en.clinic.lantern", "added", [])]
    assert "shows suicide 3 (en, inbound), such as: i am going to put my lantern out" in added[0]["after"]
    main(["policy", "diff", f"base,{folder}", "base", "--json"])
    [gone] = [c for c in json.loads(capsys.readouterr().out)["changes"] if c["kind"] == "lexicon"]
    assert gone["milder"] == ["it is no longer heard"]


def test_a_signature_covers_what_a_pack_listens_for(tmp_path: Path) -> None:
    folder = clinic(tmp_path / "clinic")
    assert main(["policy", "keys", "lead", "--out", str(tmp_path)]) == 0
    who = ["--who", "A. Lead", "--role", "clinical lead", "--why", "our words"]
    assert main(["policy", "sign", str(folder), "--key", str(tmp_path / "lead.key"), *who]) == 0
    assert main(["policy", "verify", str(folder)]) == 0
    (folder / "lexicon" / "own.yaml").write_text(OWN.replace("severity: 3", "severity: 1"))
    assert main(["policy", "verify", str(folder)]) != 0


def test_a_new_rule_may_be_for_what_only_the_pack_hears(tmp_path: Path) -> None:
    folder = clinic(tmp_path / "clinic")
    text = rule(
        "direction: inbound, signal: suicide, severity: 3, country: NZ",
        "action: handoff, response: suicide.high",
        id="nz",
    )
    (folder / "rules.yaml").write_text(text)
    verdict = Guard.load(["base", folder]).inspect(SAID, direction="inbound", country="NZ")
    assert verdict.action == "handoff" and verdict.cases, "the base rule's case is opened all the same"
