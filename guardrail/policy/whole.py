"""What only shows once every pack is read: names that lead nowhere, texts that are missing or too long."""

from __future__ import annotations

import fnmatch

import msgspec

from guardrail.core.rules import Composite, Rule, Then
from guardrail.policy.hazards import Hazard
from guardrail.policy.source import Problems, Source
from guardrail.policy.vocabulary import (
    FAILURES,
    LONGEST,
    LONGEST_IMMINENT,
    PLACEHOLDERS,
    nearest,
    shown,
    typed_numbers,
    unknown_placeholders,
    words,
)

_REQUIRED = ("told.yes", "told.no", "back")
"""Responses every policy needs: what fills ``{told}`` and ``{back}``."""


At = tuple[str | int, ...]
Seen = dict[str, tuple[Source, At]]
"""What a pack has named so far, and where."""


class Text(msgspec.Struct, frozen=True):
    """A text and where it stands."""

    text: str
    source: Source
    at: At


class Parts:
    """What the packs hold, each thing by its name; later packs have overridden earlier ones."""

    def __init__(self) -> None:
        self.rules: dict[str, Rule] = {}
        self.composites: dict[str, Composite] = {}
        self.hazards: dict[str, Hazard] = {}
        self.hazard_sources: dict[str, tuple[Source, At]] = {}
        self.sources: dict[str, tuple[Source, At]] = {}
        self.responses: dict[str, dict[str, Text]] = {}
        self.guidance: dict[str, Text] = {}
        self.failures: dict[str, tuple[Then, Source]] = {}
        self.languages: dict[str, tuple[Source, At]] = {}
        self.heads: list[tuple[str, str]] = []
        self.head: Source | None = None
        """Of the last pack: where to say what the whole lacks."""


def check(parts: Parts, problems: Problems) -> None:
    """Add what is wrong with the whole: names that lead nowhere, texts that are missing or cannot be read."""
    for part in FAILURES:
        if part not in parts.failures and parts.head is not None:
            what = f"no pack says what happens when {part} fails; add on_failure.{part} to a file of the pack"
            problems.add(parts.head, (), what)
    for rule in parts.rules.values():
        _check_names(parts, problems, *parts.sources[rule.id], rule.then)
    for part, (then, source) in parts.failures.items():
        _check_names(parts, problems, source, ("on_failure", part), then)
    for locale, (source, at) in parts.languages.items():
        for name in _REQUIRED:
            if name not in parts.responses.get(locale, {}):
                what = f"{shown(locale)} has no {name}; every policy needs this response, write it"
                problems.add(source, at, what)
    for locale, texts in parts.responses.items():
        for name, text in texts.items():
            _check_text(parts, problems, locale, name, text)
    for text in parts.guidance.values():
        _check_numbers(problems, text)
    for hazard in parts.hazards.values():
        source, at = parts.hazard_sources[hazard.id]
        for pattern in hazard.rules:
            if not fnmatch.filter(parts.rules, pattern):
                problems.add(source, at, f"no rule is called {shown(pattern)}; {nearest(pattern, parts.rules)}")


def _check_names(parts: Parts, problems: Problems, source: Source, at: At, then: Then) -> None:
    if then.steer and then.steer not in parts.guidance:
        problems.add(source, at, f"unknown guidance {shown(then.steer)}; {nearest(then.steer, parts.guidance)}")
    if not then.response:
        return
    everywhere = {name for texts in parts.responses.values() for name in texts}
    if then.response not in everywhere:
        problems.add(source, at, f"unknown response {shown(then.response)}; {nearest(then.response, everywhere)}")
        return
    for locale in parts.languages:
        if then.response not in parts.responses.get(locale, {}):
            problems.add(source, at, f"the response {shown(then.response)} is missing in {shown(locale)}; write it")


def _check_text(parts: Parts, problems: Problems, locale: str, name: str, text: Text) -> None:
    limit = LONGEST_IMMINENT if name in _imminent(parts) else LONGEST
    if words(text.text) > limit:
        problems.add(
            text.source,
            text.at,
            f"{shown(name)} has {words(text.text)} words; at most {limit} can be read then, shorten it",
        )
    for unknown in unknown_placeholders(text.text):
        problems.add(
            text.source, text.at, f"unknown placeholder {{{shown(unknown)}}}; {nearest(unknown, PLACEHOLDERS)}"
        )
    for name in ("service", "bot"):
        if f"{{{name}}}" in text.text and name not in parts.responses.get(locale, {}):
            what = f"{{{name}}} needs a response {name} in {locale}, for operators who have not named theirs; write it"
            problems.add(text.source, text.at, what)
    _check_numbers(problems, text)


def _check_numbers(problems: Problems, text: Text) -> None:
    for number in typed_numbers(text.text):
        problems.add(
            text.source,
            text.at,
            f"the number {shown(number)} is typed into a text; use {{help}}, which is dated and checked",
        )


def _imminent(parts: Parts) -> set[str]:
    return {r.then.response for r in parts.rules.values() if r.when.severity[0] == 4 and r.when.direction == "inbound"}
