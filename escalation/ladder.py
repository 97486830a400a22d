"""Who is told when. Pure: a case, a time, and the rungs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from escalation.case import Case

REPEAT_AFTER = 15 * 60.0
"""Seconds after which a case nobody answers is told again, once every rung has been told."""


class Rung(msgspec.Struct, frozen=True):
    """``after`` so many seconds unanswered, tell these channels."""

    after: float
    notify: tuple[str, ...]


class Page(msgspec.Struct, frozen=True):
    """A page that is due. ``key`` is the same each time it is asked for, so that it goes out once."""

    key: str
    channels: tuple[str, ...]
    first: bool


def pages(case: Case, rungs: Sequence[Rung], now: float) -> list[Page]:
    """Pages due for an unanswered case: its rungs, everybody at its deadline, and everybody again and again.

    A case whose severity rose is told as if it were new: the severity is part of every key.
    """
    if case.is_answered:
        return []
    everybody = tuple(dict.fromkeys(name for rung in rungs for name in rung.notify))
    due = [
        Page(f"{case.severity}:rung:{i}", rung.notify, first=i == 0)
        for i, rung in enumerate(rungs)
        if now - case.opened_at >= rung.after
    ]
    if now >= case.deadline and everybody:
        rounds = int((now - case.deadline) // REPEAT_AFTER)
        due += [Page(f"{case.severity}:expired:{n}", everybody, first=False) for n in range(max(0, rounds - 1), rounds + 1)]
    return due
