"""Rules as clinicians write them, to rules as the core decides by them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import msgspec

from guardrail.core.conversation import LATELY, MOST_TIMES
from guardrail.core.model import (
    ACTIONS,
    CATEGORIES,
    CUES,
    OUTBOUND_SIGNALS,
    PRIORITIES,
    SIGNALS,
    Action,
    Audience,
    Direction,
)
from guardrail.core.rules import CaseRule, Composite, More, Repeats, Rule, Then, When
from guardrail.core.tags import language_tag
from guardrail.policy.reading import reading
from guardrail.policy.sense import mismatches, nonsense
from guardrail.policy.source import Problems, Source
from guardrail.policy.vocabulary import (
    CASE_KEYS,
    CHOICE,
    COUNTRY,
    CUE,
    FOR_KEYS,
    LADDER,
    LOCALE,
    LONGEST_DEADLINE,
    MORE_KEYS,
    OPTIONAL_RULE_KEYS,
    OVERRIDE_KEYS,
    RESOURCE_KINDS,
    RULE_KEYS,
    THEN_KEYS,
    UNLESS_KEYS,
    WHEN_KEYS,
    bounds,
    daytime,
    duration,
    nearest,
    number,
    shown,
)

At = tuple[str | int, ...]
MOST = 1_000_000
"""Of any count or sum in a condition."""


class Override(msgspec.Struct, frozen=True):
    """Something stricter than ``rule`` for some people: those of ``whom``'s audience, locale or country.

    ``then`` is raw: what it leaves out is as in the rule.
    """

    id: str
    rule: str
    source: str
    whom: When
    then: dict[str, Any]


CHOICES: Mapping[str, tuple[str, ...]] = {
    "audience": ("adult", "minor", "unknown"),
    "subject": ("self", "other", "child"),
    "frame": ("sincere", "idiom", "fiction", "quotation", "professional", "intrusive"),
    "time": ("now", "past"),
}
_OF = {"inbound": frozenset((*CATEGORIES, *CUES, "minor", "emotion")), "outbound": frozenset(OUTBOUND_SIGNALS)}


def read_rules(source: Source, problems: Problems) -> Iterator[tuple[Rule, At]]:
    """The rules of a file, each with where it stands in it. What is wrong is added to ``problems``."""
    yield from _listed(source, problems, "rules", _Reader(source, problems).rule)


def read_composites(source: Source, problems: Problems) -> Iterator[tuple[Composite, At]]:
    """The composites of a file, each with where it stands in it."""
    yield from _listed(source, problems, "composites", _Reader(source, problems).composite)


def read_overrides(source: Source, problems: Problems) -> Iterator[tuple[Override, At]]:
    """The overrides of a file, each with where it stands in it. What they override is not looked at yet."""
    yield from _listed(source, problems, "overrides", _Reader(source, problems).override)


T = TypeVar("T")


def _listed(
    source: Source, problems: Problems, key: str, reader: Callable[[At, Any], T | None]
) -> Iterator[tuple[T, At]]:
    listed = source.tree.get(key, [])
    if not isinstance(listed, list):
        problems.add(source, (key,), f"{key} must be a list; begin each with a dash")
        return
    for i, raw in enumerate(listed):
        before = len(problems)
        found = None
        with reading(source, problems, (key, i), f"the {key[:-1]}"):
            found = reader((key, i), raw)
        if found is not None and len(problems) == before:
            yield found, (key, i)


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
                self._wrong((*at, key), f"unknown key {shown(key)}; {nearest(key, known)}")
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
                self._wrong((*at, key), f"unknown {key} {shown(name)}; {nearest(name, sorted(known))}")
        return tuple(dict.fromkeys(names))

    def _bounds(self, at: At, raw: Any, key: str, *, high: float = 4, whole: bool = True) -> tuple[float, float]:
        if key not in raw:
            return (0, high)
        found = bounds(raw[key], 0, high, whole=whole)
        if found is None:
            self._wrong((*at, key), f'{key} is no range within 0..{high:.0f}; write a number, ">=3" or "2..3"')
            return (0, high)
        return found

    def _tags(self, at: At, raw: Any, key: str, form: re.Pattern[str], example: str) -> tuple[str, ...]:
        found = self._names(at, raw, key, None)
        for tag in found:
            if not form.fullmatch(tag):
                self._wrong((*at, key), f"{key} {shown(tag)} is never met; write it as {example}")
        return found

    def rule(self, at: At, raw: Any) -> Rule | None:
        raw = self._whole(at, raw, RULE_KEYS, OPTIONAL_RULE_KEYS, "a rule")
        if not raw:
            return None
        when = self.when((*at, "when"), raw["when"])
        then = self.then((*at, "then"), raw["then"])
        for what in mismatches(when, then):
            self._wrong((*at, "then"), what)
        return Rule(self._text(at, raw, "id"), when, then, self._text(at, raw, "source"), self._unless(at, raw, when))

    def composite(self, at: At, raw: Any) -> Composite | None:
        raw = self._whole(at, raw, ("id", "source", "when", "weight"), ("unless",), "a composite")
        if not raw:
            return None
        when = self.when((*at, "when"), raw["when"])
        weight = raw["weight"]
        if isinstance(weight, bool) or not isinstance(weight, int) or not -2 <= weight <= 2:
            self._wrong((*at, "weight"), "weight must be -2, -1, 1 or 2, the grades it adds or takes; write one")
            weight = 0
        if not when.signals:
            self._wrong((*at, "when"), "a composite moves a signal; name it")
        return Composite(
            self._text(at, raw, "id"), when, weight, self._text(at, raw, "source"), self._unless(at, raw, when)
        )

    def override(self, at: At, raw: Any) -> Override | None:
        raw = self._whole(at, raw, OVERRIDE_KEYS, (), "an override")
        if not raw:
            return None
        whom = self._mapping((*at, "for"), raw["for"], FOR_KEYS, "for")
        found = self.when((*at, "for"), {**whom, "direction": "inbound"})
        then = raw["then"]
        if not isinstance(then, dict):
            self._wrong((*at, "then"), "then must be a mapping; write what is stricter")
            return None
        text = {key: self._text(at, raw, key) for key in ("id", "rule", "source")}
        return Override(text["id"], text["rule"], text["source"], found, then)

    def _whole(self, at: At, raw: Any, needed: Sequence[str], optional: Sequence[str], what: str) -> dict[str, Any]:
        """The mapping, if it has all it needs; else nothing."""
        found = self._mapping(at, raw, (*needed, *optional), what)
        for key in needed:
            if not found.get(key):
                self._wrong(at, f"{what} needs {key}; add it")
                return {}
        return found

    def _unless(self, at: At, raw: dict[str, Any], when: When) -> tuple[When, ...]:
        """Exceptions, each a condition of its own; the direction is the rule's."""
        given = raw.get("unless", [])
        listed = given if isinstance(given, list) else [given]
        found = []
        for i, one in enumerate(listed):
            where = (*at, "unless", i) if isinstance(given, list) else (*at, "unless")
            if not isinstance(one, dict) or not one:
                self._wrong(where, "an exception is a condition; write unless: {frame: fiction}")
                continue
            for key in one:
                if key not in UNLESS_KEYS:
                    self._wrong((*where, key), f"unknown key {shown(key)}; {nearest(key, UNLESS_KEYS)}")
            inner = {key: value for key, value in one.items() if key in UNLESS_KEYS}
            found.append(self.when(where, {**inner, "direction": when.direction}))
        return tuple(found)

    def _more(self, at: At, raw: dict[str, Any]) -> More | None:
        if not any(key in raw for key in MORE_KEYS):
            return None
        turns = self._bounds(at, raw, "turns", high=MOST) if "turns" in raw else (0.0, float("inf"))
        session = self._seconds(at, raw, "session")
        between = daytime(raw["between"]) if "between" in raw else None
        if "between" in raw and between is None:
            self._wrong((*at, "between"), 'between is no time of day; write "22:00..06:00"')
        peak = self._bounds(at, raw, "peak")
        return More(
            score=self._bounds(at, raw, "score", high=1, whole=False) if "score" in raw else (0.0, 1.0),
            peak=(int(peak[0]), int(peak[1])),
            trend=self._names(at, raw, "trend", ("rising", "steady", "falling")),
            quiet=self._count(at, raw, "quiet"),
            turns=turns,
            session=session,
            between=between,
            repeats=self._repeats(at, raw),
            present=self._names(at, raw, "with", SIGNALS),
            absent=self._names(at, raw, "without", SIGNALS),
            cues=self._cues(at, raw),
            prefers=self._tags(at, raw, "prefers", CHOICE, "text-only"),
        )

    def _repeats(self, at: At, raw: dict[str, Any]) -> Repeats | None:
        if "repeats" not in raw:
            return None
        at = (*at, "repeats")
        inner = self._mapping(at, raw["repeats"], ("times", "within"), "repeats")
        times, within = self._count(at, inner, "times"), self._seconds(at, inner, "within")
        if not 2 <= times <= MOST_TIMES or not 0 < within <= LATELY:
            what = f"repeats needs times from 2 to {MOST_TIMES} and within up to {LATELY / 86400:.0f}d"
            self._wrong(at, f"{what}; write {{times: 3, within: 24h}}")
            return None
        return Repeats(times, within)

    def _cues(self, at: At, raw: dict[str, Any]) -> tuple[tuple[str, float, float], ...]:
        found = []
        given = raw.get("cue", {})
        if not isinstance(given, dict):
            self._wrong((*at, "cue"), 'cue must be a mapping; write cue: {voice.arousal: ">=0.8"}')
            return ()
        for name, value in given.items():
            edges = bounds(value, -1e6, 1e6, whole=False)
            if not isinstance(name, str) or not CUE.fullmatch(name) or edges is None:
                self._wrong(
                    (*at, "cue"), f'cue {shown(name)} is none; write a name and a range: voice.arousal: ">=0.8"'
                )
            else:
                found.append((name, *edges))
        return tuple(found)

    def _count(self, at: At, raw: dict[str, Any], key: str) -> int:
        value = raw.get(key, 0)
        if not isinstance(value, int) or number(value, 0, MOST) is None:
            self._wrong((*at, key), f"{key} must be a whole number, {MOST} at most; write one")
            return 0
        return value

    def _seconds(self, at: At, raw: dict[str, Any], key: str) -> float:
        if key not in raw:
            return 0.0
        seconds = duration(raw[key])
        if not seconds:
            self._wrong((*at, key), f"{key} must be a time such as 30m or 24h, and 365d at most; write one")
        return seconds or 0.0

    def when(self, at: At, raw: Any) -> When:
        raw = self._mapping(at, raw, WHEN_KEYS, "when")
        direction = raw.get("direction")
        if not isinstance(direction, str) or direction not in _OF:
            self._wrong((*at, "direction"), "direction must be inbound or outbound; add it")
            direction = "inbound"
        signals = self._names(at, raw, "signal", SIGNALS)
        for name in signals:
            if name in SIGNALS and name not in _OF[direction]:
                self._wrong((*at, "signal"), f"{name} is never seen {direction}; change the direction or the signal")
        choices = {key: self._names(at, raw, key, known) for key, known in CHOICES.items()}
        severity, latch = self._bounds(at, raw, "severity"), self._bounds(at, raw, "latch")
        drift = number(raw.get("drift", 0), 0, MOST)
        if drift is None:
            self._wrong((*at, "drift"), "drift must be a number, the sum over turns that makes a pattern; write one")
        return When(
            direction=cast("Direction", direction),
            signals=signals,
            severity=(int(severity[0]), int(severity[1])),
            audience=cast("tuple[Audience, ...]", choices["audience"]),
            locale=tuple(dict.fromkeys(map(language_tag, self._tags(at, raw, "locale", LOCALE, "de or pt-BR")))),
            country=self._tags(at, raw, "country", COUNTRY, "DE, two capitals"),
            subject=choices["subject"],
            detail=self._names(at, raw, "detail", None),
            frame=choices["frame"],
            time=choices["time"],
            latch=(int(latch[0]), int(latch[1])),
            level=self._bounds(at, raw, "level", whole=False),
            episode=self._episode(at, raw),
            drift=drift or 0.0,
            more=self._more(at, raw),
        )

    def _episode(self, at: At, raw: Any) -> bool | None:
        value = raw.get("episode")
        if value not in (None, "open", "closed"):
            self._wrong((*at, "episode"), "episode must be open or closed; write one")
        return None if value is None else value == "open"

    def _case(self, at: At, raw: Any) -> CaseRule | None:
        raw = self._mapping(at, raw, CASE_KEYS, "case")
        priority, ladder = self._text(at, raw, "priority"), self._text(at, raw, "ladder")
        if priority and priority not in PRIORITIES:
            self._wrong((*at, "priority"), f"unknown priority {priority}; {nearest(priority, PRIORITIES)}")
        if ladder and not LADDER.fullmatch(ladder):
            self._wrong((*at, "ladder"), "ladder names one of the operator's ladders; write it as there")
        seconds = duration(raw.get("deadline"), LONGEST_DEADLINE)
        if not seconds:
            self._wrong((*at, "deadline"), "deadline must be a time such as 5m, 1h or 24h, and 7d at most; write one")
            return None
        return CaseRule(seconds, priority, ladder)

    def then(self, at: At, raw: Any) -> Then:
        raw = self._mapping(at, raw, THEN_KEYS, "then")
        action = raw.get("action")
        if action not in ACTIONS:
            self._wrong((*at, "action"), f"unknown action {shown(action)}; {nearest(action, ACTIONS)}")
            action = "pass"
        response = self._text(at, raw, "response")
        if action in ("rewrite", "regenerate", "replace", "handoff") and not response:
            self._wrong(at, f"{action} needs a response, or the person is left with silence; add response")
        then = Then(
            cast("Action", action),
            response,
            self._text(at, raw, "steer"),
            self._names(at, raw, "help", RESOURCE_KINDS),
            self._case((*at, "case"), raw["case"]) if "case" in raw else None,
            self._seconds(at, raw, "cool_down"),
        )
        for what in nonsense(then):
            self._wrong(at, what)
        return then
