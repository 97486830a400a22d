"""The few fixed words around a number, in every language we answer in: ``policies/phrases``, one file a language."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from guardrail.core.compose import base, fallbacks
from guardrail.yamlread import read

FOLDER = Path(__file__).resolve().parents[2] / "policies" / "phrases"


@cache
def _all() -> Mapping[str, Mapping[str, str]]:
    found = (read(path) for path in sorted(FOLDER.glob("*.yaml")))
    return {str(tree["locale"]): {str(name): str(text) for name, text in tree["phrases"].items()} for tree in found}


def languages() -> tuple[str, ...]:
    """The languages there are phrases in."""
    return tuple(_all())


@cache
def phrases(locale: str) -> Mapping[str, str]:
    """The words for a locale; English where we have none in its language."""
    known = _all()
    return next((known[tag] for tag in fallbacks(locale) if tag in known), known["en"])


def language_of(locale: str) -> str:
    """The language of a BCP-47 tag, or of a system's ``de_AT``, in small letters."""
    return base(locale)
