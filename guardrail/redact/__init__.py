"""Personal data taken out of text before a human outside the conversation sees it."""

from __future__ import annotations

from guardrail.redact.redactor import RedactionError, Redactor

__all__ = ["RedactionError", "Redactor"]
