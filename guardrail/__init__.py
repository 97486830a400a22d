"""Crisis-safety middleware in front of an existing chatbot.

Not a medical device and not a substitute for care: its policies need review by clinicians before use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Guard", "GuardrailMiddleware", "__version__"]

if TYPE_CHECKING:
    from guardrail.guard import Guard
    from guardrail.server.app import GuardrailMiddleware


def __getattr__(name: str) -> Any:
    """Import the two entry points when they are asked for: a command needs neither."""
    if name == "Guard":
        from guardrail.guard import Guard

        return Guard
    if name == "GuardrailMiddleware":
        from guardrail.server.app import GuardrailMiddleware

        return GuardrailMiddleware
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
