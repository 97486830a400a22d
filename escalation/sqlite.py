"""Cases in SQLite: WAL, ``synchronous=FULL``, every change and the notices it causes in one transaction."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from escalation.case import NEXT, STATES, UNANSWERED, Case, NewCase, Outcome, State, joined, opened
from escalation.store import Conflict, Job, NotFound, NoticeType, Put, StoreError

VERSION = 1
_SCHEMA = """
create table if not exists cases (
  id text primary key, conversation text not null, category text not null, state text not null,
  severity integer not null, opened_at real not null, data blob not null
) without rowid;
create index if not exists cases_matter on cases (conversation, category, state);
create index if not exists cases_opened on cases (opened_at desc, id desc);
create index if not exists cases_state on cases (state, opened_at desc, id desc);
create table if not exists joins (id text primary key, case_id text not null) without rowid;
create table if not exists jobs (
  id text primary key, case_id text not null, kind text not null, channel text not null,
  due_at real not null, leased_until real not null default 0, attempts integer not null default 0,
  state text not null default 'waiting'
) without rowid;
create index if not exists jobs_due on jobs (state, due_at);
"""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Case).decode
_PAGES = ("case.opened", "case.repaged")


class SqliteCaseStore:
    """A ``CaseStore`` in one file. ``busy`` is how long, in seconds, it waits for another writer."""

    def __init__(self, path: Path, busy: float = 5.0) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, timeout=busy, isolation_level=None, check_same_thread=False)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")
            found = self._db.execute("pragma user_version").fetchone()[0]
            if found > VERSION:
                raise StoreError(f"{path}: was written by a newer version; use that one")
            self._db.executescript(_SCHEMA)
            self._db.execute(f"pragma user_version = {VERSION}")
        except sqlite3.Error as error:
            raise StoreError(f"{path}: cannot be used ({_short(error)}); restore it, or move it away") from error

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._db.execute("begin immediate")
                yield self._db
                self._db.execute("commit")
            except sqlite3.Error as error:
                self._roll_back()
                raise StoreError(f"{self._path.name}: {_short(error)}") from error
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("rollback")

    # --- cases

    def put(self, new: NewCase) -> Put:
        with self._transaction() as db:
            known = db.execute("select case_id from joins where id = ?", (new.id,)).fetchone()
            if known is not None:
                return Put(_get(db, known[0]), created=False)
            row = db.execute(
                "select data from cases where conversation = ? and category = ? and state != 'resolved' limit 1",
                (new.conversation, new.category),
            ).fetchone()
            case = joined(_decode(row[0]), new) if row else opened(new)
            _save(db, case)
            db.execute("insert into joins values (?, ?)", (new.id, case.id))
            return Put(case, created=row is None)

    def get(self, id: str) -> Case:
        with self._transaction() as db:
            return _get(db, id)

    def find(self, state: State | None, limit: int, cursor: str | None) -> tuple[list[Case], str | None]:
        after_at, after_id = _read_cursor(cursor)
        query = "select data from cases where (opened_at, id) < (?, ?)"
        arguments: list[object] = [after_at, after_id]
        if state is not None:
            query += " and state = ?"
            arguments.append(state)
        with self._transaction() as db:
            rows = db.execute(f"{query} order by opened_at desc, id desc limit ?", (*arguments, limit + 1)).fetchall()
        cases = [_decode(row[0]) for row in rows]
        more = len(cases) > limit
        cases = cases[:limit]
        return cases, f"{cases[-1].opened_at!r}:{cases[-1].id}" if more else None

    def acknowledge(self, id: str, by: str, now: float) -> Case:
        def change(case: Case) -> Case:
            if case.state in ("acknowledged", "claimed"):
                return case
            return _moved(case, "acknowledged", now, acknowledged_at=now, acknowledged_by=by)

        return self._change(id, change, "case.acknowledged")

    def claim(self, id: str, by: str, now: float) -> Case:
        def change(case: Case) -> Case:
            if case.state == "claimed":
                if case.claimed_by == by:
                    return case
                raise Conflict(f"claimed by {case.claimed_by} already")
            seen = {} if case.acknowledged_at else {"acknowledged_at": now, "acknowledged_by": by}
            return _moved(case, "claimed", now, claimed_at=now, claimed_by=by, **seen)

        return self._change(id, change, "case.acknowledged")

    def resolve(self, id: str, by: str, outcome: Outcome, note: str, now: float) -> Case:
        def change(case: Case) -> Case:
            if case.state == "resolved":
                raise Conflict(f"resolved by {case.resolved_by} already")
            return _moved(case, "resolved", now, resolved_at=now, resolved_by=by, outcome=outcome, note=note)

        return self._change(id, change, "case.resolved")

    def expire(self, id: str, now: float) -> Case:
        def change(case: Case) -> Case:
            return _moved(case, "expired", now) if case.state in ("open", "notified") else case

        return self._change(id, change, None)

    def _change(self, id: str, change: Callable[[Case], Case], notice: NoticeType | None) -> Case:
        with self._transaction() as db:
            before = _get(db, id)
            after = change(before)
            if after == before:
                return before
            _save(db, after)
            if after.is_answered:
                _drop_pages(db, id)
            if notice and not (notice == "case.acknowledged" and before.is_answered):
                self._tell_those_told(db, after, notice)
            return after

    def _tell_those_told(self, db: sqlite3.Connection, case: Case, kind: NoticeType) -> None:
        """Whoever was paged learns that somebody has it."""
        told = db.execute("select distinct channel from jobs where case_id = ? and state = 'sent'", (case.id,)).fetchall()
        for (channel,) in told:
            _queue(db, f"{case.id}:{kind}", kind, case, channel, case.updated_at)

    # --- notices

    def schedule(self, id: str, kind: NoticeType, channels: tuple[str, ...], key: str, now: float) -> None:
        with self._transaction() as db:
            case = _get(db, id)
            if kind in _PAGES and case.is_answered:
                return
            for channel in channels:
                _queue(db, f"{id}:{key}", kind, case, channel, now)

    def lease(self, now: float, until: float, limit: int) -> list[Job]:
        with self._transaction() as db:
            rows = db.execute(
                "select id, case_id, kind, channel, attempts from jobs"
                " where state = 'waiting' and due_at <= ? and leased_until <= ? order by due_at limit ?",
                (now, now, limit),
            ).fetchall()
            jobs = []
            for id, case_id, kind, channel, attempts in rows:
                case = _get(db, case_id)
                if kind in _PAGES and case.is_answered:
                    db.execute("update jobs set state = 'dropped' where id = ?", (id,))
                    continue
                db.execute("update jobs set leased_until = ?, attempts = attempts + 1 where id = ?", (until, id))
                jobs.append(Job(id, kind, case, channel, attempts + 1))
            return jobs

    def sent(self, job: Job, now: float) -> None:
        with self._transaction() as db:
            db.execute("update jobs set state = 'sent', leased_until = 0 where id = ?", (job.id,))
            case = _get(db, job.case.id)
            if job.kind in _PAGES and case.state == "open":
                _save(db, _moved(case, "notified", now))

    def failed(self, job: Job, retry_at: float | None, now: float) -> None:
        with self._transaction() as db:
            state = "waiting" if retry_at is not None else "dead"
            db.execute(
                "update jobs set state = ?, due_at = ?, leased_until = 0 where id = ? and state = 'waiting'",
                (state, retry_at if retry_at is not None else now, job.id),
            )

    # --- looking

    def unanswered(self) -> list[Case]:
        marks = ", ".join("?" for _ in UNANSWERED)
        with self._transaction() as db:
            rows = db.execute(f"select data from cases where state in ({marks}) order by opened_at limit 10000", UNANSWERED)
            return [_decode(row[0]) for row in rows]

    def counts(self) -> dict[State, int]:
        with self._transaction() as db:
            found = dict(db.execute("select state, count(*) from cases group by state").fetchall())
        return {state: found.get(state, 0) for state in STATES}

    def dead_letters(self) -> int:
        with self._transaction() as db:
            return int(db.execute("select count(*) from jobs where state = 'dead'").fetchone()[0])


def _get(db: sqlite3.Connection, id: str) -> Case:
    row = db.execute("select data from cases where id = ?", (id,)).fetchone()
    if row is None:
        raise NotFound("there is no such case")
    return _decode(row[0])


def _save(db: sqlite3.Connection, case: Case) -> None:
    db.execute(
        "insert or replace into cases values (?, ?, ?, ?, ?, ?, ?)",
        (case.id, case.conversation, case.category, case.state, case.severity, case.opened_at, _encode(case)),
    )


def _moved(case: Case, state: State, now: float, **fields: object) -> Case:
    if state not in NEXT[case.state]:
        raise Conflict(f"it is {case.state} already")
    return msgspec.structs.replace(case, state=state, updated_at=max(now, case.updated_at), **fields)


def _queue(db: sqlite3.Connection, key: str, kind: str, case: Case, channel: str, due: float) -> None:
    db.execute(
        "insert or ignore into jobs (id, case_id, kind, channel, due_at) values (?, ?, ?, ?, ?)",
        (f"{key}:{channel}", case.id, kind, channel, due),
    )


def _drop_pages(db: sqlite3.Connection, id: str) -> None:
    db.execute(
        "update jobs set state = 'dropped' where case_id = ? and state = 'waiting' and kind in (?, ?)", (id, *_PAGES)
    )


def _read_cursor(cursor: str | None) -> tuple[float, str]:
    if cursor is None:
        return float("inf"), ""
    at, _, id = cursor.partition(":")
    try:
        return float(at), id
    except ValueError as error:
        raise Conflict("the cursor is not one of ours; begin without it") from error


def _short(error: sqlite3.Error) -> str:
    return str(error).splitlines()[0][:120] if error.args else type(error).__name__
