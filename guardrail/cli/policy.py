"""``guardrail policy lint|test``: is a policy sound, and does it do what its vignettes say?"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from guardrail.cli.common import add_config, add_json, settings_of
from guardrail.cli.output import fail, say, say_json
from guardrail.settings import SettingsError


def add_to(commands: Any) -> None:
    command: argparse.ArgumentParser = commands.add_parser("policy", help="check policies", description=__doc__)
    verbs = command.add_subparsers(dest="verb", required=True, metavar="lint|test")
    for name, what, run in (("lint", "find every error at once", run_lint), ("test", "run the vignettes", run_test)):
        verb = verbs.add_parser(name, help=what)
        verb.add_argument(
            "packs", nargs="*", metavar="PACK", help="pack names or folders (default: the configured ones)"
        )
        verb.add_argument("--failures", action="store_true", help="show failures only") if name == "test" else None
        add_config(verb)
        add_json(verb)
        verb.set_defaults(run=run)


def run_lint(arguments: argparse.Namespace) -> int:
    from guardrail.policy.lint import lint

    try:
        packs, responders = _packs(arguments)
    except SettingsError as error:
        return fail(error.problems)
    report = lint(packs, datetime.datetime.now(datetime.UTC).date(), responders)
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
    from guardrail.detectors.run import look
    from guardrail.policy.compile import compile_packs
    from guardrail.policy.source import PolicyError
    from guardrail.policy.vignettes import read_vignettes, run
    from guardrail.shipped import lexicon

    try:
        compiled = compile_packs(_packs(arguments)[0])
    except SettingsError as error:
        return fail(error.problems)
    except PolicyError as error:
        return _report_broken(error.problems, arguments.json)
    errors: list[str] = []
    vignettes = read_vignettes(compiled.packs, errors)
    if errors:
        return _report_broken(errors, arguments.json)
    detector = lexicon()
    outcome = run(compiled.policy, vignettes, lambda text, context: [look(detector, text, context)])
    if arguments.json:
        say_json({"policy": compiled.policy.name, **msgspec.to_builtins(outcome)})
    else:
        for line in outcome.failures:
            say(f"failed: {line}")
        if not arguments.failures:
            say(f"{compiled.policy.name}: {outcome.total} vignettes, {outcome.calm} of them must not escalate")
            say(f"{len(outcome.failures)} failures; {len(outcome.fired)} of {outcome.rules} rules fired")
    return 1 if outcome.failures else 0


def _report_broken(errors: Sequence[str], as_json: bool) -> int:
    if as_json:
        say_json({"errors": list(errors)})
    else:
        for line in errors:
            say(f"error: {line}")
    return 1


def _packs(arguments: argparse.Namespace) -> tuple[list[Path], str | None]:
    from guardrail.policy import find
    from guardrail.shipped import POLICIES

    if arguments.packs:
        return find(arguments.packs, POLICIES), None
    arguments.policies = None
    settings = settings_of(arguments)
    return find(settings.policies, POLICIES), settings.responders.kind
