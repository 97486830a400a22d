"""Where the rest of the product meets cases: commits that always end well, and looking at what there is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar

import msgspec

from escalation.case import Case, NewCase, Outcome, State
from escalation.spool import Spool
from escalation.store import CaseStore, Refused, StoreError
from escalation.thread import StoreThread

T = TypeVar("T")

COMMIT_WITHIN = 0.1
"""Seconds the configured store has; then the local spool takes the case (fixed contract)."""

SPOOL_WITHIN = 1.0
"""Seconds the local disk has; then the case is kept in memory."""

ANSWER_WITHIN = 10.0
"""Seconds anybody else waits for the store. What was asked may still be done later."""


class Committed(msgspec.Struct, frozen=True):
    """What became of a commit. ``memory`` means the disk refused too: it is retried, and health is red.

    ``case`` is ``None`` where the store has not said yet which case it became; ``id`` leads to it all the same.
    """

    id: str
    where: Literal["store", "spool", "memory"]
    case: Case | None = None
    created: bool = True

    @property
    def joined(self) -> bool:
        """Whether it went into a case that was there."""
        return not self.created


class Health(msgspec.Struct, frozen=True):
    """How the desk is. Nothing in it is good news unless all of it is.

    ``dead_letters`` and ``waiting_since`` (POSIX seconds, of the case that has waited longest for an answer)
    are as of the last ``drain``. ``spool``: whether its folder can be looked at; if not, its counts are old.
    """

    store: bool
    spooled: int
    unreadable: int
    in_memory: int
    dead_letters: int = 0
    waiting_since: float | None = None
    spool: bool = True


class Desk:
    """Owns the store's thread. ``wake`` is called after each change, so that the dispatcher looks at once."""

    def __init__(self, store: CaseStore, spool: Spool, wake: Callable[[], None] = lambda: None) -> None:
        self._thread = StoreThread(store)
        self._disk = ThreadPoolExecutor(1, "spool")
        self._spool, self._wake = spool, wake
        self._in_memory: dict[str, NewCase] = {}
        self._commits: set[asyncio.Future[Committed]] = set()
        self._dead_letters = 0
        self._waiting_since: float | None = None
        self._in_spool = (0, 0)

    # --- what must not be lost

    async def commit(self, new: NewCase, deadline: float = COMMIT_WITHIN) -> Committed:
        """Make a case durable; the store has ``deadline`` seconds. Never raises, and goes on when the caller
        is cancelled."""
        work = asyncio.ensure_future(self._commit(new, deadline))
        self._commits.add(work)
        work.add_done_callback(self._commits.discard)
        return await asyncio.shield(work)

    async def _commit(self, new: NewCase, deadline: float) -> Committed:
        try:
            put = await self._thread.run(lambda store: store.put(new), deadline)
        except StoreError:
            # A put that succeeds late has the same id as the spooled case, so nothing doubles.
            where: Literal["spool", "memory"] = "spool" if await self._spooled(new) else "memory"
            if where == "memory":
                self._in_memory[new.id] = new
            return Committed(new.id, where)
        self._wake()
        return Committed(put.case.id, "store", put.case, put.created)

    async def _spooled(self, new: NewCase) -> bool:
        """Whether the case is on the local disk. Any failure means it is not: then memory has to keep it."""
        try:
            writing = asyncio.get_running_loop().run_in_executor(self._disk, self._spool.put, new)
            async with asyncio.timeout(SPOOL_WITHIN):
                await asyncio.shield(writing)
        except Exception:
            return False
        return True

    async def drain(self) -> int:
        """Put what had to wait into the store, and look how the store is; gives how many cases went.

        To be called every second or so.
        """
        try:
            done = await self._drain_spool() + await self._drain_memory()
            figures = await self.in_store(lambda store: (store.dead_letters(), store.oldest_unanswered()))
        except StoreError:
            await self._spool_memory()
            return 0
        self._dead_letters, self._waiting_since = figures
        if done:
            self._wake()
        return done

    async def _drain_spool(self) -> int:
        """A few at a time: new cases must not wait behind all of the old ones."""
        done = 0
        while batch := await self.in_store(self._spool.drain):
            done += batch
        return done

    async def _drain_memory(self) -> int:
        done = 0
        for id, new in list(self._in_memory.items()):
            try:
                await self.in_store(lambda store, new=new: store.put(new))  # type: ignore[misc]
            except Refused:
                continue  # it stays, and is seen in health; the others go on
            if self._in_memory.pop(id, None) is not None:
                done += 1
        return done

    async def _spool_memory(self) -> None:
        """The store still refuses; perhaps the disk does not any more."""
        for id, new in list(self._in_memory.items()):
            if not await self._spooled(new):
                return
            self._in_memory.pop(id, None)

    # --- what people and the dispatcher ask for; all may raise StoreError

    async def get(self, id: str) -> Case:
        return await self.in_store(lambda store: store.get(id))

    async def find(
        self, state: State | None = None, limit: int = 100, cursor: str | None = None
    ) -> tuple[list[Case], str | None]:
        return await self.in_store(lambda store: store.find(state, limit, cursor))

    async def acknowledge(self, id: str, by: str, now: float) -> Case:
        return await self._changed(lambda store: store.acknowledge(id, by, now))

    async def claim(self, id: str, by: str, now: float) -> Case:
        return await self._changed(lambda store: store.claim(id, by, now))

    async def resolve(self, id: str, by: str, outcome: Outcome, note: str, now: float) -> Case:
        return await self._changed(lambda store: store.resolve(id, by, outcome, note, now))

    async def counts(self) -> dict[State, int]:
        return await self.in_store(lambda store: store.counts())

    async def in_store(self, work: Callable[[CaseStore], T]) -> T:
        """Work with the store in its own thread. Raises ``StoreError``."""
        return await self._thread.run(work, ANSWER_WITHIN)

    async def _changed(self, work: Callable[[CaseStore], Case]) -> Case:
        case = await self.in_store(work)
        self._wake()
        return case

    def health(self) -> Health:
        try:
            self._in_spool = (len(self._spool.waiting()), self._spool.unreadable())
            readable = True
        except OSError:  # no file handle is free, or the disk is gone: who asks how we are must hear so
            readable = False
        return Health(
            self._thread.ok,
            *self._in_spool,
            len(self._in_memory),
            self._dead_letters,
            self._waiting_since,
            spool=readable,
        )

    async def close(self) -> None:
        """Let commits under way end; what had to wait is tried once more."""
        await asyncio.gather(*self._commits)
        await self.drain()
        self._thread.close()
        self._disk.shutdown(wait=True)
