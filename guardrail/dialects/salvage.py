"""What can still be heard of a request that will not be sent on: damaged, too large, or broken off in the middle.

Nobody's cry for help is lost over a comma. The strings of the JSON are looked for without reading its structure,
so that nothing is known about who said them: good enough to answer a person in danger, and for nothing else.
"""

from __future__ import annotations

import json
import re

LONGEST = 2000
"""Code points of one string that are looked at: its end."""
HEARD = 8000
"""Code points in all: the last ones, for the newest turn stands last in every chat API."""
WINDOW = 256 * 1024
"""Bytes from the end that are searched, images and the like left out."""

_BLOB = re.compile(rb"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/=_-]{4000,}")
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)(?:"(\s*:)?|\Z)', re.DOTALL)


def heard(body: bytes) -> str:
    """The last words in ``body``, a string a line; of a body without any string, its own last words."""
    short = _BLOB.sub(b"", body)
    window = short[-WINDOW:]
    if b'"' not in window:
        return _clean(window.decode("utf-8", "replace"))[-HEARD:]
    readings = [_strings(window)]
    if len(window) < len(short):
        readings.append(_strings(b'"' + window))  # the cut may lie within a string
    return max(readings, key=_letters)[-HEARD:]


def _strings(data: bytes) -> str:
    values = [found.group(1) for found in _STRING.finditer(data) if found.group(2) is None]
    return "\n".join(_text(raw[-6 * LONGEST :])[-LONGEST:] for raw in values[-HEARD:] if raw)


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text))


def _text(raw: bytes) -> str:
    try:
        said = json.loads(b'"' + raw + b'"', strict=False)
    except ValueError:
        said = raw.decode("utf-8", "replace")
    return _clean(str(said))


def _clean(text: str) -> str:
    """Half a surrogate pair is no text."""
    return text.encode("utf-8", "replace").decode()
