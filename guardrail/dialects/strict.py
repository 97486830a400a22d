"""JSON read so that we and whoever reads it next cannot disagree about what it says.

msgspec keeps the last of two equal keys; other parsers keep the first, and some take keys in any case.
Text could hide from inspection in that difference, so a key we read that is given twice, or in another
case, is refused. Finding out exactly is slow; counting is fast and tells almost always that all is well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from guardrail.core.model import Refusal

T = TypeVar("T")

_BOM = b"\xef\xbb\xbf"
_LONG_S = "ſ".encode()  # the one other letter that folds to a letter of our keys

_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_lists = msgspec.json.Decoder(list[msgspec.Raw])


def decode(decoder: msgspec.json.Decoder[T], data: bytes, what: str) -> T:
    """``data`` as ``decoder`` has it. Raises ``Refusal``, naming ``what``, for anything else."""
    try:
        if not data.isascii():
            data.decode()  # msgspec does not look at the encoding of what it skips
        return decoder.decode(data.removeprefix(_BOM))
    except msgspec.ValidationError as error:
        raise Refusal(f"{what} has an unknown shape: {error}") from None
    except (msgspec.DecodeError, UnicodeError):
        raise Refusal(f"{what} is not valid JSON in UTF-8") from None
    except RecursionError:
        raise Refusal(f"{what} is nested too deeply") from None


def fields(data: bytes, what: str) -> dict[str, msgspec.Raw]:
    """The members of an object, each as its own bytes."""
    return decode(_objects, data, what)


def elements(data: bytes, what: str) -> list[msgspec.Raw]:
    """The elements of an array, each as its own bytes."""
    return decode(_lists, data, what)


_STREAM = re.compile(rb'"stream"\s*:\s*true')


def asks_to_stream(body: bytes) -> bool:
    """Whether a body that cannot be read most likely asked for a stream, in the APIs that have to be asked."""
    return _STREAM.search(body) is not None


class Keys:
    """Keys that decide what is inspected, and so may be given only once in an object and in lower case."""

    def __init__(self, *names: str) -> None:
        self._names = frozenset(names)
        self._quoted = tuple(f'"{name}"'.encode() for name in names)

    def check(self, data: bytes, counts: Sequence[tuple[bytes, int]], what: str) -> None:
        """Raises ``Refusal`` for a doubled key. ``counts``: how often each quoted name occurs when none is."""
        low = data.lower()
        if _may_disguise(data) or any(low.count(key) != n for key, n in counts):
            self.check_exactly(data, what)

    def check_once(self, data: bytes, what: str) -> None:
        """The same for a body in which each of our keys is mostly found once, if at all."""
        low = data.lower()
        for key in self._quoted:
            found = low.count(key)
            if found > 1 or (found and key not in data):
                return self.check_exactly(data, what)
        if _may_disguise(data):
            self.check_exactly(data, what)
        return None

    def check_exactly(self, data: bytes, what: str) -> None:
        """The same without a short cut. Looks at the objects that are reached by our keys alone."""
        try:
            root = json.loads(data.removeprefix(_BOM), object_pairs_hook=_Object, parse_int=str, parse_float=str)
        except RecursionError:
            raise Refusal(f"{what} is nested too deeply") from None
        except json.JSONDecodeError:
            raise Refusal(f"{what} is not valid JSON in UTF-8") from None
        waiting = [root]
        while waiting:
            value = waiting.pop()
            if isinstance(value, _Object):
                read = [key for key, _ in value if key.casefold() in self._names]
                if len(set(read)) != len(read) or not self._names.issuperset(read):
                    raise Refusal(f"{what} gives a key twice, or not in lower case")
                waiting += [inner for key, inner in value if key in self._names and isinstance(inner, (_Object, list))]
            elif isinstance(value, list):
                waiting += value


class _Object(tuple[tuple[str, Any], ...]):
    """An object as the pairs it was written with."""


def _may_disguise(data: bytes) -> bool:
    """Whether a key could be spelled otherwise than in its own letters: by escapes, or by a letter that folds."""
    if b"\\" in data and (b"\\u00" in data or b"\\u01" in data):
        return True
    return not data.isascii() and _LONG_S in data


class FrameKeys:
    """Checks the frames of one stream, which mostly differ in nothing but the text of one string.

    A frame that equals the last checked one outside of the string under ``key`` has the same keys.
    """

    def __init__(self, keys: Keys, key: bytes) -> None:
        self._keys = keys
        self._openings = (b'"' + key + b'":"', b'"' + key + b'": "')
        self._checked = (b"", b"")

    def check(self, data: bytes, what: str) -> None:
        """Raises ``Refusal`` as ``Keys.check_exactly`` does."""
        outside = self._outside(data)
        if outside is None or outside != self._checked:
            self._keys.check_exactly(data, what)
            self._checked = outside or self._checked

    def _outside(self, data: bytes) -> tuple[bytes, bytes] | None:
        for opening in self._openings:
            at = data.find(opening)
            if at >= 0:
                start = at + len(opening)
                end = data.find(b'"', start)
                if data.find(b"\\", 0, end) >= 0:
                    return None  # the quote found may be escaped
                return data[:start], data[end:]
        return None
