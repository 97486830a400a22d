"""The words around a number: whoever is answered in a language reads where to call in that language too."""

from __future__ import annotations

import re

import pytest

from guardrail.resources.phrases import languages, phrases
from guardrail.shipped import policy

PLACES = re.compile(r"{\w+}")


def test_every_language_we_answer_in_has_them() -> None:
    assert set(policy().responses) <= set(languages())


@pytest.mark.parametrize("language", languages())
def test_they_are_whole(language: str) -> None:
    words, english = phrases(language), phrases("en")
    assert words.keys() == english.keys()
    for name, text in words.items():
        assert sorted(PLACES.findall(text)) == sorted(PLACES.findall(english[name])), name
    assert len(words["days"].split()) == 7
    assert "112" in words["unknown"] and "911" in words["unknown"]
    assert words["directory"].endswith("https://findahelpline.com") and "https://findahelpline.com" in words["no_line"]


@pytest.mark.parametrize(("tag", "language"), [("pt-BR", "pt"), ("zh-TW", "zh-Hant"), ("fil", "tl"), ("cy", "en")])
def test_the_nearest_is_taken(tag: str, language: str) -> None:
    assert phrases(tag) == phrases(language)
