"""What a case store promises. One suite of tests runs against every backend."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from escalation.case import Case, NewCase, Outcome, State

NoticeType = Literal["case.opened", "case.repaged", "case.acknowledged", "case.resolved"]


class StoreError(Exception):
    """The store did not do it: locked, full, broken. ``str(error)`` is one line without case content."""


class NotFound(StoreError):
    """There is no such case."""


class Conflict(StoreError):
    """Somebody else was first, or the case is past that. ``str(error)`` says which, fit for a person."""


class Put(msgspec.Struct, frozen=True):
    """What became of a ``put``: the case, whether it is new, and whether it joined one that was there."""

    case: Case
    created: bool


class Job(msgspec.Struct, frozen=True):
    """A notice that has to go out, leased to one dispatcher. ``id`` is the ``webhook-id``: the same on every try."""

    id: str
    kind: NoticeType
    case: Case
    channel: str
    attempts: int


class CaseStore(Protocol):
    """Synchronous, used from one thread at a time. Each change and the notices it causes are one transaction.

    Every method may raise ``StoreError``; times are POSIX seconds.
    """

    def put(self, new: NewCase) -> Put:
        """Open a case; the same id again changes nothing. An unresolved case of the same conversation and
        category is joined instead: severity only rises, a rise is told again."""
        ...

    def get(self, id: str) -> Case: ...

    def find(self, state: State | None, limit: int, cursor: str | None) -> tuple[list[Case], str | None]:
        """Newest first, at most ``limit`` (1 to 1000), and where to go on."""
        ...

    def acknowledge(self, id: str, by: str, now: float) -> Case: ...
    def claim(self, id: str, by: str, now: float) -> Case: ...
    def resolve(self, id: str, by: str, outcome: Outcome, note: str, now: float) -> Case: ...

    def schedule(self, id: str, kind: NoticeType, channels: tuple[str, ...], key: str, now: float) -> None:
        """Queue a notice to each channel. The same ``key`` again queues nothing: nobody is told twice for it."""
        ...

    def lease(self, now: float, until: float, limit: int) -> list[Job]:
        """Take due notices. Pages of a case that has been answered are dropped in the same transaction."""
        ...

    def sent(self, job: Job, now: float) -> None:
        """The notice has gone out. The first page of a case makes it ``notified``."""
        ...

    def failed(self, job: Job, retry_at: float | None, now: float) -> None:
        """It has not: try again then, or, with ``None``, it is a dead letter."""
        ...

    def expire(self, id: str, now: float) -> Case: ...

    def unanswered(self) -> list[Case]:
        """Cases that nobody has answered, oldest first."""
        ...

    def counts(self) -> dict[State, int]: ...
    def dead_letters(self) -> int: ...
