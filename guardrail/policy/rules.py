"""Rules as clinicians write them, to rules as the core decides by them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from guardrail.core.decide import CaseRule, Rule, Then, When
from guardrail.core.model import ACTIONS, CATEGORIES, CUES, OUTBOUND_SIGNALS, SIGNALS, Action, Audience, Direction
from guardrail.policy.sense import mismatches, nonsense
from guardrail.policy.source import Problems, Source
from guardrail.policy.vocabulary import (
    COUNTRY,
    LOCALE,
    RESOURCE_KINDS,
    RULE_KEYS,
    THEN_KEYS,
    WHEN_KEYS,
    bounds,
    duration,
    nearest,
)

At = tuple[str | int, ...]

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "audience": ("adult", "minor", "unknown"),
    "subject": ("self", "other", "child"),
    "frame": ("sincere", "idiom", "fiction", "quotation", "professional", "intrusive"),
    "time": ("now", "past"),
}
_OF = {"inbound": frozenset((*CATEGORIES, *CUES, "minor", "emotion")), "outbound": frozenset(OUTBOUND_SIGNALS)}


def read_rules(source: Source, problems: Problems) -> Iterator[tuple[Rule, At]]:
    """The rules of a file, each with where it stands in it. What is wrong is added to ``problems``."""
    listed = source.tree.get("rules", [])
    if not isinstance(listed, list):
        problems.add(source, ("rules",), "rules must be a list; begin each rule with a dash")
        return
    for i, raw in enumerate(listed):
        before = len(problems)
        rule = _Reader(source, problems).rule(("rules", i), raw)
        if rule is not None and len(problems) == before:
            yield rule, ("rules", i)


def read_then(source: Source, problems: Problems, at: At, raw: Any) -> Then:
    """What a rule, or the answer to a failure, does."""
    return _Reader(source, problems).then(at, raw)


class _Reader:
    def __init__(self, source: Source, problems: Problems) -> None:
        self._source, self._problems = source, problems

    def _wrong(self, at: At, what: str) -> None:
        self._problems.add(self._source, at, what)

    def _mapping(self, at: At, raw: Any, known: Sequence[str], what: str) -> dict[str, Any]:
        if not isinstance(raw, dict):
            self._wrong(at, f"{what} must be a mapping; write {what}: {{{known[0]}: …}}")
            return {}
        for key in raw:
            if key not in known:
                self._wrong((*at, key), f"unknown key {key}; {nearest(key, known)}")
        return raw

    def _text(self, at: At, raw: Any, key: str) -> str:
        value = raw.get(key, "")
        if not isinstance(value, str):
            self._wrong((*at, key), f"{key} must be text; quote it")
            return ""
        return value

    def _names(self, at: At, raw: Any, key: str, known: Sequence[str] | frozenset[str] | None) -> tuple[str, ...]:
        value = raw.get(key, ())
        names = [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else None
        if names is None or not all(isinstance(n, str) for n in names):
            self._wrong((*at, key), f"{key} must be a name or a list of names; quote each")
            return ()
        for name in names:
            if known is not None and name not in known:
                self._wrong((*at, key), f"unknown {key} {name}; {nearest(name, sorted(known))}")
        return tuple(names)

    def _bounds(self, at: At, raw: Any, key: str, *, whole: bool = True) -> tuple[float, float]:
        if key not in raw:
            return (0, 4)
        found = bounds(raw[key], 0, 4, whole=whole)
        if found is None:
            self._wrong((*at, key), f'{key} is no range within 0..4; write a number, ">=3" or "2..3"')
            return (0, 4)
        return found

    def _tags(self, at: At, raw: Any, key: str, form: re.Pattern[str], example: str) -> tuple[str, ...]:
        found = self._names(at, raw, key, None)
        for tag in found:
            if not form.fullmatch(tag):
                self._wrong((*at, key), f"{key} {tag} is never met; write it as {example}")
        return found

    def rule(self, at: At, raw: Any) -> Rule | None:
        raw = self._mapping(at, raw, RULE_KEYS, "a rule")
        for key in RULE_KEYS:
            if not raw.get(key):
                self._wrong(at, f"a rule needs {key}; add it")
                return None
        when = self.when((*at, "when"), raw["when"])
        then = self.then((*at, "then"), raw["then"])
        for what in mismatches(when, then):
            self._wrong((*at, "then"), what)
        rule_id, source = self._text(at, raw, "id"), self._text(at, raw, "source")
        return Rule(rule_id, when, then, source)

    def when(self, at: At, raw: Any) -> When:
        raw = self._mapping(at, raw, WHEN_KEYS, "when")
        direction = raw.get("direction")
        if direction not in _OF:
            self._wrong((*at, "direction"), "direction must be inbound or outbound; add it")
            direction = "inbound"
        signals = self._names(at, raw, "signal", SIGNALS)
        for name in signals:
            if name in SIGNALS and name not in _OF[direction]:
                self._wrong((*at, "signal"), f"{name} is never seen {direction}; change the direction or the signal")
        choices = {key: self._names(at, raw, key, known) for key, known in _CHOICES.items()}
        severity, latch = self._bounds(at, raw, "severity"), self._bounds(at, raw, "latch")
        drift = raw.get("drift", 0)
        if isinstance(drift, bool) or not isinstance(drift, int | float) or drift < 0:
            self._wrong((*at, "drift"), "drift must be a number, the sum over turns that makes a pattern; write one")
            drift = 0
        return When(
            direction=cast("Direction", direction),
            signals=signals,
            severity=(int(severity[0]), int(severity[1])),
            audience=cast("tuple[Audience, ...]", choices["audience"]),
            locale=self._tags(at, raw, "locale", LOCALE, "de or pt-BR"),
            country=self._tags(at, raw, "country", COUNTRY, "DE, two capitals"),
            subject=choices["subject"],
            detail=self._names(at, raw, "detail", None),
            frame=choices["frame"],
            time=choices["time"],
            latch=(int(latch[0]), int(latch[1])),
            level=self._bounds(at, raw, "level", whole=False),
            episode=self._episode(at, raw),
            drift=float(drift),
        )

    def _episode(self, at: At, raw: Any) -> bool | None:
        value = raw.get("episode")
        if value not in (None, "open", "closed"):
            self._wrong((*at, "episode"), "episode must be open or closed; write one")
        return None if value is None else value == "open"

    def then(self, at: At, raw: Any) -> Then:
        raw = self._mapping(at, raw, THEN_KEYS, "then")
        action = raw.get("action")
        if action not in ACTIONS:
            self._wrong((*at, "action"), f"unknown action {action}; {nearest(action, ACTIONS)}")
            action = "pass"
        response = self._text(at, raw, "response")
        if action in ("rewrite", "regenerate", "replace", "handoff") and not response:
            self._wrong(at, f"{action} needs a response, or the person is left with silence; add response")
        case = None
        if "case" in raw:
            inner = self._mapping((*at, "case"), raw["case"], ("deadline",), "case")
            seconds = duration(inner.get("deadline"))
            if seconds is None or seconds <= 0:
                self._wrong((*at, "case", "deadline"), "deadline must be a time such as 5m, 1h or 24h; write one")
            else:
                case = CaseRule(seconds)
        then = Then(
            cast("Action", action),
            response,
            self._text(at, raw, "steer"),
            self._names(at, raw, "help", RESOURCE_KINDS),
            case,
        )
        for what in nonsense(then):
            self._wrong(at, what)
        return then
