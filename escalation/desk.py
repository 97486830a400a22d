"""Where the rest of the product meets cases: commits that always end well, and looking at what there is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar

import msgspec

from escalation.case import Case, NewCase, Outcome, State
from escalation.spool import Spool
from escalation.store import CaseStore, Put, StoreError

T = TypeVar("T")

COMMIT_WITHIN = 0.1
"""Seconds the configured store has; then the local spool takes the case (fixed contract)."""


class Committed(msgspec.Struct, frozen=True):
    """What became of a commit. ``memory`` means the disk refused too: it is retried, and health is red.

    ``case`` is ``None`` where the store has not said yet which case it became.
    """

    id: str
    where: Literal["store", "spool", "memory"]
    case: Case | None = None
    created: bool = True


class Health(msgspec.Struct, frozen=True):
    """How the desk is. Nothing in it is good news unless all of it is."""

    store: bool
    spooled: int
    unreadable: int
    in_memory: int


class Desk:
    """Owns the store's thread. ``wake`` is called after each change, so that the dispatcher looks at once."""

    def __init__(self, store: CaseStore, spool: Spool, wake: Callable[[], None] = lambda: None) -> None:
        self._store, self._spool, self._wake = store, spool, wake
        self._thread = ThreadPoolExecutor(1, "cases")
        self._disk = ThreadPoolExecutor(1, "spool")
        self._in_memory: dict[str, NewCase] = {}
        self._store_ok = True
        self._commits: set[asyncio.Future[Committed]] = set()

    async def commit(self, new: NewCase, deadline: float = COMMIT_WITHIN) -> Committed:
        """Make a case durable. Never raises, and goes on when the caller is cancelled."""
        work = asyncio.ensure_future(self._commit(new, deadline))
        self._commits.add(work)
        work.add_done_callback(self._commits.discard)
        return await asyncio.shield(work)

    async def _commit(self, new: NewCase, deadline: float) -> Committed:
        loop = asyncio.get_running_loop()
        putting = loop.run_in_executor(self._thread, self._store.put, new)
        try:
            put = await asyncio.wait_for(asyncio.shield(putting), deadline)
        except (TimeoutError, StoreError):
            self._store_ok = False
            putting.add_done_callback(_look_at)  # a late success is the same id, so nothing doubles
        else:
            self._store_ok = True
            self._wake()
            return Committed(put.case.id, "store", put.case, put.created)
        try:
            await loop.run_in_executor(self._disk, self._spool.put, new)
        except OSError:
            self._in_memory[new.id] = new
            return Committed(new.id, "memory")
        return Committed(new.id, "spool")

    async def drain(self) -> int:
        """Put what had to wait into the store; gives how many. To be called every second or so."""
        if not self._in_memory and not self._spool.waiting():
            return 0
        try:
            done = await self._in_thread(lambda: self._spool.drain(self._store))
            for id, new in list(self._in_memory.items()):
                await self._in_thread(lambda new=new: self._store.put(new))  # type: ignore[misc]
                del self._in_memory[id]
                done += 1
        except (StoreError, OSError):
            self._store_ok = False
            return 0
        self._store_ok = True
        self._wake()
        return done

    async def get(self, id: str) -> Case:
        return await self._in_thread(lambda: self._store.get(id))

    async def find(self, state: State | None, limit: int, cursor: str | None) -> tuple[list[Case], str | None]:
        return await self._in_thread(lambda: self._store.find(state, limit, cursor))

    async def acknowledge(self, id: str, by: str, now: float) -> Case:
        return await self._changed(lambda: self._store.acknowledge(id, by, now))

    async def claim(self, id: str, by: str, now: float) -> Case:
        return await self._changed(lambda: self._store.claim(id, by, now))

    async def resolve(self, id: str, by: str, outcome: Outcome, note: str, now: float) -> Case:
        return await self._changed(lambda: self._store.resolve(id, by, outcome, note, now))

    async def in_store(self, work: Callable[[CaseStore], T]) -> T:
        """Work with the store in its own thread."""
        return await self._in_thread(lambda: work(self._store))

    async def _changed(self, work: Callable[[], Case]) -> Case:
        case = await self._in_thread(work)
        self._wake()
        return case

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def health(self) -> Health:
        return Health(self._store_ok, len(self._spool.waiting()), self._spool.unreadable(), len(self._in_memory))

    async def close(self) -> None:
        """Let commits under way end; what is only in memory is tried once more."""
        await asyncio.gather(*self._commits, return_exceptions=True)
        await self.drain()
        self._thread.shutdown(wait=True)
        self._disk.shutdown(wait=True)


def _look_at(late: asyncio.Future[Put]) -> None:
    """A put that failed after its deadline: the spool has the case already."""
    if not late.cancelled():
        late.exception()
