"""Whether entries keep to their own examples. Every entry names texts it must see and texts it must spare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from guardrail.core.model import Context, Direction, Failed, Finding, Severity
from guardrail.detectors.lexicon_load import Entry

Look = Callable[[str, Context], Sequence[Finding]]


def unkept(entries: Iterable[Entry], look: Look) -> Iterator[str]:
    """Each example that comes out otherwise, as ``file:line:col: what; what to do``. The examples are the author's own
    words and stand in the file, so they are quoted."""
    for entry in entries:
        for example in entry.match:
            if not _sees(entry, seen(look, example, entry.direction)):
                yield f"{entry.where}: {entry.id} does not see its example {example!r}; change one of them"
        for example in entry.spare:
            if not _spares(entry, seen(look, example, entry.direction)):
                yield f"{entry.where}: {entry.id} does not spare its example {example!r}; change one of them"


def seen(look: Look, text: str, direction: Direction) -> dict[str, int]:
    """The severity of each signal in a text said by itself."""
    found: dict[str, int] = {}
    for finding in look(text, Context(direction)):
        for signal in () if isinstance(finding, Failed) else finding.signals:
            found[signal.name] = max(found.get(signal.name, 0), signal.severity)
    return found


def _sees(entry: Entry, found: dict[str, int]) -> bool:
    if entry.kind in ("shows", "cues"):
        return found.get(entry.signals[0], -1) >= entry.to
    if entry.kind == "weights":
        return all(severity < Severity.ELEVATED for severity in found.values())
    return any(found.get(name, 0) >= entry.to for name in entry.signals)


def _spares(entry: Entry, found: dict[str, int]) -> bool:
    if entry.kind == "cues":
        return entry.signals[0] not in found
    return all(found.get(name, 0) < Severity.ELEVATED for name in entry.signals)
