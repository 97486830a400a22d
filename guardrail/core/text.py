"""Text as detectors read it: one form for what looks the same, with offsets back to what was written.

``normalise`` undoes what keyboards and evasion do without meaning: case, width, invisible characters, curly
quotes, spellings of one letter (Arabic alef and yeh, Turkish dotless i, katakana, digits of other scripts).
``reveal`` gives a second reading, of words that hide as look-alike letters, digits, spaced or repeated letters,
and only where a word of the lexicon comes out: ordinary text has no second reading.
"""

from __future__ import annotations

import bisect
import functools
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence

import msgspec

from guardrail.core.model import Span

_DIGITS = {chr(zero + n): str(n) for zero in (0x660, 0x6F0, 0x966, 0x9E6, 0xE50) for n in range(10)}
_PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4\u0060\u02bc\uff07", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        **dict.fromkeys(
            "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "
        ),
        # What people type for each other, keyboards and schools permitting, in one spelling.
        **_DIGITS,
        **dict.fromkeys("İı", "i"),
        **dict.fromkeys("Ёё", "е"),
        **dict.fromkeys("أإآٱ", "ا"),
        **dict.fromkeys("ىی", "ي"),
        **dict.fromkeys("ھہە", "ه"),
        "ک": "ك",
        "ة": "ه",
        "ؤ": "و",
        "ئ": "ي",
        "ँ": "ं",
        **{chr(kata): chr(kata - 0x60) for kata in range(0x30A1, 0x30F7)},
    }
)
_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff\ud800-\udfff"
    "\u0640\u064b-\u065f\u0670\u093c\u0981\u09bc]"
)
"""Invisible, or written by some and left out by most: Arabic vowel signs and lengthening, dots below in Hindi and
Bengali. Words stay apart without them where it matters here."""


class Normal(msgspec.Struct, frozen=True):
    """A reading of a text. ``starts[i]`` and ``ends[i]`` bound in the original what became code point ``i``;
    both are empty where every code point stands for itself."""

    text: str
    starts: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()

    def span(self, start: int, end: int) -> Span:
        """``[start, end)`` of this reading, as a span of the original. An empty one stays empty."""
        if not self.starts:
            return (start, end)
        if start >= end:
            at = self.starts[start] if start < len(self.starts) else (self.ends[-1] if self.ends else 0)
            return (at, at)
        return (self.starts[start], self.ends[end - 1])


def normalise(text: str) -> Normal:
    """One form for what looks the same: NFKC, lower case, no invisible characters, plain quotes and dashes."""
    if text.isascii():
        if _INVISIBLE.search(text) is None:
            return Normal(text.lower())
    elif _INVISIBLE.search(text) is None:
        plain = text.translate(_PLAIN)
        if unicodedata.is_normalized("NFKC", plain):
            lowered = plain.lower()
            if len(lowered) == len(text):
                return Normal(lowered)
    return _slowly(text)


def _slowly(text: str) -> Normal:
    out: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for start, end in _clusters(text):
        letters = _letters(_INVISIBLE.sub("", text[start:end]))
        out.append(letters)
        starts += [start] * len(letters)
        ends += [end] * len(letters)
    return Normal("".join(out), tuple(starts), tuple(ends))


@functools.lru_cache(maxsize=4096)
def _letters(cluster: str) -> str:
    """What a cluster is read as. What is invisible has gone: between a letter and its mark it keeps them apart."""
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", cluster.translate(_PLAIN)).translate(_PLAIN).lower())


def folded(source: str) -> str:
    """A pattern's source with its letters as ``normalise`` leaves those of a text. Case is the author's."""
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", source.translate(_PLAIN)).translate(_PLAIN))


def _clusters(text: str) -> Iterator[Span]:
    """Stretches that compose: a code point and the combining marks after it, invisible ones left out."""
    start = -1
    end = size = 0
    for at, char in enumerate(text):
        if _INVISIBLE.match(char):
            continue
        if start >= 0 and unicodedata.combining(char) and size < _LONGEST_CLUSTER:
            end, size = at + 1, size + 1
            continue
        if start >= 0:
            yield (start, end)
        start, end, size = at, at + 1, 1
    if start >= 0:
        yield (start, end)


# --- the second reading

_LOOKALIKE = str.maketrans(
    "аеорсухіјѕԁһкмтвнгьαοενιρτυχκωσ",
    "aeopcyxijsdhkmtbhrbaoevipruxkwo",
)
_LEET = str.maketrans(
    {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "@": "a", "$": "s", "!": "i", "|": "l"}
)
_LEET_L = str.maketrans({"1": "l"})
_TOKEN = re.compile(r"[^\W_](?:[\w@$!|*+'-]*[\w@$!|*])?")
_SPACED = re.compile(r"(?<!\w)\w(?:[ \t.,_*\-]{1,2}\w){2,}(?!\w)")
_RUN = re.compile(r"(.)\1{2,}")
_ONE_LETTER = "iaàeoyяіиуо"
"""Words of one letter that people write about themselves with."""
_LONGEST_CLUSTER = 32
"""Code points that compose with each other at most: more marks on one letter mean nothing but work."""
_LONGEST_WORD = 24
_LONGEST_SPACED = 400
"""Letters of one spaced-out stretch that are read as words; a longer one is read no further."""


