"""What comes with the package: policies, lexicons, resources. In a checkout they lie beside it, in a wheel too."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from guardrail.core.ports import Detector
from guardrail.core.rules import Policy

if TYPE_CHECKING:
    from guardrail.policy.signing import Trust

POLICIES = Path(__file__).resolve().parent.parent / "policies"
"""The folder of shipped packs: ``base``, and beside it ``lexicon`` and ``resources``."""


def policy(packs: Sequence[str | Path] = ("base",), folder: Path = POLICIES, trust: Trust | None = None) -> Policy:
    """Compile packs, by name (looked for in ``folder``, then among the shipped) or by folder."""
    from guardrail.policy import find, load

    found = find(packs, folder)
    return load(found) if trust is None else load(found, trust)


@cache
def lexicon() -> Detector:
    """The shipped lexicon, all languages, both directions."""
    from guardrail.detectors import load_lexicon

    return load_lexicon(POLICIES / "lexicon")
