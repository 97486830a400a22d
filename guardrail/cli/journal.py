"""``guardrail journal verify``: is the record of what was decided whole and unaltered?"""

from __future__ import annotations

import argparse
from typing import Any

from guardrail.cli.common import add_data, add_json, settings_of
from guardrail.cli.output import fail, say, say_json
from guardrail.settings import SecretFileError, Settings, SettingsError, load_or_make_secret


def add_to(commands: Any) -> None:
    command: argparse.ArgumentParser = commands.add_parser(
        "journal", help="the record of decisions", description=__doc__
    )
    verbs = command.add_subparsers(dest="verb", required=True, metavar="verify")
    verify = verbs.add_parser("verify", help="name what was altered, dropped, reordered or cut")
    add_data(verify)
    add_json(verify)
    verify.set_defaults(run=run_verify)


def run_verify(arguments: argparse.Namespace) -> int:
    from guardrail.journal import verify

    try:
        settings = settings_of(arguments)
        if not (settings.data / "journal").is_dir():
            return fail(f"{settings.data / 'journal'}: there is none; name the proxy's data folder with --data")
        report = verify(settings.data, _key(settings))
    except SettingsError as error:
        return fail(error.problems)
    except (SecretFileError, OSError) as error:
        return fail(str(error))
    if arguments.json:
        say_json(report)
    else:
        say(report.text)
    return 0 if report.ok else 1


def _key(settings: Settings) -> bytes:
    if settings.secret is not None:
        return settings.secret.get_secret_value().encode()
    return load_or_make_secret(settings.data, "secret")
