"""Tells humans until somebody answers.

Every notice is a row in the store before it is a request, leased while it is being sent: a dispatcher that is
killed loses nothing, and what it had leased is taken up when the lease ends.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
import stamina

from escalation.case import Case
from escalation.channels import Channel, ChannelError, Notice
from escalation.desk import Desk
from escalation.ladder import Rung, pages
from escalation.store import Job, StoreError

LEASE = 90.0
ATTEMPTS = 8
FIRST_WAIT = 2.0
LONGEST_WAIT = 300.0
EVERY = 1.0
BATCH = 50
WITHHELD = "Summary withheld: redaction was not available."

Redact = Callable[[str, str], Awaitable[str]]
"""(summary, locale) -> what may leave. May raise: then the summary stays."""


class Told(msgspec.Struct, frozen=True):
    """What one channel's notice came to, for metrics and the journal."""

    channel: str
    kind: str
    outcome: str  # sent | failed | dead
    case: str


class Dispatcher:
    """One per data folder. ``run`` is awaited by its owner; ``step`` does what is due now, and nothing else."""

    def __init__(
        self,
        desk: Desk,
        channels: Mapping[str, Channel],
        rungs: Sequence[Rung],
        redact: Redact,
        now: Callable[[], float],
        *,
        public_url: str = "",
        on_told: Callable[[Told], None] = lambda told: None,
        on_dead: Callable[[Told], None] = lambda told: None,
    ) -> None:
        self._desk, self._channels, self._rungs = desk, channels, tuple(rungs)
        self._redact, self._now, self._public_url = redact, now, public_url
        self._on_told, self._on_dead = on_told, on_dead
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something changed: look now."""
        self._woken.set()

    async def run(self) -> None:
        """Look whenever woken, and every second besides."""
        while True:
            await self.step()
            try:
                await asyncio.wait_for(self._woken.wait(), EVERY)
            except TimeoutError:
                continue
            finally:
                self._woken.clear()

    async def step(self) -> int:
        """Queue the pages that are due and send what is queued; gives how many were tried."""
        now = self._now()
        try:
            await self._queue(now)
            jobs = await self._desk.in_store(lambda store: store.lease(now, now + LEASE, BATCH))
        except StoreError:
            return 0  # the desk's health says so; the next look tries again
        await asyncio.gather(*(self._send(job) for job in jobs))
        return len(jobs)

    async def _queue(self, now: float) -> None:
        for case in await self._desk.in_store(lambda store: store.unanswered()):
            for page in pages(case, self._rungs, now):
                kind = "case.opened" if page.first and case.state == "open" else "case.repaged"
                await self._desk.in_store(
                    lambda store, c=case, p=page, k=kind: store.schedule(c.id, k, p.channels, p.key, now)  # type: ignore[misc]
                )
            if now >= case.deadline and case.state != "expired":
                await self._desk.in_store(lambda store, c=case: store.expire(c.id, now))  # type: ignore[misc]

    async def _send(self, job: Job) -> None:
        channel = self._channels.get(job.channel)
        try:
            if channel is None:
                raise ChannelError("the channel is not configured any more", retryable=False)
            notice = Notice(job.id, job.kind, self._now(), await self._public(job.case))
            await self._try(channel, notice)
        except ChannelError as error:
            await self._failed(job, error)
            return
        await self._settle(lambda: self._desk.in_store(lambda store: store.sent(job, self._now())))
        self._on_told(Told(job.channel, job.kind, "sent", job.case.id))

    @staticmethod
    async def _try(channel: Channel, notice: Notice) -> None:
        """A short hiccup is ridden out here; anything longer goes back into the store."""
        async for attempt in stamina.retry_context(
            on=lambda error: isinstance(error, ChannelError) and error.retryable, attempts=2, timeout=30.0, wait_initial=0.2
        ):
            with attempt:
                await channel.send(notice)

    async def _public(self, case: Case) -> dict[str, object]:
        shown = case.public(self._public_url)
        try:
            shown["summary"] = await self._redact(case.summary, case.locale)
        except Exception:
            shown["summary"] = WITHHELD
        return shown

    async def _failed(self, job: Job, error: ChannelError) -> None:
        dead = not error.retryable or job.attempts >= ATTEMPTS
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (job.attempts - 1)) * random.uniform(0.5, 1.0)
        now = self._now()
        await self._settle(lambda: self._desk.in_store(lambda store: store.failed(job, None if dead else now + wait, now)))
        told = Told(job.channel, job.kind, "dead" if dead else "failed", job.case.id)
        self._on_told(told)
        if dead:
            self._on_dead(told)
            await self._tell_the_others(job, now)

    async def _tell_the_others(self, job: Job, now: float) -> None:
        """A channel that cannot be reached must not be the only one that was tried."""
        others = tuple(name for name in self._channels if name != job.channel)
        if others:
            key = f"{job.case.severity}:instead-of:{job.channel}"
            await self._settle(
                lambda: self._desk.in_store(lambda store: store.schedule(job.case.id, "case.repaged", others, key, now))
            )

    @staticmethod
    async def _settle(work: Callable[[], Awaitable[object]]) -> None:
        """Note an outcome. When the store refuses, the lease runs out and the notice goes again, same id."""
        try:
            await work()
        except StoreError:
            return
