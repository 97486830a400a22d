"""JSON Schema of a pack's files, for editors: what may stand where, completed and checked while it is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from guardrail.core.model import ACTIONS, PRIORITIES, SIGNALS
from guardrail.policy.rules import CHOICES
from guardrail.policy.vignettes import EXPECT_KEYS, KEYS, REPLY_KEYS, SEES_KEYS, TURN_KEYS
from guardrail.policy.vocabulary import (
    COMPOSITE_KEYS,
    FAILURES,
    FOR_KEYS,
    HAZARD_KEYS,
    LADDER,
    OVERRIDE_KEYS,
    PACK_KEYS,
    RESOURCE_KINDS,
    RULE_KEYS,
    THEN_KEYS,
    UNLESS_KEYS,
    WHEN_KEYS,
)

_TEXT = {"type": "string", "minLength": 1}
_NUMBER = {"type": "integer", "minimum": 0}
_TIME = {"type": "string", "pattern": "^[0-9]{1,9} *[smhd]$", "description": "90s, 5m, 24h or 3d"}
_RANGE = {"type": ["number", "string"], "description": 'a number, ">=3" or "2..3"'}
_DAYTIME = {"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9] *[.][.] *[0-2][0-9]:[0-5][0-9]$"}


def schema() -> dict[str, Any]:
    """A schema for every ``*.yaml`` of a pack (draft 2020-12)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A crisis-guardrail policy pack",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **_texts(PACK_KEYS),
            "id": _TEXT,
            "version": _TEXT,
            "owner": _TEXT,
            "summary": _TEXT,
            "sources": _many(_TEXT),
            "languages": _many(_TEXT),
            "review_by": {"type": "string", "format": "date"},
            "waivers": _many(_object({"silences": {"const": "suicide"}, "reason": _TEXT}, ("silences", "reason"))),
            "locale": _TEXT,
            "rules": _many({"$ref": "#/$defs/rule"}),
            "composites": _many({"$ref": "#/$defs/composite"}),
            "overrides": _many({"$ref": "#/$defs/override"}),
            "hazards": _many(_object({**_texts(HAZARD_KEYS), "rules": _many(_TEXT)}, HAZARD_KEYS)),
            "responses": {"type": "object", "additionalProperties": _TEXT},
            "guidance": {"type": "object", "additionalProperties": _TEXT},
            "on_failure": _object({part: {"$ref": "#/$defs/then"} for part in FAILURES}, ()),
            "vignettes": _many({"$ref": "#/$defs/vignette"}),
        },
        "$defs": {
            "when": _object(_when(WHEN_KEYS), ("direction",)),
            "unless": _object(_when(UNLESS_KEYS), ()),
            "then": _object(_then(), ()),
            "rule": _object({**_rule(), "then": {"$ref": "#/$defs/then"}}, RULE_KEYS),
            "composite": _object({**_rule(), "weight": {"enum": [-2, -1, 1, 2]}}, COMPOSITE_KEYS[:4]),
            "override": _object(
                {
                    **_texts(OVERRIDE_KEYS),
                    "for": _object(_when(FOR_KEYS), ()),
                    "then": {"$ref": "#/$defs/then"},
                },
                OVERRIDE_KEYS,
            ),
            "vignette": _object(_vignette(), ("id", "turns")),
        },
    }


def _object(properties: dict[str, Any], required: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        **({"required": list(required)} if required else {}),
    }


def _many(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


def _some(of: dict[str, Any]) -> dict[str, Any]:
    """One, or a list."""
    return {"anyOf": [of, _many(of)]}


def _texts(names: Sequence[str]) -> dict[str, Any]:
    return dict.fromkeys(names, _TEXT)


def _rule() -> dict[str, Any]:
    exceptions = _some({"$ref": "#/$defs/unless"})
    return {"id": _TEXT, "source": _TEXT, "when": {"$ref": "#/$defs/when"}, "unless": exceptions}


def _when(keys: Sequence[str]) -> dict[str, Any]:
    signals = _some({"enum": sorted(SIGNALS)})
    known: dict[str, Any] = {
        "direction": {"enum": ["inbound", "outbound"]},
        **dict.fromkeys(("signal", "with", "without"), signals),
        **{name: _some({"enum": list(values)}) for name, values in CHOICES.items()},
        **dict.fromkeys(("severity", "latch", "level", "score", "peak", "turns"), _RANGE),
        **dict.fromkeys(("locale", "country", "detail", "prefers"), _some(_TEXT)),
        "trend": _some({"enum": ["rising", "steady", "falling"]}),
        "quiet": _NUMBER,
        "session": _TIME,
        "between": _DAYTIME,
        "repeats": _object({"times": {"type": "integer", "minimum": 2}, "within": _TIME}, ("times", "within")),
        "cue": {"type": "object", "additionalProperties": _RANGE},
        "episode": {"enum": ["open", "closed"]},
        "drift": {"type": "number", "minimum": 0},
    }
    return {key: known[key] for key in keys}


def _then() -> dict[str, Any]:
    known: dict[str, Any] = {
        "action": {"enum": list(ACTIONS)},
        "response": _TEXT,
        "steer": _TEXT,
        "help": _some({"enum": list(RESOURCE_KINDS)}),
        "case": _object(
            {
                "deadline": _TIME,
                "priority": {"enum": list(PRIORITIES)},
                "ladder": {"type": "string", "pattern": f"^{LADDER.pattern}$"},
            },
            ("deadline",),
        ),
        "cool_down": _TIME,
    }
    return {key: known[key] for key in THEN_KEYS}


def _vignette() -> dict[str, Any]:
    expected: dict[str, Any] = {
        "severity": _RANGE,
        "action": _some({"enum": list(ACTIONS)}),
        "case": {"type": "boolean"},
        "signal": _some({"enum": sorted(SIGNALS)}),
        "deadline": {"type": "number"},
        "reply": _object({key: _some(_TEXT) for key in REPLY_KEYS}, ()),
    }
    expect = _object({key: expected.get(key, _some(_TEXT)) for key in EXPECT_KEYS}, ())
    seen: dict[str, Any] = {
        "signal": {"enum": sorted(SIGNALS)},
        "severity": {"type": "integer", "minimum": 0, "maximum": 4},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        **{name: {"enum": list(values)} for name, values in CHOICES.items() if name in SEES_KEYS},
    }
    sees = _some(_object({key: seen.get(key, _TEXT) for key in SEES_KEYS}, ("signal",)))
    turn: dict[str, Any] = {"sees": sees, "after": _TIME, "expect": expect}
    known: dict[str, Any] = {
        "turns": _many(_object({key: turn.get(key, {"type": "string"}) for key in TURN_KEYS}, ())),
        "audience": _some({"enum": ["adult", "minor", "unknown"]}),
        "locale": _some(_TEXT),
        "prefers": _some(_TEXT),
        "cues": {"type": "object", "additionalProperties": {"type": "number"}},
    }
    return {key: known.get(key, _TEXT) for key in KEYS}
