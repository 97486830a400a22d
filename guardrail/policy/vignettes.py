"""Vignettes: short written conversations with the verdict each turn must get. The unit tests of a policy.

One may stand for several: ``locale`` and ``audience`` may be lists, and every pair of them is one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, cast

import msgspec

from guardrail.core.conditions import Around
from guardrail.core.model import ACTIONS, SIGNALS, Signal
from guardrail.core.tags import language_tag
from guardrail.policy.reading import reading
from guardrail.policy.source import Pack, Source
from guardrail.policy.vocabulary import COUNTRY, LOCALE, LONGEST_DEADLINE, bounds, duration, nearest, number, shown

KEYS = ("id", "about", "locale", "audience", "country", "at", "cues", "prefers", "turns")
TURN_KEYS = ("user", "assistant", "sees", "after", "expect")
SEES_KEYS = ("signal", "severity", "subject", "frame", "time", "detail", "score")
EXPECT_KEYS = ("severity", "action", "rule", "response", "case", "signal", "deadline", "reply", "not_rule")
REPLY_KEYS = ("has", "lacks")
AUDIENCES = ("adult", "minor", "unknown")
MINUTES_APART = 60.0
"""Seconds between the turns of a vignette that does not say: the clock is frozen, and moves by this with each."""
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


class Where(msgspec.Struct, frozen=True):
    """Where a turn stands. Its line is looked for only when there is something to say: that reads the file again."""

    source: Source | None
    at: tuple[str | int, ...]

    def __str__(self) -> str:
        return self.source.place(*self.at) if self.source else ""


class Turn(msgspec.Struct, frozen=True):
    """One turn and what must come of it; ``expect`` is empty where nothing is asked."""

    role: str
    text: str
    expect: dict[str, Any]
    where: Where
    after: float = MINUTES_APART
    sees: tuple[Signal, ...] | None = None
    """What detectors are said to see, instead of looking: a rule can be proven before any detector can show it."""


class Vignette(msgspec.Struct, frozen=True):
    id: str
    turns: tuple[Turn, ...]
    locale: str | None = None
    audience: str = "unknown"
    country: str | None = None
    around: Around = Around()

    @property
    def must_not_escalate(self) -> bool:
        """Whether every expectation is that nothing is done beyond steering."""
        expected = [t.expect for t in self.turns if t.expect]
        return all(set(listed(e.get("action"))) <= {"pass", "steer"} and e.get("case") is not True for e in expected)


def read_vignettes(packs: Sequence[Pack], errors: list[str]) -> list[Vignette]:
    """All vignettes of the packs. A broken one is an error: it is never skipped."""
    found: list[Vignette] = []
    seen: dict[str, str] = {}
    for pack in packs:
        for source in pack.files:
            listed = source.tree.get("vignettes", [])
            if not isinstance(listed, list):
                errors.append(f"{source.place('vignettes')}: vignettes must be a list; begin each with a dash")
                continue
            for i, raw in enumerate(listed):
                read: list[Vignette] = []
                with reading(source, errors, ("vignettes", i), "the vignette"):
                    read = _Reader(source, ("vignettes", i), errors).read(raw)
                for vignette in read:
                    where = f"{source.path}, number {i + 1}"
                    if vignette.id in seen:
                        here = source.place("vignettes", i)
                        errors.append(f"{here}: the id {vignette.id} stands in {seen[vignette.id]} already; rename one")
                    seen[vignette.id] = where
                    found.append(vignette)
    return found


class _Reader:
    def __init__(self, source: Source, at: tuple[str | int, ...], errors: list[str]) -> None:
        self._source, self._at, self._errors = source, at, errors

    def _wrong(self, at: Sequence[str | int], what: str) -> None:
        self._errors.append(f"{self._source.place(*self._at, *at)}: {what}")

    def read(self, raw: Any) -> list[Vignette]:
        before = len(self._errors)
        if not isinstance(raw, dict) or not isinstance(raw.get("id"), str):
            self._wrong((), "a vignette needs an id; add id: NAME")
            return []
        for key in raw:
            if key not in KEYS:
                self._wrong((key,), f"unknown key {shown(key)}; {nearest(key, KEYS)}")
        turns = raw.get("turns")
        if not isinstance(turns, list) or not turns:
            self._wrong((), "a vignette needs turns; add user: and what to expect")
            return []
        read = tuple(self._turn(i, turn) for i, turn in enumerate(turns))
        if not any(t and t.expect for t in read):
            self._wrong((), "a vignette that expects nothing proves nothing; add expect to a turn")
        audiences, locales = listed(raw.get("audience", "unknown")), listed(raw.get("locale"))
        if not audiences or not all(isinstance(who, str) and who in AUDIENCES for who in audiences):
            self._wrong(("audience",), "audience must be adult, minor or unknown, or a list of them; write one")
        if not locales or not all(tag is None or (isinstance(tag, str) and LOCALE.fullmatch(tag)) for tag in locales):
            self._wrong(("locale",), "locale must be a tag such as de, or a list of them; write one")
        country = raw.get("country")
        if country is not None and not (isinstance(country, str) and COUNTRY.fullmatch(country)):
            self._wrong(("country",), "country must be two capitals, such as DE; write them")
        around = self._around(raw)
        if len(self._errors) > before:
            return []
        return [
            Vignette(
                "/".join((raw["id"], *([str(tag)] * (len(locales) > 1)), *([who] * (len(audiences) > 1)))),
                cast("tuple[Turn, ...]", read),
                language_tag(tag) if tag else None,
                who,
                country,
                around,
            )
            for tag in locales
            for who in audiences
        ]

    def _around(self, raw: dict[str, Any]) -> Around:
        """The clock is frozen at ``at``; without it nobody knows the time of day."""
        minute = _CLOCK.fullmatch(raw["at"]) if isinstance(raw.get("at"), str) else None
        if "at" in raw and minute is None:
            self._wrong(("at",), 'at must be a time of day; write "23:30", quoted')
        cues, prefers = raw.get("cues", {}), listed(raw.get("prefers", []))
        read = (
            {name: number(value, -1e6, 1e6) for name, value in cues.items()} if isinstance(cues, dict) else {"": None}
        )
        if None in read.values() or not all(isinstance(name, str) for name in read):
            self._wrong(("cues",), "cues must map names to numbers; write {voice.arousal: 0.9}")
        if not all(isinstance(name, str) for name in prefers):
            self._wrong(("prefers",), "prefers must be a name or a list of names; quote each")
        return Around(
            tuple((name, value) for name, value in read.items() if value is not None),
            tuple(prefers),
            int(minute[1]) * 60 + int(minute[2]) if minute else None,
        )

    def _turn(self, i: int, raw: Any) -> Turn | None:
        roles = [role for role in ("user", "assistant") if isinstance(raw, dict) and role in raw]
        if len(roles) != 1 or not isinstance(raw[roles[0]], str):
            self._wrong(("turns", i), "a turn is user: TEXT or assistant: TEXT; write one of them")
            return None
        for key in raw:
            if key not in TURN_KEYS:
                self._wrong(("turns", i, key), f"unknown key {shown(key)}; {nearest(key, TURN_KEYS)}")
        after = duration(raw["after"]) if "after" in raw else MINUTES_APART
        if after is None:
            self._wrong(("turns", i, "after"), "after must be a time such as 5m or 72h, and 365d at most; write one")
        expect = raw.get("expect", {})
        if not isinstance(expect, dict):
            self._wrong(
                ("turns", i, "expect"), "expect must be a mapping; write expect: {severity: 3, action: replace}"
            )
            return None
        self._check_expect(i, expect)
        sees = self._sees(i, raw["sees"]) if "sees" in raw else None
        where = Where(self._source, (*self._at, "turns", i))
        return Turn(roles[0], raw[roles[0]], expect, where, after or 0.0, sees)

    def _sees(self, i: int, raw: Any) -> tuple[Signal, ...] | None:
        found = []
        for j, one in enumerate(listed(raw)):
            at = ("turns", i, "sees", j)
            name = one.get("signal") if isinstance(one, dict) else one
            if not isinstance(one, dict) or not _is_name(name, SIGNALS) or not set(one) <= set(SEES_KEYS):
                self._wrong(at, f"{shown(name)} is no signal to see; write {{signal: suicide, severity: 3}}")
                continue
            fields = {"name": one["signal"], "severity": one.get("severity", 0), "detector": "stated"}
            fields |= {key: one[key] for key in SEES_KEYS[2:] if key in one}
            try:
                signal = msgspec.convert(fields, Signal)
            except msgspec.ValidationError as error:
                self._wrong(at, f"is no signal ({shown(error)}); correct it")
                continue
            if not 0 <= signal.severity <= 4 or not 0 <= signal.score <= 1:
                self._wrong(at, "severity is from 0 to 4, and score from 0 to 1; correct it")
                continue
            found.append(signal)
        return tuple(found)

    def _check_expect(self, i: int, expect: dict[str, Any]) -> None:
        for key, value in expect.items():
            at = ("turns", i, "expect", key)
            if key not in EXPECT_KEYS:
                self._wrong(at, f"unknown key {shown(key)}; {nearest(key, EXPECT_KEYS)}")
            elif key == "action" and not all(_is_name(one, ACTIONS) for one in listed(value)):
                self._wrong(at, f"unknown action {shown(value)}; {nearest(value, ACTIONS)}")
            elif key == "signal" and not all(_is_name(one, SIGNALS) for one in listed(value)):
                self._wrong(at, f"unknown signal {shown(value)}; {nearest(value, sorted(SIGNALS))}")
            elif key == "rule" and not isinstance(value, str):
                self._wrong(at, "rule must be the name of one rule; quote it")
            elif key in ("response", "not_rule") and not all(isinstance(one, str) for one in listed(value)):
                self._wrong(at, f"{key} must be a name or a list of names; quote each")
            elif key == "deadline" and number(value, 0, LONGEST_DEADLINE) is None:
                self._wrong(at, "deadline must be a number of seconds, 7 days at most; write one such as 900")
            elif key == "severity" and bounds(value, 0, 4) is None:
                self._wrong(at, 'severity is no range within 0..4; write a number, ">=3" or "2..3"')
            elif key == "case" and not isinstance(value, bool):
                self._wrong(at, "case must be a truth value; write true or false")
            elif key == "reply" and not _is_reply(value):
                self._wrong(at, "reply says what the text must hold; write reply: {has: [AI], lacks: [calories]}")


def _is_name(value: Any, known: Collection[str]) -> bool:
    return isinstance(value, str) and value in known


def _is_reply(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and set(value) <= set(REPLY_KEYS)
        and all(isinstance(one, str) for parts in value.values() for one in listed(parts))
    )


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def example(role: str, text: str, locale: str | None, audience: str, country: str | None) -> Vignette:
    """One turn by itself, which expects nothing."""
    nowhere = Where(None, ())
    tag = language_tag(locale) if locale else None
    return Vignette("example", (Turn(role, text, {}, nowhere),), tag, audience, country)
