"""The ``guardrail`` command. Exit 0: good; 1: a finding; 2: it could not be done as asked."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import guardrail.cli.cases as cases
import guardrail.cli.evaluating as evaluating
import guardrail.cli.init as init
import guardrail.cli.inspecting as inspecting
import guardrail.cli.journal as journal
import guardrail.cli.policy as policy
import guardrail.cli.resources as resources
import guardrail.cli.serve as serve
from guardrail import __version__

COMMANDS = (serve, inspecting, init, policy, evaluating, resources, cases, journal)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="guardrail",
        description="Crisis-safety middleware in front of an existing chatbot. "
        "Not a medical device; not a substitute for care.",
    )
    top.add_argument("--version", action="version", version=f"guardrail {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add_to(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Errors a person meets are one line each on standard error."""
    arguments = parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130
    return code
