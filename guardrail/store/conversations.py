"""Conversations in SQLite, with what is in use kept in memory.

One thread owns the database. A calm turn costs no disk access and no wait: its state is in memory at once
and written with others in one transaction. A rise of the latch waits until it is on disk. Rows hold
numbers and hashes, never words.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import msgspec

from guardrail.core.conversation import State, merged
from guardrail.core.model import Severity
from guardrail.store.identity import Prefix

SCHEMA = """
create table if not exists conversations (
  id text primary key, state blob not null, seen_at real not null
) without rowid;
create table if not exists prefixes (hash blob primary key, conversation text, seen_at real not null) without rowid;
create index if not exists conversations_seen on conversations (seen_at);
create index if not exists prefixes_seen on prefixes (seen_at);
"""
KEEP = 90 * 24 * 3600.0
"""Seconds after which an unvisited conversation is forgotten; a latch steps down long before."""

BATCH_WAIT = 0.05
BUSY = 0.2

SLICES = 5
"""Parts of a deadline that have to pass, each with a turn of the loop."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(State).decode


T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class StoreFailed(Exception):
    """The store did not answer in time, or not at all. ``str(error)`` is one line without content."""


class Conversations:
    """The store. ``open`` before use and ``close`` after; all other methods are for the event loop.

    ``size`` bounds the conversations, and four times as many prefixes, that are kept in memory.
    """

    def __init__(self, path: Path, size: int = 10_000) -> None:
        self._path = path
        self._size = size
        self._states: OrderedDict[str, State] = OrderedDict()
        self._owners: OrderedDict[Prefix, str] = OrderedDict()
        self._unread: OrderedDict[str, None] = OrderedDict()
        """Conversations whose row could not be read: what is known of them may not be all, nor replace it."""
        self._unwritten_states: dict[str, State] = {}
        self._unwritten_owners: dict[Prefix, tuple[str, float]] = {}
        self._jobs: queue.SimpleQueue[Callable[[sqlite3.Connection], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._all_in_memory = False
        """Whether memory holds every prefix there is, so that one it does not know is known to nobody."""
        self.healthy = True
        self.set_aside: Path | None = None
        """Where a damaged database was moved at start, when there was one."""

    # --- life

    def open(self) -> None:
        """Open or create the database. A damaged one is set aside, never deleted: losing memory of calm
        conversations is better than answering nobody. Raises ``StoreFailed`` when the folder cannot be used."""
        try:
            connection = self._connect()
        except sqlite3.DatabaseError:
            self.set_aside = self._path.with_suffix(".damaged")
            try:
                self._path.replace(self.set_aside)
                for suffix in ("-wal", "-shm"):
                    Path(f"{self._path}{suffix}").unlink(missing_ok=True)
                connection = self._connect()
            except (OSError, sqlite3.Error) as error:
                raise StoreFailed(f"{self._path}: cannot be opened ({type(error).__name__})") from error
        rows = connection.execute("select hash, conversation from prefixes limit ?", (self._size * 4 + 1,)).fetchall()
        if len(rows) <= self._size * 4:
            self._owners.update((hash, owner or "") for hash, owner in rows)
            self._all_in_memory = True
        self._thread = threading.Thread(target=self._work, args=(connection,), name="conversations", daemon=True)
        self._thread.start()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.executescript(SCHEMA)
        return connection

    def close(self) -> None:
        """Write what is unwritten and stop."""
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is not None:
            self._jobs.put(self._write)
            self._jobs.put(None)
            self._thread.join(timeout=10)
            self._thread = None

    # --- reading

    async def get(self, conversation: str, deadline: float) -> State | None:
        """A conversation's state, or ``None`` when it is not known. Raises ``StoreFailed``."""
        state = self._states.get(conversation) or self._unwritten_states.get(conversation)
        if state is None or conversation in self._unread:
            try:
                stored = await self._ask(lambda db: _read_state(db, conversation), deadline)
            except StoreFailed:
                put(self._unread, conversation, None, self._size)
                if state is None:
                    raise
            else:
                self._unread.pop(conversation, None)
                state = _joined(state, stored)
        if state is not None:
            put(self._states, conversation, state, self._size)
        return state

    def peek(self, conversation: str) -> State | None:
        """The state if it is in memory."""
        return self._states.get(conversation)

    async def owner(self, prefixes: Sequence[Prefix], deadline: float) -> tuple[int, str] | None:
        """The last of these prefixes that belongs to exactly one conversation: its index, and whose it is."""
        last = prefixes[-1]
        owner = self._owners.get(last)
        if owner:
            return len(prefixes) - 1, owner
        if self._all_in_memory:
            found: dict[Prefix, str] = {}
        else:
            found = await self._ask(lambda db: _read_owners(db, prefixes), deadline)
        for prefix in prefixes:
            if prefix in self._owners:
                found[prefix] = self._owners[prefix]
            elif prefix in self._unwritten_owners:
                found[prefix] = self._unwritten_owners[prefix][0]
        for at in range(len(prefixes) - 1, -1, -1):
            if found.get(prefixes[at]):
                return at, found[prefixes[at]]
        return None

    async def _ask(self, read: Callable[[sqlite3.Connection], T], deadline: float) -> T:
        answer: Future[T] = Future()
        self._jobs.put(lambda db: _answer(answer, read, db))
        waiting = asyncio.wrap_future(answer)
        try:
            # In slices: while something else held the loop, the store may have answered and not been heard.
            for _ in range(SLICES):
                if await asyncio.wait((waiting,), timeout=deadline / SLICES) != (set(), {waiting}):
                    return await waiting
            raise TimeoutError
        except (TimeoutError, sqlite3.Error, msgspec.ValidationError, msgspec.DecodeError) as error:
            self.healthy = False
            raise StoreFailed(f"conversation store: {type(error).__name__}") from error
        finally:
            waiting.cancel()

    # --- writing

    def remember(self, state: State) -> None:
        """Keep a state; it is on disk a moment later."""
        put(self._states, state.id, state, self._size)
        if not is_plain(state):
            with self._lock:
                self._unwritten_states[state.id] = state
            self._soon()

    def own(self, prefix: Prefix, conversation: str, at: float) -> None:
        """This conversation (``""``: nobody's) has had this prefix. Two conversations with the same one: nobody's."""
        before = self._owners.get(prefix)
        owner = conversation if before in (None, conversation) else ""
        put(self._owners, prefix, owner, self._size * 4)
        if len(self._owners) >= self._size * 4:
            self._all_in_memory = False
        known = self._states.get(owner)
        if known is not None and is_plain(known):
            return
        with self._lock:
            self._unwritten_owners[prefix] = (owner, at)
        self._soon()

    async def flush(self, deadline: float) -> None:
        """Wait until everything remembered so far is on disk. Raises ``StoreFailed``; it is retried then."""
        await self._ask(self._write, deadline)

    def retry(self) -> None:
        """Try again to write what could not be written."""
        if not self.healthy:
            self._jobs.put(self._write)

    def _soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BATCH_WAIT, self._flush_later)

    def _flush_later(self) -> None:
        self._timer = None
        self._jobs.put(self._write)

    def _write(self, db: sqlite3.Connection) -> None:
        with self._lock:
            states, self._unwritten_states = self._unwritten_states, {}
            owners, self._unwritten_owners = self._unwritten_owners, {}
        if not states and not owners:
            return
        try:
            db.execute("begin immediate")
            states = {id: self._whole(db, state) for id, state in states.items()}
            db.executemany(
                "insert or replace into conversations values (?, ?, ?)",
                [(s.id, _encode(s), s.trajectory.seen_at) for s in states.values()],
            )
            db.executemany(
                "insert into prefixes values (?, ?, ?) on conflict (hash) do update set"
                " conversation = case when conversation is excluded.conversation then conversation end,"
                " seen_at = excluded.seen_at",
                [(prefix, owner or None, at) for prefix, (owner, at) in owners.items()],
            )
            shared = [prefix for prefix in owners if not _owner_of(db, prefix)]
            newest = max([at for _, at in owners.values()], default=0.0)
            if newest:
                db.execute("delete from conversations where seen_at < ? and seen_at > 0", (newest - KEEP,))
                db.execute("delete from prefixes where seen_at < ?", (newest - KEEP,))
            db.execute("commit")
            for prefix in shared:
                if prefix in self._owners:  # memory knew one owner; the database knew another
                    self._owners[prefix] = ""
            self.healthy = True
        except sqlite3.Error:
            self.healthy = False
            if db.in_transaction:
                db.execute("rollback")
            with self._lock:
                self._unwritten_states = states | self._unwritten_states
                self._unwritten_owners = owners | self._unwritten_owners
            raise

    def _whole(self, db: sqlite3.Connection, state: State) -> State:
        """A state with what its row says, where that was not known when it was made."""
        if state.id not in self._unread:
            return state
        whole = _joined(state, _read_state(db, state.id)) or state
        if self._states.get(state.id) is state:
            self._states[state.id] = whole
        self._unread.pop(state.id, None)
        return whole

    def _work(self, db: sqlite3.Connection) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job(db)
            except sqlite3.Error:
                continue  # ``healthy`` says so, and what was to be written is kept for the next time
        db.close()


def is_plain(state: State) -> bool:
    """Whether a conversation needs no place on disk: nothing grave was ever said in it, and its history, which the
    next request brings along, tells the rest. Once it is not, it never is again."""
    return (
        state.trajectory.peak < Severity.ELEVATED
        and state.audience == "unknown"
        and not (state.episode.is_open or state.cases or state.drift)
    )


def _joined(known: State | None, stored: State | None) -> State | None:
    if known is None or stored is None:
        return known or stored
    return merged(State(known.id), known, stored)


def _answer(answer: Future[T], read: Callable[[sqlite3.Connection], T], db: sqlite3.Connection) -> None:
    if not answer.set_running_or_notify_cancel():
        return
    try:
        answer.set_result(read(db))
    except BaseException as error:  # handed to whoever waits
        answer.set_exception(error)


def _read_state(db: sqlite3.Connection, conversation: str) -> State | None:
    row = db.execute("select state from conversations where id = ?", (conversation,)).fetchone()
    return _decode(row[0]) if row else None


def _owner_of(db: sqlite3.Connection, prefix: Prefix) -> str | None:
    row = db.execute("select conversation from prefixes where hash = ?", (prefix,)).fetchone()
    return (row[0] or "") if row else None


def _read_owners(db: sqlite3.Connection, prefixes: Sequence[Prefix]) -> dict[Prefix, str]:
    found: dict[Prefix, str] = {}
    for prefix in prefixes:
        owner = _owner_of(db, prefix)
        if owner is not None:
            found[prefix] = owner
    return found


def put(cache: OrderedDict[K, V], key: K, value: V, size: int) -> None:
    """Keep the ``size`` entries that were put last."""
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > size:
        cache.popitem(last=False)
