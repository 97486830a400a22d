"""Where a human would read in the items of OpenAI's Responses API.

Channels are ``KIND:I.P`` for part ``P`` of output item ``I``: ``content`` (text), ``refusal``, ``thinking``
(reasoning; a part of its summary is ``thinking:I.sP``), and ``other:I.KEY`` for what else an item shows:
code and what it printed, what a tool answered, what was searched for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from guardrail.core.model import Refusal
from guardrail.dialects.responses_kinds import THOUGHTS, kind_of

TEXT_KEYS = (
    "content",
    "text",
    "summary",
    "refusal",
    "transcript",
    "code",
    "output",
    "outputs",
    "logs",
    "stdout",
    "stderr",
    "result",
    "results",
    "error",
    "message",
    "reason",
    "revised_prompt",
    "action",
    "query",
    "queries",
)
"""Members under which an item has text for a human, or holds what has it."""
_TEXT_KEYS = set(TEXT_KEYS)
_DEEP_KEYS = frozenset((*TEXT_KEYS, "delta"))

MAX_INDEX = 9_999
"""The highest index of an item or a part: far beyond any real one."""


def check_index(index: int) -> int:
    if not 0 <= index <= MAX_INDEX:
        raise Refusal("an item or a part has an impossible index")
    return index


def text_in(value: Any, between: str = "") -> str:
    """Every text in a value, in the order of ``TEXT_KEYS``, however deep it lies under them."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return between.join([text for inner in value if (text := text_in(inner))])
    if isinstance(value, dict):
        found = _TEXT_KEYS.intersection(value)
        if len(found) == 1:
            return text_in(value[found.pop()], between)
        return between.join([text for key in TEXT_KEYS if key in found and (text := text_in(value[key]))])
    return ""


def channels(item: Any, index: int) -> dict[str, str]:
    """The texts of an output item, by channel. Raises ``Refusal`` for what is no item."""
    if not isinstance(item, dict):
        raise Refusal("an output item has an unknown shape")
    said: dict[str, str] = {}
    for key in TEXT_KEYS:
        value = item.get(key)
        if not value or (key == "result" and kind_of(item) == "image_generation_call"):
            continue  # a picture is no text
        if key == "content":
            for at, part in enumerate(listed(value)):
                said.update(part_channels(part, index, at, kind_of(item) == "reasoning"))
        elif key == "summary":
            said.update({f"thinking:{index}.s{at}": text_in(part) for at, part in enumerate(listed(value))})
        else:
            said[f"other:{index}.{key}"] = text_in(value, "\n")
    return {name: text for name, text in said.items() if text}


def part_channels(part: Any, index: int, at: int, thought: bool = False) -> dict[str, str]:
    """The texts of part ``at`` of item ``index``'s content; ``thought``: the item is reasoning."""
    own = f"{'thinking' if thought or kind_of(part) in THOUGHTS else 'content'}:{index}.{at}"
    if not isinstance(part, dict):
        return {own: text_in(part)}
    rest = {key: value for key, value in part.items() if key != "refusal"}
    return {f"refusal:{index}.{at}": text_in(part.get("refusal")), own: text_in(rest)}


def listed(value: Any) -> list[Any]:
    """The parts of what is a list of them, or one by itself."""
    return value if isinstance(value, list) else [value]


def deep_text(data: bytes) -> str:
    """Every text in JSON of a kind we do not know, under any of ``TEXT_KEYS`` at any depth.

    A key given twice, or in capitals, is read each time. ``data`` has been decoded before. Raises ``Refusal``.
    """
    try:
        value = json.loads(data, object_pairs_hook=_Members, parse_int=str, parse_float=str)
        return "\n".join(_deep(value, False))
    except RecursionError:
        raise Refusal("JSON of an unknown kind is nested too deeply") from None


class _Members(tuple[tuple[str, Any], ...]):
    """An object as the pairs it was written with."""


def _deep(value: Any, is_text: bool) -> Iterator[str]:
    if isinstance(value, _Members):
        for key, inner in value:
            yield from _deep(inner, key.casefold() in _DEEP_KEYS)
    elif isinstance(value, list):
        for inner in value:
            yield from _deep(inner, is_text)
    elif is_text and isinstance(value, str) and value:
        yield value
