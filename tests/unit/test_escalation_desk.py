"""Commits that always end well, whatever is broken."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from escalation.case import NewCase
from escalation.desk import Desk
from escalation.spool import Spool
from escalation.sqlite import SqliteCaseStore
from escalation.store import NotFound, StoreError


def new(id: str = "a", severity: int = 3, conversation: str = "c") -> NewCase:
    return NewCase(id, conversation, severity, "suicide", 100.0, 400.0, summary="suicide, severity 3", exchange="x")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteCaseStore]:
    store = SqliteCaseStore(tmp_path / "cases.db", busy=0.02)
    yield store
    store.close()


@pytest.fixture
async def desk(store: SqliteCaseStore, tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(store, Spool(tmp_path / "spool"))
    yield desk
    await desk.close()


@pytest.fixture
def blocker(store: SqliteCaseStore, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody who holds the database's lock until they roll back."""
    other = sqlite3.connect(tmp_path / "cases.db", isolation_level=None)
    other.execute("begin exclusive")
    yield other
    other.close()


async def test_a_commit_says_which_case_it_became(desk: Desk) -> None:
    first = await desk.commit(new("a"), deadline=5.0)
    second = await desk.commit(new("b", 4), deadline=5.0)
    assert (first.id, first.created, first.joined, first.where) == ("a", True, False, "store")
    assert (second.id, second.created, second.joined) == ("a", False, True)
    assert second.case is not None and second.case.severity == 4


async def test_a_locked_store_goes_to_the_spool_within_the_deadline_and_drains_without_doubles(
    desk: Desk, blocker: sqlite3.Connection
) -> None:
    committed = [await desk.commit(new(f"k{i}", conversation=f"c{i}"), deadline=0.05) for i in range(3)]
    assert {c.where for c in committed} == {"spool"}
    assert desk.health().spooled == 3 and not desk.health().store
    assert await desk.drain() == 0 and desk.health().spooled == 3
    blocker.execute("rollback")
    assert await desk.drain() == 3
    cases, _ = await desk.find()
    assert sorted(case.id for case in cases) == ["k0", "k1", "k2"]
    assert desk.health().store and desk.health().spooled == 0
    assert await desk.drain() == 0


async def test_a_store_that_answers_late_and_the_drain_make_one_case(tmp_path: Path) -> None:
    store = SqliteCaseStore(tmp_path / "cases.db", busy=10.0)
    desk = Desk(store, Spool(tmp_path / "spool"))
    other = sqlite3.connect(tmp_path / "cases.db", isolation_level=None)
    other.execute("begin exclusive")
    committed = await desk.commit(new(), deadline=0.05)
    assert committed.where == "spool"
    other.execute("rollback")
    assert await desk.drain() == 1
    cases, _ = await desk.find()
    assert [(case.id, case.exchanges) for case in cases] == [("a", ("x",))]
    await desk.close()
    store.close()


async def test_a_spooled_case_that_joins_another_is_still_found_by_its_id(
    desk: Desk, store: SqliteCaseStore, blocker: sqlite3.Connection
) -> None:
    blocker.execute("rollback")
    await desk.commit(new("a"), deadline=5.0)
    blocker.execute("begin exclusive")
    spooled = await desk.commit(new("b"), deadline=0.05)
    blocker.execute("rollback")
    await desk.drain()
    assert spooled.id == "b" and (await desk.acknowledge("b", "ann", 120.0)).id == "a"


async def test_a_long_backlog_drains_whole(desk: Desk, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    for i in range(35):
        spool.put(new(f"k{i}", conversation=f"c{i}"))
    assert await desk.drain() == 35
    assert (await desk.counts())["open"] == 35


async def test_when_the_disk_refuses_too_the_case_is_kept_and_said(
    desk: Desk, blocker: sqlite3.Connection, tmp_path: Path
) -> None:
    (tmp_path / "spool").rmdir()
    committed = await desk.commit(new(), deadline=0.05)
    assert committed.where == "memory" and desk.health().in_memory == 1
    blocker.execute("rollback")
    assert await desk.drain() == 1 and desk.health().in_memory == 0
    assert (await desk.get("a")).id == "a"


async def test_who_asks_how_it_is_hears_of_a_spool_that_cannot_be_looked_at(desk: Desk) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, most[1]))
    try:
        assert not desk.health().spool
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, most)
    assert desk.health().spool


