"""``guardrail serve``: the proxy in front of a chatbot."""

from __future__ import annotations

import argparse
from typing import Any

from guardrail.cli.common import add_data, settings_of
from guardrail.cli.output import fail, say
from guardrail.settings import SettingsError, warnings


def add_to(commands: Any) -> None:
    command: argparse.ArgumentParser = commands.add_parser(
        "serve", help="run the proxy in front of a chatbot", description=__doc__
    )
    command.add_argument("--upstream", metavar="URL", help="the chatbot's base URL")
    command.add_argument("--listen", metavar="HOST:PORT", help="where to listen (default 127.0.0.1:8080)")
    command.add_argument("--policies", action="append", metavar="PACK", help="pack name or folder; may be repeated")
    command.add_argument(
        "--require-signed", action="store_true", help="refuse packs that nobody has signed, or that were altered since"
    )
    add_data(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from guardrail.server.run import StartFailed, serve

    try:
        settings = settings_of(arguments, need_upstream=True)
    except SettingsError as error:
        return fail(error.problems)
    for line in warnings(settings):
        say(f"warning: {line}")
    try:
        return serve(settings, say)
    except StartFailed as error:
        return fail(error.problems)
