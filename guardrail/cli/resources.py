"""``guardrail resources show|check|verify``: the lines people are shown, and how sure they are."""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path
from typing import Any

import msgspec

from guardrail.cli.common import add_data, add_json, settings_of
from guardrail.cli.output import fail, say, say_json
from guardrail.settings import SettingsError


def add_to(commands: Any) -> None:
    command: argparse.ArgumentParser = commands.add_parser(
        "resources", help="helplines and services", description=__doc__
    )
    verbs = command.add_subparsers(dest="verb", required=True, metavar="show|check|verify")
    show = verbs.add_parser("show", help="what a person in a country is shown")
    show.add_argument("country", metavar="CC", help="ISO 3166 code, e.g. DE")
    show.add_argument("--locale", default="en", help="language of the lines (BCP-47)")
    show.add_argument("--kind", action="append", help="kind of help, in order of preference; may be repeated")
    show.add_argument("--at", metavar="TIME", help="ISO 8601 time (default: now)")
    show.add_argument("--audience", choices=("adult", "minor", "unknown"), default="unknown")
    show.set_defaults(run=run_show)
    check = verbs.add_parser("check", help="what is unverified, overdue, held or doubtful")
    check.add_argument("country", nargs="*", metavar="CC")
    check.set_defaults(run=run_check)
    verify = verbs.add_parser("verify", help="say that two of your people have checked a country's lines")
    verify.add_argument("country", metavar="CC")
    verify.add_argument("--by", action="append", default=[], metavar="NAME", help="who checked; two different people")
    verify.set_defaults(run=run_verify)
    for verb in (show, check, verify):
        add_data(verb)
        add_json(verb)


def _folders(arguments: argparse.Namespace) -> tuple[Path, Path]:
    from guardrail.shipped import POLICIES

    return POLICIES / "resources", settings_of(arguments).data / "resources"


def _known(code: str, folder: Path) -> bool:
    return (folder / f"{code}.yaml").is_file()


def run_show(arguments: argparse.Namespace) -> int:
    from guardrail.resources.load import load_country
    from guardrail.resources.render import line
    from guardrail.resources.select import select
    from guardrail.yamlread import Unreadable

    code = arguments.country.upper()
    try:
        folder, overlay = _folders(arguments)
        at = datetime.datetime.fromisoformat(arguments.at) if arguments.at else datetime.datetime.now(datetime.UTC)
        found = load_country(folder, code, overlay)
    except SettingsError as error:
        return fail(error.problems)
    except Unreadable as error:
        return fail(str(error))
    except ValueError:
        return fail(f"{arguments.at}: not a time; write one such as 2026-11-23T21:00+01:00")
    if not _known(code, folder):
        return fail(f"{arguments.country}: no file for this country; write its ISO 3166 code, e.g. DE")
    moment = (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).timestamp()
    kinds = arguments.kind or list(dict.fromkeys(kind for r in found for kind in r.kind))
    chosen = select(found, kinds, arguments.locale, arguments.audience, moment)
    if arguments.json:
        say_json([{**msgspec.to_builtins(r), "line": line(r, arguments.locale, moment)} for r in chosen])
    else:
        for resource in chosen:
            say(line(resource, arguments.locale, moment))
        if not chosen:
            say("nothing checked to show: people there see the international wording and findahelpline.com")
    return 0 if chosen else 1


def run_check(arguments: argparse.Namespace) -> int:
    from guardrail.resources.check import check

    try:
        folder, overlay = _folders(arguments)
    except SettingsError as error:
        return fail(error.problems)
    codes = [code.upper() for code in arguments.country]
    for code in codes:
        if not _known(code, folder):
            return fail(f"{code}: no file for this country; write its ISO 3166 code, e.g. DE")
    notes = check(folder, overlay, codes, datetime.datetime.now(datetime.UTC).date())
    if arguments.json:
        say_json(notes)
    else:
        for note in notes:
            say(f"{'finding' if note.finding else 'note'}: {note.country} {note.id}: {note.what}")
        say(f"{sum(n.finding for n in notes)} findings, {sum(not n.finding for n in notes)} notes")
    return 1 if any(note.finding for note in notes) else 0


def run_verify(arguments: argparse.Namespace) -> int:
    from guardrail.resources.load import save_verification
    from guardrail.resources.model import Verification

    code = arguments.country.upper()
    names = tuple(dict.fromkeys(name.strip() for name in arguments.by if name.strip()))
    try:
        folder, overlay = _folders(arguments)
        if not _known(code, folder):
            return fail(f"{arguments.country}: no file for this country; write its ISO 3166 code, e.g. DE")
        if len(names) < 2 or len({name.casefold() for name in names}) < 2:
            return fail("two different people must have checked: --by NAME --by NAME")
        word = Verification(code, names, datetime.datetime.now(datetime.UTC).date())
        path = save_verification(overlay, word)
    except SettingsError as error:
        return fail(error.problems)
    except OSError as error:
        return fail(f"cannot be written ({(error.strerror or 'error').lower()})")
    if arguments.json:
        say_json(word)
    else:
        say(f"{code}: verified by {' and '.join(names)}, kept in {path}")
    return 0
