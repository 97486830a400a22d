"""What may be written: the kinds of record, the fields of each, and the values a field may have.

There is no field for anything a person or a bot said. A field that is not listed is refused, so that text
cannot come in by a new name; a value is a number, a flag, a short word or one of the core's own values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from guardrail.core.decide import CaseDraft, Step, Verdict
from guardrail.core.model import Failed, Signal

_EXCHANGE = ("exchange", "conversation")
_CASE = (
    "case",
    "category",
    "severity",
    "state",
    "outcome",
    "deadline",
    "priority",
    "ladder",
    "event",
    "where",
    "by",
    "channel",
    "rung",
)
_VERDICT = (
    "direction", "severity", "action", "actions", "category", "subject", "rule", "response", "steer", "resources",
    "granularity", "signals", "trail", "failures", "cases", "enacted", "shortened", "locale", "country", "audience",
    "grades", "cues", "prefers",
)  # fmt: skip

_EVERY = ("policy", "policy_hash", "signed_by")
"""By which policy, and who has signed it: in every record."""

_FIELDS: Mapping[str, tuple[str, ...]] = {
    "exchange": (
        *_EXCHANGE, "dialect", "outcome", "action", "status", "stream", "joined", "locale", "country", "audience",
        "mode", "duration_ms", "added_ms", "known", "turns",
    ),
    "verdict": (*_EXCHANGE, *_VERDICT),
    "trial": (*_EXCHANGE, *_VERDICT, "live_severity", "live_action", "live_rule"),
    "case": (*_EXCHANGE, *_CASE, "rule", "created", "told"),
    "latch": ("exchange", "conversation", "before", "after", "by", "rule", "case"),
    "failure": (*_EXCHANGE, "part", "reason", "count", "direction", "action", "case"),
    "start": ("version", "mode", "pid", "policies", "responders", "locale", "country"),
    "stop": ("pid", "reason", "exchanges"),
    "policy": ("before", "by", "signed", "rules", "event", "count"),
    "journal.recovered": ("reason", "segment", "bytes", "expected", "found"),
}  # fmt: skip

KINDS: Mapping[str, frozenset[str]] = {kind: frozenset((*fields, *_EVERY)) for kind, fields in _FIELDS.items()}
"""Kind to the fields it may have. ``by`` is a responder's name, given by the operator's own staff."""

RESERVED = frozenset(("n", "at", "kind", "prev", "mac"))
MAX_WORD = 200
MAX_ITEMS = 1000
MAX_TRAIL = 200
MAX_SPANS = 20
MAX_RECORD = 1024 * 1024
"""Bytes of one record's fields."""

_OWN = (Signal, Step, CaseDraft, Failed)
_encoder = msgspec.json.Encoder()


class RecordRefused(ValueError):
    """A record that may not be written as it is. ``str`` names the field, never its value."""


def encoded(kind: str, fields: Mapping[str, object]) -> bytes:
    """The fields as JSON members without braces; raises ``RecordRefused`` for what the table does not allow."""
    allowed = KINDS.get(kind)
    if allowed is None:
        raise RecordRefused(f"the journal has no records of kind {kind[:40]!r}")
    for name, value in fields.items():
        if name not in allowed:
            raise RecordRefused(f"a record of kind {kind} has no field {name[:40]!r}")
        if not _is_plain(value):
            raise RecordRefused(f"field {name} of a record of kind {kind} holds what may not be journaled")
    try:
        body = _encoder.encode(fields)
    except (TypeError, ValueError) as error:
        raise RecordRefused(f"a record of kind {kind} cannot be written as JSON") from error
    if len(body) > MAX_RECORD:
        raise RecordRefused(f"a record of kind {kind} has more than {MAX_RECORD} bytes")
    return body[1:-1]


def _is_plain(value: object, nested: bool = False) -> bool:
    if value is None or isinstance(value, bool | int | float):
        return True
    if isinstance(value, str):
        return len(value) <= MAX_WORD and value.isprintable()
    if isinstance(value, tuple | list):
        return not nested and len(value) <= MAX_ITEMS and all(_is_plain(item, True) for item in value)
    return isinstance(value, _OWN)


def verdict_fields(verdict: Verdict, *, exchange: str, conversation: str, enacted: bool) -> dict[str, object]:
    """A verdict as a record of kind ``verdict``. ``enacted`` is false where it only was decided (shadow mode).

    Always fit to be written: a flood of matches is cut to the first 200 signals and steps with 20 spans each, and
    ``shortened`` says so. The record of a decision must not be lost because somebody wrote too much.

    ``grades`` are the severities before composites, one for each of ``signals``: a replay weighs them anew. They,
    ``cues`` and ``prefers`` (names only) stand there when they are empty too, so that nobody has to guess.
    """
    fields: dict[str, object] = {
        "exchange": word(exchange),
        "conversation": word(conversation),
        "direction": verdict.direction,
        "severity": verdict.severity,
        "action": verdict.action,
        "actions": verdict.actions,
        "rule": word(verdict.rule),
        "policy": word(verdict.policy),
        "policy_hash": word(verdict.policy_hash),
        "locale": word(verdict.locale),
        "audience": verdict.audience,
        "granularity": verdict.granularity,
        "enacted": enacted,
        "grades": verdict.grades[:MAX_TRAIL],
        "cues": _words(verdict.cues),
        "prefers": _words(verdict.prefers),
    }
    optional = {
        "signed_by": word(verdict.signed_by),
        "country": word(verdict.country),
        "category": word(verdict.category),
        "subject": verdict.subject if verdict.category else "",
        "response": word(verdict.response),
        "steer": _words(verdict.steer),
        "resources": _words(verdict.resources),
        "signals": tuple(_short_signal(signal) for signal in verdict.signals[:MAX_TRAIL]),
        "trail": tuple(_short_step(step) for step in verdict.trail[:MAX_TRAIL]),
        "failures": verdict.failures[:MAX_TRAIL],
        "cases": verdict.cases[:MAX_TRAIL],
        "shortened": max(len(verdict.signals), len(verdict.trail)) > MAX_TRAIL,
    }
    fields.update((name, value) for name, value in optional.items() if value)
    return fields


def word(text: str) -> str:
    """A text as a record may hold it: short, and printable."""
    if len(text) <= MAX_WORD and text.isprintable():
        return text
    return "".join(char for char in text[:MAX_WORD] if char.isprintable())


def _words(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word(text) for text in texts[:MAX_TRAIL])


def _short_signal(signal: Signal) -> Signal:
    return _short(signal, ("name", "detector", "detail", "pattern", "language"))


def _short_step(step: Step) -> Step:
    return _short(step, ("rule", "signal", "pattern", "why"))


Traced = TypeVar("Traced", Signal, Step)


def _short(traced: Traced, names: tuple[str, ...]) -> Traced:
    texts: tuple[str, ...] = tuple(getattr(traced, name) for name in names)
    if len(traced.spans) <= MAX_SPANS and sum(map(len, texts)) <= MAX_WORD:
        return traced
    short = {name: word(text) for name, text in zip(names, texts, strict=True)}
    return msgspec.structs.replace(traced, spans=traced.spans[:MAX_SPANS], **short)
