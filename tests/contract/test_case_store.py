"""What every case store must do, on each backend there is."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis

from escalation.case import NewCase
from escalation.redis import RedisCaseStore
from escalation.sqlite import SqliteCaseStore
from escalation.store import CaseStore, Conflict, NotFound, Refused, StoreError

BACKENDS = ("sqlite", "redis")


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CaseStore]:
    backend: CaseStore
    if request.param == "sqlite":
        backend = SqliteCaseStore(tmp_path / "cases.db", busy=0.2)
    else:
        valkey = request.getfixturevalue("valkey")
        backend = RedisCaseStore(redis.Redis.from_url(valkey.url), prefix=tmp_path.name)
    yield backend
    backend.close()


def new(
    id: str = "a", severity: int = 3, conversation: str = "c", category: str = "suicide", at: float = 100.0
) -> NewCase:
    summary = f"severity {severity}"
    return NewCase(id, conversation, severity, category, at, at + 3600, exchange=f"x-{id}", summary=summary)


def test_the_same_id_again_changes_nothing(store: CaseStore) -> None:
    first = store.put(new())
    again = store.put(new())
    assert first.created and not again.created and first.case == again.case
    assert len(store.find(None, 10, None)[0]) == 1


def test_one_open_case_a_conversation_and_category(store: CaseStore) -> None:
    first = store.put(new("a"))
    joined = store.put(new("b", at=110.0))
    other = store.put(new("c", category="self_harm"))
    elsewhere = store.put(new("d", conversation="c2"))
    assert joined.case.id == first.case.id and joined.case.exchanges == ("x-a", "x-b")
    assert {other.case.id, elsewhere.case.id} == {"c", "d"}
    assert store.put(new("b")).case.id == "a", "a joined id is known too"


def test_a_case_is_found_by_the_id_of_everything_that_went_into_it(store: CaseStore) -> None:
    store.put(new("a"))
    store.put(new("b", at=110.0))
    assert store.get("b").id == "a"
    assert store.claim("b", "ann", 120.0).id == "a"


def test_a_join_never_gives_people_more_time(store: CaseStore) -> None:
    store.put(new("a", at=100.0))
    assert store.put(new("b", at=500.0)).case.deadline == 3700.0
    sooner = NewCase("c", "c", 3, "suicide", 600.0, 700.0)
    assert store.put(sooner).case.deadline == 700.0


def test_the_most_urgent_is_told_of_first(store: CaseStore) -> None:
    waiting = [
        new("a", 3, "c1", at=100.0),
        msgspec.structs.replace(new("b", 3, "c2", at=101.0), raised="urgent"),
        new("c", 2, "c3", at=102.0),
        msgspec.structs.replace(new("d", 2, "c4", at=103.0), raised="high"),
        new("e", 4, "c5", at=104.0),
    ]
    for one in waiting:
        store.put(one)
        store.schedule(one.id, ("hook",), "1", one.opened_at)
    assert [job.case.id for job in store.lease(200.0, 290.0, 10)] == ["e", "b", "a", "d", "c"]
    assert [store.get(id).priority for id in "abcde"] == ["high", "urgent", "normal", "high", "urgent"]


@pytest.mark.parametrize("answer", ["acknowledge", "claim"])
def test_a_rise_after_an_answer_is_open_to_all_again(store: CaseStore, answer: str) -> None:
    store.put(new("a", 3))
    getattr(store, answer)("a", "ann", 105.0)
    assert store.put(new("b", 2, at=110.0)).case.severity == 3
    assert store.get("a").is_answered
    risen = store.put(new("c", 4, at=5000.0)).case
    assert (risen.severity, risen.state, risen.summary, risen.since) == (4, "open", "severity 4", 5000.0)
    assert risen.deadline == 8600.0, "the old deadline was met: the new danger has its own"
    store.schedule("a", ("hook",), "4:rung:0", 5000.0)
    assert [job.case.severity for job in store.lease(5000.0, 5090.0, 10)] == [4]
    assert store.claim("a", "bob", 5001.0).claimed_by == "bob"


def test_a_page_that_left_before_the_rise_has_told_nobody_of_it(store: CaseStore) -> None:
    store.put(new("a", 3))
    store.schedule("a", ("hook",), "3:rung:0", 100.0)
    [leaving] = store.lease(100.0, 190.0, 10)
    store.put(new("b", 4, at=101.0))
    store.sent(leaving, 102.0)
    assert store.get("a").state == "open"


def test_a_resolved_case_is_not_joined(store: CaseStore) -> None:
    store.put(new("a"))
    store.resolve("a", "ann", "true_alarm", "", 110.0)
    assert store.put(new("b", at=120.0)).case.id == "b"


def test_the_second_to_claim_is_told_who_was_first(store: CaseStore) -> None:
    store.put(new())
    assert store.claim("a", "ann", 101.0).claimed_by == "ann"
    assert store.claim("a", "ann", 102.0).claimed_at == 101.0
    with pytest.raises(Conflict, match="ann"):
        store.claim("a", "bob", 103.0)
    store.resolve("a", "ann", "false_alarm", "a song", 104.0)
    for act in (store.claim, store.acknowledge):
        with pytest.raises(Conflict):
            act("a", "bob", 105.0)
    with pytest.raises(Conflict, match="ann"):
        store.resolve("a", "bob", "test", "", 105.0)


@pytest.mark.parametrize("before", ["open", "notified", "acknowledged", "expired"])
def test_a_claim_is_legal_from_every_unresolved_state(store: CaseStore, before: str) -> None:
    store.put(new())
    if before == "notified":
        store.schedule("a", ("hook",), "k", 100.0)
        store.sent(store.lease(100.0, 200.0, 1)[0], 100.0)
    elif before == "acknowledged":
        store.acknowledge("a", "ann", 101.0)
    elif before == "expired":
        store.expire("a", 101.0)
    assert store.get("a").state == before
    assert store.claim("a", "bob", 110.0).state == "claimed"


def test_nobody_is_paged_after_somebody_answered(store: CaseStore) -> None:
    store.put(new())
    store.schedule("a", ("hook",), "rung:0", 100.0)
    [told] = store.lease(100.0, 190.0, 10)
    store.sent(told, 101.0)
    store.schedule("a", ("mail",), "rung:1", 101.0)
    store.acknowledge("a", "ann", 102.0)
    store.schedule("a", ("hook",), "rung:2", 103.0)
    later = store.lease(1000.0, 1090.0, 10)
    assert [(job.kind, job.channel) for job in later] == [("case.acknowledged", "hook")]


def test_who_is_being_paged_while_somebody_answers_learns_of_it(store: CaseStore) -> None:
    store.put(new())
    store.schedule("a", ("hook",), "rung:0", 100.0)
    [in_flight] = store.lease(100.0, 190.0, 10)
    store.acknowledge("a", "ann", 101.0)
    store.sent(in_flight, 102.0)
    assert [job.kind for job in store.lease(110.0, 190.0, 10)] == ["case.acknowledged"]


def test_one_channel_never_has_two_pages_of_one_case_waiting(store: CaseStore) -> None:
    store.put(new())
    store.schedule("a", ("hook",), "rung:0", 100.0)
    store.schedule("a", ("hook", "mail"), "rung:1", 400.0)
    assert sorted(job.channel for job in store.lease(400.0, 490.0, 10)) == ["hook", "mail"]


def test_a_rise_takes_the_place_of_a_page_that_still_waits(store: CaseStore) -> None:
    store.put(new("a", 3))
    store.schedule("a", ("hook",), "3:rung:0", 100.0)
    store.put(new("b", 4, at=101.0))
    store.schedule("a", ("hook",), "4:rung:0", 101.0)
    assert [(job.kind, job.case.severity) for job in store.lease(101.0, 190.0, 10)] == [("case.opened", 4)]


def test_the_first_page_that_gets_through_says_opened(store: CaseStore) -> None:
    store.put(new())
    store.schedule("a", ("hook",), "rung:0", 100.0)
    [lost] = store.lease(100.0, 190.0, 10)
    store.failed(lost, None, 101.0)
    store.schedule("a", ("mail",), "instead", 102.0)
    [heard] = store.lease(102.0, 190.0, 10)
    store.sent(heard, 103.0)
    store.schedule("a", ("mail",), "expired:0", 3700.0)
    [again] = store.lease(3700.0, 3790.0, 10)
    assert [lost.kind, heard.kind, again.kind] == ["case.opened", "case.opened", "case.repaged"]


def test_the_most_urgent_goes_first_and_a_hanging_channel_holds_up_no_other(store: CaseStore) -> None:
    for id, severity in (("a", 3), ("b", 4), ("c", 3)):
        store.put(new(id, severity, conversation=id))
        store.schedule(id, ("hook", "mail"), "rung:0", 100.0)
    assert [job.case.id for job in store.lease(101.0, 190.0, 1, skip=["hook"])] == ["b"]
    rest = store.lease(101.0, 190.0, 10, skip=["hook"])
    assert {job.channel for job in rest} == {"mail"} and len(rest) == 2


def test_the_same_page_is_queued_once(store: CaseStore) -> None:
    store.put(new())
    for _ in range(3):
        store.schedule("a", ("hook",), "rung:0", 100.0)
    jobs = store.lease(100.0, 190.0, 10)
    assert len(jobs) == 1
    store.schedule("a", ("hook",), "rung:0", 100.0)
    assert store.lease(150.0, 190.0, 10) == [], "it is leased"
    [again] = store.lease(191.0, 290.0, 10)
    assert again.id == jobs[0].id and again.attempts == 2, "a lease that ran out is taken up under the same id"


def test_a_failed_notice_waits_and_a_dead_one_is_counted(store: CaseStore) -> None:
    store.put(new())
    store.schedule("a", ("hook",), "k", 100.0)
    [job] = store.lease(100.0, 190.0, 10)
    store.failed(job, 150.0, 101.0)
    assert store.lease(149.0, 200.0, 10) == []
    [job] = store.lease(150.0, 200.0, 10)
    store.failed(job, None, 151.0)
    assert store.lease(1e9, 2e9, 10) == [] and store.dead_letters() == 1


def test_dead_letters_count_until_a_human_has_resolved_the_case(store: CaseStore) -> None:
    store.put(new())
    store.schedule("a", ("hook",), "k", 100.0)
    [job] = store.lease(100.0, 190.0, 10)
    store.failed(job, None, 101.0)
    store.acknowledge("a", "ann", 102.0)
    assert store.dead_letters() == 1 and store.lease(1e9, 2e9, 10) == [], "a dead channel is not told of the answer"
    store.resolve("a", "ann", "true_alarm", "", 103.0)
    assert store.dead_letters() == 0


def test_whoever_waits_longest_is_known(store: CaseStore) -> None:
    assert store.oldest_unanswered() is None
    store.put(new("a", at=100.0))
    store.put(new("b", conversation="c2", at=200.0))
    assert store.oldest_unanswered() == 100.0 and [case.id for case in store.unanswered()] == ["a", "b"]
    store.acknowledge("a", "ann", 300.0)
    assert store.oldest_unanswered() == 200.0 and [case.id for case in store.unanswered()] == ["b"]


def test_an_answer_that_came_in_time_is_not_undone_by_the_deadline(store: CaseStore) -> None:
    store.put(new())
    store.claim("a", "ann", 101.0)
    assert store.expire("a", 4000.0).state == "claimed"


def test_a_long_conversation_keeps_its_first_exchange_and_its_latest(store: CaseStore) -> None:
    for i in range(60):
        store.put(new(f"k{i}", at=100.0 + i))
    kept = store.get("k0").exchanges
    assert kept[0] == "x-k0" and kept[-1] == "x-k59" and len(kept) == 50


def test_what_cannot_be_kept_is_refused_in_one_line(store: CaseStore) -> None:
    with pytest.raises(Refused) as error:
        store.put(msgspec.structs.replace(new(), summary="\ud800"))
    assert "\n" not in str(error.value)
    assert store.put(new()).created, "and the store goes on"


def test_all_is_there_after_the_process_has_ended(tmp_path: Path) -> None:
    first = SqliteCaseStore(tmp_path / "cases.db")
    first.put(new())
    first.schedule("a", ("hook",), "rung:0", 100.0)
    first.close()
    second = SqliteCaseStore(tmp_path / "cases.db")
    assert second.get("a").severity == 3 and [job.channel for job in second.lease(100.0, 190.0, 10)] == ["hook"]
    second.close()


def test_lists_page_through_everything_newest_first(store: CaseStore) -> None:
    for i in range(25):
        store.put(new(f"k{i:02}", conversation=f"c{i}", at=100.0 + i // 2))
    seen: list[str] = []
    cursor = None
    while True:
        cases, cursor = store.find(None, 7, cursor)
        seen += [case.id for case in cases]
        if cursor is None:
            break
    assert seen == sorted(seen, key=lambda id: (int(id[1:]) // 2, id), reverse=True)
    assert len(set(seen)) == 25
    assert store.counts()["open"] == 25
    with pytest.raises(Conflict):
        store.find(None, 7, "nonsense")


def test_a_case_nobody_knows(store: CaseStore) -> None:
    with pytest.raises(NotFound):
        store.get("zz")
    for act in (store.claim, store.acknowledge):
        with pytest.raises(NotFound):
            act("zz", "ann", 1.0)


def test_two_at_once_one_claims(store: CaseStore) -> None:
    store.put(new())
    outcomes: list[str] = []

    def claim(name: str) -> None:
        try:
            store.claim("a", name, 101.0)
            outcomes.append("claimed")
        except Conflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=claim, args=(f"p{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["claimed"] + ["conflict"] * 7


def test_a_locked_or_damaged_file_is_an_error_in_one_line(tmp_path: Path) -> None:
    store = SqliteCaseStore(tmp_path / "cases.db", busy=0.05)
    blocker = sqlite3.connect(tmp_path / "cases.db", isolation_level=None)
    blocker.execute("begin exclusive")
    with pytest.raises(StoreError) as error:
        store.put(new())
    assert "\n" not in str(error.value)
    blocker.execute("rollback")
    assert store.put(new()).created
    (tmp_path / "bad.db").write_bytes(b"no database" * 999)
    with pytest.raises(StoreError, match="restore it"):
        SqliteCaseStore(tmp_path / "bad.db")


def test_what_a_dead_process_had_taken_can_be_taken_up_at_once(tmp_path: Path) -> None:
    store = SqliteCaseStore(tmp_path / "cases.db")
    store.put(new())
    store.schedule("a", ("hook", "mail"), "rung:0", 100.0)
    [sent, taken] = store.lease(100.0, 190.0, 10)
    store.sent(sent, 101.0)
    assert store.lease(101.0, 190.0, 10) == []
    assert store.end_leases() == 1
    assert [job.id for job in store.lease(101.0, 190.0, 10)] == [taken.id]


def test_two_processes_on_one_file_do_not_get_into_each_others_way(tmp_path: Path) -> None:
    stores = [SqliteCaseStore(tmp_path / "cases.db") for _ in range(2)]
    failures: list[StoreError] = []

    def put(store: SqliteCaseStore, name: str) -> None:
        for i in range(40):
            try:
                store.put(new(f"{name}{i}", at=100.0 + i))
            except StoreError as error:
                failures.append(error)

    threads = [threading.Thread(target=put, args=(store, name)) for store, name in zip(stores, "pq", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and stores[0].counts()["open"] == 1
    assert all(store.get(f"{name}39").exchanges for store in stores for name in "pq")


def test_a_writer_elsewhere_does_not_keep_people_from_looking(tmp_path: Path) -> None:
    store = SqliteCaseStore(tmp_path / "cases.db", busy=0.05)
    store.put(new())
    blocker = sqlite3.connect(tmp_path / "cases.db", isolation_level=None)
    blocker.execute("begin immediate")
    assert store.get("a").id == "a" and store.counts()["open"] == 1


def test_a_file_deleted_under_a_running_store_takes_no_case(tmp_path: Path) -> None:
    store = SqliteCaseStore(tmp_path / "cases.db")
    (tmp_path / "cases.db").unlink()
    with pytest.raises(StoreError, match="put it back"):
        store.put(new())
    with pytest.raises(StoreError, match="cannot be used"):
        SqliteCaseStore(tmp_path / "nowhere" / "cases.db")


def test_others_on_the_machine_cannot_read_the_cases(tmp_path: Path) -> None:
    store = SqliteCaseStore(tmp_path / "cases.db")
    store.put(new())
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}
