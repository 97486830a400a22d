"""Our own texts, read with suspicion: what could hurt in them, and what is too hard to read at the worst moment."""

from __future__ import annotations

import re
from collections.abc import Iterator

from guardrail.policy.vocabulary import words

_FEELS = "a machine does not feel with anybody"
_PROMISES = "promises what nobody can keep"
_WRITTEN = (
    ("en", r"\bcommit(?:s|ted|ting)? suicide|\bfailed (?:suicide|attempt)", "blames; say died by suicide"),
    ("en", r"\bI (?:understand|care about|know) (?:how you|exactly|you)|\bI feel your", _FEELS),
    ("en", r"\bhelp is (?:coming|on (?:its|the) way)|\bI promise|\bI(?:'ll| will) (?:call|send)", _PROMISES),
    ("en", r"\bthink (?:of|about) your (?:family|children|parents)|\bselfish", "is guilt"),
    ("en", r"\b(?:calm down|cheer up|don't worry|get over it|stay positive)", "brushes it aside"),
    ("en", r"\byou (?:have|are suffering from) (?:depression|bipolar|psychosis)", "is a diagnosis"),
    ("de", r"\bselbstmord|\bfreitod", "condemns or praises; say sich das Leben nehmen"),
    ("de", r"\bich (?:verstehe|fühle) (?:dich|wie|mit)", _FEELS),
    ("de", r"\bhilfe ist unterwegs|\bich versprech", _PROMISES),
    ("es", r"\bcomet(?:er|iste|ió|erás) suicidio", "blames; say quitarse la vida"),
    ("es", r"\bla ayuda (?:está en camino|ya viene)|\bte prometo", _PROMISES),
    ("fr", r"\bcommettre (?:un |le )?suicide", "blames; say se donner la mort"),
    ("fr", r"\bles secours arrivent|\bje (?:te|vous) promets", _PROMISES),
)
UNSAFE = tuple((language, re.compile(pattern, re.IGNORECASE), why) for language, pattern, why in _WRITTEN)
"""Wording that safe-messaging guidance warns of (WHO 2023; 988 Lifeline), in the languages it was written down for."""

_ENDS = re.compile(r"[.!?:;\n\u0964\u3002\uff01\uff1a\uff1b\uff1f\u061b\u061f\u06d4]+")
_SPACED = re.compile(r"[\s.!?:;]+")
"""What ends a sentence; in Thai a space does."""

SYLLABLES = {"vi": 1.5}
"""Languages that write each syllable as a word."""

LONGEST_SENTENCE = 26
"""Words. Plain-language guidance (NHS content guide: at most 20) with room for what placeholders split."""
HARDEST = 9.0
"""Flesch-Kincaid grade, English."""


def unsafe(locale: str, text: str) -> Iterator[str]:
    """What in a text of ours could hurt, one phrase each."""
    for language, pattern, why in UNSAFE:
        if locale.partition("-")[0] == language and (match := pattern.search(text)):
            yield f"{match.group()!r} {why}"


def hard(locale: str, text: str) -> Iterator[str]:
    """What in a text is hard to read, one phrase each."""
    language = locale.partition("-")[0]
    sentences = [part for part in (_SPACED if language == "th" else _ENDS).split(text) if words(part)]
    longest = max((words(part) for part in sentences), default=0)
    most = round(LONGEST_SENTENCE * SYLLABLES.get(language, 1.0))
    if longest > most:
        yield f"a sentence of {longest} words (at most {most}); cut it in two"
    if locale.partition("-")[0] == "en" and (grade := _grade(text, len(sentences))) > HARDEST:
        yield f"reading level {grade:.1f} (at most {HARDEST:g}); use shorter words"


def _grade(text: str, sentences: int) -> float:
    """The Flesch-Kincaid grade (Kincaid et al., 1975); syllables are counted as groups of vowels."""
    found = re.findall(r"[a-z]+(?:'[a-z]+)?", re.sub(r"\{[^}]*\}", " ", text.lower()))
    if not found or not sentences:
        return 0.0
    syllables = sum(max(1, len(re.findall(r"[aeiouy]+", word.removesuffix("e")))) for word in found)
    return 0.39 * len(found) / sentences + 11.8 * syllables / len(found) - 15.59
