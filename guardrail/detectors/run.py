"""One detector on one text. Whatever goes wrong in it is a finding, which the policy answers."""

from __future__ import annotations

from collections.abc import Iterable

from guardrail.core.model import Context, Failed, FailureReason, Finding, Found, Signal
from guardrail.core.ports import Detector


class Unread(Exception):
    """A detector that knows why it could not look raises this. It holds nothing of the text.

    ``excused``: it was not to look, by the operator's own settings, so that nobody who requires it misses it.
    """

    def __init__(self, reason: FailureReason, *, excused: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.excused = reason, excused


def look(detector: Detector, text: str, context: Context) -> Finding:
    """One detector on one text. A detector may raise anything, or answer nonsense: both are findings."""
    try:
        signals = detector.look(text, context)
    except Exception as error:
        return failed(detector, error)
    return checked(detector, signals, text)


def failed(detector: Detector, error: BaseException) -> Failed:
    """What a detector has raised, as a finding."""
    if isinstance(error, Unread):
        return Failed(detector.name, error.reason, detector.required and not error.excused)
    return Failed(detector.name, "raised", detector.required)


def checked(detector: Detector, signals: Iterable[Signal], text: str) -> Finding:
    """What a detector has answered, as a finding: nonsense is a failure."""
    signals = tuple(signals)
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
