"""What two versions of a policy do differently, in a clinician's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from guardrail.core.decide import Verdict, effect_of
from guardrail.core.rules import Policy
from guardrail.detectors.lexicon_load import Entry
from guardrail.policy.milder import (
    milder_composite,
    milder_expectation,
    milder_rule,
    milder_text,
    milder_then,
    milder_verdict,
)
from guardrail.policy.phrases import ACTIONS, describe, describe_composite, span, then
from guardrail.policy.proving import Seen, verdicts
from guardrail.policy.vignettes import Vignette, listed

T = TypeVar("T")


class Change(msgspec.Struct, frozen=True):
    """One difference. ``milder``: the new version does less for the person, one phrase each."""

    kind: str
    name: str
    what: str
    before: str = ""
    after: str = ""
    milder: tuple[str, ...] = ()


def differences(before: Policy, after: Policy) -> Iterator[Change]:
    """Every rule, composite, text and answer to a failure that was added, removed or changed."""
    old, new = ({rule.id: rule for rule in policy.rules} for policy in (before, after))
    for name, a, b in _pairs(old, new):
        milder = tuple(milder_rule(a, b)) if a and b else ("the rule is gone",) if a else ()
        if a != b:
            yield _change("rule", name, describe(a) if a else None, describe(b) if b else None, milder)
    weighed = ({c.id: c for c in policy.composites} for policy in (before, after))
    for name, c, d in _pairs(*weighed):
        if c != d:
            said = (describe_composite(c) if c else None, describe_composite(d) if d else None)
            yield _change("composite", name, *said, tuple(milder_composite(c, d)))
    for part in before.on_failure.__struct_fields__:
        e, f = getattr(before.on_failure, part), getattr(after.on_failure, part)
        if e != f:
            yield _change("failure", part, then(e), then(f), tuple(milder_then(e, f)))
    for locale, texts, others in _pairs(before.responses, after.responses):
        for name, g, h in _pairs(texts or {}, others or {}):
            if g != h:
                yield _change("response", f"{name} ({locale})", g, h, tuple(milder_text(g, h, locale)))
    for name, g, h in _pairs(before.guidance, after.guidance):
        if g != h:
            yield _change("guidance", name, g, h)


def heard(before: Sequence[Entry], after: Sequence[Entry]) -> Iterator[Change]:
    """What packs' own lexicons listen for now and did not, or no longer do."""
    old, new = ({entry.id: entry for entry in entries} for entries in (before, after))
    for name, a, b in _pairs(old, new):
        if _listens(a) != _listens(b):
            yield _change("lexicon", name, _listens(a), _listens(b), tuple(_hears_less(a, b)))


def _listens(entry: Entry | None) -> str | None:
    if entry is None:
        return None
    signals = ", ".join(entry.signals) or "anything"
    to = {"shows": f"shows {signals} {entry.to}", "raises": f"raises {signals} to {entry.to}"}
    what = to.get(entry.kind, f"lowers {signals} to {entry.to}" if entry.kind == "weights" else f"cue {signals}")
    return f"{what} ({entry.language}, {entry.direction}), such as: {'; '.join(entry.match[:3])}"


def _hears_less(before: Entry | None, after: Entry | None) -> Iterator[str]:
    if after is not None and after.kind == "weights" and before is None:
        yield "it takes weight away"
    if before is not None and before.kind != "weights":
        if after is None:
            yield "it is no longer heard"
        elif after.to < before.to:
            yield f"it counts as {after.to} instead of {before.to}"


def _pairs(before: Mapping[str, T], after: Mapping[str, T]) -> Iterator[tuple[str, T | None, T | None]]:
    for name in (*before, *(name for name in after if name not in before)):
        yield name, before.get(name), after.get(name)


def _change(kind: str, name: str, before: str | None, after: str | None, milder: tuple[str, ...] = ()) -> Change:
    what = "added" if before is None else "removed" if after is None else "changed"
    return Change(kind, name, what, before or "", after or "", milder)


def moved(before: Policy, after: Policy, vignettes: Sequence[Vignette], seen: Seen) -> Iterator[Change]:
    """The vignettes' turns that come out otherwise."""
    for vignette in vignettes:
        pairs = zip(verdicts(before, vignette, seen), verdicts(after, vignette, seen), strict=True)
        for i, ((turn, a), (_, b)) in enumerate(pairs):
            if effect_of(a.verdict) != effect_of(b.verdict):
                what = f"turn {i + 1}: {turn.text}"
                milder = tuple(milder_verdict(a.verdict, b.verdict))
                yield Change("vignette", vignette.id, what, _effect(a.verdict), _effect(b.verdict), milder)


def expectations(before: Sequence[Vignette], after: Sequence[Vignette]) -> Iterator[Change]:
    """Vignettes that ask for less than they did: what a policy need no longer do is soon not done."""
    now = {vignette.id: vignette for vignette in after}
    for vignette in before:
        other = now.get(vignette.id)
        turns = other.turns if other else ()
        for i, turn in enumerate(vignette.turns):
            expect = turns[i].expect if i < len(turns) else {}
            if milder := tuple(milder_expectation(turn.expect, expect)):
                what = f"turn {i + 1} asks for less" if other else f"is gone, with turn {i + 1}"
                yield Change("vignette", vignette.id, what, _asked(turn.expect), _asked(expect), milder)


def _asked(expect: Mapping[str, Any]) -> str:
    """What a vignette's turn expects, as it is written; empty where that is nothing."""
    said = {**expect, **{f"reply {key}": value for key, value in dict(expect.get("reply", {})).items()}}
    parts = (f"{key} {_written(value)}" for key, value in said.items() if key != "reply")
    return f"expects {', '.join(parts)}" if said else ""


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else " or ".join(map(str, listed(value)))


def _effect(verdict: Verdict) -> str:
    done = " and ".join(ACTIONS[action] for action in verdict.actions) or "nothing is done"
    said = f" ({verdict.response})" if verdict.response else ""
    parts = [f"severity {verdict.severity}: {done}{said}"]
    if verdict.resources:
        parts.append(f"help: {', '.join(kind.replace('_', ' ') for kind in verdict.resources)}")
    if verdict.steer:
        parts.append(f"guidance: {', '.join(verdict.steer)}")
    parts += [f"a human is told of {case.category} and has {span(case.deadline)}" for case in verdict.cases]
    return "; ".join(parts)


def lines(changes: Sequence[Change]) -> Iterator[str]:
    """The differences in plain sentences."""
    for change in changes:
        yield f"{change.kind} {change.name} {change.what}"
        if change.before:
            yield f"  before: {_flat(change.before)}"
        if change.after:
            yield f"  now:    {_flat(change.after)}"
        if change.milder:
            yield f"  MILDER: {'; '.join(change.milder)}"


def _flat(text: str) -> str:
    return " / ".join(line.strip() for line in text.splitlines() if line.strip())
