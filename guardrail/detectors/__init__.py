"""Detectors: text, in its conversation, to signals. They never decide."""

from __future__ import annotations

from guardrail.detectors.lexicon import Lexicon, load_lexicon
from guardrail.detectors.lexicon_load import LexiconError

__all__ = ["Lexicon", "LexiconError", "load_lexicon"]
