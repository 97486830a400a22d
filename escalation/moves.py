"""What people and time do to a case: each move as a function of the case as it is. Raises ``Conflict``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import msgspec

from escalation.case import NEXT, Case, Outcome, State
from escalation.store import Conflict, NoticeType


class Moves(ABC):
    """The part of a ``CaseStore`` that is the same wherever cases lie: which move tells whom."""

    def acknowledge(self, id: str, by: str, now: float) -> Case:
        return self._change(id, lambda case: acknowledged(case, by, now), "case.acknowledged")

    def claim(self, id: str, by: str, now: float) -> Case:
        return self._change(id, lambda case: claimed(case, by, now), "case.acknowledged")

    def resolve(self, id: str, by: str, outcome: Outcome, note: str, now: float) -> Case:
        return self._change(id, lambda case: resolved(case, by, outcome, note, now), "case.resolved")

    def expire(self, id: str, now: float) -> Case:
        return self._change(id, lambda case: expired(case, now), None)

    @abstractmethod
    def _change(self, id: str, change: Callable[[Case], Case], notice: NoticeType | None) -> Case:
        """Put what ``change`` makes of a case in its place, with all that follows, or nothing. ``notice``: what those
        who were paged are told once somebody has answered."""


def read_cursor(cursor: str | None) -> tuple[float, str]:
    """When the last case of a page was opened, and its id. Raises ``Conflict``."""
    if cursor is None:
        return float("inf"), ""
    at, _, id = cursor.partition(":")
    try:
        return float(at), id
    except ValueError as error:
        raise Conflict("the cursor is not one of ours; begin without it") from error


def acknowledged(case: Case, by: str, now: float) -> Case:
    if case.state in ("acknowledged", "claimed"):
        return case
    return _moved(case, "acknowledged", now, acknowledged_at=now, acknowledged_by=by)


def claimed(case: Case, by: str, now: float) -> Case:
    if case.state == "claimed":
        if case.claimed_by == by:
            return case
        raise Conflict(f"claimed by {case.claimed_by} already")
    seen = {} if case.is_answered else {"acknowledged_at": now, "acknowledged_by": by}
    return _moved(case, "claimed", now, claimed_at=now, claimed_by=by, **seen)


def resolved(case: Case, by: str, outcome: Outcome, note: str, now: float) -> Case:
    if case.state == "resolved":
        raise Conflict(f"resolved by {case.resolved_by} already")
    return _moved(case, "resolved", now, resolved_at=now, resolved_by=by, outcome=outcome, note=note)


def expired(case: Case, now: float) -> Case:
    return _moved(case, "expired", now) if case.state in ("open", "notified") else case


def notified(case: Case, severity: int, now: float) -> Case:
    """A page of this severity has got through. One that left before the severity rose has told nobody of the rise."""
    return _moved(case, "notified", now) if case.state == "open" and case.severity == severity else case


def _moved(case: Case, state: State, now: float, **fields: object) -> Case:
    if state not in NEXT[case.state]:
        raise Conflict(f"it is {case.state} already")
    return msgspec.structs.replace(case, state=state, updated_at=max(now, case.updated_at), **fields)
