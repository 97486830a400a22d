"""The part of the corpus that is only learnt from: read by nobody but its writer, and never measured on."""

from __future__ import annotations

from pathlib import Path

import msgspec

from corpus.files import ROOT, load
from guardrail.evaluation.items import Item

TRAINING = ROOT / "training"


def load_training(root: Path = TRAINING) -> list[Item]:
    """Its items, all of them of the split ``train`` whatever their family's name."""
    return [msgspec.structs.replace(item, split="train") for item in load(root)]
