"""Packs to one compiled policy. Later packs override earlier ones, by rule id, response and guidance name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from guardrail.core.rules import OnFailure, Policy, Rule, indexed
from guardrail.policy.floor import gaps
from guardrail.policy.hazards import Hazard, read_hazards
from guardrail.policy.overrides import tighter
from guardrail.policy.rules import Override, read_composites, read_overrides, read_rules, read_then
from guardrail.policy.signing import ANYBODY, Trust
from guardrail.policy.source import Pack, PolicyError, Problems, Source
from guardrail.policy.vocabulary import FAILURES, LOCALE, PACK_KEYS, WAIVER_KEYS, nearest
from guardrail.policy.whole import At, Parts, Seen, Text, check


class Compiled(msgspec.Struct, frozen=True):
    """A policy and what lint needs to know about where it came from."""

    policy: Policy
    packs: tuple[Pack, ...]
    languages: tuple[str, ...]
    sources: dict[str, tuple[Source, At]]
    hazards: tuple[Hazard, ...] = ()
    replaced: tuple[tuple[Rule, Rule], ...] = ()
    """Rules of earlier packs, and what later packs have put in their place."""
    texts: tuple[tuple[str, str, Text], ...] = ()
    """Every response: locale, name, and the text with its place."""

    def where(self, rule: Rule) -> str:
        """``file:line:col`` of a rule. It is slow, so it is for messages only."""
        return self.place(rule.id)

    def place(self, name: str) -> str:
        """As ``where``, of a rule or composite by its name."""
        source, at = self.sources[name]
        return source.place(*at)


def load(folders: Sequence[Path], trust: Trust = ANYBODY) -> Policy:
    """Compile packs. Raises ``PolicyError`` with every problem of every file at once."""
    return compile_packs(folders, trust).policy


def compile_packs(folders: Sequence[Path], trust: Trust = ANYBODY) -> Compiled:
    """As ``load``, with the packs. ``trust``: whose signatures count, and whether every pack needs one."""
    problems = Problems()
    packs = [Pack(folder, problems) for folder in folders]
    if not folders:
        problems.append("no pack is named; name base, or a folder")
    reader = _Compiler(problems)
    for pack in packs:
        reader.take(pack)
    reader.tighten()
    check(reader, problems)
    signed_by = trust.signed_by([pack.contents for pack in packs], problems)
    if problems:
        raise PolicyError(sorted(dict.fromkeys(problems), key=_in_order))
    digest = hashlib.sha256(b"".join(pack.contents.digest() for pack in packs)).hexdigest()
    policy = reader.policy(digest, signed_by)
    if found := list(reader.silences(policy, trust)):
        raise PolicyError(found)
    texts = ((tag, name, text) for tag, named in reader.responses.items() for name, text in named.items())
    return Compiled(
        policy,
        tuple(packs),
        tuple(reader.languages),
        reader.sources,
        tuple(reader.hazards.values()),
        tuple(reader.replaced),
        tuple(texts),
    )


def _in_order(problem: str) -> tuple[str, int, int]:
    path, _, rest = problem.partition(".yaml:")
    line, _, rest = rest.partition(":")
    column = rest.partition(":")[0]
    return (path, int(line) if line.isdigit() else 0, int(column) if column.isdigit() else 0)


class _Compiler(Parts):
    def __init__(self, problems: Problems) -> None:
        super().__init__()
        self._problems = problems
        self._overrides: dict[str, tuple[Override, Source, At]] = {}
        self._waivers: list[Pack] = []
        self.replaced: list[tuple[Rule, Rule]] = []

    def take(self, pack: Pack) -> None:
        if pack.head is not None:
            self._head(pack.head)
            self._waive(pack, pack.head)
        mine: Seen = {}
        for source in pack.files:
            self._rules(source, mine)
            self._others(source, mine)
            self._responses(source, mine)
            self._guidance(source, mine)
            self._on_failure(source, mine)

    def _once(self, mine: Seen, kind: str, name: str, source: Source, at: At) -> None:
        """Within a pack a name stands once: which of two would count is nothing to guess about."""
        first = mine.setdefault(f"{kind} {name}", (source, at))
        if first != (source, at):
            there = first[0].place(*first[1])
            self._problems.add(source, at, f"the {kind} {name} stands at {there} already; rename one")

    def _head(self, head: Source) -> None:
        for key in head.tree:
            if key not in PACK_KEYS:
                self._problems.add(head, (key,), f"unknown key {key}; {nearest(key, PACK_KEYS)}")
        for key in ("id", "version", "owner", "sources"):
            if not head.tree.get(key):
                self._problems.add(head, (), f"a pack needs {key}; add it")
        languages = head.tree.get("languages", [])
        if not isinstance(languages, list) or not all(isinstance(tag, str) for tag in languages):
            self._problems.add(head, ("languages",), "languages must be a list of tags; write [en, de]")
        else:
            self.languages.update(dict.fromkeys(languages))
        self.heads.append((str(head.tree.get("id", "")), str(head.tree.get("version", ""))))

    def _rules(self, source: Source, mine: Seen) -> None:
        for rule, at in read_rules(source, self._problems):
            self._once(mine, "rule", rule.id, source, at)
            self.sources[rule.id] = (source, at)
            if rule.id in self.rules:
                self.replaced.append((self.rules[rule.id], rule))
            self.rules[rule.id] = rule

    def _others(self, source: Source, mine: Seen) -> None:
        for composite, at in read_composites(source, self._problems):
            self._once(mine, "composite", composite.id, source, at)
            if composite.id in self.rules:
                self._problems.add(source, at, f"the rule {composite.id} stands already; rename the composite")
            self.composites[composite.id] = composite
            self.sources[composite.id] = (source, at)
        for override, at in read_overrides(source, self._problems):
            self._once(mine, "override", override.id, source, at)
            self._overrides[override.id] = (override, source, at)
        for hazard, at in read_hazards(source, self._problems):
            self._once(mine, "hazard", hazard.id, source, at)
            self.hazards[hazard.id] = hazard
            self.hazard_sources[hazard.id] = (source, at)

    def tighten(self) -> None:
        """Put the overrides in: each as a rule before the one it is stricter than."""
        for override, source, at in self._overrides.values():
            if override.id in self.rules:
                self._problems.add(source, at, f"the rule {override.id} stands already; rename the override")
                continue
            if override.rule not in self.rules:
                what = f"unknown rule {override.rule}; {nearest(override.rule, self.rules)}"
                self._problems.add(source, (*at, "rule"), what)
                continue
            tightened = tighter(self.rules[override.rule], override, source, self._problems, at)
            if tightened is None:
                continue
            self.sources[override.id] = (source, at)
            order = list(self.rules.items())
            order.insert([name for name, _ in order].index(override.rule), (override.id, tightened))
            self.rules = dict(order)

    def _waive(self, pack: Pack, head: Source) -> None:
        listed = head.tree.get("waivers", [])
        for i, raw in enumerate(listed if isinstance(listed, list) else [listed]):
            texts = raw.values() if isinstance(raw, dict) and set(raw) == set(WAIVER_KEYS) else (None,)
            if not all(isinstance(text, str) and text for text in texts) or raw["silences"] != "suicide":
                self._problems.add(
                    head, ("waivers", i), "a waiver says what is silenced and why; write {silences: suicide, reason: …}"
                )
            else:
                self._waivers.append(pack)

    def silences(self, policy: Policy, trust: Trust) -> Iterator[str]:
        """What the packs leave unanswered that nobody may, unless somebody has signed for it."""
        found = [f"rules: {gap}; add a rule, or a signed waiver in pack.yaml" for gap in gaps(policy)]
        unsigned: list[str] = []
        if found and any(trust.required().signers([pack.contents], unsigned) for pack in self._waivers):
            return
        yield from found
        if found:
            yield from (f"{why}: a waiver counts only in a signed pack" for why in unsigned)

    def _responses(self, source: Source, mine: Seen) -> None:
        texts = source.tree.get("responses")
        if texts is None:
            return
        locale = source.tree.get("locale")
        if not isinstance(locale, str) or not LOCALE.fullmatch(locale):
            self._problems.add(source, ("responses",), "responses need a locale; add locale: en beside them")
            return
        found = self._texts(source, "responses", texts)
        for name, text in found.items():
            self._once(mine, f"response in {locale}", name, source, text.at)
        self.responses.setdefault(locale, {}).update(found)

    def _guidance(self, source: Source, mine: Seen) -> None:
        found = self._texts(source, "guidance", source.tree.get("guidance", {}))
        for name, text in found.items():
            self._once(mine, "guidance", name, source, text.at)
        self.guidance.update(found)

    def _texts(self, source: Source, key: str, raw: Any) -> dict[str, Text]:
        if not isinstance(raw, dict):
            self._problems.add(source, (key,), f"{key} must map names to texts; write name: text")
            return {}
        found: dict[str, Text] = {}
        for name, text in raw.items():
            if not isinstance(text, str) or not text.strip():
                self._problems.add(source, (key, name), f"{name} has no text; write one")
            else:
                found[str(name)] = Text(text.strip(), source, (key, name))
        return found

    def _on_failure(self, source: Source, mine: Seen) -> None:
        raw = source.tree.get("on_failure", {})
        if not isinstance(raw, dict):
            self._problems.add(source, ("on_failure",), "on_failure must be a mapping; name what failed and the answer")
            return
        for part, answer in raw.items():
            if part not in FAILURES:
                self._problems.add(source, ("on_failure", part), f"unknown part {part}; {nearest(part, FAILURES)}")
                continue
            self._once(mine, "answer to a failed", part, source, ("on_failure", part))
            then = read_then(source, self._problems, ("on_failure", part), answer)
            if part in ("detector_outbound", "upstream") and then.action != "replace":
                what = "what could not be read, or was never said, must be replaced; write action: replace"
                self._problems.add(source, ("on_failure", part), what)
            elif then.action == "pass":
                what = "a failure is answered and not passed over; write action: steer with guidance"
                self._problems.add(source, ("on_failure", part), what)
            self.failures[part] = (then, source)

    def policy(self, digest: str, signed_by: str) -> Policy:
        rules = tuple(self.rules.values())
        return Policy(
            id="+".join(name for name, _ in self.heads),
            version="+".join(version for _, version in self.heads),
            hash=digest,
            rules=rules,
            on_failure=OnFailure(**{part: self.failures[part][0] for part in FAILURES}),
            responses={locale: _plain(texts) for locale, texts in self.responses.items()},
            guidance=_plain(self.guidance),
            index=indexed(rules),
            composites=tuple(self.composites.values()),
            signed_by=signed_by,
        )


def _plain(texts: dict[str, Text]) -> dict[str, str]:
    return {name: text.text for name, text in texts.items()}


def uses_handover(rules: Iterable[Rule]) -> list[Rule]:
    """Rules that hand a conversation to a human, which an operator without responders cannot keep."""
    return [rule for rule in rules if rule.then.action == "handoff"]
