"""Authored replies: in whose language, with what help, and only true about who was told."""

from __future__ import annotations

import msgspec
import pytest

from guardrail.core.compose import LAST_RESORT, Names, compose, fill, languages
from guardrail.core.conditions import View
from guardrail.core.decide import decide
from guardrail.core.model import Found, Signal
from guardrail.core.ports import HelpQuery
from tests.playbook import POLICY, OneLine

ALL = ("en", "de", "es", "fr")


def signal(language: str, severity: int = 3) -> Signal:
    return Signal("suicide", severity, language=language)


@pytest.mark.parametrize(
    ("requested", "evidence", "remembered", "default", "expected"),
    [
        ("de-AT", [signal("en")], "", "en", ("de",)),
        (None, [signal("fr")], "", "en", ("fr",)),
        (None, [], "es", "en", ("es",)),
        (None, [], "", "de", ("de",)),
        (None, [signal("en", 2), signal("de", 3)], "", "en", ("de", "en")),
        ("ja", [], "", "fr", ("fr", "en")),
        ("ja", [], "", "en", ("en",)),
        (None, [], "", "ja", ("en",)),
    ],
)
def test_the_language_of_a_reply(
    requested: str | None, evidence: list[Signal], remembered: str, default: str, expected: tuple[str, ...]
) -> None:
    """Header, else evidence, else what was remembered, else the default; unsure is two languages."""
    assert languages(requested, evidence, remembered, default, ALL) == expected


def test_help_has_its_place_and_told_is_true() -> None:
    assert fill("A {help} B {told}", {"help": "H", "told": "T"}) == "A H B T"
    assert fill("A {told}", {"help": "H", "told": "T"}) == "A T\n\nH"


@pytest.mark.parametrize(
    ("tag", "found"),
    [
        ("zh-TW", "zh-Hant"), ("zh-HK", "zh-Hant"), ("zh-CN", "zh-Hans"), ("zh", "zh-Hans"), ("zh-Hant-HK", "zh-Hant"),
        ("fil-PH", "tl"), ("hi-Latn-IN", "hi-Latn"), ("hi-IN", "hi"), ("ar-Latn", "ar"), ("pt_BR", "pt"),
    ],
)  # fmt: skip
def test_a_language_is_answered_in_the_nearest_that_was_written(tag: str, found: str) -> None:
    available = ("en", "zh-Hans", "zh-Hant", "tl", "hi", "hi-Latn", "ar", "pt")
    assert languages(tag, [], "", "en", available) == (found,)


def test_a_number_in_a_text_that_runs_from_right_to_left_keeps_its_groups_in_order() -> None:
    values = {"help": "خط: +49 800 111 0 111", "service": "Our Service"}
    written = fill("{service}\n{help}", values, "ar")
    assert "\u2066+49 800 111 0 111\u2069" in written and "\u2068Our Service\u2069" in written
    assert written.count("\u2066") + written.count("\u2068") == written.count("\u2069")
    assert "\u2066" not in fill("{help}", values, "en") and "\u2066" not in fill("{help}", values, "ar-Latn")


def test_the_operators_names_stand_where_a_text_asks_for_them_and_the_policys_words_elsewhere() -> None:
    texts = {
        "en": {**POLICY.responses["en"], "hi": "I'm {bot} of {service}.", "service": "this service", "bot": "the bot"}
    }
    policy = msgspec.structs.replace(POLICY, responses=texts)
    verdict = decide(policy, (), View("inbound"))
    options = {
        "tongues": ("en",),
        "help_lines": OneLine(),
        "country": None,
        "audience": "unknown",
        "at": 0.0,
        "told": False,
    }
    named = compose(policy, verdict, name="hi", names=Names("Tea & Talk", "Pip"), **options)  # type: ignore[arg-type]
    assert named == "I'm Pip of Tea & Talk."
    assert compose(policy, verdict, name="hi", **options) == "I'm the bot of this service."  # type: ignore[arg-type]


class Broken:
    def lines(self, query: HelpQuery) -> tuple[str, ...]:
        return ()


def write(**changes: object) -> str:
    verdict = decide(POLICY, [Found("d", (signal("en", 4),))], View("inbound"))
    options = {
        "tongues": ("en",),
        "help_lines": OneLine(),
        "country": None,
        "audience": "unknown",
        "at": 0.0,
        "told": False,
    }
    return compose(POLICY, verdict, **{**options, **changes})  # type: ignore[arg-type]


def test_two_languages_are_two_paragraphs_and_no_text_at_all_is_still_an_answer() -> None:
    assert "NOT TOLD" in write() and "NOT TOLD" not in write(told=True)
    assert write(tongues=("en", "en")).count("FOUR") == 2
    empty = msgspec.structs.replace(POLICY, responses={})
    verdict = decide(POLICY, [Found("d", (signal("en", 4),))], View("inbound"))
    text = compose(
        empty, verdict, tongues=("de",), help_lines=Broken(), country=None, audience="unknown", at=0.0, told=True
    )
    assert text == LAST_RESORT and "112 or 911" in text
