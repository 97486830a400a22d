"""JSON as Google's APIs read it: every member in camel case or in snake case, a list of one without brackets.

So one thing can be said twice without a key being equal to another. What we read may be given once, in one
of its two spellings; in which objects that matters is told by ``Names``, one for each kind of object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, MutableMapping
from typing import Any

import msgspec

from guardrail.core.model import Refusal
from guardrail.dialects.strict import decode, elements

_any = msgspec.json.Decoder(msgspec.Raw)
_CAPITAL = re.compile(r"[A-Z]")
_BLOBS = frozenset(("data", "thoughtSignature", "thought_signature"))  # bytes in base64


class Object(list[tuple[str, Any]]):
    """An object as the pairs it was written with, doubled keys included."""


def parse(data: bytes, what: str) -> Any:
    """Any JSON value; objects are ``Object``s. Raises ``Refusal``, naming ``what``, for anything else."""
    raw = bytes(decode(_any, data, what))  # the syntax, the encoding, lone surrogates
    try:
        return json.loads(raw, object_pairs_hook=Object, parse_int=_integer)
    except RecursionError:
        raise Refusal(f"{what} is nested too deeply") from None


def _integer(digits: str) -> int:
    return int(digits[:20])  # the integers we read are small: of longer ones it matters only that they are not


class Names:
    """The members that are read in one kind of object, by their names in camel case."""

    def __init__(self, *names: str) -> None:
        self._spelled = {spelling: name for name in names for spelling in (name, snake(name))}
        self._folded = frozenset(name.lower() for name in names)

    def of(self, value: Any, what: str) -> dict[str, Any]:
        """The members that are there and not null. Raises ``Refusal`` where two readers could disagree."""
        if not isinstance(value, Object):
            raise Refusal(f"{what} has an unknown shape")
        found: dict[str, Any] = {}
        for key, inner in value:
            name = self._spelled.get(key)
            if name is None:
                if key.replace("_", "").casefold() in self._folded:
                    raise Refusal(f"{what} gives a key in a spelling of its own")
            elif name in found:
                raise Refusal(f"{what} gives a key twice")
            else:
                found[name] = inner
        return {name: inner for name, inner in found.items() if inner is not None}


def snake(name: str) -> str:
    """``systemInstruction`` as ``system_instruction``."""
    return _CAPITAL.sub(lambda capital: "_" + capital.group().lower(), name)


def text_of(members: Mapping[str, Any], name: str, what: str) -> str:
    """A member that has to be text, or is not there."""
    text = members.get(name, "")
    if not isinstance(text, str):
        raise Refusal(f"{what} has an unknown shape")
    return text


def listed(value: Any) -> list[Any]:
    """A repeated member: a list, nothing, or one element without its brackets."""
    if isinstance(value, list) and not isinstance(value, Object):
        return value
    return [] if value is None else [value]


def strings(value: Any) -> list[str]:
    """Every string in a value of unknown shape, in order, except for what is bytes."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, str):
            found.append(inner)
        elif isinstance(inner, Object):
            waiting += [member for key, member in reversed(inner) if key not in _BLOBS]
        elif isinstance(inner, list):
            waiting += reversed(inner)
    return found


# --- members that keep their own bytes


def spelling(members: Mapping[str, msgspec.Raw], name: str) -> str:
    """How ``name`` is spelled among these members; in camel case when it is not there."""
    return snake(name) if name not in members and snake(name) in members else name


def given(members: Mapping[str, msgspec.Raw], name: str) -> msgspec.Raw | None:
    """The member, unless it is null."""
    raw = members.get(spelling(members, name))
    return None if raw is None or bytes(raw) == b"null" else raw


def listed_raw(raw: msgspec.Raw | None, what: str) -> list[msgspec.Raw]:
    """As ``listed``, each element as its own bytes."""
    if raw is None:
        return []
    return elements(bytes(raw), what) if bytes(raw).startswith(b"[") else [raw]


def drop(members: MutableMapping[str, msgspec.Raw], *names: str) -> None:
    """Leave members out, however they are spelled."""
    for name in names:
        members.pop(spelling(members, name), None)


def raw_of(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
