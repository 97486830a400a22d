"""What ships: facts that would send a person to the wrong place if they were wrong."""

from __future__ import annotations

import datetime
import re
import zoneinfo

import msgspec
import phonenumbers
import pytest

from guardrail.policy.vocabulary import RESOURCE_KINDS
from guardrail.resources.check import retired_in
from guardrail.resources.hours import are_readable
from guardrail.resources.load import countries, load_country, load_retired
from guardrail.resources.model import EMERGENCY, Channel, Resource
from guardrail.shipped import POLICIES

FOLDER = POLICIES / "resources"
CODES = [*countries(FOLDER), "INT"]
ALL = {code: load_country(FOLDER, code) for code in CODES}
GATHERED = datetime.date(2026, 11, 23)
EVERY = [(code, resource) for code, found in ALL.items() for resource in found]
ACTIVE = [(code, resource) for code, resource in EVERY if resource.status == "active"]

for_each = pytest.mark.parametrize("code", CODES)


@for_each
def test_rows_are_complete_and_named_once(code: str) -> None:
    assert ALL[code]
    ids = [r.id for r in ALL[code]]
    assert len(set(ids)) == len(ids)
    for r in ALL[code]:
        assert r.kind and set(r.kind) <= set(RESOURCE_KINDS), r.id
        assert are_readable(r) and zoneinfo.ZoneInfo(r.timezone), r.id
        assert r.region == "" or r.region.startswith(f"{code}-"), r.id
        assert all(re.fullmatch(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?", tag) for tag in r.languages), r.id
        if r.status == "active":
            assert r.channels and r.evidence and r.languages and r.confidence == "high", r.id
            assert all(c.dial or re.match(r"https?://", c.url) for c in r.channels), r.id


@for_each
def test_nobody_is_said_to_have_checked_and_every_review_has_its_interval(code: str) -> None:
    for r in ALL[code]:
        assert r.verified_by == () and r.verified_on == GATHERED, r.id
        interval = (r.next_review - r.verified_on).days
        if r.is_emergency:
            assert interval == 365, r.id
        elif "suicide_crisis" in r.kind:
            assert interval == (90 if r.hours == "24/7" and r.id != "ua-lifeline-ukraine-7333" else 60), r.id
        else:
            assert interval == (180 if r.hours == "24/7" else 60), r.id


def test_no_international_number_is_made_up() -> None:
    """An E.164 number must be the dialled one with its country code, and parse; a short code has none."""
    seen = 0
    for code, r in EVERY:
        for c in r.channels:
            if c.e164 is None:
                continue
            seen += 1
            assert phonenumbers.is_possible_number(phonenumbers.parse(c.e164)), (r.id, c.e164)
            written = phonenumbers.parse(c.dial, code)
            assert phonenumbers.format_number(written, phonenumbers.PhoneNumberFormat.E164) == c.e164, r.id
            assert sum(ch.isdigit() for ch in c.dial) > 5, f"{r.id}: a short code has no international form"
    assert seen > 100


def test_what_is_dialled_holds_no_words() -> None:
    """Somebody dials what they read: a menu choice or keyword has a place of its own."""
    for _, r in EVERY:
        for c in r.channels:
            assert not any(ch.isalpha() for ch in c.dial), (r.id, c.dial)


def test_emergency_numbers_are_apart() -> None:
    for code in countries(FOLDER):
        mine = [r for r in ALL[code] if r.is_emergency]
        assert mine, code
        for r in mine:
            assert set(r.kind) <= set(EMERGENCY) and len([c for c in r.channels if c.type == "voice"]) == 1, r.id
        if all(r.status == "active" for r in mine):
            assert {k for r in mine for k in r.kind} == set(EMERGENCY), code


def test_a_country_with_a_crisis_line_has_a_main_one_that_age_never_hides() -> None:
    for code in CODES:
        national = [r for r in ALL[code] if r.status == "active" and "suicide_crisis" in r.kind and not r.region]
        assert not national or any(r.is_national_main for r in national), code


def test_a_line_for_some_people_only_says_so_and_stands_behind_those_for_all() -> None:
    for r in (r for _, r in ACTIVE if r.region):
        assert r.coverage_note, f"{r.id}: it serves a part of the country"
    for id in ("au-13yarn", "ca-hope-for-wellness-helpline"):
        r = next(r for _, r in EVERY if r.id == id)
        assert r.coverage_note and not r.is_national_main


def test_a_line_for_adults_is_marked() -> None:
    assert {r.id for _, r in ACTIVE if r.audience == "adult"} >= {"pl-116-123-adults-in-crisis"}


def test_known_traps_are_not_repeated() -> None:
    ukraine = next(r for r in ALL["UA"] if any(c.dial == "116 123" for c in r.channels))
    assert ukraine.kind == ("domestic_violence",), "116 123 is no crisis line there"
    for r in ALL["LT"]:
        assert not any(c.dial.startswith("8") for c in r.channels), "the trunk prefix is 0 now"
    dialled = {c.dial for _, r in EVERY for c in r.channels}
    assert {"1018", "1564", "1579", "1553"} <= dialled, "real, though number libraries do not know them"


@for_each
def test_no_shipped_file_holds_a_retired_number(code: str) -> None:
    retired = load_retired(FOLDER)
    assert {r.country for r in retired} >= {"US", "KR", "CA", "IN", "TR", "DE"}
    for r in ALL[code]:
        assert retired_in(r, code, retired) == [], r.id


@pytest.mark.parametrize(
    ("code", "channel"),
    [
        ("US", Channel("voice", dial="800-931-2237")),
        ("US", Channel("voice", e164="+18009312237")),
        ("US", Channel("sms", dial="741741", keyword="neda")),
        ("US", Channel("voice", dial="+1 (800) 273-8255")),
        ("US", Channel("voice", dial="988", menu_option="3")),
        ("US", Channel("sms", dial="988", keyword="PRIDE")),
        ("KR", Channel("voice", dial="1393")),
        ("CA", Channel("voice", dial="1 833 456 4566")),
        ("IN", Channel("voice", dial="18005990019")),
        ("TR", Channel("voice", dial="182")),
        ("DE", Channel("voice", dial="0800 1810771")),
    ],
)
def test_a_retired_number_is_found_however_it_is_written(code: str, channel: Channel) -> None:
    resource = msgspec.structs.replace(ALL[code][0], channels=(channel,))
    assert retired_in(resource, code, load_retired(FOLDER)) != []


@pytest.mark.parametrize(
    "channel",
    [
        Channel("voice", dial="988"),
        Channel("voice", dial="988", menu_option="1"),
        Channel("sms", dial="741741", keyword="HOME"),
    ],
)
def test_what_a_retired_number_became_is_not_taken_for_it(channel: Channel) -> None:
    resource: Resource = msgspec.structs.replace(ALL["US"][0], channels=(channel,))
    assert retired_in(resource, "US", load_retired(FOLDER)) == []
