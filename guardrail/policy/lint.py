"""What a policy's author should know before anybody depends on it: errors, and what is merely suspicious."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from guardrail.core.rules import Composite, Then, When
from guardrail.detectors.examples import unkept
from guardrail.detectors.lexicon_load import Entry
from guardrail.policy.compile import Compiled, compile_packs, uses_handover
from guardrail.policy.milder import milder_composite, milder_rule, milder_then
from guardrail.policy.proving import Look, run
from guardrail.policy.rules import read_composites, read_then
from guardrail.policy.signing import ANYBODY, Trust
from guardrail.policy.source import Pack, PolicyError, Problems
from guardrail.policy.vignettes import Vignette, read_vignettes
from guardrail.policy.wording import hard, unsafe


class Report(msgspec.Struct, frozen=True):
    """Errors make a policy unusable; warnings do not. Each is one line ``file:line:col: what; what to do``."""

    policy: str
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def lint(
    folders: Sequence[Path],
    today: datetime.date,
    responders: str | None = None,
    listen: Callable[[Sequence[Entry]], Look] | None = None,
    trust: Trust = ANYBODY,
    known: Sequence[Entry] = (),
) -> Report:
    """Check packs. ``responders`` is what the operator has declared, when that is known. With ``listen``, which gives
    what detectors see once the packs' own entries are among them, it is also found out whether those keep to their
    examples, and which rules no vignette proves. ``known``: entries of the shipped lexicon."""
    try:
        compiled = compile_packs(folders, trust, known)
    except PolicyError as error:
        return Report("", error.problems)
    errors: list[str] = []
    vignettes = read_vignettes(compiled.packs, errors)
    if responders == "none":
        for rule in uses_handover(compiled.policy.rules):
            errors.append(
                f"{compiled.where(rule)}: {rule.id} hands over to a human, and responders is none; "
                "replace, or declare responders"
            )
    warnings = _warnings(compiled, today)
    if listen is not None and not errors:
        look = listen(compiled.lexicon)
        errors += unkept(compiled.lexicon, look)
        warnings += _unproven(compiled, vignettes, look)
    return Report(compiled.policy.name, tuple(errors), tuple(warnings))


def _unproven(compiled: Compiled, vignettes: Sequence[Vignette], look: Look) -> list[str]:
    outcome = run(compiled.policy, vignettes, look)
    return [
        f"{compiled.place(name)}: {name} is proven by no vignette: all of them pass without it; write one"
        for name in outcome.unproven
    ]


def _warnings(compiled: Compiled, today: datetime.date) -> list[str]:
    found: list[str] = []
    for pack in compiled.packs:
        found += _overdue(pack, today)
    found += _shadowed(compiled)
    found += _milder(compiled)
    found += _untranslated(compiled)
    for locale, name, text in compiled.texts:
        place = text.source.place(*text.at) if [*unsafe(locale, text.text), *hard(locale, text.text)] else ""
        found += [f"{place}: {name} {what}; write it anew" for what in unsafe(locale, text.text)]
        found += [f"{place}: {name} has {what}" for what in hard(locale, text.text)]
    declared = set(compiled.languages)
    for locale in compiled.policy.responses:
        if locale not in declared:
            found.append(f"responses: {locale} is written and not declared; add it to languages in pack.yaml")
    used = {rule.then.steer for rule in compiled.policy.rules} | {
        then.steer
        for then in (
            compiled.policy.on_failure.detector_inbound,
            compiled.policy.on_failure.detector_outbound,
            compiled.policy.on_failure.store,
            compiled.policy.on_failure.upstream,
        )
    }
    found += [
        f"guidance: {name} is used by no rule; use it or take it out"
        for name in compiled.policy.guidance
        if name not in used
    ]
    return found


def _milder(compiled: Compiled) -> list[str]:
    """Rules, composites and answers to failures of a later pack that do less than what they stand in for."""
    found = [
        (compiled.where(after), after.id, what)
        for before, after in compiled.replaced
        for what in milder_rule(before, after)
    ]
    for place, name, whats in (*_lowering(compiled.packs), *_failing(compiled.packs)):
        found += [(place, name, what) for what in whats]
    return [
        f"{place}: {name} is milder than in an earlier pack: {what}; be sure that is meant"
        for place, name, what in found
    ]


Milder = tuple[str, str, list[str]]
"""Place, name, and in what it is milder."""


def _lowering(packs: Sequence[Pack]) -> Iterator[Milder]:
    """Composites of later packs: one that was not there before may lower what an earlier pack grades."""
    known: dict[str, Composite] = {}
    for n, pack in enumerate(packs):
        for source in pack.files:
            for composite, at in read_composites(source, Problems()):
                if n and (whats := list(milder_composite(known.get(composite.id), composite))):
                    yield source.place(*at), composite.id, whats
                known[composite.id] = composite


def _failing(packs: Sequence[Pack]) -> Iterator[Milder]:
    """Answers to failures that later packs put in the place of earlier ones."""
    known: dict[str, Then] = {}
    for pack in packs:
        for source in pack.files:
            for part, raw in source.tree.get("on_failure", {}).items():
                at = ("on_failure", part)
                answer = read_then(source, Problems(), at, raw)
                if part in known and (whats := list(milder_then(known[part], answer))):
                    yield source.place(*at), f"the answer to a failed {part}", whats
                known[part] = answer


def _untranslated(compiled: Compiled) -> list[str]:
    """Responses that exist in some declared language and not in another: that language would be answered in English."""
    everywhere: dict[str, list[str]] = {}
    for locale, name, _ in compiled.texts:
        everywhere.setdefault(name, []).append(locale)
    return [
        f"responses: {name} is missing in {', '.join(missing)}; write it"
        for name, there in everywhere.items()
        if (missing := [tag for tag in compiled.languages if tag not in there])
    ]


def _overdue(pack: Pack, today: datetime.date) -> list[str]:
    if pack.head is None:
        return []
    raw = pack.head.tree.get("review_by")
    try:
        due = raw if isinstance(raw, datetime.date) else datetime.date.fromisoformat(str(raw))
    except ValueError:
        return [f"{pack.head.place('review_by')}: review_by is no date; write YYYY-MM-DD"]
    if due < today:
        return [f"{pack.head.place('review_by')}: was to be reviewed by {due}; have a clinician review it"]
    return []


def _shadowed(compiled: Compiled) -> list[str]:
    """Rules with the very condition of an earlier one that is as strict: they can never change anything."""
    found = []
    rules = compiled.policy.rules
    for i, rule in enumerate(rules):
        for earlier in rules[:i]:
            if earlier.when == rule.when and earlier.then == rule.then:
                found.append(f"{compiled.where(rule)}: {rule.id} repeats {earlier.id}; take one out")
                break
        if _is_empty(rule.when):
            found.append(f"{compiled.where(rule)}: {rule.id} can never fire; widen its severity or latch")
    return found


def _is_empty(when: When) -> bool:
    """A high turn always latches: a rule for high turns of unlatched conversations never fires."""
    return when.direction == "inbound" and when.severity[0] >= 3 and when.latch[1] < 3
