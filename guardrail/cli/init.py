"""``guardrail init``: write a commented ``guardrail.yaml`` to begin with."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from guardrail.cli.output import fail, say
from guardrail.settings import SettingsError, load, template


def add_to(commands: Any) -> None:
    command: argparse.ArgumentParser = commands.add_parser(
        "init", help="write a commented guardrail.yaml", description=__doc__
    )
    command.add_argument("--upstream", default="http://127.0.0.1:9000", metavar="URL", help="the chatbot's base URL")
    command.add_argument(
        "--config", type=Path, default=Path("guardrail.yaml"), metavar="FILE", help="where to write it"
    )
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    path: Path = arguments.config
    text = template(arguments.upstream)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return fail(f"{path}: is already there; name another file with --config, or remove it")
    except OSError as error:
        return fail(f"{path}: cannot be written ({error.strerror})")
    try:
        load(path, {}, {})
    except SettingsError as error:
        path.unlink()
        return fail(error.problems)
    say(f"{path}: written. Read it through, then: guardrail serve --config {path}")
    say("No helpline row has been dialled by anyone until your two verifiers sign it: guardrail resources check")
    return 0
