"""The model's outputs: what each of its numbers means, and what an item says it should be.

A grade is ordinal: for each signal four numbers, the likelihoods that it is at least 1, 2, 3, 4 (Frank & Hall, 2001).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from guardrail.core.model import CATEGORIES, OUTBOUND_SIGNALS

GRADES = (1, 2, 3, 4)
SUBJECTS = ("self", "other", "child")
FRAMES = ("sincere", "idiom", "fiction", "quotation", "professional", "intrusive")
TIMES = ("now", "past")
EMOTIONS = ("anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral")
"""GoEmotions' own grouping of its 28 labels by Ekman's basic emotions (Demszky et al., 2020)."""

_GRADED = ("any_inbound", *CATEGORIES, "any_outbound", *OUTBOUND_SIGNALS)
OUTPUTS: tuple[str, ...] = (
    *(f"{name}>={grade}" for name in _GRADED for grade in GRADES),
    *(f"subject:{name}" for name in SUBJECTS),
    *(f"frame:{name}" for name in FRAMES),
    *(f"time:{name}" for name in TIMES),
    "minor",
    *(f"emotion:{name}" for name in EMOTIONS),
    "intensity",
)
AT: Mapping[str, int] = {name: at for at, name in enumerate(OUTPUTS)}
CHOICES = (SUBJECTS, FRAMES, TIMES)
"""Heads of which one holds; they follow each other in ``OUTPUTS`` after the grades."""
FIRST_CHOICE = AT["subject:self"]

Target = npt.NDArray[np.float32]
"""One number an output, NaN where the item does not say."""


def nothing() -> Target:
    return np.full(len(OUTPUTS), np.nan, np.float32)


def grade(target: Target, name: str, value: int) -> None:
    """That ``name`` is of grade ``value``: at least everything up to it, and no more."""
    for step in GRADES:
        target[AT[f"{name}>={step}"]] = float(value >= step)


def at_most(target: Target, name: str, value: int) -> None:
    """That ``name`` is no more than ``value``; below it nothing is said."""
    for step in GRADES:
        if step > value:
            target[AT[f"{name}>={step}"]] = 0.0


def choose(target: Target, head: str, names: tuple[str, ...], chosen: str) -> None:
    for name in names:
        target[AT[f"{head}:{name}"]] = float(name == chosen)


def shares(wanted: Sequence[Target]) -> Target:
    """How often each output holds among the items that say; NaN where none does."""
    stacked = np.stack(wanted)
    known = (~np.isnan(stacked)).sum(axis=0)
    held = np.nansum(stacked, axis=0)
    return np.where(known > 0, held / np.maximum(known, 1), np.nan).astype(np.float32)