class Vocabulary:
    """The words that are worth finding when they hide. Lower case, three letters and more, and their spaced parts."""

    def __init__(self, words: Collection[str]) -> None:
        self._words = frozenset(words)
        self._long = frozenset(w for w in words if len(w) >= 3)
        self._by_shape: dict[tuple[int, str], tuple[str, ...]] = {}
        for word in sorted(self._long):
            key = (len(word), word[0])
            self._by_shape[key] = (*self._by_shape.get(key, ()), word)

    def reveal(self, token: str) -> str | None:
        """The word a token hides, or ``None``: it hides none, or is one."""
        if token in self._words or len(token) > 40:
            return None
        for candidate in _candidates(token):
            if candidate in self._long and candidate != token:
                return candidate
        if "*" in token[1:] and len(token) >= 4 and token.count("*") * 2 < len(token):
            return self._masked(token)
        return None

    def _masked(self, token: str) -> str | None:
        pattern = re.compile(re.escape(token).replace(r"\*", "."))
        found = [word for word in self._by_shape.get((len(token), token[0]), ()) if pattern.fullmatch(word)]
        return found[0] if len(found) == 1 else None

    def split(self, letters: str) -> Sequence[str] | None:
        """Letters as words of this vocabulary, the fewest; ``None`` when they are not, or hold no long word."""
        count = [0] + [-1] * len(letters)  # words needed to get here, -1: not reachable
        back = [0] * (len(letters) + 1)
        for end in range(1, len(letters) + 1):
            for start in range(max(0, end - _LONGEST_WORD), end):
                word = letters[start:end]
                if count[start] < 0 or word not in self._words or (len(word) == 1 and word not in _ONE_LETTER):
                    continue
                if count[end] < 0 or count[start] + 1 < count[end]:
                    count[end], back[end] = count[start] + 1, start
        if count[-1] < 0:
            return None
        words, end = [], len(letters)
        while end:
            words.append(letters[back[end] : end])
            end = back[end]
        return words[::-1] if any(word in self._long for word in words) else None


def _candidates(token: str) -> Iterator[str]:
    plain = token.translate(_LOOKALIKE)
    leet, leet_l = plain.translate(_LEET), plain.translate(_LEET_L).translate(_LEET)
    for letters in dict.fromkeys((token, plain, leet, leet_l)):  # the token itself may be of another script
        yield letters
        if _RUN.search(letters):
            yield _RUN.sub(r"\1\1", letters)
            yield _RUN.sub(r"\1", letters)


def reveal(normal: Normal, vocabulary: Vocabulary) -> Normal | None:
    """A second reading in which hidden words stand plainly, or ``None`` when none hides."""
    changes = list(_changes(normal.text, vocabulary))
    if not changes:
        return None
    out: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    for start, end, words in [*changes, (len(normal.text), len(normal.text), "")]:
        for i in range(at, start):
            _add(normal, normal.text[i], i, i + 1, out, starts, ends)
        for char in words:
            _add(normal, char, start, end, out, starts, ends)
        at = end
    return Normal("".join(out), tuple(starts), tuple(ends))


def _add(normal: Normal, char: str, start: int, end: int, out: list[str], starts: list[int], ends: list[int]) -> None:
    first, last = normal.span(start, end)
    out.append(char)
    starts.append(first)
    ends.append(last)


def _changes(text: str, vocabulary: Vocabulary) -> Iterator[tuple[int, int, str]]:
    """What to read otherwise: (start, end, words), in order, not overlapping."""
    found: list[tuple[int, int, str]] = []
    for match in _SPACED.finditer(text):
        letters = "".join(c for c in match.group() if c.isalnum())
        if len(letters) > _LONGEST_SPACED:
            continue
        words = vocabulary.split(letters) or vocabulary.split(letters.translate(_LOOKALIKE).translate(_LEET))
        if words:
            found.append((match.start(), match.end(), " ".join(words)))
    taken = [start for start, _, _ in found]
    for match in _TOKEN.finditer(text):
        at = bisect.bisect_right(taken, match.start()) - 1
        if at >= 0 and found[at][1] > match.start():
            continue
        word = vocabulary.reveal(match.group())
        if word:
            found.append((match.start(), match.end(), word))
    yield from sorted(found)
