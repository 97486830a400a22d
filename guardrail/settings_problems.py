"""What is wrong with the settings, in a line that says where, what, and what to do instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from pydantic_core import ErrorDetails

from guardrail.settings_model import UNSUPPORTED, Frozen, Settings
from guardrail.settings_sources import Sources
from guardrail.settings_yaml import Loc

_POSITION = re.compile(r"(.*):(\d+):(\d+)")


def in_order(problems: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Lines in the order of the file, each once; then what variables and options got wrong."""

    def position(problem: tuple[str, str]) -> tuple[bool, int, int]:
        match = _POSITION.fullmatch(problem[0])
        return (match is None, int(match[2]) if match else 0, int(match[3]) if match else 0)

    return tuple(dict.fromkeys(f"{place}: {what}" for place, what in sorted(problems, key=position)))


def _location(loc: Loc) -> Loc:
    """Without pydantic's own marks: the kind of a channel, and "this is about the key"."""
    if loc[:2] == ("escalation", "channels"):
        return loc[:3] + loc[4:]
    return loc


def explained(error: ErrorDetails, sources: Sources) -> tuple[str, str]:
    """One pydantic error as (place, ``what; what to do``), without the value: it may be a secret."""
    loc = _location(error["loc"])
    kind, context, name = error["type"], error.get("ctx", {}), str(loc[-1]) if loc else "settings"
    if loc and loc[0] in UNSUPPORTED:
        return sources.place(loc[:1]), UNSUPPORTED[str(loc[0])]
    if kind == "extra_forbidden":
        return sources.place(loc, key=True), f"unknown key {shown(name)}; {nearest(name, _keys(loc), 'remove it')}"
    if kind == "missing":
        return sources.place(loc[:-1]), f"{name} is missing; add it"
    if kind == "value_error":
        return sources.place(loc), f"{name}: {context['error']}"
    if kind == "literal_error":
        return sources.place(loc), f"{name} has a value it cannot have; write {context['expected']}"
    if kind.startswith("union_tag"):
        return sources.place(loc), f"channel {shown(name)} needs a kind; write kind: webhook or kind: apprise"
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = context.get("ge", context.get("le"))
        return sources.place(loc), f"{name} is out of range; {'at least' if 'ge' in context else 'at most'} {bound:g}"
    if kind == "string_pattern_mismatch":
        return sources.place(loc, key=True), f"{shown(name)} is not a usable name; use a-z, 0-9, - and _"
    return sources.place(loc), f"{name} is of the wrong kind; write {_WANTED.get(kind, 'what the documentation shows')}"


_WANTED: Mapping[str, str] = {
    "string_type": "text, in quotes where it looks like a number",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "model_type": "keys and values below it",
    "model_attributes_type": "keys and values below it",
    "mapping_type": "keys and values below it",
    "dict_type": "keys and values below it",
    "too_short": "at least one item",
    "string_too_short": "something, it is empty",
    "path_type": "a path",
}


def _keys(loc: Loc) -> list[str]:
    """The keys that are known where the unknown one stands."""
    model: type[Frozen] = Settings
    for part in loc[:-1]:
        field = model.model_fields.get(str(part))
        if field is not None and isinstance(field.annotation, type) and issubclass(field.annotation, Frozen):
            model = field.annotation
        elif part != "channels" and "channels" in loc:
            return ["kind", "url", "url_file", "secret", "secret_file"]
        elif part == "ladder":
            return ["after", "notify"]
    return list(model.model_fields)


def nearest(name: str, known: Iterable[str], otherwise: str) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f"did you mean {close[0]}?" if close else otherwise


def shown(name: str) -> str:
    """A key as it may be printed: short, and without control characters."""
    return repr(name[:60])
