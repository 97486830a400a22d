"""Who is told when. Pure: a case, a time, and the rungs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from escalation.case import Case

LONGEST_SILENCE = 15 * 60.0
SHORTEST_SILENCE = 60.0


class Rung(msgspec.Struct, frozen=True):
    """``after`` so many seconds unanswered, tell these channels."""

    after: float
    notify: tuple[str, ...]


class Page(msgspec.Struct, frozen=True):
    """A page that is due. ``key`` is the same each time it is asked for, so that it goes out once."""

    key: str
    channels: tuple[str, ...]


class Ladders(msgspec.Struct, frozen=True):
    """The ``usual`` rungs, and those a case may ask for by name. A name nobody has set up means the usual ones."""

    usual: Sequence[Rung]
    named: Mapping[str, Sequence[Rung]] = {}

    def of(self, case: Case) -> Sequence[Rung]:
        return self.named.get(case.ladder, self.usual)


def pages(case: Case, ladders: Ladders, everybody: Sequence[str], now: float) -> list[Page]:
    """Pages due for an unanswered case, in order: its ladder's rungs, then everybody, again and again.

    Everybody is told when the deadline has passed, and when nothing has got through to anybody yet. A case
    whose severity rose is told as if it were new: the severity is part of every key.
    """
    if case.is_answered or not everybody:
        return []
    due = [
        Page(f"{case.severity}:rung:{i}", rung.notify)
        for i, rung in enumerate(ladders.of(case))
        if now >= case.since + rung.after
    ]
    if now >= case.deadline:
        due.append(_to_everybody(case, "expired", everybody, now - case.deadline))
    elif case.state == "open" and now >= case.since + patience(case):
        due.append(_to_everybody(case, "unheard", everybody, now - case.since))
    return due


def patience(case: Case) -> float:
    """Seconds between pages to everybody: the time the case itself gives, from a minute to 15."""
    return min(LONGEST_SILENCE, max(SHORTEST_SILENCE, case.deadline - case.since))


def _to_everybody(case: Case, why: str, everybody: Sequence[str], waited: float) -> Page:
    return Page(f"{case.severity}:{why}:{int(waited // patience(case))}", tuple(everybody))
