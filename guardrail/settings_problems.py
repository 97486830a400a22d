"""What is wrong with the settings, in a line that says where, what, and what to do instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from guardrail.settings_judges import ChatJudge, Means, ModerationJudge, TransformersJudge
from guardrail.settings_model import UNSUPPORTED, Settings
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
    """Without pydantic's own marks: the kind of a channel or of a judge, and "this is about the key"."""
    if loc[:2] == ("escalation", "channels"):
        return loc[:3] + loc[4:]
    if loc[:1] == ("judges",):
        return loc[:2] + loc[3:]
    return loc


def _name(loc: Loc) -> str:
    """The key that is wrong, or that has the item which is."""
    return next((part for part in reversed(loc) if isinstance(part, str)), "settings")


def explained(error: ErrorDetails, sources: Sources) -> tuple[str, str]:
    """One pydantic error as (place, ``what; what to do``), without the value: it may be a secret."""
    loc = _location(error["loc"])
    kind, context, name = error["type"], error.get("ctx", {}), _name(loc)
    if loc and loc[0] in UNSUPPORTED:
        return sources.place(loc[:1]), UNSUPPORTED[str(loc[0])]
    if kind == "extra_forbidden":
        return sources.place(
            loc, key=True
        ), f"unknown key {shown(name)}; {nearest(name, _keys(error['loc']), 'remove it')}"
    if kind == "missing":
        return sources.place(loc[:-1]), f"{name} is missing; add it"
    if kind == "value_error":
        return sources.place(loc), f"{name}: {context['error']}"
    if kind == "literal_error":
        return sources.place(loc), f"{name} has a value it cannot have; write {context['expected']}"
    if kind.startswith("union_tag"):
        if loc[0] == "judges":
            return sources.place(loc), f"judge {shown(name)} needs a kind; write kind: moderation, chat or transformers"
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
    """The keys that are known where the unknown one stands, by pydantic's own marks."""
    if loc[0] == "judges":
        return _keys_of_judges(loc)
    model: type[BaseModel] = Settings
    for part in loc[:-1]:
        if "channels" in loc and part not in ("escalation", "channels"):
            return ["kind", "url", "url_file", "secret", "secret_file"]
        field = model.model_fields.get(str(part))
        model = (field and _model_in(field.annotation)) or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _keys_of_judges(loc: Loc) -> list[str]:
    if "signals" in loc[3:-1]:
        return [field.alias or name for name, field in Means.model_fields.items()]
    kinds: dict[str, type[BaseModel]] = {
        "moderation": ModerationJudge,
        "chat": ChatJudge,
        "transformers": TransformersJudge,
    }
    fields = kinds[str(loc[2])].model_fields
    return [*fields, *(f"{name}_file" for name in fields if name == "token")]


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The model that a setting holds, or every item of it does."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner))), None)


def nearest(name: str, known: Iterable[str], otherwise: str) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f"did you mean {close[0]}?" if close else otherwise


def shown(name: str) -> str:
    """A key as it may be printed: short, and without control characters."""
    return repr(name[:60])
