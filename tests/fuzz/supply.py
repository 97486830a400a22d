"""Bytes as a row of choices, and JSON that is varied by them: how a fuzzer gets past the first bracket.

Where the bytes are over, every choice is the first: nothing is changed any more, and a find stays short.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")

ODD = (
    "", "I want to die", "Stay.", "é–👋", '"', "\\", "\r\n", "a\n\nb", "\u2028", "\x00", "[DONE]", "data: x", "\ufeff",
    "ſ", "K", "İ", "e\u0301", "null", "~1/~0", "stop", "error", "user", "assistant", "text", "tool_use",
)  # fmt: skip
NUMBERS = ("0", "-0", "1", "-1", "127", "128", "1e400", "0.5", "18446744073709551616", "1" * 25, "1e2")
LITERALS = ("null", "true", "false", "[]", "{}", '""', "[[]]", '{"":""}')
DEPTHS = (40, 990, 1500)


class Supply:
    """Choices made by bytes, one after another."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def byte(self) -> int:
        """0 when there are none left."""
        at, self._at = self._at, self._at + 1
        return self._data[at] if at < len(self._data) else 0

    def pick(self, things: Sequence[T]) -> T:
        return things[self.byte() % len(things)]

    def rest(self) -> bytes:
        at, self._at = self._at, len(self._data)
        return self._data[at:]

    @property
    def is_over(self) -> bool:
        return self._at >= len(self._data)


def varied(value: Any, supply: Supply, keys: Sequence[str]) -> str:
    """``value`` as JSON text with the changes that ``supply`` asks for; ``keys`` are names worth trying."""
    choice = supply.byte()
    if 1 <= choice <= 24:
        return _CHANGES[(choice - 1) % len(_CHANGES)](value, supply, keys)
    return _plain(value, supply, keys)


def _plain(value: Any, supply: Supply, keys: Sequence[str]) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(_member(key, inner, supply, keys) for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(varied(inner, supply, keys) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _member(key: str, value: Any, supply: Supply, keys: Sequence[str]) -> str:
    """A member: mostly as it is; else gone, twice, in capitals, in escapes, or under another name."""
    match supply.byte():
        case 1:
            return f"{json.dumps(key + '_')}:0"
        case 2 | 3:
            return f"{json.dumps(key)}:{_odd(value, supply, keys)},{json.dumps(key)}:{varied(value, supply, keys)}"
        case 4:
            return f"{json.dumps(key.title())}:{varied(value, supply, keys)}"
        case 5 if key:
            return f'"\\u{ord(key[0]):04x}{key[1:]}":{varied(value, supply, keys)}'
        case 6:
            return f"{json.dumps(supply.pick(keys))}:{varied(value, supply, keys)}"
        case 7 | 8:
            more = f"{json.dumps(supply.pick(keys))}:{_odd(value, supply, keys)}"
            return f"{json.dumps(key)}:{varied(value, supply, keys)},{more}"
        case 9:
            return f"{json.dumps(key.replace('s', 'ſ', 1), ensure_ascii=False)}:{varied(value, supply, keys)}"
        case _:
            return f"{json.dumps(key)}:{varied(value, supply, keys)}"


def _odd(value: Any, supply: Supply, keys: Sequence[str]) -> str:
    return json.dumps(supply.pick(ODD), ensure_ascii=supply.byte() % 2 == 0)


def _other(value: Any, supply: Supply, keys: Sequence[str]) -> str:
    return supply.pick(LITERALS + NUMBERS)


def _object(value: Any, supply: Supply, keys: Sequence[str]) -> str:
    members = [f"{json.dumps(supply.pick(keys))}:{varied(value, supply, keys)}" for _ in range(1 + supply.byte() % 3)]
    return "{" + ",".join(members) + "}"


def _listed(value: Any, supply: Supply, keys: Sequence[str]) -> str:
    return f"[{','.join(varied(value, supply, keys) for _ in range(1 + supply.byte() % 3))}]"


def _spaced(value: Any, supply: Supply, keys: Sequence[str]) -> str:
    return json.dumps(value, indent=1)


def _escaped(value: Any, supply: Supply, keys: Sequence[str]) -> str:
    if not isinstance(value, str):
        return _plain(value, supply, keys)
    return '"' + "".join(f"\\u{ord(c) % 65536:04X}" for c in value) + '"'


def _broken(value: Any, supply: Supply, keys: Sequence[str]) -> str:
    whole = _plain(value, supply, keys)
    return whole[: supply.byte() % (len(whole) + 1)]


def _deep(value: Any, supply: Supply, keys: Sequence[str]) -> str:
    depth, key = supply.pick(DEPTHS), json.dumps(supply.pick(keys))
    head, tail = ("[", "]") if supply.byte() % 2 else (f"{{{key}:", "}")
    return head * depth + json.dumps(value) + tail * depth


def _half(value: Any, supply: Supply, keys: Sequence[str]) -> str:
    return '"\\ud83d"'


_CHANGES = (_odd, _odd, _other, _object, _listed, _spaced, _escaped, _broken, _deep, _half, _odd, _other)
