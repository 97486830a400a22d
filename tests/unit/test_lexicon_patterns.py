"""One way of writing finds all: scripts, accents left out, spellings of one letter."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrail.core.model import Context
from guardrail.core.text import Vocabulary, normalise, reveal
from guardrail.detectors import Lexicon, LexiconError, load_lexicon

HEAD = "language: {language}\ndirection: inbound\n{more}shows:\n  - id: wish\n    signal: suicide\n    severity: 2\n"


def lexicon(tmp_path: Path, language: str, pattern: str, more: str = "", entry: str = "") -> Lexicon:
    path = tmp_path / f"{language}.yaml"
    body = f'    any: ["{pattern}"]\n{entry}    match: [a, b]\n    spare: [c, d]\n'
    path.write_text(HEAD.format(language=language, more=more) + body)
    return load_lexicon([path])


def found(lexicon: Lexicon, text: str) -> list[str]:
    """What was found, as it stands in the text."""
    signals = lexicon.look(text, Context("inbound"))
    assert lexicon.quiet(text, "inbound") == (not signals)
    return [text[a:b] for s in signals for a, b in s.spans]


@pytest.mark.parametrize(
    ("language", "pattern", "text", "span"),
    [
        ("ru", "хочу умереть, всё", "Я ХОЧУ УМЕРЕТЬ, все.", "ХОЧУ УМЕРЕТЬ, все"),
        ("ar", "أريد أن أموت", "اُرِيدُ ان أمـــوت الآن", "اُرِيدُ ان أمـــوت"),
        ("fa", "می ?خواهم بمیرم", "من می‌خواهم بمیرم", "می‌خواهم بمیرم"),
        ("fa", "می ?خواهم بمیرم", "من مي خواهم بميرم", "مي خواهم بميرم"),
        ("hi", "ज़िंदगी खत्म", "मैं जिंदगी ख़त्म", "जिंदगी ख़त्म"),
        ("hi-Latn", "marna chahta", "main MARNA chahta hoon", "MARNA chahta"),
        ("ja", "しにたい", "もうシニタイ。", "シニタイ"),
        ("ja", "しにたい", "もうｼﾆﾀｲよ", "ｼﾆﾀｲ"),
        ("zh-Hans", "我想死", "今天我想死了", "我想死"),
        ("ko", "죽고 ?싶", "정말 죽고싶어요", "죽고싶"),
        ("th", "อยากตาย", "ตอนนี้อยากตายมาก", "อยากตาย"),
        ("tr", "kendimi öldürmek istiyorum", "KENDİMİ öldürmek istıyorum", "KENDİMİ öldürmek istıyorum"),
    ],
)
def test_a_word_is_found_however_it_is_typed(tmp_path: Path, language: str, pattern: str, text: str, span: str) -> None:
    assert found(lexicon(tmp_path, language, pattern), text) == [span]


@pytest.mark.parametrize(
    ("language", "pattern", "text"),
    [
        ("ru", "хочу", "захочу хочуя"),
        ("ar", "موت", "مموتة"),
        ("hi", "मर", "अमर मरा"),
        ("ko", "죽고", "안죽고"),
        ("bn", "মর", "অমর"),
    ],
)
def test_a_part_of_a_word_is_not_found(tmp_path: Path, language: str, pattern: str, text: str) -> None:
    assert found(lexicon(tmp_path, language, pattern), text) == []


def test_accents_may_be_left_out_only_where_the_language_says_so(tmp_path: Path) -> None:
    bare = lexicon(tmp_path, "vi", "muốn chết đi", "diacritics: optional\n")
    for text in ("muốn chết đi", "muôn chêt đi", "muon chet di"):
        assert found(bare, text) == [text]
    assert found(bare, "muan chet di") == []
    strict = lexicon(tmp_path, "vi", "muốn chết")
    assert found(strict, "muốn chết") and not found(strict, "muon chet")


def test_a_class_of_letters_keeps_its_accents_and_their_plain_forms(tmp_path: Path) -> None:
    bare = lexicon(tmp_path, "pl", "chc[ęą] umrzeć", "diacritics: optional\n")
    assert found(bare, "chcę umrzec") == ["chcę umrzec"]
    assert found(bare, "chce umrzeć") == ["chce umrzeć"]


def test_endings_may_follow_where_only_the_start_is_bound(tmp_path: Path) -> None:
    turkish = lexicon(tmp_path, "tr", "ölmek ist", entry="    boundary: start\n")
    assert found(turkish, "ölmek istiyorum") == ["ölmek ist"]
    assert found(turkish, "bölmek istiyorum") == []


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("script: [Latn]\n", "xx.yaml:1:1: unknown script ['Latn']; write one of Latn"),
        ("script: Runes\n", "xx.yaml:1:1: unknown script Runes; write one of Latn"),
        ("diacritics: maybe\n", "xx.yaml:1:1: diacritics cannot be maybe; write required or optional"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(tmp_path: Path, more: str, problem: str) -> None:
    with pytest.raises(LexiconError) as caught:
        lexicon(tmp_path, "xx", "a", more)
    [told] = caught.value.problems
    assert problem.replace("1:1", "3:1") in told


@pytest.mark.parametrize("hidden", ["хочу умереееть", "хочу у м е р е т ь", "ХОЧУ  УМЕРЕТЬЬЬЬ", "хочу у.м.е.р.е.т.ь"])
def test_words_of_other_scripts_do_not_hide_either(hidden: str) -> None:
    vocabulary = Vocabulary({"хочу", "умереть"})
    found = reveal(normalise(hidden), vocabulary)
    assert found is not None and " ".join(found.text.split()) == "хочу умереть"


def test_latin_words_in_cyrillic_letters_are_still_found() -> None:
    found = reveal(normalise("kill mуsеlf"), Vocabulary({"kill", "myself"}))
    assert found is not None and found.text == "kill myself"


@pytest.mark.parametrize("between", ["\u200b", "\x00", "\u2060\ufeff", "\u200b" * 500])
def test_nothing_invisible_keeps_a_letter_and_its_accent_apart(between: str) -> None:
    reading = normalise(f"Je veux me tue{between}\u0301 x")
    assert reading.text == "je veux me tué x"
    assert reading.span(13, 14) == (13, 15 + len(between))
