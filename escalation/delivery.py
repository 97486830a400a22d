"""One notice, brought to one channel: made, redacted, tried, and what came of it noted in the store."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping

import msgspec
import stamina

from escalation.case import Case
from escalation.channels import Channel, ChannelError, Notice
from escalation.desk import Desk
from escalation.store import CaseStore, Job, StoreError

ATTEMPTS = 8
"""Durable attempts before a notice is a dead letter: about two and a half minutes, so that the others are
told within the five minutes that the most urgent cases have."""

FIRST_WAIT = 2.0
LONGEST_WAIT = 60.0
SEND_WITHIN = 15.0
REDACT_WITHIN = 10.0
WITHHELD = "Summary withheld: redaction was not available."
_SUMMARY_CHARS = 1000
_JITTER = random.SystemRandom()

Redact = Callable[[str, str], Awaitable[str]]
"""(summary, locale) -> what may leave. May raise: then the summary stays."""


class Told(msgspec.Struct, frozen=True):
    """What one attempt came to, for metrics and the journal. ``outcome``: ``sent``, ``failed`` or ``dead``."""

    channel: str
    kind: str
    outcome: str
    case: str


class _Answered(Exception):
    """Somebody answered between lease and sending."""


class Delivery:
    """Sends leased jobs. ``on_dead`` is the alarm: a channel could not be reached, and a human must look."""

    def __init__(
        self,
        desk: Desk,
        channels: Mapping[str, Channel],
        redact: Redact,
        now: Callable[[], float],
        public_url: str,
        on_told: Callable[[Told], None],
        on_dead: Callable[[Told], None],
    ) -> None:
        self._desk, self._channels, self._redact = desk, channels, redact
        self._now, self._public_url = now, public_url
        self._on_told, self._on_dead = on_told, on_dead

    async def deliver(self, job: Job) -> None:
        """Send it, or note that it failed. Cancelled, it gives the job back: the next to look sends it."""
        try:
            await self._send(job)
        except _Answered:
            return  # the answer has dropped the job already
        except ChannelError as error:
            await self._failed(job, error)
        except asyncio.CancelledError:
            await self._note(lambda store: store.failed(job, self._now(), self._now()))
            raise
        else:
            await self._note(lambda store: store.sent(job, self._now()))
            self._on_told(Told(job.channel, job.kind, "sent", job.case.id))

    async def _send(self, job: Job) -> None:
        channel = self._channels.get(job.channel)
        if channel is None:
            raise ChannelError("the channel is not configured any more", retryable=False)
        notice = Notice(job.id, job.kind, self._now(), await self._public(job.case))
        async for attempt in stamina.retry_context(on=_is_hiccup, attempts=2, timeout=SEND_WITHIN, wait_initial=0.2):
            with attempt:
                if job.is_page and await self._is_answered(job.case.id):
                    raise _Answered
                await _bounded(channel, notice)

    async def _is_answered(self, id: str) -> bool:
        try:
            return (await self._desk.get(id)).is_answered
        except StoreError:
            return False  # unknown: one page too many is better than one too few

    async def _public(self, case: Case) -> dict[str, object]:
        """What leaves the house. A note is written by a human about a human: it stays."""
        shown = case.public(self._public_url)
        del shown["note"]
        try:
            async with asyncio.timeout(REDACT_WITHIN):
                shown["summary"] = (await self._redact(case.summary, case.locale))[:_SUMMARY_CHARS]
        except Exception:
            shown["summary"] = WITHHELD
        return shown

    async def _failed(self, job: Job, error: ChannelError) -> None:
        dead = not error.retryable or job.attempts >= ATTEMPTS
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (job.attempts - 1)) * _JITTER.uniform(0.5, 1.0)
        now = self._now()
        await self._note(lambda store: store.failed(job, None if dead else now + wait, now))
        told = Told(job.channel, job.kind, "dead" if dead else "failed", job.case.id)
        self._on_told(told)
        if dead:
            self._on_dead(told)
            await self._tell_the_others(job, now)

    async def _tell_the_others(self, job: Job, now: float) -> None:
        """A channel that cannot be reached must not be the only one that was tried."""
        others = tuple(name for name in self._channels if name != job.channel)
        if job.is_page and others:
            key = f"{job.case.severity}:instead-of:{job.channel}"
            await self._note(lambda store: store.schedule(job.case.id, others, key, now))

    async def _note(self, work: Callable[[CaseStore], object]) -> None:
        """Note an outcome. When the store refuses, the lease runs out and the notice goes again, same id."""
        try:
            await self._desk.in_store(work)
        except StoreError:
            return  # seen in the desk's health


async def _bounded(channel: Channel, notice: Notice) -> None:
    """Whatever goes wrong in a channel, a library's surprise included, is a notice that was not delivered."""
    try:
        async with asyncio.timeout(SEND_WITHIN):
            await channel.send(notice)
    except ChannelError:
        raise
    except Exception as error:
        raise ChannelError(type(error).__name__) from error


def _is_hiccup(error: Exception) -> bool:
    """Worth a second try at once; anything longer goes back into the store."""
    return isinstance(error, ChannelError) and error.retryable
