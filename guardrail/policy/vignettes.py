"""Vignettes: short written conversations with the verdict each turn must get. The unit tests of a policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import msgspec

from guardrail.core.conversation import State
from guardrail.core.decide import Policy, Verdict
from guardrail.core.model import ACTIONS, Audience, Context, Direction, Finding, Message, Role
from guardrail.core.turn import judge
from guardrail.policy.source import Pack, Source
from guardrail.policy.vocabulary import bounds, nearest

Look = Callable[[str, Context], Sequence[Finding]]
"""Runs the detectors on one turn."""

KEYS = ("id", "about", "locale", "audience", "country", "turns")
EXPECT_KEYS = ("severity", "action", "rule", "response", "case", "signal", "deadline")
MINUTES_APART = 60.0
"""Seconds between the turns of a vignette: the clock is frozen, and moves by this with each."""


class Turn(msgspec.Struct, frozen=True):
    """One turn and what must come of it; ``expect`` is empty where nothing is asked."""

    role: str
    text: str
    expect: dict[str, Any]
    where: str


class Vignette(msgspec.Struct, frozen=True):
    id: str
    turns: tuple[Turn, ...]
    locale: str | None = None
    audience: str = "unknown"
    country: str | None = None

    @property
    def must_not_escalate(self) -> bool:
        """Whether every expectation is that nothing is done beyond steering."""
        expected = [t.expect for t in self.turns if t.expect]
        return all(set(_listed(e.get("action"))) <= {"pass", "steer"} and e.get("case") is not True for e in expected)


class Outcome(msgspec.Struct, frozen=True):
    """How the vignettes went. ``failures`` are one line each; ``fired`` the rules that some turn made fire."""

    total: int
    calm: int
    failures: tuple[str, ...]
    fired: tuple[str, ...]
    rules: int


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
                vignette = _Reader(source, ("vignettes", i), errors).read(raw)
                if vignette is None:
                    continue
                where = source.place("vignettes", i)
                if vignette.id in seen:
                    errors.append(f"{where}: the id {vignette.id} stands at {seen[vignette.id]} already; rename one")
                seen[vignette.id] = where
                found.append(vignette)
    return found


class _Reader:
    def __init__(self, source: Source, at: tuple[str | int, ...], errors: list[str]) -> None:
        self._source, self._at, self._errors = source, at, errors

    def _wrong(self, at: Sequence[str | int], what: str) -> None:
        self._errors.append(f"{self._source.place(*self._at, *at)}: {what}")

    def read(self, raw: Any) -> Vignette | None:
        before = len(self._errors)
        if not isinstance(raw, dict) or not isinstance(raw.get("id"), str):
            self._wrong((), "a vignette needs an id; add id: NAME")
            return None
        for key in raw:
            if key not in KEYS:
                self._wrong((key,), f"unknown key {key}; {nearest(key, KEYS)}")
        turns = raw.get("turns")
        if not isinstance(turns, list) or not turns:
            self._wrong((), "a vignette needs turns; add user: and what to expect")
            return None
        read = tuple(self._turn(i, turn) for i, turn in enumerate(turns))
        if not any(t and t.expect for t in read):
            self._wrong((), "a vignette that expects nothing proves nothing; add expect to a turn")
        if raw.get("audience", "unknown") not in ("adult", "minor", "unknown"):
            self._wrong(("audience",), "audience must be adult, minor or unknown; write one")
        if len(self._errors) > before:
            return None
        return Vignette(
            raw["id"],
            cast("tuple[Turn, ...]", read),
            raw.get("locale"),
            raw.get("audience", "unknown"),
            raw.get("country"),
        )

    def _turn(self, i: int, raw: Any) -> Turn | None:
        roles = [role for role in ("user", "assistant") if isinstance(raw, dict) and role in raw]
        if len(roles) != 1 or not isinstance(raw[roles[0]], str):
            self._wrong(("turns", i), "a turn is user: TEXT or assistant: TEXT; write one of them")
            return None
        for key in raw:
            if key not in ("user", "assistant", "expect"):
                self._wrong(("turns", i, key), f"unknown key {key}; {nearest(key, ('user', 'assistant', 'expect'))}")
        expect = raw.get("expect", {})
        if not isinstance(expect, dict):
            self._wrong(
                ("turns", i, "expect"), "expect must be a mapping; write expect: {severity: 3, action: replace}"
            )
            return None
        self._check_expect(i, expect)
        return Turn(roles[0], raw[roles[0]], expect, self._source.place(*self._at, "turns", i))

    def _check_expect(self, i: int, expect: dict[str, Any]) -> None:
        for key, value in expect.items():
            at = ("turns", i, "expect", key)
            if key not in EXPECT_KEYS:
                self._wrong(at, f"unknown key {key}; {nearest(key, EXPECT_KEYS)}")
            elif key == "action" and not set(_listed(value)) <= set(ACTIONS):
                self._wrong(at, f"unknown action {value}; {nearest(value, ACTIONS)}")
            elif key == "severity" and bounds(value, 0, 4) is None:
                self._wrong(at, 'severity is no range within 0..4; write a number, ">=3" or "2..3"')
            elif key == "case" and not isinstance(value, bool):
                self._wrong(at, "case must be a truth value; write true or false")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def run(policy: Policy, vignettes: Sequence[Vignette], look: Look) -> Outcome:
    """Run vignettes through the detectors and the policy, each from a calm beginning, its clock frozen."""
    failures: list[str] = []
    fired: set[str] = set()
    for vignette in vignettes:
        for turn, verdict in _verdicts(policy, vignette, look):
            fired.update(step.rule for step in verdict.trail if step.fired)
            failures += [f"{turn.where}: {vignette.id}: {what}" for what in _differences(turn.expect, verdict)]
    known = {rule.id for rule in policy.rules}
    calm = sum(v.must_not_escalate for v in vignettes)
    return Outcome(len(vignettes), calm, tuple(failures), tuple(sorted(fired & known)), len(known))


def _verdicts(policy: Policy, vignette: Vignette, look: Look) -> Iterator[tuple[Turn, Verdict]]:
    state = State(vignette.id)
    history: tuple[Message, ...] = ()
    audience = cast("Audience", vignette.audience)
    for i, turn in enumerate(vignette.turns):
        direction: Direction = "inbound" if turn.role == "user" else "outbound"
        findings = look(turn.text, Context(direction, history, vignette.locale, audience))
        judged = judge(
            policy,
            findings,
            state,
            direction=direction,
            now=MINUTES_APART * (i + 1),
            locale=vignette.locale or "en",
            country=vignette.country,
            audience=audience,
        )
        state = judged.state
        history = (*history, Message(cast("Role", turn.role), turn.text))
        yield turn, judged.verdict


def _differences(expect: dict[str, Any], verdict: Verdict) -> Iterator[str]:
    actual: dict[str, Any] = {
        "action": verdict.action,
        "response": verdict.response,
        "case": bool(verdict.cases),
    }
    for key, value in actual.items():
        if key in expect and actual[key] not in _listed(expect[key]):
            yield f"{key} is {value}, not {expect[key]}"
    if "severity" in expect:
        low, high = cast("tuple[float, float]", bounds(expect["severity"], 0, 4))
        if not low <= verdict.severity <= high:
            yield f"severity is {verdict.severity}, not {expect['severity']} (signals: {_signals(verdict)})"
    if "rule" in expect and expect["rule"] not in [s.rule for s in verdict.trail if s.fired]:
        fired = ", ".join(s.rule for s in verdict.trail if s.fired) or "none"
        yield f"the rule {expect['rule']} did not fire (fired: {fired})"
    if "signal" in expect and not set(_listed(expect["signal"])) <= {s.name for s in verdict.signals}:
        yield f"no signal {expect['signal']} (signals: {_signals(verdict)})"
    if "deadline" in expect and expect["deadline"] not in [c.deadline for c in verdict.cases]:
        yield f"no case with a deadline of {expect['deadline']} s"


def _signals(verdict: Verdict) -> str:
    return ", ".join(f"{s.name} {s.severity} {s.pattern}" for s in verdict.signals) or "none"
