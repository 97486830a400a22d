"""Reading one thing that somebody wrote: whatever is in it, what comes of it is the thing or a line about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from guardrail.policy.source import Source

ODD = (TypeError, ValueError, OverflowError, LookupError, AttributeError, RecursionError)
"""What a reader raises over a value nobody thought of."""


@contextmanager
def reading(source: Source, problems: list[str], at: Sequence[str | int], what: str) -> Iterator[None]:
    """A net under the checks that say better what is wrong: one odd value hides no other problem of the packs."""
    try:
        yield
    except ODD:
        line = f"{source.place(*at)}: {what} cannot be read: some value is not of its kind"
        problems.append(f"{line}; compare it with `guardrail policy schema`, or write it anew")
