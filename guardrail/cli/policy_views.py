"""``guardrail policy explain|diff|simulate|schema|hazards``: what a policy does, in words and figures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from guardrail.cli.common import add_config, add_json, settings_of
from guardrail.cli.inspecting import AUDIENCES
from guardrail.cli.output import fail, say, say_json
from guardrail.cli.policy_packs import CannotRead, add_packs, compiled, listening
from guardrail.settings import SettingsError


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
    simulate.add_argument(
        "--timezone", metavar="ZONE", help="what policies mean by a time of day (default: the configured timezone)"
    )
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
        seen = Seen(listening(packs.lexicon))
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
    from guardrail.policy.difference import differences, expectations, heard, lines, moved
    from guardrail.policy.proving import Seen
    from guardrail.policy.vignettes import read_vignettes

    try:
        before, after = (compiled(arguments, name.split(",")) for name in (arguments.before, arguments.after))
        seen = Seen(listening(after.lexicon))
    except CannotRead as error:
        return fail(error.problems)
    changes = [*differences(before.policy, after.policy), *heard(before.lexicon, after.lexicon)]
    old, new = (read_vignettes(packs.packs, []) for packs in (before, after))
    changes += expectations(old, new) if old and new else ()
    kept = {vignette.id for vignette in new}
    vignettes = [*new, *(vignette for vignette in old if vignette.id not in kept)]
    changes += moved(before.policy, after.policy, vignettes, seen)
    if arguments.json:
        say_json({"before": before.policy.hash, "after": after.policy.hash, "changes": changes})
    else:
        for line in lines(changes):
            say(line)
        milder = sum(bool(change.milder) for change in changes)
        say(f"{len(changes)} differences, {milder} of them milder")
    return 0


def run_simulate(arguments: argparse.Namespace) -> int:
    from guardrail.cli.recorded import Reading
    from guardrail.policy.simulate import caveats, lines, simulate

    if not arguments.packs:
        return fail("name the packs to try; what they are compared with is --against, or the configured packs")
    try:
        after = compiled(arguments)
        named, arguments.packs = arguments.packs, []
        before = compiled(arguments, arguments.against or ())
        arguments.packs = named
        zone = _zone(arguments)
        reading = Reading(Path(arguments.on), zone, listening(after.lexicon), before.lexicon != after.lexicon)
        found = simulate(before.policy, after.policy, reading.turns())
    except CannotRead as error:
        return fail(error.problems)
    if arguments.json:
        about = {"before": before.policy.name, "after": after.policy.name, "timezone": zone.key}
        unread = {"unreadable": reading.unreadable, "unreadable_at": reading.places}
        warnings = [*reading.caveats(), *caveats(found)]
        say_json({**about, **msgspec.to_builtins(found), **unread, "warnings": warnings})
    else:
        say(f"{after.policy.name} instead of {before.policy.name}, times of day in {zone.key}:")
        for what in reading.caveats():
            say(f"WARNING: {what}")
        for line in lines(found, arguments.examples):
            say(line)
    return 0


def _zone(arguments: argparse.Namespace) -> ZoneInfo:
    """The operator's time zone. Raises ``CannotRead``."""
    from guardrail.settings_types import timezone

    if arguments.timezone is not None:
        try:
            return ZoneInfo(timezone(arguments.timezone))
        except ValueError as error:
            raise CannotRead([f"--timezone {arguments.timezone}: {error}"], 2) from error
    try:
        return ZoneInfo(settings_of(arguments).timezone)
    except SettingsError as error:
        raise CannotRead(error.problems, 2) from error


def run_hazards(arguments: argparse.Namespace) -> int:
    from guardrail.policy.hazards import hazard_log
    from guardrail.policy.phrases import describe
    from guardrail.policy.proving import Seen, proofs
    from guardrail.policy.vignettes import read_vignettes

    try:
        packs = compiled(arguments)
        seen = Seen(listening(packs.lexicon))
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
