"""What comes with the package: policies, lexicons, resources, the model; in a checkout and in a wheel alike."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from guardrail.core.rules import Policy

if TYPE_CHECKING:
    from guardrail.detectors import Lexicon
    from guardrail.detectors.lexicon_load import Entry
    from guardrail.judges.model import Model
    from guardrail.policy.compile import Compiled
    from guardrail.policy.signing import Trust

POLICIES = Path(__file__).resolve().parent.parent / "policies"
"""The folder of shipped packs: ``base``, and beside it ``lexicon`` and ``resources``."""


class Loaded(msgspec.Struct, frozen=True):
    """Packs, ready to be used: how to decide, and what to listen for."""

    policy: Policy
    lexicon: Lexicon


def load(packs: Sequence[str | Path] = ("base",), folder: Path = POLICIES, trust: Trust | None = None) -> Loaded:
    """Compile packs, by name (looked for in ``folder``, then among the shipped) or by folder.

    Raises ``guardrail.policy.PolicyError`` or ``guardrail.detectors.LexiconError``.
    """
    found = compiled(packs, folder, trust)
    return Loaded(found.policy, lexicon_with(found.lexicon))


def compiled(packs: Sequence[str | Path], folder: Path = POLICIES, trust: Trust | None = None) -> Compiled:
    """As ``load``, with all that lint and other tools need to know of the packs."""
    from guardrail.policy import find
    from guardrail.policy.compile import compile_packs
    from guardrail.policy.signing import ANYBODY

    return compile_packs(find(packs, folder), trust or ANYBODY, lexicon().entries)


def policy(packs: Sequence[str | Path] = ("base",), folder: Path = POLICIES, trust: Trust | None = None) -> Policy:
    """As ``load``, without detectors."""
    return compiled(packs, folder, trust).policy


@cache
def lexicon() -> Lexicon:
    """The shipped lexicon, all languages, both directions."""
    from guardrail.detectors import load_lexicon

    return load_lexicon(POLICIES / "lexicon")


@cache
def model(folder: str = "shipped", deadline: float = 2.0, threads: int = 1) -> Model:
    """The shipped model, or one in another folder, loaded once a process and closed by nobody but its end.

    Raises ``guardrail.judges.folder.ModelError``.
    """
    from guardrail.judges.folder import SHIPPED, read
    from guardrail.judges.model import Model
    from guardrail.judges.onnx import Engine

    return Model(Engine(read(SHIPPED if folder == "shipped" else Path(folder)), threads), deadline)


def lexicon_with(entries: Sequence[Entry]) -> Lexicon:
    """The shipped lexicon, and what packs listen for besides."""
    from guardrail.detectors import Lexicon

    return Lexicon((*lexicon().entries, *entries)) if entries else lexicon()
