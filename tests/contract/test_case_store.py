"""What every case store must do, on each backend there is."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from escalation.case import NewCase
from escalation.sqlite import SqliteCaseStore
from escalation.store import CaseStore, Conflict, NotFound, StoreError

BACKENDS = ("sqlite",)


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CaseStore]:
    backend = SqliteCaseStore(tmp_path / "cases.db", busy=0.2)
    yield backend
    backend.close()


def new(id: str = "a", severity: int = 3, conversation: str = "c", category: str = "suicide", at: float = 100.0) -> NewCase:
    return NewCase(id, conversation, severity, category, at, at + 3600, exchange=f"x-{id}", summary=f"severity {severity}")


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


def test_severity_only_rises_and_a_rise_is_told_again(store: CaseStore) -> None:
    store.put(new("a", 3))
    store.acknowledge("a", "ann", 105.0)
    assert store.put(new("b", 2, at=110.0)).case.severity == 3
    assert store.get("a").state == "acknowledged"
    risen = store.put(new("c", 4, at=120.0)).case
    assert risen.severity == 4 and risen.state == "open" and risen.summary == "severity 4"


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
    for act in (lambda: store.claim("a", "bob", 105.0), lambda: store.acknowledge("a", "bob", 105.0)):
        with pytest.raises(Conflict):
            act()
    with pytest.raises(Conflict, match="ann"):
        store.resolve("a", "bob", "test", "", 105.0)


@pytest.mark.parametrize("before", ["open", "notified", "acknowledged", "expired"])
def test_a_claim_is_legal_from_every_unresolved_state(store: CaseStore, before: str) -> None:
    store.put(new())
    if before == "notified":
        store.schedule("a", "case.opened", ("hook",), "k", 100.0)
        store.sent(store.lease(100.0, 200.0, 1)[0], 100.0)
    elif before == "acknowledged":
        store.acknowledge("a", "ann", 101.0)
    elif before == "expired":
        store.expire("a", 101.0)
    assert store.get("a").state == before
    assert store.claim("a", "bob", 110.0).state == "claimed"


def test_nobody_is_paged_after_somebody_answered(store: CaseStore) -> None:
    store.put(new())
    store.schedule("a", "case.opened", ("hook", "mail"), "rung:0", 100.0)
    [leased, _] = store.lease(100.0, 190.0, 10)
    store.sent(leased, 101.0)
    store.acknowledge("a", "ann", 102.0)
    store.schedule("a", "case.repaged", ("hook",), "rung:1", 103.0)
    later = store.lease(1000.0, 1090.0, 10)
    assert [(job.kind, job.channel) for job in later] == [("case.acknowledged", leased.channel)]


def test_the_same_page_is_queued_once(store: CaseStore) -> None:
    store.put(new())
    for _ in range(3):
        store.schedule("a", "case.opened", ("hook",), "rung:0", 100.0)
    jobs = store.lease(100.0, 190.0, 10)
    assert len(jobs) == 1
    store.schedule("a", "case.opened", ("hook",), "rung:0", 100.0)
    assert store.lease(150.0, 190.0, 10) == [], "it is leased"
    [again] = store.lease(191.0, 290.0, 10)
    assert again.id == jobs[0].id and again.attempts == 2, "a lease that ran out is taken up under the same id"


def test_a_failed_notice_waits_and_a_dead_one_is_counted(store: CaseStore) -> None:
    store.put(new())
    store.schedule("a", "case.opened", ("hook",), "k", 100.0)
    [job] = store.lease(100.0, 190.0, 10)
    store.failed(job, 150.0, 101.0)
    assert store.lease(149.0, 200.0, 10) == []
    [job] = store.lease(150.0, 200.0, 10)
    store.failed(job, None, 151.0)
    assert store.lease(1e9, 2e9, 10) == [] and store.dead_letters() == 1


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
    assert len(seen) == len(set(seen)) == 25 and seen == sorted(seen, key=lambda id: (int(id[1:]) // 2, id), reverse=True)
    assert store.counts()["open"] == 25
    with pytest.raises(Conflict):
        store.find(None, 7, "nonsense")


def test_a_case_nobody_knows(store: CaseStore) -> None:
    for act in (lambda: store.get("zz"), lambda: store.claim("zz", "ann", 1.0)):
        with pytest.raises(NotFound):
            act()


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
