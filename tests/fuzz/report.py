"""What came of one reader's run, and when two failures are one find."""

from __future__ import annotations

import traceback

import msgspec

PACKAGES = ("guardrail", "escalation")


class Report(msgspec.Struct):
    """``slowest`` in milliseconds; ``finds`` maps what failed to the file of its input."""

    inputs: int = 0
    slowest: float = 0.0
    slowest_input: str = ""
    finds: dict[str, str] = {}


def signature(error: Exception) -> str:
    """What failed and where: two inputs of one signature are one find."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if any(f"/{name}/" in f.filename for name in (*PACKAGES, "fuzz"))]
    place = (ours or list(frames))[-1]
    law = f" ({str(error)[:80]})" if isinstance(error, AssertionError) else ""
    return f"{type(error).__name__}{law} at {place.filename.rpartition('/')[2]}:{place.name}"
