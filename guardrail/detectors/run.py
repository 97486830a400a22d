"""One detector on one text. Whatever goes wrong in it is a finding, which the policy answers."""

from __future__ import annotations

from guardrail.core.model import Context, Failed, Finding, Found, Signal
from guardrail.core.ports import Detector


def look(detector: Detector, text: str, context: Context) -> Finding:
    """One detector on one text. A detector may raise anything, or answer nonsense: both are findings."""
    try:
        signals = tuple(detector.look(text, context))
    except Exception:
        return Failed(detector.name, "raised", detector.required)
    if not all(_is_sound(s, len(text)) for s in signals):
        return Failed(detector.name, "invalid", detector.required)
    return Found(detector.name, signals)


def _is_sound(signal: object, length: int) -> bool:
    return (
        isinstance(signal, Signal)
        and 0 <= signal.severity <= 4
        and 0 <= signal.score <= 1
        and all(0 <= start <= end <= length for start, end in signal.spans)
    )
