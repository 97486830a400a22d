"""``guardrail policy explain|diff|simulate|schema|hazards``: what a policy does, in words and figures."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from guardrail.cli.common import add_config, add_json
from guardrail.cli.inspecting import AUDIENCES, LONGEST_LINE
from guardrail.cli.output import fail, say, say_json
from guardrail.cli.policy_packs import CannotRead, add_packs, compiled, detectors
from guardrail.core.model import Context, Direction, Found, Message, Role, Signal
from guardrail.policy.simulate import Recorded


def add_to(verbs: Any) -> None:
    explain = verbs.add_parser("explain", help="why a turn gets its verdict")
    explain.add_argument("--text", metavar="TEXT", help="the turn; - reads it from standard input")
    explain.add_argument("--vignette", metavar="ID", help="or a vignette of the packs; its last turn is explained")
    explain.add_argument("--direction", choices=("inbound", "outbound"), default="inbound")
    explain.add_argument("--locale", metavar="TAG")
    explain.add_argument("--audience", choices=AUDIENCES, default="unknown")
    explain.add_argument("--country", metavar="CC")
    explain.set_defaults(run=run_explain)
    add_packs(explain)
    diff = verbs.add_parser("diff", help="what two versions do differently")
    diff.add_argument("before", metavar="BEFORE", help="a pack's name or folder; several are joined by a comma")
    diff.add_argument("after", metavar="AFTER")
    diff.set_defaults(run=run_diff)
    add_config(diff)
    simulate = verbs.add_parser("simulate", help="what a policy would have done with what was recorded")
    simulate.add_argument("--on", metavar="RECORDED", required=True, help="a proxy's data folder, or a JSONL file")
    simulate.add_argument(
        "--against", metavar="PACK", action="append", help="what it is compared with (default: the configured packs)"
    )
    simulate.add_argument("--examples", type=int, default=10, metavar="N", help="turns to list (default 10)")
    simulate.set_defaults(run=run_simulate)
    add_packs(simulate)
    hazards = verbs.add_parser("hazards", help="the hazard log: hazard, control, rule, vignettes")
    hazards.set_defaults(run=run_hazards)
    add_packs(hazards)
    schema = verbs.add_parser("schema", help="JSON Schema of a pack's files, for editors")
    schema.set_defaults(run=run_schema)
    for verb in (explain, diff, simulate, hazards, schema):
        add_json(verb)


def run_explain(arguments: argparse.Namespace) -> int:
    from guardrail.policy.explain import explain, lines
    from guardrail.policy.proving import Seen, verdicts
    from guardrail.policy.vignettes import Vignette, example, read_vignettes

    if (arguments.text is None) == (arguments.vignette is None):
        return fail("name either --text or --vignette")
    try:
        packs = compiled(arguments)
        seen = Seen(detectors())
    except CannotRead as error:
        return fail(error.problems)
    if arguments.text is not None:
        text = sys.stdin.read() if arguments.text == "-" else arguments.text
        role = "user" if arguments.direction == "inbound" else "assistant"
        asked: Vignette | None = example(role, text, arguments.locale, arguments.audience, arguments.country)
    else:
        errors: list[str] = []
        found = read_vignettes(packs.packs, errors)
        asked = next((v for v in found if v.id == arguments.vignette), None)
        if asked is None and errors:
            return fail(errors)
    if asked is None:
        return fail(f"there is no vignette {arguments.vignette} in these packs")
    *_, (turn, judged) = verdicts(packs.policy, asked, seen)
    assert judged.view is not None
    explained = explain(packs.policy, turn.text, judged.verdict, judged.view)
    if arguments.json:
        say_json(explained)
    else:
        for line in lines(explained):
            say(line)
    return 0


def run_diff(arguments: argparse.Namespace) -> int:
    from guardrail.policy.difference import differences, lines, moved
    from guardrail.policy.proving import Seen
    from guardrail.policy.vignettes import read_vignettes

    try:
        before, after = (compiled(arguments, name.split(",")) for name in (arguments.before, arguments.after))
        seen = Seen(detectors())
    except CannotRead as error:
        return fail(error.problems)
    changes = list(differences(before.policy, after.policy))
    changes += moved(before.policy, after.policy, read_vignettes(after.packs, []), seen)
    if arguments.json:
        say_json({"before": before.policy.hash, "after": after.policy.hash, "changes": changes})
    else:
        for line in lines(changes):
            say(line)
        milder = sum(bool(change.milder) for change in changes)
        say(f"{len(changes)} differences, {milder} of them milder")
    return 0


def run_simulate(arguments: argparse.Namespace) -> int:
    from guardrail.policy.simulate import lines, simulate

    if not arguments.packs:
        return fail("name the packs to try; what they are compared with is --against, or the configured packs")
    try:
        after = compiled(arguments)
        named, arguments.packs = arguments.packs, []
        before = compiled(arguments, arguments.against or ())
        arguments.packs = named
        recorded = list(_recorded(Path(arguments.on)))
    except CannotRead as error:
        return fail(error.problems)
    found = simulate(before.policy, after.policy, recorded)
    if arguments.json:
        say_json({"before": before.policy.name, "after": after.policy.name, **msgspec.to_builtins(found)})
    else:
        say(f"{after.policy.name} instead of {before.policy.name}:")
        for line in lines(found, arguments.examples):
            say(line)
    return 0


def _recorded(path: Path) -> Iterator[Recorded]:
    """Turns of a data folder's journal, or of a file with a conversation a line."""
    if path.is_dir():
        yield from _of_journal(path)
        return
    try:
        with path.open("rb") as source:
            yield from _of_lines(path, source)
    except OSError as error:
        raise CannotRead([f"{path}: cannot be read ({(error.strerror or 'error').lower()})"], 2) from error


