"""Safety middleware that an operator puts in front of a chatbot they already have."""

from __future__ import annotations

__version__ = "0.1.0"