async def test_what_is_in_memory_goes_to_the_disk_as_soon_as_that_works_again(
    desk: Desk, blocker: sqlite3.Connection, tmp_path: Path
) -> None:
    (tmp_path / "spool").rmdir()
    await desk.commit(new(), deadline=0.05)
    (tmp_path / "spool").mkdir()
    await desk.drain()
    assert desk.health().in_memory == 0 and desk.health().spooled == 1


async def test_a_caller_that_goes_away_never_cancels_a_commit(desk: Desk, store: SqliteCaseStore) -> None:
    caller = asyncio.ensure_future(desk.commit(new(), deadline=5.0))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await desk.close()
    assert store.get("a").id == "a"


async def test_a_caller_that_goes_away_while_the_case_is_being_spooled_loses_nothing(
    desk: Desk, blocker: sqlite3.Connection
) -> None:
    caller = asyncio.ensure_future(desk.commit(new(), deadline=0.05))
    await asyncio.sleep(0.01)
    caller.cancel()
    await desk.close()
    assert desk.health().spooled == 1


@pytest.mark.parametrize(
    "odd",
    [
        msgspec.structs.replace(new("odd", conversation="z"), summary="\ud800"),
        new("odd", 2**70, conversation="z"),
        new("x" * 5000, conversation="z"),
    ],
    ids=["not text", "no severity", "endless id"],
)
async def test_a_commit_never_raises_whatever_it_is_given(desk: Desk, odd: NewCase) -> None:
    assert (await desk.commit(odd, deadline=5.0)).where in ("store", "spool", "memory")
    assert (await desk.commit(new(), deadline=5.0)).where == "store", "the next one goes through"
    await desk.drain()
    await desk.drain()
    assert (await desk.get("a")).id == "a"


async def test_a_commit_after_the_end_is_kept_and_does_not_raise(store: SqliteCaseStore, tmp_path: Path) -> None:
    desk = Desk(store, Spool(tmp_path / "spool"))
    await desk.close()
    assert (await desk.commit(new(), deadline=5.0)).where == "memory"
    assert not desk.health().store


async def test_health_turns_red_without_a_commit_and_tells_who_waits(
    desk: Desk, store: SqliteCaseStore, tmp_path: Path
) -> None:
    await desk.commit(new(), deadline=5.0)
    await desk.drain()
    assert desk.health().waiting_since == 100.0 and desk.health().store
    (tmp_path / "cases.db").rename(tmp_path / "moved.db")
    await desk.drain()
    assert not desk.health().store
    with pytest.raises(StoreError):
        await desk.get("a")
    (tmp_path / "moved.db").rename(tmp_path / "cases.db")
    with pytest.raises(NotFound):
        await desk.get("zz")
    assert desk.health().store, "a question that has no answer is no fault of the store"


async def test_an_unreadable_spool_file_is_set_aside_for_a_human(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "spool" / "broken.json").write_bytes(b"{")
    Spool(tmp_path / "spool").put(new())
    assert await desk.drain() == 1
    assert desk.health().unreadable == 1
    assert (tmp_path / "spool" / "broken.bad").read_bytes() == b"{"


async def test_a_writer_killed_in_the_middle_leaves_nothing_behind_that_is_lost(desk: Desk, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.put(new())
    (tmp_path / "spool" / "a.json").rename(tmp_path / "spool" / "a.tmp")
    (tmp_path / "spool" / "torn.tmp").write_bytes(b'{"id":"to')
    Spool(tmp_path / "spool")
    assert await desk.drain() == 1 and (await desk.get("a")).id == "a"
    assert desk.health().unreadable == 1


def test_a_case_the_disk_had_no_room_for_is_not_taken_for_a_lost_one_at_the_next_start(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(OSError):
            spool.put(new())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    again = Spool(tmp_path / "spool")
    assert (again.waiting(), again.unreadable()) == ([], 0)


def test_an_id_never_leads_out_of_the_spool(tmp_path: Path) -> None:
    Spool(tmp_path / "deep" / "spool").put(new("../../up"))
    Spool(tmp_path / "deep" / "spool").put(new(".."))
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    assert len(Spool(tmp_path / "deep" / "spool").waiting()) == 2
