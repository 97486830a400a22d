"""How commands speak: text for people, JSON where a script asked for it, one line for what went wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import msgspec


def say(text: str) -> None:
    print(text)


def say_json(value: object) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def fail(problems: str | Iterable[str]) -> int:
    """Say what is wrong, one line each, on standard error; gives the exit code for it."""
    for line in [problems] if isinstance(problems, str) else problems:
        print(f"guardrail: {line}", file=sys.stderr)
    return 2
