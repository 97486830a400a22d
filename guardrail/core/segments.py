"""Where a text may be cut: ends of clauses and of sentences.

Offsets depend on the text alone. A boundary lies after closing punctuation and the white space that follows;
whether it is one shows in the next character, so the last one of a growing text is found one character late.
Where no spaces are written, as in Chinese and Japanese, none need follow.
"""

from __future__ import annotations

import re
from typing import Literal

_NO_SPACES = r"\u3040-\u30ff\u3400-\u9fff"
_CLAUSE = re.compile(
    rf"(?:[.!?…;:,]+[\"'”’»)\]*_]*(?=\s|[{_NO_SPACES}])|[。！？；：、，।॥؟۔،؛]+[”’」』）]*|\n)\s?", re.UNICODE
)
_SENTENCE_END = re.compile(r"[.!?…。！？।॥؟۔\n]")


def boundaries(
    text: str,
    start: int,
    granularity: Literal["clause", "sentence"],
    final: bool,
    longest: int = 2000,
) -> list[int]:
    """Ends of the clauses (or sentences) of ``text`` after ``start``, ascending.

    ``final``: no more text will come, so the end of the text is one too. A clause longer than ``longest``
    code points is cut at the last space within, or hard; such a cut counts as the end of a sentence too.
    """
    found: list[int] = []
    at = start
    for match in _CLAUSE.finditer(text, start):
        if match.end() >= len(text) and not final:
            break
        at = _cut_long(text, at, match.end(), longest, found)
        if granularity == "clause" or _SENTENCE_END.search(match.group()):
            found.append(match.end())
            at = match.end()
    at = _cut_long(text, at, len(text), longest, found)
    if final and at < len(text):
        found.append(len(text))
    return found


def _cut_long(text: str, at: int, end: int, longest: int, found: list[int]) -> int:
    while end - at > longest:
        space = text.rfind(" ", at + 1, at + longest)
        at = space + 1 if space > at else at + longest
        found.append(at)
    return at
