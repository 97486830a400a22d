"""Packs to one compiled policy. Later packs override earlier ones, by rule id, response and guidance name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from guardrail.core.decide import OnFailure, Policy, Rule, indexed
from guardrail.policy.rules import read_rules, read_then
from guardrail.policy.source import Pack, PolicyError, Problems, Source
from guardrail.policy.vocabulary import FAILURES, LOCALE, PACK_KEYS, nearest
from guardrail.policy.whole import At, Parts, Seen, Text, check


class Compiled(msgspec.Struct, frozen=True):
    """A policy and what lint needs to know about where it came from."""

    policy: Policy
    packs: tuple[Pack, ...]
    languages: tuple[str, ...]
    sources: dict[str, tuple[Source, At]]

    def where(self, rule: Rule) -> str:
        """``file:line:col`` of a rule. It reads the file again, so it is for messages only."""
        source, at = self.sources[rule.id]
        return source.place(*at)


def load(folders: Sequence[Path]) -> Policy:
    """Compile packs. Raises ``PolicyError`` with every problem of every file at once."""
    return compile_packs(folders).policy


def compile_packs(folders: Sequence[Path]) -> Compiled:
    """As ``load``, with the packs."""
    problems = Problems()
    packs = [Pack(folder, problems) for folder in folders]
    if not folders:
        problems.append("no pack is named; name base, or a folder")
    reader = _Compiler(problems)
    for pack in packs:
        reader.take(pack)
    check(reader, problems)
    if problems:
        raise PolicyError(sorted(dict.fromkeys(problems), key=_in_order))
    digest = hashlib.sha256(b"".join(pack.digest() for pack in packs)).hexdigest()
    return Compiled(reader.policy(digest), tuple(packs), tuple(reader.languages), reader.sources)


def _in_order(problem: str) -> tuple[str, int, int]:
    path, _, rest = problem.partition(".yaml:")
    line, _, rest = rest.partition(":")
    column = rest.partition(":")[0]
    return (path, int(line) if line.isdigit() else 0, int(column) if column.isdigit() else 0)


class _Compiler(Parts):
    def __init__(self, problems: Problems) -> None:
        super().__init__()
        self._problems = problems

    def take(self, pack: Pack) -> None:
        if pack.head is not None:
            self._head(pack.head)
        mine: Seen = {}
        for source in pack.files:
            self._rules(source, mine)
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
            self.rules[rule.id] = rule

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

    def policy(self, digest: str) -> Policy:
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
        )


def _plain(texts: dict[str, Text]) -> dict[str, str]:
    return {name: text.text for name, text in texts.items()}


def uses_handover(rules: Iterable[Rule]) -> list[Rule]:
    """Rules that hand a conversation to a human, which an operator without responders cannot keep."""
    return [rule for rule in rules if rule.then.action == "handoff"]
