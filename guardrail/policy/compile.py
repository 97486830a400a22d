"""Packs to one compiled policy. Later packs override earlier ones, by rule id, response and guidance name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec

from guardrail.core.rules import OnFailure, Policy, Rule, indexed
from guardrail.core.tags import language_tag
from guardrail.detectors.lexicon_load import Entry, parse_entries
from guardrail.policy.floor import gaps
from guardrail.policy.hazards import Hazard, read_hazards
from guardrail.policy.overrides import tighter
from guardrail.policy.reading import reading
from guardrail.policy.rules import Override, read_composites, read_overrides, read_rules, read_then
from guardrail.policy.signing import ANYBODY, Trust
from guardrail.policy.source import Pack, PolicyError, Problems, Source
from guardrail.policy.vocabulary import FAILURES, LOCALE, PACK_KEYS, WAIVER_KEYS, nearest, shown
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
    lexicon: tuple[Entry, ...] = ()
    """What the packs' own lexicons listen for."""

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


def compile_packs(folders: Sequence[Path], trust: Trust = ANYBODY, known: Sequence[Entry] = ()) -> Compiled:
    """As ``load``, with the packs. ``trust``: whose signatures count, and whether every pack needs one. ``known``:
    entries of the shipped lexicon, whose ids no pack may use."""
    problems = Problems()
    packs = [Pack(folder, problems) for folder in folders]
    if not folders:
        problems.append("no pack is named; name base, or a folder")
    reader = _Compiler(problems)
    for pack in packs:
        reader.take(pack)
    reader.tighten()
    check(reader, problems)
    entries = parse_entries([file for pack in packs for file in pack.lexicon], problems, known, placed=True)
    signed_by = trust.signed_by([pack.contents for pack in packs], problems)
    if problems:
        raise PolicyError(sorted(dict.fromkeys(problems), key=_in_order))
    digest = hashlib.sha256(b"".join(pack.contents.digest() for pack in packs)).hexdigest()
    policy = reader.policy(digest, signed_by)
    if silences := [f"rules: {gap}" for gap in gaps(policy)]:
        if refused := reader.unwaived(silences, trust):
            raise PolicyError(refused)
        policy = msgspec.structs.replace(policy, waived=tuple(reader.waivers))
    texts = ((tag, name, text) for tag, named in reader.responses.items() for name, text in named.items())
    return Compiled(
        policy,
        tuple(packs),
        tuple(reader.languages),
        reader.sources,
        tuple(reader.hazards.values()),
        tuple(reader.replaced),
        tuple(texts),
        tuple(entries),
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
        self._packs: list[Pack] = []
        self.waivers: list[str] = []
        self._weighed: dict[str, tuple[Source, At]] = {}
        self.replaced: list[tuple[Rule, Rule]] = []

    def take(self, pack: Pack) -> None:
        self._packs.append(pack)
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
            there = self._standing(first)
            self._problems.add(source, at, f"the {kind} {shown(name)} stands at {there} already; rename one")

    def _head(self, head: Source) -> None:
        for key in head.tree:
            if key not in PACK_KEYS:
                self._problems.add(head, (key,), f"unknown key {shown(key)}; {nearest(key, PACK_KEYS)}")
        for key in ("id", "version", "owner", "sources"):
            value = head.tree.get(key)
            if not value:
                self._problems.add(head, (), f"a pack needs {key}; add it")
            elif key != "sources" and (isinstance(value, bool) or not isinstance(value, str | int | float | date)):
                self._problems.add(head, (key,), f"{key} must be text; quote it")
        if isinstance(head.tree.get("review_by"), datetime):
            self._problems.add(head, ("review_by",), "review_by is a day without a time; write YYYY-MM-DD")
        languages = head.tree.get("languages", [])
        if not isinstance(languages, list) or not all(isinstance(tag, str) for tag in languages):
            self._problems.add(head, ("languages",), "languages must be a list of tags; write [en, de]")
        else:
            for i, tag in enumerate(languages):
                self.languages.setdefault(language_tag(tag), (head, ("languages", i)))
        self.head = head
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
            self.composites[composite.id] = composite
            self._weighed[composite.id] = (source, at)
        for override, at in read_overrides(source, self._problems):
            self._once(mine, "override", override.id, source, at)
            self._overrides[override.id] = (override, source, at)
        for hazard, at in read_hazards(source, self._problems):
            self._once(mine, "hazard", hazard.id, source, at)
            self.hazards[hazard.id] = hazard
            self.hazard_sources[hazard.id] = (source, at)

    def tighten(self) -> None:
        """Put the overrides in: each as a rule before the one it is stricter than.

        Only now is every name known: a rule, a composite and an override of one name, in whatever order and
        pack, could not be told apart in a trail.
        """
        for name, (source, at) in self._weighed.items():
            if name in self.rules:
                there = self._standing(self.sources[name])
                self._problems.add(
                    source, at, f"the rule {shown(name)} stands at {there} already; rename the composite"
                )
        for override, source, at in self._overrides.values():
            taken = "rule" if override.id in self.rules else "composite" if override.id in self._weighed else ""
            if taken:
                there = self._standing(self.sources[override.id] if taken == "rule" else self._weighed[override.id])
                what = f"the {taken} {shown(override.id)} stands at {there} already; rename the override"
                self._problems.add(source, at, what)
                continue
            if override.rule not in self.rules:
                what = f"unknown rule {shown(override.rule)}; {nearest(override.rule, self.rules)}"
                self._problems.add(source, (*at, "rule"), what)
                continue
            tightened = None
            with reading(source, self._problems, at, "the override"):
                tightened = tighter(self.rules[override.rule], override, source, self._problems, at)
            if tightened is None:
                continue
            self.sources[override.id] = (source, at)
            order = list(self.rules.items())
            order.insert([name for name, _ in order].index(override.rule), (override.id, tightened))
            self.rules = dict(order)
        self.sources.update(self._weighed)

    @staticmethod
    def _standing(where: tuple[Source, At]) -> str:
        return where[0].place(*where[1])

    def _waive(self, pack: Pack, head: Source) -> None:
        listed = head.tree.get("waivers", [])
        for i, raw in enumerate(listed if isinstance(listed, list) else [listed]):
            texts = raw.values() if isinstance(raw, dict) and set(raw) == set(WAIVER_KEYS) else (None,)
            if not all(isinstance(text, str) and text for text in texts) or raw["silences"] != "suicide":
                self._problems.add(
                    head, ("waivers", i), "a waiver says what is silenced and why; write {silences: suicide, reason: …}"
                )
            else:
                self.waivers.append(f"{pack.folder.name}: {raw['reason']}")

    def unwaived(self, silences: list[str], trust: Trust) -> list[str]:
        """What the packs leave unanswered that nobody may; nothing where somebody has signed for it.

        A waiver needs every pack signed by a key the operator trusts: an unsigned pack must not hide behind another's
        waiver, and a key that anybody can make is nobody's consent.
        """
        unsigned: list[str] = []
        signers = [trust.required().signers([pack.contents], unsigned) for pack in self._packs]
        if self.waivers and trust.keys and all(signers):
            return []
        refused = [f"{gap}; add a rule, or a signed waiver in pack.yaml" for gap in silences]
        if self.waivers:
            refused += [f"{problem}: a waiver counts only where every pack is signed" for problem in unsigned]
        if self.waivers and not trust.keys:
            refused.append("trusted_keys: names nobody, and only who is named there may sign a waiver; add the key")
        return refused

    def _responses(self, source: Source, mine: Seen) -> None:
        texts = source.tree.get("responses")
        if texts is None:
            return
        written = source.tree.get("locale")
        if not isinstance(written, str) or not LOCALE.fullmatch(written):
            self._problems.add(source, ("responses",), "responses need a locale; add locale: en beside them")
            return
        locale = language_tag(written)
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
                self._problems.add(source, (key, name), f"{shown(name)} has no text; write one")
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
                self._problems.add(
                    source, ("on_failure", part), f"unknown part {shown(part)}; {nearest(part, FAILURES)}"
                )
                continue
            self._once(mine, "answer to a failed", part, source, ("on_failure", part))
            then = None
            with reading(source, self._problems, ("on_failure", part), "the answer"):
                then = read_then(source, self._problems, ("on_failure", part), answer)
            if then is None:
                continue
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
