"""Cases in SQLite: every change and the notices it causes in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from escalation import sqlite_jobs as jobs
from escalation.case import STATES, Case, NewCase, State, joined, opened
from escalation.moves import Moves, notified, read_cursor
from escalation.sqlite_file import SqliteFile
from escalation.store import Job, NotFound, NoticeType, Put

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Case).decode


class SqliteCaseStore(Moves):
    """A ``CaseStore`` in one file. ``busy`` is how long, in seconds, it waits for another writer."""

    def __init__(self, path: Path, busy: float = 5.0) -> None:
        self._file = SqliteFile(path, busy)

    def close(self) -> None:
        self._file.close()

    # --- cases

    def put(self, new: NewCase) -> Put:
        with self._file.changing() as db:
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
        with self._file.reading() as db:
            return _get(db, id)

    def find(self, state: State | None, limit: int, cursor: str | None) -> tuple[list[Case], str | None]:
        limit = max(1, min(limit, 1000))
        query = "select data from cases where (opened_at, id) < (?, ?)"
        arguments: list[object] = [*read_cursor(cursor)]
        if state is not None:
            query += " and state = ?"
            arguments.append(state)
        with self._file.reading() as db:
            rows = db.execute(f"{query} order by opened_at desc, id desc limit ?", (*arguments, limit + 1)).fetchall()
            cases = [_decode(row[0]) for row in rows[:limit]]
        return cases, f"{cases[-1].opened_at!r}:{cases[-1].id}" if len(rows) > limit else None

    def _change(self, id: str, change: Callable[[Case], Case], notice: NoticeType | None) -> Case:
        with self._file.changing() as db:
            before = _get(db, id)
            after = change(before)
            if after == before:
                return before
            _save(db, after)
            if after.is_answered:
                news = after.state == "resolved" or not before.is_answered
                jobs.answered(db, after, notice if news else None)
            return after

    # --- notices

    def schedule(self, id: str, channels: Sequence[str], key: str, now: float) -> None:
        with self._file.changing() as db:
            case = _get(db, id)
            if not case.is_answered:
                jobs.queue_pages(db, case, channels, key, now)

    def lease(self, now: float, until: float, limit: int, skip: Sequence[str] = ()) -> list[Job]:
        with self._file.changing() as db:
            return jobs.lease(db, now, until, limit, skip)

    def end_leases(self) -> int:
        """Take up what a process that is gone had taken; gives how many. For the start, where one process has the
        folder: nobody should wait for a page until a dead dispatcher's lease runs out."""
        with self._file.changing() as db:
            return jobs.end_leases(db)

    def sent(self, job: Job, now: float) -> None:
        with self._file.changing() as db:
            jobs.settle(db, job)
            if job.is_page:
                _save(db, notified(_get(db, job.case.id), job.case.severity, now))

    def failed(self, job: Job, retry_at: float | None, now: float) -> None:
        with self._file.changing() as db:
            jobs.give_back(db, job, retry_at, now)

    # --- looking

    def unanswered(self) -> list[Case]:
        with self._file.reading() as db:
            rows = db.execute(
                "select data from cases where state in ('open', 'notified', 'expired')"
                " order by opened_at desc, id desc limit 10000"
            ).fetchall()
            return [_decode(row[0]) for row in reversed(rows)]

    def oldest_unanswered(self) -> float | None:
        with self._file.reading() as db:
            query = "select min(since) from cases where state in ('open', 'notified', 'expired')"
            oldest: float | None = db.execute(query).fetchone()[0]
        return oldest

    def counts(self) -> dict[State, int]:
        with self._file.reading() as db:
            found = dict(db.execute("select state, count(*) from cases group by state").fetchall())
        return {state: found.get(state, 0) for state in STATES}

    def dead_letters(self) -> int:
        with self._file.reading() as db:
            query = (
                "select count(*) from jobs join cases on cases.id = case_id"
                " where jobs.state = 'dead' and cases.state != 'resolved'"
            )
            return int(db.execute(query).fetchone()[0])


def _get(db: sqlite3.Connection, id: str) -> Case:
    row = db.execute(
        "select data from cases where id = (select case_id from joins where joins.id = ?)", (id,)
    ).fetchone()
    if row is None:
        raise NotFound("there is no such case")
    return _decode(row[0])


def _save(db: sqlite3.Connection, case: Case) -> None:
    db.execute(
        "insert or replace into cases values (?, ?, ?, ?, ?, ?, ?)",
        (case.id, case.conversation, case.category, case.state, case.since, case.opened_at, _encode(case)),
    )
