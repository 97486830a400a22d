"""Commits that always end well, and pages that go on until somebody answers."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from escalation.case import NewCase
from escalation.channels import ChannelError, Notice
from escalation.desk import Desk
from escalation.dispatcher import ATTEMPTS, WITHHELD, Dispatcher, Told
from escalation.ladder import REPEAT_AFTER, Rung
from escalation.spool import Spool
from escalation.sqlite import SqliteCaseStore


def new(id: str = "a", severity: int = 3) -> NewCase:
    return NewCase(id, "c", severity, "suicide", 100.0, 400.0, summary="suicide, severity 3", exchange="x")


class Phone:
    """A channel that rings, or does not."""

    def __init__(self) -> None:
        self.rung: list[Notice] = []
        self.error: ChannelError | None = None

    async def send(self, notice: Notice) -> None:
        if self.error is not None:
            raise self.error
        self.rung.append(notice)


class Office:
    def __init__(self, folder: Path) -> None:
        self.now = 100.0
        self.store = SqliteCaseStore(folder / "cases.db", busy=0.02)
        self.desk = Desk(self.store, Spool(folder / "spool"))
        self.phone, self.mail = Phone(), Phone()
        self.told: list[Told] = []
        self.dead: list[Told] = []
        self.redaction: Exception | None = None
        self.dispatcher = Dispatcher(
            self.desk,
            {"phone": self.phone, "mail": self.mail},
            (Rung(0.0, ("phone",)), Rung(120.0, ("phone", "mail"))),
            self.redact,
            lambda: self.now,
            public_url="https://g.example",
            on_told=self.told.append,
            on_dead=self.dead.append,
        )

    async def redact(self, text: str, locale: str) -> str:
        if self.redaction:
            raise self.redaction
        return f"<{text}>"

    async def at(self, now: float) -> None:
        self.now = now
        while await self.dispatcher.step():
            pass


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    office = Office(tmp_path)
    yield office
    await office.desk.close()
    office.store.close()


async def test_a_case_is_paged_at_once_then_wider_until_somebody_answers(office: Office) -> None:
    await office.desk.commit(new(), deadline=5.0)
    await office.at(100.0)
    assert [n.type for n in office.phone.rung] == ["case.opened"] and not office.mail.rung
    assert (await office.desk.get("a")).state == "notified"
    await office.at(221.0)
    assert len(office.phone.rung) == 2 and len(office.mail.rung) == 1
    await office.desk.acknowledge("a", "ann", 230.0)
    await office.at(240.0)
    assert [n.type for n in office.mail.rung] == ["case.repaged", "case.acknowledged"]
    for later in (500.0, 5000.0, 1e6):
        await office.at(later)
    assert {n.type for n in office.phone.rung[2:]} == {"case.acknowledged"}


async def test_a_deadline_missed_pages_everybody_again_and_again(office: Office) -> None:
    await office.desk.commit(new(), deadline=5.0)
    await office.at(401.0)
    assert (await office.desk.get("a")).state == "expired"
    rung = len(office.mail.rung)
    await office.at(401.0 + REPEAT_AFTER)
    assert len(office.mail.rung) == rung + 1


async def test_rising_severity_is_paged_again(office: Office) -> None:
    await office.desk.commit(new(), deadline=5.0)
    await office.at(100.0)
    await office.desk.commit(new("b", 4), deadline=5.0)
    await office.at(101.0)
    assert [n.data["severity"] for n in office.phone.rung] == [3, 4]


async def test_what_leaves_is_redacted_or_withheld(office: Office) -> None:
    await office.desk.commit(new(), deadline=5.0)
    await office.at(100.0)
    assert office.phone.rung[0].data["summary"] == "<suicide, severity 3>"
    assert office.phone.rung[0].data["url"] == "https://g.example/guardrail/api/v1/cases/a"
    office.redaction = RuntimeError("no worker")
    await office.at(401.0)
    assert office.phone.rung[-1].data["summary"] == WITHHELD


async def test_a_channel_that_is_down_is_retried_under_the_same_id_then_dead_and_the_others_are_told(office: Office) -> None:
    office.phone.error = ChannelError("down")
    await office.desk.commit(new(), deadline=5.0)
    for attempt in range(ATTEMPTS):
        office.now = 100.0 + 600.0 * attempt
        await office.dispatcher.step()
    assert office.dead and office.dead[0].channel == "phone"
    await office.at(office.now + 1)
    assert office.mail.rung, "somebody else was told"
    assert await office.desk.in_store(lambda store: store.dead_letters()) >= 1


async def test_a_locked_store_goes_to_the_spool_within_the_deadline_and_drains_without_doubles(office: Office, tmp_path: Path) -> None:
    blocker = sqlite3.connect(tmp_path / "cases.db", isolation_level=None)
    blocker.execute("begin exclusive")
    committed = [await office.desk.commit(new(f"k{i}"), deadline=0.05) for i in range(3)]
    assert {c.where for c in committed} == {"spool"}
    assert office.desk.health().spooled == 3 and not office.desk.health().store
    assert await office.desk.drain() == 0
    blocker.execute("rollback")
    assert await office.desk.drain() == 3
    cases, _ = await office.desk.find(None, 10, None)
    assert len(cases) == 1 and office.desk.health().store and office.desk.health().spooled == 0
    assert await office.desk.drain() == 0


async def test_when_the_disk_refuses_too_the_case_is_kept_and_said(office: Office, tmp_path: Path) -> None:
    blocker = sqlite3.connect(tmp_path / "cases.db", isolation_level=None)
    blocker.execute("begin exclusive")
    (tmp_path / "spool").rmdir()
    committed = await office.desk.commit(new(), deadline=0.05)
    assert committed.where == "memory" and office.desk.health().in_memory == 1
    blocker.execute("rollback")
    assert await office.desk.drain() == 1
    assert (await office.desk.get("a")).id == "a"


async def test_a_caller_that_goes_away_never_cancels_a_commit(office: Office) -> None:
    caller = asyncio.ensure_future(office.desk.commit(new(), deadline=5.0))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await office.desk.close()
    assert office.store.get("a").id == "a"


async def test_an_unreadable_spool_file_is_set_aside_for_a_human(office: Office, tmp_path: Path) -> None:
    (tmp_path / "spool" / "broken.json").write_bytes(b"{")
    Spool(tmp_path / "spool").put(new())
    assert await office.desk.drain() == 1
    assert office.desk.health().unreadable == 1
    assert (tmp_path / "spool" / "broken.bad").read_bytes() == b"{"
