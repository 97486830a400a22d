"""Whatever is asked, wherever, whenever: an answer of one to three lines, and never a number that is not sure."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.core.ports import HelpQuery
from guardrail.policy.vocabulary import RESOURCE_KINDS
from guardrail.resources import Directory
from guardrail.resources.hours import is_open
from guardrail.resources.load import countries, load_country, load_retired
from guardrail.resources.model import Resource
from guardrail.resources.phrases import languages
from guardrail.shipped import POLICIES

FOLDER = POLICIES / "resources"
CODES = countries(FOLDER)
ALL: dict[str, tuple[Resource, ...]] = {code: load_country(FOLDER, code) for code in CODES}
RETIRED = {r.country: r.numbers for r in load_retired(FOLDER)}
DIRECTORY = Directory(FOLDER)

KINDS = st.lists(st.one_of(st.sampled_from(RESOURCE_KINDS), st.text(max_size=4)), max_size=5).map(tuple)
LOCALES = st.one_of(st.sampled_from([*languages(), "de-AT", "pt-BR", "no", "zh_TW"]), st.text(max_size=12))
AUDIENCES = st.sampled_from(("adult", "minor", "unknown"))
TIMES = st.floats(1.79e9, 2.2e9)
SANE = st.builds(HelpQuery, st.sampled_from(CODES), KINDS, LOCALES, AUDIENCES, TIMES)
ANY = st.builds(
    HelpQuery,
    st.one_of(st.none(), st.sampled_from([*CODES, *map(str.lower, CODES), "XX", "UK"]), st.text(max_size=6)),
    KINDS,
    LOCALES,
    AUDIENCES,
    st.one_of(TIMES, st.floats()),
)


def dialled(text: str) -> set[str]:
    """Everything in a line that somebody could dial, spaces and hyphens inside a number left out."""
    unlinked = re.sub(r"https://\S+|\d{4}-\d\d-\d\d|\b\d\d:\d\d\b", "", text)
    return {re.sub(r"\D", "", run) for run in re.findall(r"[\d*#+][\d\s()-]*", unlinked)} - {""}


def numbers(*resources: Resource) -> set[str]:
    return {re.sub(r"\D", "", c.dial) for r in resources for c in r.channels} - {""}


@settings(max_examples=100, deadline=None)
@given(ANY)
def test_there_is_always_an_answer_fit_to_show(query: HelpQuery) -> None:
    lines = DIRECTORY.lines(query)
    assert 1 <= len(lines) <= 3
    for text in lines:
        assert text.strip() == text != "" and "\n" not in text and len(text) <= 240
        assert "{" not in text, "no placeholder is left"


@settings(max_examples=100, deadline=None)
@given(SANE)
def test_no_candidate_held_or_retired_number_is_shown(query: HelpQuery) -> None:
    found = ALL[query.country or ""]
    sure = [r for r in found if r.status == "active"]
    unsure = numbers(*(r for r in found if r.status != "active")) - numbers(*sure)
    names = dialled(" ".join(r.name + r.coverage_note for r in sure)) | {"112", "911"}
    shown = set().union(*(dialled(text.partition(": ")[2]) for text in DIRECTORY.lines(query)))
    assert not shown & (unsure - names)
    assert not shown & {re.sub(r"\D", "", n) for n in RETIRED.get(query.country or "", ()) if n.isdigit() or "-" in n}


@settings(max_examples=100, deadline=None)
@given(SANE)
def test_every_line_is_for_whoever_reads_it(query: HelpQuery) -> None:
    lines = DIRECTORY.lines(query)
    for r in ALL[query.country or ""]:
        is_barred = r.audience == ("adult" if query.audience == "minor" else "minor")
        if query.audience != "unknown" and is_barred:
            assert not any(text.startswith((f"{r.name}:", f"{r.name} (")) for text in lines), r.id


@settings(max_examples=100, deadline=None)
@given(SANE)
def test_a_closed_line_is_never_offered_first(query: HelpQuery) -> None:
    first = DIRECTORY.lines(query)[0]
    for r in ALL[query.country or ""]:
        if r.status == "active" and is_open(r, query.at) is False:
            assert not first.startswith((f"{r.name}:", f"{r.name} (")), r.id


@settings(max_examples=100, deadline=None)
@given(SANE, st.sampled_from(CODES))
def test_poisoning_never_shows_police(query: HelpQuery, code: str) -> None:
    kinds = ("emergency_ambulance", "poison", *query.kinds)
    asked: Any = HelpQuery(code, kinds, "en", query.audience, query.at)
    assert not any("Police" in text for text in DIRECTORY.lines(asked))
