"""The right line for where a person is, at every hour and age of our knowledge; never a number we are not sure of."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.core.ports import HelpQuery
from guardrail.policy.vocabulary import RESOURCE_KINDS
from guardrail.resources import Directory
from guardrail.resources.check import check, retired_in
from guardrail.resources.hours import is_open, opens_at
from guardrail.resources.load import countries, load_country, load_retired, save_verification
from guardrail.resources.model import Resource, Verification, digits
from guardrail.resources.render import line
from guardrail.resources.select import select, staleness
from guardrail.shipped import POLICIES

FOLDER = POLICIES / "resources"
ALL = {code: load_country(FOLDER, code) for code in [*countries(FOLDER), "INT"]}
NOON = datetime.datetime(2026, 11, 26, 12, tzinfo=datetime.UTC).timestamp()
HELD = ["AR", "DK", "EG", "GH", "HR", "ID", "KZ", "LU", "NG", "PK", "QA", "RO", "RU", "SA", "UG", "UY", "VN", "ZM"]


def ask(
    country: str | None, *kinds: str, locale: str = "en", audience: str = "unknown", at: float = NOON
) -> tuple[str, ...]:
    return Directory(FOLDER).lines(HelpQuery(country, kinds, locale, audience, at))  # type: ignore[arg-type]


def test_eighty_countries_and_norway_is_a_country() -> None:
    assert len(ALL) == 81 and "NO" in ALL and len(ALL["NO"]) > 3


def test_no_file_holds_a_retired_number() -> None:
    retired = load_retired(FOLDER)
    assert len(retired) >= 7
    for code, found in ALL.items():
        for resource in found:
            assert retired_in(resource, code, retired) == [], resource.id


def test_the_retired_list_catches_one_however_it_is_written() -> None:
    resource = msgspec.convert(
        {
            "id": "x", "name": "x", "kind": ["eating_disorder"], "languages": ["en"], "timezone": "UTC", "status": "active",
            "confidence": "high", "verified_on": "2026-01-01", "next_review": "2026-02-01",
            "channels": [{"type": "voice", "dial": "1 (800) 931 2237"}],
        },
        Resource,
    )  # fmt: skip
    assert retired_in(resource, "US", load_retired(FOLDER)) == ["1 (800) 931 2237"]
    option = msgspec.structs.replace(
        resource, channels=(msgspec.structs.replace(resource.channels[0], dial="988", menu_option="3"),)
    )
    assert retired_in(option, "US", load_retired(FOLDER)) == ["988"]


def test_only_what_is_sure_is_shown() -> None:
    for found in ALL.values():
        for resource in found:
            if resource.status == "active":
                assert resource.confidence == "high", resource.id
            for channel in resource.channels:
                assert channel.e164 is None or channel.e164.startswith("+")
                if channel.dial and len(digits(channel.dial)) <= 5:
                    assert channel.e164 is None, f"{resource.id}: a short code has no international form"


def test_unknown_country_is_never_guessed() -> None:
    lines = ask(None, "emergency_ambulance", "suicide_crisis")
    assert "112 or 911" in lines[0] and "findahelpline.com" in lines[1]
    assert ask("XX", "emergency_ambulance")[0] == lines[0]


@pytest.mark.parametrize("code", HELD)
def test_a_country_whose_main_line_is_unsure_gets_its_emergency_number_and_the_directory(code: str) -> None:
    lines = ask(code, "suicide_crisis")
    assert any("findahelpline.com" in text for text in lines)
    assert len(lines) >= 2


def test_emergency_numbers_are_apart_and_named_for_what_was_asked() -> None:
    assert ask("NO", "emergency_ambulance") == ("Ambulance: call 113",)
    assert ask("NO", "emergency_police") == ("Police: call 112",)
    assert "Police" not in " ".join(ask("US", "emergency_ambulance", "poison"))
    assert ask("DE", "emergency_ambulance", locale="de")[0] == "Rettungsdienst: Anruf 112"


def test_a_voiceless_way_stands_beside_the_voice() -> None:
    [first] = [text for text in ask("US", "suicide_crisis") if "988" in text]
    assert "call 988" in first and "text 988" in first


def by_id(code: str, id: str) -> Resource:
    return next(r for r in ALL[code] if r.id == id)


def test_open_and_closed_are_computed_in_the_lines_own_zone() -> None:
    child = next(r for r in ALL["DE"] if r.id.startswith("de-nummer-gegen-kummer"))
    assert child.timezone == "Europe/Berlin" and child.hours == "Mo-Sa 14:00-20:00"
    for day, hour, utc, expected in [
        ((2026, 7, 15), 13, 11, False),
        ((2026, 7, 15), 15, 13, True),
        ((2026, 12, 16), 15, 14, True),
        ((2026, 12, 16), 13, 12, False),
    ]:
        at = datetime.datetime(*day, utc, 30, tzinfo=datetime.UTC).timestamp()
        assert is_open(child, at) is expected, (day, hour)
    sunday = datetime.datetime(2026, 11, 29, 15, tzinfo=datetime.UTC).timestamp()
    assert "closed now, opens Mon 14:00" in line(child, "en", sunday)
    then = opens_at(child, sunday)
    assert then is not None and (then.weekday(), then.hour) == (0, 14)


def test_a_closed_line_is_never_first_while_another_is_open() -> None:
    for code, found in ALL.items():
        chosen = select(found, ("suicide_crisis",), "en", "unknown", NOON)
        states = [is_open(r, NOON) for r in chosen]
        assert states == sorted(states, key=lambda s: (s is False, s is None)), code


def test_unknown_hours_are_said_to_vary() -> None:
    unknown = [r for found in ALL.values() for r in found if not r.hours]
    assert unknown and all(
        "hours vary" in line(r, "en", NOON) and "day and night" not in line(r, "en", NOON) for r in unknown
    )


def test_minors_get_no_service_for_adults_only_and_adults_none_for_children() -> None:
    for found in ALL.values():
        assert not [r for r in select(found, RESOURCE_KINDS, "en", "minor", NOON) if r.audience == "adult"]
        assert not [r for r in select(found, RESOURCE_KINDS, "en", "adult", NOON) if r.audience == "minor"]


@pytest.mark.parametrize(("share", "expected"), [(0.9, "fresh"), (1.2, "overdue"), (1.6, "demoted"), (2.1, "hidden")])
def test_old_checks_are_warned_of_then_demoted_then_hidden(share: float, expected: str) -> None:
    special = next(r for r in ALL["DE"] if "domestic_violence" in r.kind)
    interval = (special.next_review - special.verified_on).days
    today = special.verified_on + datetime.timedelta(days=int(interval * share))
    assert staleness(special, today) == expected
    ambulance = next(r for r in ALL["DE"] if r.is_emergency)
    main = by_id("DE", "de-telefonseelsorge")
    far = special.verified_on + datetime.timedelta(days=5000)
    assert staleness(ambulance, far) == staleness(main, far) == "overdue", "never hidden, only warned of"


def test_two_people_must_have_checked(tmp_path: Path) -> None:
    before = line(by_id("DE", "de-telefonseelsorge"), "de", NOON)
    assert "öffentlich gelistet, zuletzt angesehen am 2026-11-23" in before
    save_verification(tmp_path, Verification("DE", ("Ann", "Bob"), datetime.date(2027, 1, 10)))
    after = next(r for r in load_country(FOLDER, "DE", tmp_path) if r.id == "de-telefonseelsorge")
    assert after.is_verified and "gelistet" not in line(after, "de", NOON)
    assert after.next_review - after.verified_on == by_id("DE", "de-telefonseelsorge").next_review - datetime.date(
        2026, 11, 23
    )
    candidate = next(r for r in load_country(FOLDER, "DE", tmp_path) if r.status != "active")
    assert not candidate.is_verified, "what is on hold stays so"


def test_a_broken_file_gives_the_international_wording_and_is_named(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "r")
    (tmp_path / "r" / "DE.yaml").write_text("country: [")
    directory = Directory(tmp_path / "r")
    lines = directory.lines(HelpQuery("DE", ("emergency_ambulance",), "en", "unknown", NOON))
    assert "112 or 911" in lines[0] and directory.problems()[0].startswith(str(tmp_path / "r" / "DE.yaml"))


def test_the_check_has_no_findings_today_and_some_in_a_year() -> None:
    assert [n for n in check(FOLDER, None, [], datetime.date(2026, 11, 26)) if n.finding] == []
    later = check(FOLDER, None, ["DE"], datetime.date(2027, 11, 26))
    assert any(n.finding and "was to be reviewed" in n.what for n in later)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([None, "XX", "de", *ALL]),
    st.lists(st.sampled_from(RESOURCE_KINDS), max_size=4),
    st.sampled_from(["en", "de-AT", "es", "fr", "ja", ""]),
    st.sampled_from(["adult", "minor", "unknown"]),
    st.floats(1.7e9, 2.2e9),
)
def test_there_is_always_an_answer_and_never_an_unsure_number(
    country: str | None, kinds: list[str], locale: str, audience: str, at: float
) -> None:
    lines = ask(country, *kinds, locale=locale, audience=audience, at=at)
    assert 1 <= len(lines) <= 3 and all(text.strip() for text in lines)
    unsure = [r.name for r in ALL.get((country or "").upper(), ()) if r.status != "active"]
    sure = [r.name for r in ALL.get((country or "").upper(), ()) if r.status == "active"]
    for name in unsure:
        if name not in sure:
            assert not any(text.startswith(f"{name}:") for text in lines)
