"""Conversations in an SQLite file, for one proxy."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from guardrail.core.conversation import State, merged
from guardrail.store.conversations import KEEP, Change, StoreFailed, Written
from guardrail.store.identity import Prefix

SCHEMA = """
create table if not exists conversations (
  id text primary key, state blob not null, seen_at real not null
) without rowid;
create table if not exists prefixes (hash blob primary key, conversation text, seen_at real not null) without rowid;
create index if not exists conversations_seen on conversations (seen_at);
create index if not exists prefixes_seen on prefixes (seen_at);
"""
BUSY = 0.2

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(State).decode


class SqliteBackend:
    """A ``Backend`` in one file."""

    shared = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self.set_aside: Path | None = None

    def open(self, most: int) -> Mapping[Prefix, str] | None:
        """Open or create the database. A damaged one is set aside, never deleted: losing memory of calm
        conversations is better than answering nobody. Raises ``StoreFailed`` when the folder cannot be used."""
        try:
            self._db = self._connect()
        except sqlite3.DatabaseError:
            self.set_aside = self._path.with_suffix(".damaged")
            try:
                self._path.replace(self.set_aside)
                for suffix in ("-wal", "-shm"):
                    Path(f"{self._path}{suffix}").unlink(missing_ok=True)
                self._db = self._connect()
            except (OSError, sqlite3.Error) as error:
                raise StoreFailed(f"{self._path}: cannot be opened ({type(error).__name__})") from error
        with self._using() as db:
            rows = db.execute("select hash, conversation from prefixes limit ?", (most + 1,)).fetchall()
        return {prefix: owner or "" for prefix, owner in rows} if len(rows) <= most else None

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.executescript(SCHEMA)
        return connection

    def close(self) -> None:
        if self._db is not None:
            self._db.close()

    def state(self, conversation: str) -> State | None:
        with self._using() as db:
            return _state(db, conversation)

    def owners(self, prefixes: Sequence[Prefix]) -> dict[Prefix, str]:
        with self._using() as db:
            known = {prefix: _owner(db, prefix) for prefix in prefixes}
        return {prefix: owner for prefix, owner in known.items() if owner is not None}

    def write(self, changes: Sequence[Change], owners: Mapping[Prefix, tuple[str, float]]) -> Written:
        with self._using() as db:
            db.execute("begin immediate")
            states = [_whole(db, change) for change in changes]
            db.executemany(
                "insert or replace into conversations values (?, ?, ?)",
                [(s.id, _encode(s), s.trajectory.seen_at) for s in states],
            )
            db.executemany(
                "insert into prefixes values (?, ?, ?) on conflict (hash) do update set"
                " conversation = case when conversation is excluded.conversation then conversation end,"
                " seen_at = excluded.seen_at",
                [(prefix, owner or None, at) for prefix, (owner, at) in owners.items()],
            )
            shared = [prefix for prefix in owners if not _owner(db, prefix)]
            newest = max([at for _, at in owners.values()], default=0.0)
            if newest:
                db.execute("delete from conversations where seen_at < ? and seen_at > 0", (newest - KEEP,))
                db.execute("delete from prefixes where seen_at < ?", (newest - KEEP,))
            db.execute("commit")
        return Written({s.id: s for s in states}, shared)

    @contextlib.contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        assert self._db is not None, "it has been opened"
        try:
            yield self._db
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise StoreFailed(f"conversation store: {type(error).__name__}") from error


def _whole(db: sqlite3.Connection, change: Change) -> State:
    """A state with what its row says, where that was not known when it was made."""
    stored = _state(db, change.state.id) if change.unread else None
    return change.state if stored is None else merged(State(stored.id), change.state, stored)


def _state(db: sqlite3.Connection, conversation: str) -> State | None:
    row = db.execute("select state from conversations where id = ?", (conversation,)).fetchone()
    return _decode(row[0]) if row else None


def _owner(db: sqlite3.Connection, prefix: Prefix) -> str | None:
    row = db.execute("select conversation from prefixes where hash = ?", (prefix,)).fetchone()
    return (row[0] or "") if row else None
