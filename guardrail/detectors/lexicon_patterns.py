"""A pattern as people write it in a lexicon, as RE2 gets it: by script, with or without accents.

RE2's ``\\b`` and ``\\w`` know ASCII only, and ``\\p{L}`` on both sides of every pattern makes a set several times
larger and slower to build than the letters a script has: so a word is what its script's own letters make up.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Literal, NamedTuple

import re2

from guardrail.core.text import folded

Boundary = Literal["word", "start", "none"]
"""``word``: a match begins and ends where words do. ``start``: endings may follow. ``none``: anywhere."""


class Script(NamedTuple):
    """``letters``: what makes up a word once it is lower case, as a character class. ``seen``: how to tell that a
    text has any of it, as a class of Python's ``re``; empty: always looked at. ``boundary``: what is usual."""

    letters: str
    seen: str
    boundary: Boundary


_LATIN = r"0-9a-z\x{aa}\x{b5}\x{ba}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{24f}\x{300}-\x{36f}\x{1e00}-\x{1eff}"

SCRIPTS: Mapping[str, Script] = {
    "Latn": Script(_LATIN, "", "word"),
    "Cyrl": Script(r"0-9a-z\x{400}-\x{52f}", "\u0400-\u052f", "word"),
    "Arab": Script(r"0-9a-z\x{620}-\x{64a}\x{66e}-\x{6d3}\x{6d5}-\x{6ff}", "\u0620-\u06ff", "word"),
    "Deva": Script(r"0-9a-z\x{900}-\x{963}\x{970}-\x{97f}", "\u0900-\u097f", "word"),
    "Beng": Script(r"0-9a-z\x{980}-\x{9ff}", "\u0980-\u09ff", "word"),
    "Thai": Script(r"0-9a-z\x{e00}-\x{e7f}", "\u0e00-\u0e7f", "none"),
    "Hang": Script(r"0-9a-z\x{ac00}-\x{d7a3}", "\u1100-\u11ff\uac00-\ud7a3", "start"),
    "Jpan": Script(r"0-9a-z\x{3041}-\x{30ff}\x{3400}-\x{9fff}", "\u3041-\u30ff\u3400-\u9fff", "none"),
    "Hani": Script(r"0-9a-z\x{3400}-\x{9fff}", "\u3400-\u9fff", "none"),
}
_OF_LANGUAGE = {
    "ru": "Cyrl", "uk": "Cyrl", "ar": "Arab", "fa": "Arab", "hi": "Deva", "bn": "Beng", "th": "Thai", "ko": "Hang",
    "ja": "Jpan", "zh": "Hani",
}  # fmt: skip


def script_of(language: str) -> str:
    """The script a language is written in, by its own tag (``hi-Latn``) or by custom."""
    primary, *more = language.split("-")
    return next((tag for tag in more if tag in SCRIPTS), _OF_LANGUAGE.get(primary, "Latn"))


class Writing(NamedTuple):
    """How a lexicon's language is written: its script, and whether people often leave accents out."""

    script: str
    bare: bool

    def bounded(self, pattern: str, boundary: str) -> str:
        """A pattern of one group that matches only where its boundary allows."""
        if boundary == "none":
            return pattern
        letters = SCRIPTS[self.script].letters
        end = f"(?:$|[^{letters}])" if boundary == "word" else ""
        return f"(?:^|[^{letters}]){pattern}{end}"


def is_readable(pattern: str) -> bool:
    """Whether RE2 parses a pattern: a set that only takes it in is the cheapest way to ask."""
    options = re2.Options()
    options.log_errors = False
    try:
        return bool(re2.Set.SearchSet(options).Add(pattern) >= 0)
    except re2.error:
        return False


_LIST = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_DEEPEST = 4
_SPECIAL = r"\\(.)|(\[(?:[^\]\\]|\\.)*\])|( \??)|('\??)"
_PART = re.compile(_SPECIAL, re.DOTALL)
_PART_OR_LETTER = re.compile(_SPECIAL + r"|[^\x00-\x7f]", re.DOTALL)
"""What is not taken as it is: an escape, a class, a space, an apostrophe; and letters beyond ASCII."""


class Expander:
    """Patterns of one file as RE2 gets them: word lists put in, letters folded as texts are, a space standing for
    any white space, apostrophes optional, accents too where the language's writers leave them out.

    Each word list is made ready once, however often it is used. Raises ``KeyError`` for one that is not there.
    """

    def __init__(self, words: Mapping[str, str], writing: Writing) -> None:
        self._words, self._writing = words, writing
        self._ready: dict[str, str] = {}

    def expand(self, source: str, depth: int = 0) -> str:
        parts = _LIST.split(source)
        parts[::2] = [self._plain(part) for part in parts[::2]]
        parts[1::2] = [self._list(name, depth) for name in parts[1::2]]
        return "".join(parts)

    def _list(self, name: str, depth: int) -> str:
        if depth >= _DEEPEST:
            raise KeyError(name)
        if name not in self._ready:
            self._ready[name] = self.expand(self._words[name], depth + 1)
        return self._ready[name]

    def _plain(self, source: str) -> str:
        part = _PART_OR_LETTER if self._writing.bare else _PART
        return part.sub(self._part, folded(source)) if source else ""

    def _part(self, found: re.Match[str]) -> str:
        escape, klass, space, apostrophe = found.groups()
        if escape is not None:
            # RE2's \\w would end words at half a language's letters
            return f"[{SCRIPTS[self._writing.script].letters}]" if escape == "w" else found[0]
        if klass is not None:
            return "".join(map(_accents, klass)) if self._writing.bare and not klass.isascii() else klass
        if space is not None:
            return r"\s*" if space == " ?" else r"\s+"
        if apostrophe is not None:
            return "'?"
        return f"[{_accents(found[0])}]"


_STROKES = {"đ": "d", "ł": "l", "ø": "o", "ħ": "h"}


@cache
def _accents(char: str) -> str:
    """A letter with its accents, and with fewer and fewer of them: ``ếêe``."""
    forms = [char]
    decomposed = unicodedata.normalize("NFD", char)
    forms += [unicodedata.normalize("NFC", decomposed[:n]) for n in range(len(decomposed) - 1, 0, -1)]
    forms += [_STROKES[form] for form in forms if form in _STROKES]
    return "".join(dict.fromkeys(forms))
