"""Text in JSON of any shape: where an operator says it is, and wherever else a string stands."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import msgspec

from guardrail.core.model import Refusal
from guardrail.dialects.json_pointer import MAX_FOUND, STAR, Place, Pointer, covers, follow, shown
from guardrail.dialects.strict import decode

_anything = msgspec.json.Decoder()
_BOM = b"\xef\xbb\xbf"
_LONGEST_WORD = 200
"""Code points without white space, all ASCII, from which on a string is data and no text: a key, a link, an image."""


def parsed(data: bytes, what: str) -> Any:
    """Any JSON. Raises ``Refusal``, also for a key given twice: which of its values counts, nobody could say."""
    value = decode(_anything, data, what)
    try:
        text = data.removeprefix(_BOM).decode()
        json.loads(text, object_pairs_hook=functools.partial(_check_once, what), parse_int=str, parse_float=str)
    except RecursionError:
        raise Refusal(f"{what} is nested too deeply") from None
    except json.JSONDecodeError:
        raise Refusal(f"{what} is JSON that not every parser accepts") from None
    return value


def _check_once(what: str, pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise Refusal(f"{what} gives a key twice")


class Spot(NamedTuple):
    """A string at one of several pointers.

    ``number`` names the pointer, and the indices its stars stand for: ``0``, or ``1.3``.
    """

    number: str
    place: Place
    text: str


def spots(value: Any, pointers: Sequence[Pointer], what: str, *, lenient: bool = False) -> list[Spot]:
    """The strings at ``pointers``, each once. Null counts as nothing.

    Raises ``Refusal`` where something else stands, unless another pointer leads into it, or ``lenient``.
    """
    found: list[Spot] = []
    seen: set[Place] = set()
    for number, pointer in enumerate(pointers):
        for place, inner in follow(value, pointer, what):
            if isinstance(inner, str):
                if place not in seen:
                    found.append(Spot(_number(number, pointer, place), place, inner))
                seen.add(place)
            elif inner is not None and not lenient and not _is_way(pointer, pointers):
                raise Refusal(f"{what} has something else than text at {shown(pointer)}")
    return found


def _number(number: int, pointer: Pointer, place: Place) -> str:
    stars = [str(step) for token, step in zip(pointer, place, strict=True) if token == STAR]
    return ".".join([str(number), *stars])


def _is_way(pointer: Pointer, pointers: Sequence[Pointer]) -> bool:
    return any(len(other) > len(pointer) and other[: len(pointer)] == pointer for other in pointers)


def filled(pointers: Sequence[Pointer], number: str) -> Pointer:
    """The pointer that a ``Spot.number`` names, its stars replaced by their indices (those not given by 0)."""
    first, *indices = number.split(".")
    given = iter(indices)
    return tuple(next(given, "0") if token == STAR else token for token in pointers[int(first)])


def others(value: Any, known: Collection[Place], unread: Sequence[Pointer]) -> list[tuple[Place, str]]:
    """Every other string that may be text, in the order of the document, but for what lies under ``unread``.

    Raises ``Refusal`` when there are too many.
    """
    found: list[tuple[Place, str]] = []
    waiting: list[tuple[Place, Any]] = [((), value)]
    while waiting:
        place, inner = waiting.pop()
        if unread and any(covers(pointer, place) for pointer in unread):
            continue
        if isinstance(inner, str):
            if place not in known and _may_be_text(inner):
                found.append((place, inner))
        elif isinstance(inner, dict):
            waiting += [((*place, key), member) for key, member in reversed(inner.items())]
        elif isinstance(inner, list):
            waiting += [((*place, index), inner[index]) for index in range(len(inner) - 1, -1, -1)]
    if len(found) > MAX_FOUND:
        raise Refusal(f"there are more than {MAX_FOUND} strings to read")
    return found


def _may_be_text(text: str) -> bool:
    return bool(text) and not (len(text) > _LONGEST_WORD and text.isascii() and len(text.split(None, 1)) == 1)
