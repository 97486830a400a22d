"""One matter for a human, and the states it goes through."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Literal

import msgspec

State = Literal["open", "notified", "acknowledged", "claimed", "resolved", "expired"]
Outcome = Literal["true_alarm", "false_alarm", "duplicate", "test"]

Priority = Literal["urgent", "high", "normal"]
PRIORITIES: tuple[Priority, ...] = ("urgent", "high", "normal")
STATES: tuple[State, ...] = ("open", "notified", "acknowledged", "claimed", "resolved", "expired")
OUTCOMES: tuple[Outcome, ...] = ("true_alarm", "false_alarm", "duplicate", "test")
UNANSWERED: tuple[State, ...] = ("open", "notified", "expired")
"""States in which nobody has answered yet: people are told, again and again."""

NEXT: Mapping[State, tuple[State, ...]] = {
    "open": ("notified", "acknowledged", "claimed", "resolved", "expired"),
    "notified": ("open", "acknowledged", "claimed", "resolved", "expired"),
    "expired": ("acknowledged", "claimed", "resolved"),
    "acknowledged": ("open", "claimed", "resolved"),
    "claimed": ("open", "resolved"),
    "resolved": (),
}
"""The state machine. ``expired``: the deadline passed unanswered; it pages again, wider. Back to ``open``
leads only a rise in severity: nobody has been told of that yet, and whoever answered, answered less."""

FIRST, LAST = -62_135_596_800.0, 253_402_300_799.0
"""The years 1 and 9999: what RFC 3339 can write."""


def priority_of(severity: int, raised: str = "") -> Priority:
    """What a case's severity gives it (imminent is urgent, high is high), or more where a policy has raised it."""
    given: Priority = "urgent" if severity >= 4 else "high" if severity == 3 else "normal"
    return next(name for name in PRIORITIES if name in (given, raised))


class NewCase(msgspec.Struct, frozen=True):
    """A case to be opened. Times are POSIX seconds; ``deadline`` is the moment by which somebody must answer.

    ``summary`` is made from signals and holds no message text. ``exchange`` names the exchange it came from.
    ``raised`` is the priority a policy asks for, ``ladder`` who is told; empty: as usual.
    """

    id: str
    conversation: str
    severity: int
    category: str
    opened_at: float
    deadline: float
    exchange: str = ""
    subject: str = "self"
    country: str | None = None
    locale: str = "en"
    summary: str = ""
    policy: str = ""
    rule: str = ""
    raised: str = ""
    ladder: str = ""


class Case(msgspec.Struct, frozen=True):
    """A case as it stands. ``exchanges`` are those it came from: the first, and at most 49 of the latest.

    ``since`` is when it last began to wait for an answer: when it opened, or rose after it was answered.
    """

    id: str
    conversation: str
    severity: int
    category: str
    state: State
    opened_at: float
    deadline: float
    since: float
    exchanges: tuple[str, ...] = ()
    subject: str = "self"
    country: str | None = None
    locale: str = "en"
    summary: str = ""
    policy: str = ""
    rule: str = ""
    updated_at: float = 0.0
    acknowledged_at: float | None = None
    acknowledged_by: str = ""
    claimed_at: float | None = None
    claimed_by: str = ""
    resolved_at: float | None = None
    resolved_by: str = ""
    outcome: str = ""
    note: str = ""
    raised: str = ""
    ladder: str = ""

    @property
    def priority(self) -> Priority:
        return priority_of(self.severity, self.raised)

    @property
    def is_answered(self) -> bool:
        return self.state not in UNANSWERED

    def public(self, base_url: str = "") -> dict[str, object]:
        """The case as API and webhooks show it. Times are RFC 3339, ``severity`` an integer."""
        return {
            "id": self.id,
            "conversation": self.conversation,
            "severity": self.severity,
            "priority": self.priority,
            "category": self.category,
            "state": self.state,
            "opened_at": rfc3339(self.opened_at),
            "country": self.country,
            "locale": self.locale,
            "summary": self.summary,
            "policy": self.policy,
            "rule": self.rule,
            "deadline": rfc3339(self.deadline),
            "url": f"{base_url.rstrip('/')}/guardrail/api/v1/cases/{self.id}" if base_url else "",
            "subject": self.subject,
            "exchanges": list(self.exchanges),
            "updated_at": rfc3339(self.updated_at),
            "acknowledged_at": rfc3339(self.acknowledged_at),
            "acknowledged_by": self.acknowledged_by or None,
            "claimed_at": rfc3339(self.claimed_at),
            "claimed_by": self.claimed_by or None,
            "resolved_at": rfc3339(self.resolved_at),
            "resolved_by": self.resolved_by or None,
            "outcome": self.outcome or None,
            "note": self.note or None,
            "ladder": self.ladder or None,
        }


