"""What a case store promises. One suite of tests runs against every backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from escalation.case import Case, NewCase, Outcome, State

NoticeType = Literal["case.opened", "case.repaged", "case.acknowledged", "case.resolved"]

PAGES: tuple[NoticeType, ...] = ("case.opened", "case.repaged")
"""The notices that ask somebody to answer. The others tell that somebody did."""


class StoreError(Exception):
    """The store did not do it: locked, full, broken. ``str(error)`` is one line without case content."""


class StoreDamaged(StoreError):
    """What the store kept cannot be read any more."""


class NotFound(StoreError):
    """There is no such case."""


class Conflict(StoreError):
    """Somebody else was first, or the case is past that. ``str(error)`` says which, fit for a person."""


class Refused(StoreError):
    """The store works, and will not take this value: trying again does not help. It needs a human."""


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

    @property
    def is_page(self) -> bool:
        """Whether it asks for an answer, and so is not sent any more once there is one."""
        return self.kind in PAGES


class CaseStore(Protocol):
    """Synchronous, used from one thread at a time. Each change and the notices it causes are one transaction.

    Every method may raise ``StoreError``; times are POSIX seconds. A case is known by the id of every
    ``put`` that went into it.
    """

    def put(self, new: NewCase) -> Put:
        """Open a case; the same id again changes nothing. An unresolved case of the same conversation and
        category is joined instead: severity only rises, a rise is told again."""
        ...

    def get(self, id: str) -> Case: ...

    def find(self, state: State | None, limit: int, cursor: str | None) -> tuple[list[Case], str | None]:
        """Newest first, at most ``limit`` (1 to 1000), and where to go on."""
        ...

    def acknowledge(self, id: str, by: str, now: float) -> Case:
        """Somebody has seen it: nobody is paged any more, and whoever was paged is told."""
        ...

    def claim(self, id: str, by: str, now: float) -> Case:
        """Somebody takes it. ``Conflict`` when somebody else has; the same ``by`` again changes nothing."""
        ...

    def resolve(self, id: str, by: str, outcome: Outcome, note: str, now: float) -> Case: ...

    def expire(self, id: str, now: float) -> Case:
        """Its deadline has passed. Changes nothing once somebody has answered."""
        ...

    def schedule(self, id: str, channels: Sequence[str], key: str, now: float) -> None:
        """Queue a page to each channel, unless somebody has answered. The same ``key`` again queues nothing.

        A channel for which a page of this case, at this severity, still waits is not given a second one.
        It is ``case.opened`` as long as no page of the case has got through or waits, then ``case.repaged``.
        """
        ...

    def lease(self, now: float, until: float, limit: int, skip: Sequence[str] = ()) -> list[Job]:
        """Take due notices, most urgent first, none for the channels in ``skip``. Nobody else gets them
        before ``until``. Pages of a case that has been answered are dropped in the same transaction."""
        ...

    def sent(self, job: Job, now: float) -> None:
        """The notice has gone out. The first page of a case makes it ``notified``."""
        ...

    def failed(self, job: Job, retry_at: float | None, now: float) -> None:
        """It has not: try again then, or, with ``None``, it is a dead letter."""
        ...

    def unanswered(self) -> list[Case]:
        """Cases that nobody has answered, oldest first; of more than 10,000 the newest, which nobody knows of."""
        ...

    def oldest_unanswered(self) -> float | None:
        """Since when the case that has waited longest for an answer has been waiting."""
        ...

    def counts(self) -> dict[State, int]: ...

    def dead_letters(self) -> int:
        """Notices given up, of cases that are not resolved yet."""
        ...

    def close(self) -> None: ...
