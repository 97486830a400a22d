"""What a person reads: the right line first, and the truth when there is none."""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any

import pytest

from guardrail.core.ports import HelpQuery
from guardrail.policy.vocabulary import RESOURCE_KINDS
from guardrail.resources import Directory
from guardrail.resources.load import load_country
from guardrail.resources.select import select
from guardrail.shipped import POLICIES

FOLDER = POLICIES / "resources"
NOON = datetime.datetime(2026, 11, 26, 12, tzinfo=datetime.UTC)
LANGUAGES = ("en", "de", "es", "fr")


def read(folder: Path, country: str | None, *kinds: str, at: datetime.datetime = NOON, **more: Any) -> tuple[str, ...]:
    query = HelpQuery(country, kinds, more.get("locale", "en"), more.get("audience", "unknown"), at.timestamp())
    return Directory(folder, more.get("overlay")).lines(query)


ROW: dict[str, Any] = {
    "kind": ["suicide_crisis"], "languages": ["en"], "hours": "24/7", "timezone": "UTC", "status": "active",
    "confidence": "high", "verified_on": "2026-11-23", "next_review": "2027-02-21", "priority": 3,
}  # fmt: skip
AMBULANCE = {"id": "a", "kind": ["emergency_ambulance"], "dial": "900", "next_review": "2027-11-23", "priority": 1}


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes a country of one's own; a row is what differs from an ordinary crisis line."""

    def written(*rows: dict[str, Any], code: str = "QQ") -> Path:
        text = f'country: "{code}"\nresources:\n'
        for row in rows:
            row = {**ROW, "name": f"Line {row['id']}", **row}
            row["channels"] = f'[{{type: voice, dial: "{row.pop("dial", "0100")}"}}]'
            fields = [f"{k}: {'[' + ', '.join(v) + ']' if isinstance(v, list) else v}" for k, v in row.items()]
            fields = [f'hours: "{row["hours"]}"' if f.startswith("hours:") else f for f in fields]
            text += "  - " + "\n    ".join(fields) + "\n"
        (tmp_path / f"{code}.yaml").write_text(text, encoding="utf-8")
        return tmp_path

    return written


@pytest.mark.parametrize("locale", LANGUAGES)
def test_unknown_country_in_each_language(locale: str) -> None:
    first, second = read(FOLDER, None, "emergency_ambulance", "suicide_crisis", locale=locale)
    assert "112" in first and "911" in first and "https://findahelpline.com" in second


@pytest.mark.parametrize("locale", ["cy", "", "xx-YY", "en_US", "EN"])
def test_other_languages_read_english(locale: str) -> None:
    assert read(FOLDER, None, "suicide_crisis", locale=locale) == read(FOLDER, None, "suicide_crisis")


def test_a_locale_is_not_a_country() -> None:
    assert read(FOLDER, None, "suicide_crisis", locale="de-DE") == read(FOLDER, None, "suicide_crisis", locale="de")


@pytest.mark.parametrize("code", ["../DE", "../../etc/passwd", "D" * 5000, "D\0", "retired", "RETIRED", "", " ", "??"])
def test_what_is_no_country_code_is_an_unknown_country_and_never_a_path(code: str) -> None:
    directory = Directory(FOLDER)
    query = HelpQuery(code, ("suicide_crisis",), "en", "unknown", NOON.timestamp())
    assert directory.lines(query) == read(FOLDER, None, "suicide_crisis")
    assert directory.resources(code) == () and directory.problems() == []


def test_what_people_write_for_britain_is_britain() -> None:
    assert read(FOLDER, "uk", "suicide_crisis") == read(FOLDER, "GB", "suicide_crisis")


@pytest.mark.parametrize(
    ("code", "number"), [("HR", "194"), ("AR", "107"), ("DK", "112"), ("UG", "999"), ("TR", "112")]
)
@pytest.mark.parametrize("locale", LANGUAGES)
def test_no_sure_crisis_line_is_said_plainly_beside_the_emergency_number(code: str, number: str, locale: str) -> None:
    """Also where another kind of line is sure: a line for victims of crime is not the answer to this."""
    first, second, *_ = read(FOLDER, code, "suicide_crisis", "general_emotional_support", locale=locale)
    assert number in first and "findahelpline.com" in second


@pytest.mark.parametrize("code", ["GH", "ID", "LK", "MA", "NG", "PE", "SA", "SK", "ZM"])
def test_an_emergency_number_that_is_not_sure_is_not_shown_either(code: str) -> None:
    assert "112 or 911 works from most mobiles" in read(FOLDER, code, "emergency_ambulance")[0]


