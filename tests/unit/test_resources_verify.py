"""Who has checked a line: two people, for the line as it is today, and nothing pretends otherwise."""

from __future__ import annotations

import datetime
from pathlib import Path

import msgspec
import pytest

from guardrail.core.ports import HelpQuery
from guardrail.resources import Directory
from guardrail.resources.check import check
from guardrail.resources.load import load_country, save_verification
from guardrail.resources.model import Verification
from guardrail.shipped import POLICIES

FOLDER = POLICIES / "resources"
DAY = datetime.date(2026, 11, 26)
WORD = Verification("DE", ("A. Weber", "B. Stein"), DAY)


def said(overlay: Path) -> str:
    moment = datetime.datetime(2026, 11, 27, 12, tzinfo=datetime.UTC).timestamp()
    return Directory(FOLDER, overlay).lines(HelpQuery("DE", ("suicide_crisis",), "en", "unknown", moment))[0]


def test_a_verified_line_is_no_longer_said_to_be_listed_publicly(tmp_path: Path) -> None:
    assert "listed publicly, checked 2026-11-23" in said(tmp_path)
    save_verification(tmp_path, WORD)
    assert "listed publicly" not in said(tmp_path)
    for r in load_country(FOLDER, "DE", tmp_path):
        assert r.verified_by == (WORD.verified_by if r.status == "active" else ()), r.id


@pytest.mark.parametrize("names", [(), ("A. Weber",), ("A. Weber", "a.  weber "), ("A. Weber", " ")])
def test_one_person_is_not_two(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="two different people"):
        save_verification(tmp_path, msgspec.structs.replace(WORD, verified_by=names))
    assert list(tmp_path.iterdir()) == []
    by_hand = ", ".join(f'"{name}"' for name in names)
    (tmp_path / "DE.yaml").write_text(f'country: "DE"\nverified_by: [{by_hand}]\nverified_on: 2026-11-26\n')
    assert "listed publicly" in said(tmp_path)


def test_facts_gathered_after_the_check_are_not_what_was_checked(tmp_path: Path) -> None:
    save_verification(tmp_path, msgspec.structs.replace(WORD, verified_on=datetime.date(2026, 11, 22)))
    assert "listed publicly" in said(tmp_path)


@pytest.mark.parametrize("broken", ["verified_by: [", "", "country: DE\nverified_by: me\n", "\0"])
def test_a_broken_verification_costs_its_word_and_no_line(tmp_path: Path, broken: str) -> None:
    (tmp_path / "DE.yaml").write_text(broken)
    directory = Directory(FOLDER, tmp_path)
    line = directory.lines(HelpQuery("DE", ("suicide_crisis",), "en", "unknown", 1.8e9))[0]
    assert "0800 111 0 111" in line and "listed publicly" in line
    assert str(tmp_path / "DE.yaml") in directory.problems()[0]


def test_who_is_unverified_can_be_asked_before_anybody_needs_it(tmp_path: Path) -> None:
    save_verification(tmp_path, WORD)
    directory = Directory(FOLDER, tmp_path)
    assert directory.unverified() == []
    assert directory.unverified(["DE", "NO", "XX"]) == ["NO"]
    assert directory.unverified() == ["NO"], "and stays known, now that it is in use"


def test_the_check_lists_what_waits_for_a_human_and_why() -> None:
    notes = {n.id: n for n in check(FOLDER, None, ["DK"], DAY) if not n.what.startswith("unverified")}
    held = notes["dk-livslinien"]
    assert held.what.startswith("hold, high confidence (its hours are not confirmed")
    assert not held.finding


def test_a_check_dated_in_the_future_is_a_finding(tmp_path: Path) -> None:
    save_verification(tmp_path, msgspec.structs.replace(WORD, verified_on=datetime.date(2036, 1, 1)))
    assert any(n.finding and "still to come" in n.what for n in check(FOLDER, tmp_path, ["DE"], DAY))


def test_overdue_lines_fail_the_check_emergency_numbers_too() -> None:
    later = datetime.date(2028, 6, 1)
    found = {n.id: n.what for n in check(FOLDER, None, ["DE"], later) if n.finding}
    assert found["de-emergency-112"].startswith("overdue")
    assert found["de-telefonseelsorge"].startswith("overdue")
    assert found["de-hilfetelefon-gewalt-gegen-frauen"].startswith("hidden")


def test_numbers_a_library_does_not_know_are_a_note_and_no_finding() -> None:
    notes = [n for n in check(FOLDER, None, ["GR"], DAY) if "1018" in n.what]
    assert notes and not notes[0].finding
