"""One SQLite file of cases: opened with care, read and changed in transactions, its errors in one line."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

from escalation.store import Refused, StoreDamaged, StoreError

VERSION = 1
_SCHEMA = f"""
begin immediate;
create table if not exists cases (
  id text primary key, conversation text not null, category text not null, state text not null,
  since real not null, opened_at real not null, data blob not null
) without rowid;
create index if not exists cases_matter on cases (conversation, category, state);
create index if not exists cases_opened on cases (opened_at, id);
create index if not exists cases_state on cases (state, opened_at, id);
create table if not exists joins (id text primary key, case_id text not null) without rowid;
create table if not exists jobs (
  id text primary key, case_id text not null, kind text not null, channel text not null, severity integer not null,
  due_at real not null, leased_until real not null default 0, attempts integer not null default 0, state text not null
) without rowid;
create index if not exists jobs_due on jobs (state, due_at);
create index if not exists jobs_case on jobs (case_id, channel);
pragma user_version = {VERSION};
commit;
"""


def set_aside(path: Path) -> Path:
    """Move a damaged database and its log out of the way, where a human may mend it; gives where it is now.

    Nothing is ever overwritten. Raises ``OSError``.
    """
    numbers = itertools.count(1)
    aside = next(p for n in numbers if not (p := path.with_name(f"{path.stem}.damaged-{n}{path.suffix}")).exists())
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    return aside


class SqliteFile:
    """A connection for one thread at a time: WAL, ``synchronous=FULL``. ``busy`` seconds it waits for a writer.

    Raises ``StoreError``; ``Refused`` for a value that no database would take.
    """

    def __init__(self, path: Path, busy: float) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            path.touch(mode=0o600)
            self._identity = _identity(path)
            self._db = sqlite3.connect(path, timeout=busy, isolation_level=None, check_same_thread=False)
            self._prepare()
        except OSError as error:
            raise StoreError(f"{path}: cannot be used ({(error.strerror or 'error').lower()})") from error
        except sqlite3.OperationalError as error:
            raise StoreError(f"{path}: cannot be used ({_short(error)}); restore it, or move it away") from error
        except sqlite3.Error as error:
            raise StoreDamaged(f"{path}: cannot be used ({_short(error)}); restore it, or move it away") from error

    def _prepare(self) -> None:
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        found = self._db.execute("pragma user_version").fetchone()[0]
        if found > VERSION:
            raise StoreError(f"{self._path}: was written by a newer version; use that one")
        if found < VERSION:
            self._db.executescript(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent look, also while somebody else writes."""
        with self._transaction("begin") as db:
            yield db

    @contextlib.contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """All of it is on disk at the end, or none of it."""
        with self._transaction("begin immediate") as db:
            yield db

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._check_place()
            try:
                self._db.execute(begin)
                yield self._db
                self._db.execute("commit")
            except (
                UnicodeError,
                OverflowError,
                msgspec.MsgspecError,
                sqlite3.DataError,
                sqlite3.IntegrityError,
            ) as error:
                self._roll_back()
                raise Refused(f"{self._path.name}: a value cannot be kept ({type(error).__name__})") from error
            except sqlite3.Error as error:
                self._roll_back()
                raise StoreError(f"{self._path.name}: {_short(error)}") from error
            except BaseException:
                self._roll_back()
                raise

    def _check_place(self) -> None:
        """SQLite goes on writing to a file that was deleted: what it takes then is gone with the process."""
        try:
            in_place = _identity(self._path) == self._identity
        except OSError:
            in_place = False
        if not in_place:
            raise StoreError(f"{self._path}: was deleted, moved or replaced while in use; put it back and restart")

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # the error that led here is the one that is raised
            if self._db.in_transaction:
                self._db.execute("rollback")


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _short(error: sqlite3.Error) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__