def opened(new: NewCase) -> Case:
    """A new case in its first state."""
    new = _dated(new)
    return Case(
        id=new.id,
        conversation=new.conversation,
        severity=new.severity,
        category=new.category,
        state="open",
        opened_at=new.opened_at,
        deadline=new.deadline,
        since=new.opened_at,
        exchanges=(new.exchange,) if new.exchange else (),
        subject=new.subject,
        country=new.country,
        locale=new.locale,
        summary=new.summary,
        policy=new.policy,
        rule=new.rule,
        updated_at=new.opened_at,
        raised=new.raised,
        ladder=new.ladder,
    )


def joined(case: Case, new: NewCase) -> Case:
    """A later signal of the same matter. Severity only rises, and the deadline only comes nearer.

    A rise is told again to everybody. When somebody had answered, they answered something milder: the case
    is open again, for anybody to take, and a deadline that was met and is past makes room for the new one.
    """
    new = _dated(new)
    seen = msgspec.structs.replace(
        case,
        exchanges=_noted(case.exchanges, new.exchange),
        country=case.country or new.country,
        raised=min(case.raised, new.raised, key=(*PRIORITIES, "").index),
        ladder=case.ladder or new.ladder,
        updated_at=max(case.updated_at, new.opened_at),
    )
    if new.severity > case.severity:
        return _risen(seen, new)
    return seen if case.is_answered else msgspec.structs.replace(seen, deadline=min(case.deadline, new.deadline))


def _risen(case: Case, new: NewCase) -> Case:
    risen = msgspec.structs.replace(
        case,
        state="expired" if case.state == "expired" else "open",
        severity=new.severity,
        deadline=min(case.deadline, new.deadline),
        subject=new.subject,
        summary=new.summary,
        policy=new.policy,
        rule=new.rule,
        ladder=new.ladder or case.ladder,
    )
    if not case.is_answered:
        return risen
    return msgspec.structs.replace(
        risen,
        since=new.opened_at,
        deadline=risen.deadline if risen.deadline > new.opened_at else new.deadline,
        acknowledged_at=None,
        acknowledged_by="",
        claimed_at=None,
        claimed_by="",
    )


def _dated(new: NewCase) -> NewCase:
    """With times that a store can keep and a calendar holds: one it cannot read again would hide every other case."""
    return msgspec.structs.replace(new, opened_at=_within(new.opened_at), deadline=_within(new.deadline))


def _within(at: float) -> float:
    return at if FIRST <= at <= LAST else FIRST if at < FIRST else LAST


def _noted(exchanges: tuple[str, ...], exchange: str) -> tuple[str, ...]:
    if not exchange or exchange in exchanges:
        return exchanges
    return (*exchanges[:1], *exchanges[1:][-48:], exchange)


def rfc3339(at: float | None) -> str | None:
    """POSIX seconds as RFC 3339 in UTC, to the millisecond.

    A number no calendar holds is the first or the last moment of it: one odd case keeps no other from its people.
    """
    if at is None:
        return None
    moment = datetime.datetime.fromtimestamp(_within(at), datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
