"""Notices as rows, each function within a transaction of the caller.

A row is ``waiting`` (leased while ``leased_until`` is ahead), ``sent``, ``dead``, or ``dropped``: not needed
any more. Its id is made of what it is about, so that the same notice is never queued twice.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence

import msgspec

from escalation.case import Case
from escalation.store import PAGES, Job, NoticeType

_decode = msgspec.json.Decoder(Case).decode


def queue_pages(db: sqlite3.Connection, case: Case, channels: Sequence[str], key: str, now: float) -> None:
    kind = _kind_of_page(db, case, now)
    for channel in channels:
        waits = db.execute(
            "select 1 from jobs where case_id = ? and channel = ? and severity = ? and kind in (?, ?)"
            " and state = 'waiting' and leased_until <= ? limit 1",
            (case.id, channel, case.severity, *PAGES, now),
        ).fetchone()
        _queue(db, f"{case.id}:{key}", kind, case, channel, now, "dropped" if waits else "waiting")


def _kind_of_page(db: sqlite3.Connection, case: Case, now: float) -> NoticeType:
    # What still waits to say something milder is left out: the page being queued says more.
    db.execute(
        "update jobs set state = 'dropped' where case_id = ? and severity < ? and kind in (?, ?)"
        " and state = 'waiting' and leased_until <= ?",
        (case.id, case.severity, *PAGES, now),
    )
    heard = db.execute(
        "select 1 from jobs where case_id = ? and kind in (?, ?) and state in ('sent', 'waiting') limit 1",
        (case.id, *PAGES),
    ).fetchone()
    return "case.repaged" if heard else "case.opened"


def answered(db: sqlite3.Connection, case: Case, kind: NoticeType | None) -> None:
    """Nobody is paged any more; whoever was, or is being paged right now, learns that somebody has it."""
    told = db.execute(
        "select distinct channel from jobs where case_id = ? and kind in (?, ?) and attempts > 0"
        " and state in ('sent', 'waiting', 'dropped')",
        (case.id, *PAGES),
    ).fetchall()
    db.execute(
        "update jobs set state = 'dropped' where case_id = ? and state = 'waiting' and kind in (?, ?)",
        (case.id, *PAGES),
    )
    if kind is not None:
        for (channel,) in told:
            _queue(db, f"{case.id}:{case.severity}:{kind}", kind, case, channel, case.updated_at, "waiting")


def lease(db: sqlite3.Connection, now: float, until: float, limit: int, skip: Sequence[str]) -> list[Job]:
    rows = db.execute(
        "select jobs.id, kind, channel, attempts, data from jobs join cases on cases.id = case_id"
        " where jobs.state = 'waiting' and due_at <= ? and leased_until <= ?"
        " and channel not in (select value from json_each(?))"
        # by Case.priority, as the database says it
        " order by case when jobs.severity >= 4 or json_extract(data, '$.raised') = 'urgent' then 0"
        " when jobs.severity = 3 or json_extract(data, '$.raised') = 'high' then 1 else 2 end,"
        " severity desc, due_at, jobs.id limit ?",
        (now, now, msgspec.json.encode(skip).decode(), limit),
    ).fetchall()
    jobs = []
    for id, kind, channel, attempts, data in rows:
        job = Job(id, kind, _decode(data), channel, attempts + 1)
        if job.is_page and job.case.is_answered:
            db.execute("update jobs set state = 'dropped' where id = ?", (id,))
            continue
        db.execute("update jobs set leased_until = ?, attempts = ? where id = ?", (until, job.attempts, id))
        jobs.append(job)
    return jobs


def end_leases(db: sqlite3.Connection) -> int:
    return db.execute("update jobs set leased_until = 0 where state = 'waiting' and leased_until > 0").rowcount


def settle(db: sqlite3.Connection, job: Job) -> None:
    db.execute("update jobs set state = 'sent', leased_until = 0 where id = ?", (job.id,))


def give_back(db: sqlite3.Connection, job: Job, retry_at: float | None, now: float) -> None:
    state = "dead" if retry_at is None else "waiting"
    db.execute(
        "update jobs set state = ?, due_at = ?, leased_until = 0 where id = ? and state = 'waiting'",
        (state, now if retry_at is None else retry_at, job.id),
    )


def _queue(
    db: sqlite3.Connection, key: str, kind: NoticeType, case: Case, channel: str, due: float, state: str
) -> None:
    # A channel's name is the operator's, and a webhook-id goes into a header: only a digest fits everywhere.
    id = "msg_" + hashlib.sha256(f"{key}:{channel}".encode()).hexdigest()[:32]
    db.execute(
        "insert or ignore into jobs (id, case_id, kind, channel, severity, due_at, state) values (?, ?, ?, ?, ?, ?, ?)",
        (id, case.id, kind, channel, case.severity, due, state),
    )