@pytest.mark.parametrize("code", ["DE", "FR", "NO", "JP", "US", "AE", "GB"])
def test_poisoning_never_shows_police(code: str) -> None:
    said = " ".join(read(FOLDER, code, "emergency_ambulance", "emergency_police", "poison", "suicide_crisis"))
    assert "Ambulance" in said and "Police" not in said


def test_a_silent_way_to_the_police_where_there_is_one() -> None:
    assert read(FOLDER, "FR", "emergency_police") == ("Police: call 17 or text 114",)


def test_a_regional_line_says_its_region_and_does_not_stand_for_the_country() -> None:
    first, second, third = read(FOLDER, "CO", "suicide_crisis")
    assert "123" in first and "(Bogotá)" in second and "findahelpline.com" in third
    quebec = read(FOLDER, "CA", "suicide_crisis", locale="fr")
    assert "9-8-8" in quebec[0], "open to all before open to some"


def test_a_line_for_a_community_does_not_come_before_one_for_everybody() -> None:
    assert read(FOLDER, "AU", "suicide_crisis")[0].startswith("Lifeline:")


def test_a_number_that_only_some_phones_reach_says_so() -> None:
    assert "*4141 (from a mobile phone)" in read(FOLDER, "CL", "suicide_crisis")[0]
    both = read(FOLDER, "PH", "suicide_crisis")[0]
    assert "1553 (from a landline) or call 0917-899-8727" in both


def test_a_chat_with_fewer_hours_than_its_line_does_not_borrow_them() -> None:
    assert "https://www.cvv.org.br/chat/ (hours vary) · day and night" in read(FOLDER, "BR", "suicide_crisis")[0]


def test_a_menu_choice_is_told_apart_from_the_number() -> None:
    assert "llama al 113 y marca 5" in " ".join(read(FOLDER, "PE", "suicide_crisis", locale="es"))


def test_a_minor_gets_the_childrens_line_and_never_the_one_for_adults() -> None:
    for audience in ("minor", "adult"):
        said = " ".join(read(FOLDER, "PL", "suicide_crisis", "general_emotional_support", audience=audience))
        assert ("call 116 111" in said, "call 116 123" in said) == (audience == "minor", audience == "adult")


def test_norwegian_is_one_language_by_any_of_its_tags(write: Any) -> None:
    folder = write({"id": "en", "priority": 1}, {"id": "nb", "languages": ["nb"], "priority": 3})
    for locale in ("no", "nb-NO", "nn", "no_NO"):
        assert read(folder, "QQ", "suicide_crisis", locale=locale)[0].startswith("Line nb")


def test_a_closed_line_of_the_preferred_kind_stands_behind_an_open_one_of_another(write: Any) -> None:
    folder = write(
        AMBULANCE,
        {"id": "shut", "hours": "Mo-Su 20:00-21:00", "priority": 1},
        {"id": "open", "kind": ["general_emotional_support"]},
    )
    first, second, third = read(folder, "QQ", "suicide_crisis", "general_emotional_support")
    assert first.endswith("900") and second.startswith("Line open")
    assert "closed now, opens Thu 20:00" in third


def test_when_every_line_is_closed_the_emergency_number_and_the_directory_come_first(write: Any) -> None:
    folder = write(AMBULANCE, {"id": "shut", "hours": "Mo-Su 20:00-21:00"})
    first, second, third = read(folder, "QQ", "suicide_crisis")
    assert first.endswith("900") and "findahelpline.com" in second and third.startswith("Line shut")
    evening = datetime.datetime(2026, 11, 26, 20, 30, tzinfo=datetime.UTC)
    assert "open now" in read(folder, "QQ", "suicide_crisis", at=evening)[0]


def test_nights_and_both_sides_of_daylight_saving(write: Any) -> None:
    """Open 22:00-06:00 in New York: the hour is theirs, in November after the clocks went back too."""
    folder = write({"id": "night", "hours": "Mo-Su 22:00-06:00", "timezone": "America/New_York"})
    for text, is_open in [
        ("2026-10-31T02:30+00:00", True),  # 22:30, summer time
        ("2026-10-31T10:30+00:00", False),  # 06:30, summer time
        ("2026-11-02T02:30+00:00", False),  # 21:30, the clocks went back
        ("2026-11-02T10:30+00:00", True),  # 05:30
        ("2026-03-07T10:30+00:00", True),  # 05:30, still winter time
        ("2026-03-08T10:30+00:00", False),  # 06:30, the clocks went forward
    ]:
        said = " ".join(read(folder, "QQ", "suicide_crisis", at=datetime.datetime.fromisoformat(text)))
        assert ("open now" in said) is is_open, text


