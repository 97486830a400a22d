"""``guardrail policy``: write, prove, explain, compare, sign and release what a bot may do with people in danger."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

import guardrail.cli.policy_release as release
import guardrail.cli.policy_views as views
from guardrail.cli.common import add_json
from guardrail.cli.output import fail, say, say_json
from guardrail.cli.policy_packs import CannotRead, add_packs, compiled, folders, listening, shipped_entries

if TYPE_CHECKING:
    from guardrail.policy.vignettes import Vignette


def add_to(commands: Any) -> None:
    command: argparse.ArgumentParser = commands.add_parser("policy", help="check policies", description=__doc__)
    verbs = command.add_subparsers(dest="verb", required=True, metavar="VERB")
    lint = verbs.add_parser("lint", help="find every error at once")
    lint.set_defaults(run=run_lint)
    test = verbs.add_parser("test", help="run the vignettes")
    test.add_argument("--failures", action="store_true", help="show failures only")
    test.add_argument(
        "--against", metavar="PACK", action="append", help="another version: show what comes out otherwise"
    )
    test.set_defaults(run=run_test)
    for verb in (lint, test):
        add_packs(verb)
        add_json(verb)
    views.add_to(verbs)
    release.add_to(verbs)


def run_lint(arguments: argparse.Namespace) -> int:
    from guardrail.policy.lint import lint

    try:
        found = folders(arguments)
        known = shipped_entries()
    except CannotRead as error:
        return _report_broken(error, arguments.json)
    today = datetime.datetime.now(datetime.UTC).date()
    report = lint(found.folders, today, found.responders, listening, found.trust, known)
    if arguments.json:
        say_json(report)
    else:
        for line in report.errors:
            say(f"error: {line}")
        for line in report.warnings:
            say(f"warning: {line}")
        say(f"{report.policy or 'policy'}: {len(report.errors)} errors, {len(report.warnings)} warnings")
    return 1 if report.errors else 0


def run_test(arguments: argparse.Namespace) -> int:
    from guardrail.policy.difference import moved
    from guardrail.policy.proving import Seen, run
    from guardrail.policy.vignettes import read_vignettes

    try:
        packs = compiled(arguments)
        other = compiled(arguments, arguments.against) if arguments.against else None
        seen = Seen(listening(packs.lexicon))
    except CannotRead as error:
        return _report_broken(error, arguments.json)
    errors: list[str] = []
    vignettes = read_vignettes(packs.packs, errors)
    if errors:
        return _report_broken(CannotRead(errors), arguments.json)
    outcome = run(packs.policy, vignettes, seen, _progress(vignettes))
    changes = list(moved(other.policy, packs.policy, vignettes, seen)) if other else []
    if arguments.json:
        say_json({"policy": packs.policy.name, **msgspec.to_builtins(outcome), "against": changes})
    else:
        for line in outcome.failures:
            say(f"failed: {line}")
        for change in changes:
            say(f"otherwise: {change.name}, {change.what}")
            say(f"  before: {change.before}")
            say(f"  now:    {change.after}")
        if not arguments.failures:
            proven = outcome.rules - len(outcome.unproven)
            say(f"{packs.policy.name}: {outcome.total} vignettes, {outcome.calm} of them must not escalate")
            say(f"{len(outcome.failures)} failures; {len(outcome.fired)} of {outcome.rules} rules fired")
            say(f"{proven} of {outcome.rules} rules proven: without any of those a vignette would fail")
    return 1 if outcome.failures else 0


def _progress(vignettes: Sequence[Vignette]) -> Callable[[int], None]:
    """Says how far it is, where somebody is watching."""
    if not sys.stderr.isatty():
        return lambda n: None

    def show(n: int) -> None:
        if n % 25 == 0 or n + 1 == len(vignettes):
            end = "\n" if n + 1 == len(vignettes) else ""
            print(f"\r{n + 1} of {len(vignettes)} vignettes", end=end, file=sys.stderr)

    return show


def _report_broken(error: CannotRead, as_json: bool) -> int:
    if error.code == 2:
        return fail(error.problems)
    if as_json:
        say_json({"errors": list(error.problems)})
    else:
        for line in error.problems:
            say(f"error: {line}")
    return 1
