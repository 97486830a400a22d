"""JSON pointers (RFC 6901): parsed, followed, and written at. ``*`` stands for every index of an array.

A key on the way that is also there in another case is refused: a lenient parser might take that one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from guardrail.core.model import Refusal
from guardrail.dialects.strict import elements, fields

Pointer = tuple[str, ...]
"""The keys and indices of a pointer, unescaped; empty: the whole document."""

Place = tuple[str | int, ...]
"""Where a value was found: like a pointer, with the indices that its stars stood for."""

STAR = "*"
MAX_FOUND = 10_000
"""Values found at one pointer: far more than any reply holds, and a bound on what is remembered."""

_INDEX = re.compile(r"0|[1-9][0-9]{0,3}")
_BAD_ESCAPE = re.compile(r"~(?![01])")
_LONGEST_MADE = 16
_BOM = b"\xef\xbb\xbf"
_NOTHING = b"null"


def parse(text: str) -> Pointer:
    """Raises ``ValueError`` (``what is wrong; what to do``) for what is no pointer."""
    if text and not text.startswith("/"):
        raise ValueError("not a JSON pointer; it begins with a slash, such as /message or /data/text")
    if _BAD_ESCAPE.search(text):
        raise ValueError("not a JSON pointer; in a key write ~0 for a tilde and ~1 for a slash")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:])


def shown(pointer: Pointer) -> str:
    """The pointer as it is written."""
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in pointer) or '""'


def follow(value: Any, pointer: Pointer, what: str) -> list[tuple[Place, Any]]:
    """Every value at ``pointer``, in the order of the document. Raises ``Refusal``, naming ``what``."""
    found: list[tuple[Place, Any]] = [((), value)]
    for token in pointer:
        found = [step for place, inner in found for step in _into(place, inner, token, what)]
        if len(found) > MAX_FOUND:
            raise Refusal(f"{what} has more than {MAX_FOUND} values at {shown(pointer)}")
    return found


def _into(place: Place, value: Any, token: str, what: str) -> list[tuple[Place, Any]]:
    if isinstance(value, dict):
        folded = token.casefold()
        if any(key != token and key.casefold() == folded for key in value):
            raise Refusal(f"{what} gives a key in another case than it is described")
        return [((*place, token), value[token])] if token in value else []
    if not isinstance(value, list):
        return []
    if token == STAR:
        return [((*place, index), inner) for index, inner in enumerate(value)]
    if _INDEX.fullmatch(token) and int(token) < len(value):
        return [((*place, int(token)), value[int(token)])]
    return []


def covers(pointer: Pointer, place: Place) -> bool:
    """Whether ``pointer`` leads to ``place``."""
    return len(pointer) == len(place) and all(
        token == str(step) or (token == STAR and isinstance(step, int))
        for token, step in zip(pointer, place, strict=True)
    )


def can_hold(value: Any, pointer: Pointer) -> bool:
    """Whether a text may be written at ``pointer``: a string is there, or nothing is and nothing is in the way."""
    for token in pointer:
        if isinstance(value, dict):
            value = value.get(token)
        elif isinstance(value, list) and _INDEX.fullmatch(token):
            value = value[int(token)] if int(token) < len(value) else None
        elif value is not None:
            return False
    return value is None or isinstance(value, str)


def built(parts: Iterable[tuple[Sequence[str], Any]]) -> Any:
    """The smallest value that has each part at its pointer, a later one before an earlier one; a star is index 0.

    Raises ``Refusal`` where parts contradict one another, or an array would be mostly holes.
    """
    value: Any = None
    for pointer, part in parts:
        value = _placed(value, pointer, part)
    return value


def _placed(value: Any, pointer: Sequence[str], part: Any) -> Any:
    if not pointer:
        return part
    token, rest = pointer[0], pointer[1:]
    if value is None:
        value = [] if token == STAR or _INDEX.fullmatch(token) else {}
    if isinstance(value, dict):
        return {**value, token: _placed(value.get(token), rest, part)}
    index = 0 if token == STAR else int(token) if _INDEX.fullmatch(token) else _LONGEST_MADE
    if not isinstance(value, list) or index >= _LONGEST_MADE:
        raise Refusal(f"nothing can be written at {token[:60]!r}, where what is above it is something else; check it")
    items = value + [None] * (index + 1 - len(value))
    items[index] = _placed(items[index], rest, part)
    return items


def changed(raw: bytes, pointer: Sequence[str], change: Callable[[bytes], object], what: str) -> bytes:
    """The JSON ``raw`` with what ``change`` makes of the bytes at ``pointer`` (``null`` where there is nothing).

    Every other member keeps its bytes. Raises ``Refusal``.
    """
    raw = raw.removeprefix(_BOM).strip()
    if not pointer:
        return msgspec.json.encode(change(raw))
    if raw == _NOTHING:
        return msgspec.json.encode(built([(pointer, change(raw))]))
    token, rest = pointer[0], pointer[1:]
    if not raw.startswith(b"["):
        members = fields(raw, what)
        members[token] = msgspec.Raw(changed(bytes(members.get(token, _NOTHING)), rest, change, what))
        return msgspec.json.encode(members)
    items = elements(raw, what)
    index = int(token)
    items += [msgspec.Raw(_NOTHING)] * (index + 1 - len(items))
    items[index] = msgspec.Raw(changed(bytes(items[index]), rest, change, what))
    return msgspec.json.encode(items)
