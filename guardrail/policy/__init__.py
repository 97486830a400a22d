"""Clinicians' YAML to a compiled policy, and the tools to check it."""

from __future__ import annotations

from guardrail.policy.compile import load
from guardrail.policy.source import PolicyError, find

__all__ = ["PolicyError", "find", "load"]
