"""Which packs a ``policy`` command is about, and reading them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from guardrail.cli.common import add_config, settings_of
from guardrail.policy.signing import ANYBODY, Trust
from guardrail.settings import SettingsError

if TYPE_CHECKING:
    from guardrail.detectors.lexicon_load import Entry
    from guardrail.policy.compile import Compiled
    from guardrail.policy.proving import Look


class CannotRead(Exception):
    """Packs or settings that cannot be used. ``code`` 1: the packs are wrong; 2: the command was."""

    def __init__(self, problems: Sequence[str], code: int = 1) -> None:
        super().__init__("\n".join(problems))
        self.problems, self.code = tuple(problems), code


class Packs(msgspec.Struct, frozen=True):
    """Folders of packs, and what the operator's settings say about them, where those were read."""

    folders: list[Path]
    responders: str | None = None
    trust: Trust = ANYBODY


def add_packs(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "packs", nargs="*", metavar="PACK", help="pack names or folders (default: the configured ones)"
    )
    add_config(command)


def folders(arguments: argparse.Namespace, named: Sequence[str] = ()) -> Packs:
    """The packs that were named, or the configured ones. Raises ``CannotRead``."""
    from guardrail.policy import find
    from guardrail.shipped import POLICIES

    names = named or arguments.packs
    if names and arguments.config is None:
        return Packs(find(names, POLICIES))
    arguments.policies = None
    try:
        settings = settings_of(arguments)
    except SettingsError as error:
        raise CannotRead(error.problems, 2) from error
    trust = Trust(frozenset(settings.trusted_keys), settings.require_signed)
    return Packs(find(names or settings.policies, POLICIES), settings.responders.kind, trust)


def compiled(arguments: argparse.Namespace, named: Sequence[str] = ()) -> Compiled:
    """The packs, compiled. Raises ``CannotRead``."""
    from guardrail.policy.compile import compile_packs
    from guardrail.policy.source import PolicyError

    found = folders(arguments, named)
    try:
        return compile_packs(found.folders, found.trust, shipped_entries())
    except PolicyError as error:
        raise CannotRead(error.problems) from error


def shipped_entries() -> Sequence[Entry]:
    """What the shipped lexicon listens for. Raises ``CannotRead``."""
    from guardrail.detectors import LexiconError
    from guardrail.shipped import lexicon

    try:
        return lexicon().entries
    except LexiconError as error:
        raise CannotRead(error.problems) from error


def listening(own: Sequence[Entry]) -> Look:
    """The shipped lexicon with what packs add to it, as vignettes are looked at."""
    from guardrail.detectors.run import look
    from guardrail.shipped import lexicon_with

    detector = lexicon_with(own)
    return lambda text, context: [look(detector, text, context)]
