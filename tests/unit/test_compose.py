"""Authored replies: in whose language, with what help, and only true about who was told."""

from __future__ import annotations

import msgspec
import pytest

from guardrail.core.compose import LAST_RESORT, compose, fill, languages
from guardrail.core.decide import View, decide
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
    assert fill("A {help} B {told}", "H", "T") == "A H B T"
    assert fill("A {told}", "H", "T") == "A T\n\nH"


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
