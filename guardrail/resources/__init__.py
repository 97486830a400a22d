"""The right help for where a person is: public facts, dated, with what is not known said plainly."""

from __future__ import annotations

from guardrail.resources.directory import Directory

__all__ = ["Directory"]
