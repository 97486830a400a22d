"""What a policy's author should know before anybody depends on it: errors, and what is merely suspicious."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

import msgspec

from guardrail.core.decide import When
from guardrail.policy.compile import Compiled, compile_packs, uses_handover
from guardrail.policy.source import Pack, PolicyError
from guardrail.policy.vignettes import read_vignettes


class Report(msgspec.Struct, frozen=True):
    """Errors make a policy unusable; warnings do not. Each is one line ``file:line:col: what; what to do``."""

    policy: str
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def lint(folders: Sequence[Path], today: datetime.date, responders: str | None = None) -> Report:
    """Check packs. ``responders`` is what the operator has declared, when that is known."""
    try:
        compiled = compile_packs(folders)
    except PolicyError as error:
        return Report("", error.problems)
    errors: list[str] = []
    read_vignettes(compiled.packs, errors)
    if responders == "none":
        for rule in uses_handover(compiled.policy.rules):
            errors.append(
                f"{compiled.where(rule)}: {rule.id} hands over to a human, and responders is none; "
                "replace, or declare responders"
            )
    return Report(compiled.policy.name, tuple(errors), tuple(_warnings(compiled, today)))


def _warnings(compiled: Compiled, today: datetime.date) -> list[str]:
    found: list[str] = []
    for pack in compiled.packs:
        found += _overdue(pack, today)
    found += _shadowed(compiled)
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