# A specialised line of 180 days: overdue after them, demoted from 270, hidden from 360.
@pytest.mark.parametrize(
    ("days", "place"), [(180, "first"), (181, "first"), (269, "first"), (270, "last"), (359, "last"), (360, "gone")]
)
def test_an_old_check_costs_a_line_its_place_and_then_the_line(write: Any, days: int, place: str) -> None:
    checked = datetime.date(2026, 11, 26) - datetime.timedelta(days=days)
    folder = write(
        AMBULANCE,
        {
            "id": "old", "kind": ["domestic_violence"], "verified_on": checked.isoformat(),
            "next_review": (checked + datetime.timedelta(days=180)).isoformat(),
        },
    )  # fmt: skip
    lines = read(folder, "QQ", "emergency_ambulance", "domestic_violence")
    at = [i for i, text in enumerate(lines) if text.startswith("Line old")]
    assert lines[0].endswith("900")
    assert at == {"first": [1], "last": [2], "gone": []}[place]
    assert ("findahelpline.com" in lines[1]) is (place != "first")


@pytest.mark.parametrize("years", [1, 3, 30])
def test_age_never_takes_away_an_emergency_number_or_a_main_line(years: int) -> None:
    later = NOON + datetime.timedelta(days=365 * years)
    for code in ("US", "DE", "GB", "NO"):
        now = read(FOLDER, code, "emergency_ambulance", "suicide_crisis")
        assert read(FOLDER, code, "emergency_ambulance", "suicide_crisis", at=later)[:2] == now[:2]
    assert "Mental Support Line" in " ".join(read(FOLDER, "AE", "suicide_crisis", at=later))


@pytest.mark.parametrize("at", [math.nan, math.inf, -math.inf, 1e300])
def test_a_broken_clock_never_silences_help(at: float) -> None:
    directory = Directory(FOLDER)
    lines = directory.lines(HelpQuery("DE", ("emergency_ambulance",), "de", "unknown", at))
    assert "112" in lines[0] and "findahelpline.com" in lines[1]
    assert directory.problems() != []


@pytest.mark.parametrize(
    "broken",
    ["country: [", "", "just words", 'country: "ZZ"\nresources: []\n', 'country: "QQ"\nresources: [{id: 1}]\n'],
)
def test_a_broken_country_gives_the_international_wording_and_health_sees_it(tmp_path: Path, broken: str) -> None:
    (tmp_path / "QQ.yaml").write_text(broken)
    directory = Directory(tmp_path)
    lines = directory.lines(HelpQuery("QQ", ("emergency_ambulance", "suicide_crisis"), "en", "unknown", 1.8e9))
    assert "112 or 911" in lines[0] and "findahelpline.com" in lines[1]
    assert str(tmp_path / "QQ.yaml") in directory.problems()[0]


@pytest.mark.parametrize("bad", [{"hours": "Mo-Xx 99"}, {"timezone": "Europe/Nowhere", "hours": "Mo-Fr 09:00-17:00"}])
def test_hours_that_cannot_be_read_vary_and_cost_no_other_line(write: Any, bad: dict[str, str]) -> None:
    folder = write({"id": "bad", **bad}, {"id": "good"})
    directory = Directory(folder)
    first, second = directory.lines(HelpQuery("QQ", ("suicide_crisis",), "en", "unknown", 1.8e9))
    assert first.startswith("Line good") and "hours vary" in second
    assert directory.problems() == ["QQ bad: its hours or time zone cannot be read"]


@pytest.mark.parametrize("code", ["US", "GB", "AU", "CA"])
@pytest.mark.parametrize("audience", ["adult", "minor", "unknown"])
def test_never_more_than_three_lines_however_much_there_is(code: str, audience: str) -> None:
    assert len(read(FOLDER, code, *RESOURCE_KINDS, audience=audience)) == 3


def test_an_order_of_lines_never_puts_a_closed_or_regional_one_before_a_surer_one_of_another_kind(write: Any) -> None:
    folder = write(
        {"id": "shut", "hours": "Mo-Su 20:00-21:00"},
        {"id": "part", "kind": ["lgbtq"], "region": "QQ-1"},
        {"id": "open", "kind": ["general_emotional_support"]},
    )
    kinds = ("suicide_crisis", "lgbtq", "general_emotional_support")
    chosen = select(load_country(folder, "QQ"), kinds, "en", "unknown", NOON.timestamp())
    assert [r.id for r in chosen] == ["open", "part", "shut"]
