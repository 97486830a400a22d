"""Tells humans until somebody answers.

Every notice is a row in the store before it is a request, leased while it is being sent: a dispatcher that is
killed loses nothing, and what it had leased is taken up when the lease ends. Which pages are due follows from
the cases themselves at each look, so there is no moment at which a case could be kept and its page forgotten.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable, Mapping, Sequence

from escalation.case import Case
from escalation.channels import Channel
from escalation.delivery import Delivery, Redact, Told
from escalation.desk import Desk
from escalation.ladder import Ladders, Page, pages
from escalation.store import CaseStore, Job, StoreError

__all__ = ["Dispatcher", "Told"]

LEASE = 75.0
"""Longer than any delivery takes: redaction, two tries, and noting what came of it."""

EVERY = 1.0
BATCH = 25
AT_ONCE = 25
"""Notices on their way to one channel (not more than twice as many); a channel that hangs gets no more of
them, and holds up no other."""


class Dispatcher:
    """One per data folder. ``run`` is awaited by its owner; ``step`` does what is due now, and nothing else.

    Without channels it does nothing: cases stay open.
    """

    def __init__(
        self,
        desk: Desk,
        channels: Mapping[str, Channel],
        ladders: Ladders,
        redact: Redact,
        now: Callable[[], float],
        *,
        public_url: str = "",
        on_told: Callable[[Told], None] = lambda told: None,
        on_dead: Callable[[Told], None] = lambda told: None,
    ) -> None:
        self._desk, self._everybody, self._ladders, self._now = desk, tuple(channels), ladders, now
        self._delivery = Delivery(desk, channels, redact, now, public_url, on_told, on_dead)
        self._queued: dict[str, set[str]] = {}
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something changed: look now."""
        self._woken.set()

    async def run(self) -> None:
        """Look whenever woken, and every second besides. Ends only when cancelled."""
        flying: collections.Counter[str] = collections.Counter()
        async with asyncio.TaskGroup() as deliveries:
            while True:
                jobs = await self._due([name for name, count in flying.items() if count >= AT_ONCE])
                for job in jobs:
                    flying[job.channel] += 1
                    deliveries.create_task(self._fly(job, flying))
                if len(jobs) < BATCH:
                    await self._rest()

    async def _fly(self, job: Job, flying: collections.Counter[str]) -> None:
        try:
            await self._delivery.deliver(job)
        finally:
            flying[job.channel] -= 1

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(EVERY):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()

    async def step(self) -> int:
        """Queue the pages that are due and send what is queued; gives how many were tried."""
        jobs = await self._due([])
        async with asyncio.TaskGroup() as deliveries:
            for job in jobs:
                deliveries.create_task(self._delivery.deliver(job))
        return len(jobs)

    async def _due(self, skip: Sequence[str]) -> list[Job]:
        if not self._everybody:
            return []
        now = self._now()
        try:
            await self._queue(now)
            return await self._desk.in_store(lambda store: store.lease(now, now + LEASE, BATCH, skip))
        except StoreError:
            return []  # the desk's health says so; the next look tries again

    async def _queue(self, now: float) -> None:
        cases = await self._desk.in_store(lambda store: store.unanswered())
        self._queued = {case.id: self._queued.get(case.id, set()) for case in cases}
        for case in reversed(cases):
            due = pages(case, self._ladders, self._everybody, now)
            new = [page for page in due if page.key not in self._queued[case.id]]
            overdue = now >= case.deadline and case.state != "expired"
            if new or overdue:
                await self._desk.in_store(lambda store, c=case, p=new, o=overdue: _write(store, c, p, o, now))  # type: ignore[misc]
                self._queued[case.id] |= {page.key for page in new}


def _write(store: CaseStore, case: Case, due: Sequence[Page], overdue: bool, now: float) -> None:
    for page in due:
        store.schedule(case.id, page.channels, page.key, now)
    if overdue:
        store.expire(case.id, now)