def _of_journal(folder: Path) -> Iterator[Recorded]:
    from guardrail.journal import records

    if not (folder / "journal").is_dir():
        raise CannotRead([f"{folder / 'journal'}: there is none; name a proxy's data folder"], 2)
    for record in records(folder, ("verdict",)):
        signals = msgspec.convert(record.get("signals", []), tuple[Signal, ...])
        yield Recorded(
            f"{record['exchange']} {record['direction']}",
            str(record["conversation"]),
            datetime.datetime.fromisoformat(record["at"]).timestamp(),
            record["direction"],
            (Found("recorded", signals),),
            record.get("locale") or "en",
            record.get("country") or None,
            record.get("audience", "unknown"),
        )


class _Row(msgspec.Struct):
    """A conversation: ``messages`` with roles and contents, or one ``text`` and its ``direction``."""

    id: str | int = ""
    text: str = ""
    direction: Direction = "inbound"
    messages: list[dict[str, Any]] = []
    locale: str | None = None
    audience: str = "unknown"
    country: str | None = None


def _of_lines(path: Path, source: BinaryIO) -> Iterator[Recorded]:
    look = detectors()
    number = 0
    while line := source.readline(LONGEST_LINE + 1):
        number += 1
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line, type=_Row)
        except msgspec.MsgspecError as error:
            raise CannotRead([f"{path}:{number}:1: is no conversation ({error}); correct it"], 2) from error
        name = str(row.id or number)
        turns = [(m.get("role"), str(m.get("content", ""))) for m in row.messages]
        turns = turns or [("user" if row.direction == "inbound" else "assistant", row.text)]
        history: tuple[Message, ...] = ()
        for i, (role, text) in enumerate(turns):
            if role not in ("user", "assistant"):
                continue
            direction: Direction = "inbound" if role == "user" else "outbound"
            seen = tuple(look(text, Context(direction, history, row.locale)))
            history = (*history, Message(cast("Role", role), text))
            at = number * 1e6 + i * 60.0
            audience = cast("Any", row.audience if row.audience in AUDIENCES else "unknown")
            yield Recorded(f"{name} turn {i + 1}", name, at, direction, seen, row.locale or "en", row.country, audience)


def run_hazards(arguments: argparse.Namespace) -> int:
    from guardrail.policy.hazards import hazard_log
    from guardrail.policy.phrases import describe
    from guardrail.policy.proving import Seen, proofs
    from guardrail.policy.vignettes import read_vignettes

    try:
        packs = compiled(arguments)
        seen = Seen(detectors())
    except CannotRead as error:
        return fail(error.problems)
    errors: list[str] = []
    vignettes = read_vignettes(packs.packs, errors)
    if errors:
        return fail(errors)
    found = proofs(packs.policy, vignettes, seen)
    rules = {rule.id: describe(rule) for rule in packs.policy.rules}
    if arguments.json:
        listed = [{**msgspec.to_builtins(h), "controls": h.controls(list(rules))} for h in packs.hazards]
        say_json({"policy": packs.policy.name, "hazards": listed, "proofs": found})
    else:
        say(hazard_log(packs.policy.name, packs.hazards, rules, found).rstrip())
    return 0


def run_schema(arguments: argparse.Namespace) -> int:
    from guardrail.policy.schema import schema

    if arguments.json:
        say_json(schema())
    else:
        say(msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode())
    return 0
