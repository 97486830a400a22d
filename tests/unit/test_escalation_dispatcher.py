"""Pages that go on until somebody answers, and never after."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import stamina

from escalation.case import NewCase, rfc3339
from escalation.channels import ChannelError, Notice
from escalation.delivery import ATTEMPTS, WITHHELD
from escalation.desk import Desk
from escalation.dispatcher import AT_ONCE, LEASE, Dispatcher, Told
from escalation.ladder import LONGEST_SILENCE, Ladders, Rung
from escalation.spool import Spool
from escalation.sqlite import SqliteCaseStore

RUNGS = (Rung(0.0, ("phone",)), Rung(120.0, ("phone", "mail")))


def new(id: str = "a", severity: int = 3, deadline: float = 400.0, conversation: str = "c") -> NewCase:
    return NewCase(id, conversation, severity, "suicide", 100.0, deadline, summary="suicide, severity 3", exchange="x")


class Phone:
    """A channel that rings, refuses, or hangs until it is let go."""

    def __init__(self) -> None:
        self.rung: list[Notice] = []
        self.tried: list[Notice] = []
        self.error: Exception | None = None
        self.line = asyncio.Event()
        self.line.set()
        self.reached = asyncio.Event()

    async def send(self, notice: Notice) -> None:
        self.tried.append(notice)
        self.reached.set()
        await self.line.wait()
        if self.error is not None:
            raise self.error
        self.rung.append(notice)

    @property
    def types(self) -> list[str]:
        return [notice.type for notice in self.rung]


class Office:
    def __init__(self, folder: Path, rungs: tuple[Rung, ...] = RUNGS, *, channels: bool = True) -> None:
        self.now = 100.0
        self.store = SqliteCaseStore(folder / "cases.db", busy=0.02)
        self.desk = Desk(self.store, Spool(folder / "spool"), lambda: self.dispatcher.wake())
        self.phone, self.mail = Phone(), Phone()
        self.told: list[Told] = []
        self.dead: list[Told] = []
        self.redaction: Exception | None = None
        self.channels = {"phone": self.phone, "mail": self.mail} if channels else {}
        self.rungs = rungs
        self.dispatcher = self.make_dispatcher()

    def make_dispatcher(self) -> Dispatcher:
        return Dispatcher(
            self.desk,
            self.channels,
            Ladders(self.rungs),
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

    async def close(self) -> None:
        await self.desk.close()
        self.store.close()


@pytest.fixture(autouse=True)
def no_waiting_between_tries() -> Iterator[None]:
    stamina.set_testing(True, attempts=2)
    yield
    stamina.set_testing(False)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    office = Office(tmp_path)
    yield office
    await office.close()


async def test_a_case_is_paged_at_once_then_wider_until_somebody_answers(office: Office) -> None:
    await office.desk.commit(new(), deadline=5.0)
    await office.at(100.0)
    assert office.phone.types == ["case.opened"] and not office.mail.rung
    assert (await office.desk.get("a")).state == "notified"
    await office.at(221.0)
    assert len(office.phone.rung) == 2 and len(office.mail.rung) == 1
    await office.desk.acknowledge("a", "ann", 230.0)
    await office.at(240.0)
    assert office.mail.types == ["case.repaged", "case.acknowledged"]
    for later in (500.0, 5000.0, 1e6):
        await office.at(later)
    assert set(office.phone.types[2:]) == {"case.acknowledged"} and len(office.mail.rung) == 2
    await office.desk.resolve("a", "ann", "true_alarm", "", 1e6)
    await office.at(1e6)
    assert office.mail.types[-1] == "case.resolved" and office.mail.rung[-1].data["outcome"] == "true_alarm"


async def test_a_deadline_missed_pages_everybody_again_and_again(office: Office) -> None:
    await office.desk.commit(new(), deadline=5.0)
    await office.at(401.0)
    assert (await office.desk.get("a")).state == "expired"
    for n in range(1, 4):
        await office.at(401.0 + n * LONGEST_SILENCE)
        assert len(office.mail.rung) == 1 + n
    assert (await office.desk.claim("a", "ann", 9000.0)).state == "claimed"
    told = len(office.mail.rung)
    await office.at(1e6)
    assert [n.type for n in office.mail.rung[told:]] == ["case.acknowledged"]


@pytest.mark.parametrize("odd", [1e15, -1e15, float("inf"), -float("inf")])
async def test_a_time_no_calendar_holds_keeps_nobody_from_being_told(office: Office, odd: float) -> None:
    await office.desk.commit(new("odd", conversation="o", deadline=odd))
    await office.desk.commit(new("plain"))
    await office.at(100.0)
    assert {notice.data["id"] for notice in office.phone.rung} == {"odd", "plain"}
    listed, _ = await office.desk.in_store(lambda store: store.find(None, 10, None))
    assert all(case.public()["deadline"] for case in listed) and len(listed) == 2


def test_what_is_written_as_a_time_can_be_read_as_one() -> None:
    for at in (0.0, 253_402_300_800.0, -1e300, float("inf"), float("nan"), 253_402_300_799.0, -62_135_596_800.0):
        assert datetime.datetime.fromisoformat(str(rfc3339(at))).tzinfo is not None


async def test_after_an_outage_each_channel_is_told_once_and_not_for_every_rung_missed(office: Office) -> None:
    await office.desk.commit(new(), deadline=5.0)
    await office.at(50_000.0)
    assert len(office.phone.rung) == len(office.mail.rung) == 1


async def test_rising_severity_is_paged_again_also_when_somebody_had_claimed_it(office: Office) -> None:
    await office.desk.commit(new(), deadline=5.0)
    await office.at(100.0)
    await office.desk.claim("a", "ann", 101.0)
    await office.at(102.0)
    await office.desk.commit(new("b", 4), deadline=5.0)
    await office.at(103.0)
    pages = [n for n in office.phone.rung if n.type != "case.acknowledged"]
    assert [n.data["severity"] for n in pages] == [3, 4] and pages[0].id != pages[1].id
    await office.desk.claim("a", "ann", 104.0)
    await office.at(105.0)
    assert office.phone.types.count("case.acknowledged") == 2, "the second answer is told too"


async def test_what_leaves_is_redacted_or_withheld(office: Office) -> None:
    await office.desk.commit(new(), deadline=5.0)
    await office.at(100.0)
    assert office.phone.rung[0].data["summary"] == "<suicide, severity 3>"
    assert office.phone.rung[0].data["url"] == "https://g.example/guardrail/api/v1/cases/a"
    office.redaction = RuntimeError("no worker")
    await office.at(401.0)
    assert office.phone.rung[-1].data["summary"] == WITHHELD


async def test_a_humans_note_does_not_leave(office: Office) -> None:
    await office.desk.commit(new(), deadline=5.0)
    await office.at(100.0)
    await office.desk.resolve("a", "ann", "true_alarm", "spoke with the neighbour", 101.0)
    await office.at(102.0)
    assert office.phone.types[-1] == "case.resolved" and "neighbour" not in str(office.phone.rung)


@pytest.mark.parametrize("error", [ChannelError("down"), RuntimeError("a surprise in a library")])
async def test_a_channel_that_is_down_is_retried_under_one_id_then_dead_and_the_others_are_told(
    tmp_path: Path, error: Exception
) -> None:
    office = Office(tmp_path, RUNGS[:1])
    office.phone.error = error
    await office.desk.commit(new(deadline=1e6), deadline=5.0)
    while not office.dead:
        await office.dispatcher.step()
        office.now += 1.0
    assert {n.id for n in office.phone.tried} == {office.phone.tried[0].id}
    assert [told.outcome for told in office.told].count("failed") == ATTEMPTS - 1 and office.dead[0].channel == "phone"
    assert office.now - 100.0 < 300.0, "within the time that the most urgent have"
    await office.at(office.now)
    assert office.mail.types == ["case.opened"] and await office.desk.in_store(lambda store: store.dead_letters()) == 1
    await office.close()


async def test_what_will_never_be_delivered_is_dead_at_once(office: Office) -> None:
    office.phone.error = ChannelError("gone", retryable=False)
    await office.desk.commit(new(), deadline=5.0)
    await office.at(100.0)
    assert len(office.phone.tried) == 1 and len(office.dead) == 1 and office.mail.types == ["case.opened"]


async def test_when_nothing_got_through_it_is_not_left_until_the_deadline(tmp_path: Path) -> None:
    office = Office(tmp_path, (Rung(0.0, ("phone",)),))
    office.phone.error = office.mail.error = ChannelError("down", retryable=False)
    await office.desk.commit(new(deadline=100.0 + 24 * 3600), deadline=5.0)
    await office.at(100.0)
    office.phone.error = office.mail.error = None
    await office.at(100.0 + LONGEST_SILENCE)
    assert office.phone.types == office.mail.types == ["case.opened"]
    await office.at(100.0 + 2 * LONGEST_SILENCE)
    assert len(office.phone.rung) == 1, "it has got through: now there is time until the deadline"
    await office.close()


async def test_a_rung_for_a_channel_that_is_gone_alarms_and_tells_the_others(tmp_path: Path) -> None:
    office = Office(tmp_path, (Rung(0.0, ("pager",)),))
    await office.desk.commit(new(), deadline=5.0)
    await office.at(100.0)
    assert office.dead[0].channel == "pager" and office.phone.types == office.mail.types == ["case.opened"]
    await office.close()


async def test_without_channels_cases_stay_open_and_nothing_fails(tmp_path: Path) -> None:
    office = Office(tmp_path, (), channels=False)
    await office.desk.commit(new(), deadline=5.0)
    await office.at(1e6)
    assert (await office.desk.get("a")).state == "open" and not office.told
    await office.close()


async def test_what_a_killed_dispatcher_had_leased_is_taken_up_under_the_same_id(office: Office) -> None:
    await office.desk.commit(new(), deadline=5.0)
    office.store.schedule("a", ("phone",), "3:rung:0", 100.0)
    [leased] = office.store.lease(100.0, 100.0 + LEASE, 10)
    await office.at(100.0 + LEASE - 1)
    assert leased.id not in [n.id for n in office.phone.rung]
    await office.at(100.0 + LEASE)
    assert [n.id for n in office.phone.rung].count(leased.id) == 1


async def test_somebody_who_answers_between_lease_and_sending_is_not_paged(office: Office) -> None:
    await office.desk.commit(new(), deadline=5.0)

    async def redact(text: str, locale: str) -> str:
        await office.desk.acknowledge("a", "ann", 100.0)
        return text

    office.redact = redact  # type: ignore[method-assign]
    office.dispatcher = office.make_dispatcher()
    await office.dispatcher.step()
    assert not office.phone.tried


async def test_a_store_that_does_not_answer_delays_and_loses_nothing(office: Office, tmp_path: Path) -> None:
    await office.desk.commit(new(), deadline=5.0)
    (tmp_path / "cases.db").rename(tmp_path / "away.db")
    assert await office.dispatcher.step() == 0
    (tmp_path / "away.db").rename(tmp_path / "cases.db")
    await office.at(100.0)
    assert office.phone.types == ["case.opened"]


async def test_a_channel_that_hangs_holds_up_no_other_and_nothing_of_it_is_lost(office: Office) -> None:
    office.phone.line.clear()
    running = asyncio.ensure_future(office.dispatcher.run())
    await office.desk.commit(new(), deadline=5.0)
    await office.phone.reached.wait()
    office.now = 221.0
    await office.desk.commit(new("b", conversation="c2"), deadline=5.0)
    await asyncio.wait_for(office.mail.reached.wait(), 30)
    assert not office.phone.rung
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    office.phone.line.set()
    office.dispatcher = office.make_dispatcher()
    await office.at(221.0)
    assert {n.data["id"] for n in office.phone.rung} == {"a", "b"}, (
        "what was under way was handed back, and goes at once"
    )
    assert {n.id for n in office.phone.tried[:1]} <= {n.id for n in office.phone.rung}


async def test_a_hanging_channel_is_not_given_all_there_is_and_the_others_get_theirs(tmp_path: Path) -> None:
    office = Office(tmp_path, (Rung(0.0, ("phone", "mail")),))
    office.phone.line.clear()
    for i in range(100):
        office.store.put(new(f"k{i}", conversation=f"c{i}"))
    running = asyncio.ensure_future(office.dispatcher.run())
    async with asyncio.timeout(60):
        while len(office.mail.rung) < 100:
            office.dispatcher.wake()
            await asyncio.sleep(0.01)
    assert len(office.phone.tried) <= 2 * AT_ONCE
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await office.close()
