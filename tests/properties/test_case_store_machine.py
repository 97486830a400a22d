"""The case store against a plain model, through any order of events, crashes of the dispatcher included."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from escalation.case import NEXT, UNANSWERED, Case, NewCase
from escalation.ladder import Ladders, Rung, pages
from escalation.redis import RedisCaseStore
from escalation.sqlite import SqliteCaseStore
from escalation.store import CaseStore, Conflict, Job
from tests.valkey import Valkey

EVERYBODY = ("hook", "mail")
LADDERS = Ladders((Rung(0.0, ("hook",)), Rung(300.0, EVERYBODY)))
PEOPLE = st.sampled_from(["ann", "bob"])


class Known(msgspec.Struct):
    """What must be true of a case, kept the plain way."""

    severity: int
    deadline: float
    state: str
    claimed_by: str = ""


class Cases(RuleBasedStateMachine):
    """People put, answer and resolve; a dispatcher queues, leases, sends, fails and dies."""

    opened: Callable[[Path], CaseStore]
    """The store of a folder that is new each time."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = self.opened(Path(self.folder.name))
        self.now = 0.0
        self.model: dict[str, Known] = {}
        self.open_matter: dict[tuple[str, str], str] = {}
        self.case_of: dict[str, str] = {}
        self.leased: dict[str, tuple[Job, float]] = {}
        self.delivered: set[str] = set()

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        self.now += 1e6
        for job in self.store.lease(self.now, self.now + 1, 10_000):
            assert not (job.is_page and self.model[job.case.id].state not in UNANSWERED), "paged after an answer"
        self.store.close()
        self.folder.cleanup()

    def moved(self, case: Case) -> None:
        before = self.model[case.id].state
        assert case.state == before or case.state in NEXT[before]  # type: ignore[index]
        self.model[case.id].state = case.state

    @rule(
        conversation=st.sampled_from("ab"),
        category=st.sampled_from(["suicide", "self_harm"]),
        severity=st.integers(2, 4),
        patience=st.sampled_from([100.0, 300.0, 3600.0]),
    )
    def put(self, conversation: str, category: str, severity: int, patience: float) -> None:
        id, deadline = f"k{len(self.case_of)}", self.now + patience
        expected = self.open_matter.setdefault((conversation, category), id)
        put = self.store.put(NewCase(id, conversation, severity, category, self.now, deadline))
        self.case_of[id] = put.case.id
        assert put.case.id == expected and put.created == (expected == id)
        if put.created:
            self.model[id] = Known(severity, deadline, "open")
            return
        known = self.model[expected]
        answered, rises = known.state not in UNANSWERED, severity > known.severity
        assert put.case.severity == max(known.severity, severity)
        if rises:
            assert not put.case.is_answered, "a rise must be answered anew"
        if not answered:
            assert put.case.deadline == min(known.deadline, deadline)
        assert put.case.deadline <= max(known.deadline, deadline if rises else known.deadline)
        self.moved(put.case)
        known.severity, known.deadline, known.claimed_by = put.case.severity, put.case.deadline, put.case.claimed_by

    @precondition(lambda self: self.case_of)
    @rule(data=st.data())
    def put_again(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.case_of)))
        before = self.store.get(id)
        again = self.store.put(NewCase(id, "z", 4, "violence_to_others", self.now, self.now + 1))
        assert again.case == before and not again.created

    @precondition(lambda self: self.case_of)
    @rule(data=st.data(), verb=st.sampled_from(["acknowledge", "claim", "resolve"]), by=PEOPLE)
    def act(self, data: st.DataObject, verb: str, by: str) -> None:
        id = data.draw(st.sampled_from(sorted(self.case_of)))
        known = self.model[self.case_of[id]]
        first = known.state != "resolved" and not (
            verb == "claim" and known.state == "claimed" and known.claimed_by != by
        )
        try:
            if verb == "resolve":
                case = self.store.resolve(id, by, "test", "", self.now)
            else:
                case = getattr(self.store, verb)(id, by, self.now)
        except Conflict:
            assert not first
            return
        assert first and case.is_answered
        self.moved(case)
        known.claimed_by = case.claimed_by
        if verb == "resolve":
            del self.open_matter[(case.conversation, case.category)]

    @rule(seconds=st.sampled_from([1.0, 100.0, 1000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def queue(self) -> None:
        waiting = self.store.unanswered()
        assert {c.id for c in waiting} == {id for id, known in self.model.items() if known.state in UNANSWERED}
        for case in waiting:
            for page in pages(case, LADDERS, EVERYBODY, self.now):
                self.store.schedule(case.id, page.channels, page.key, self.now)
            if self.now >= case.deadline:
                self.moved(self.store.expire(case.id, self.now))

    @rule(limit=st.integers(1, 5))
    def lease(self, limit: int) -> None:
        for job in self.store.lease(self.now, self.now + 90, limit):
            assert not (job.is_page and self.model[job.case.id].state not in UNANSWERED), "paged after an answer"
            assert job.id not in self.delivered, "told twice"
            assert job.id not in self.leased or self.leased[job.id][1] <= self.now, "leased twice at once"
            self.leased[job.id] = (job, self.now + 90)

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), outcome=st.sampled_from(["sent", "retry", "dead", "killed"]))
    def finish(self, data: st.DataObject, outcome: str) -> None:
        id = data.draw(st.sampled_from(sorted(self.leased)))
        if outcome == "killed":
            return
        job, _ = self.leased.pop(id)
        if outcome == "sent":
            self.store.sent(job, self.now)
            self.delivered.add(id)
            self.moved(self.store.get(job.case.id))
        else:
            self.store.failed(job, self.now + 10 if outcome == "retry" else None, self.now)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = self.opened(Path(self.folder.name))

    @invariant()
    def nothing_is_lost_and_nothing_falls(self) -> None:
        if not hasattr(self, "store"):
            return
        cases = {case.id: case for case in self.store.find(None, 1000, None)[0]}
        assert set(cases) == set(self.model)
        for id, known in self.model.items():
            case = cases[id]
            assert (case.severity, case.deadline, case.state) == (known.severity, known.deadline, known.state)
        matters = [(c.conversation, c.category) for c in cases.values() if c.state != "resolved"]
        assert len(matters) == len(set(matters))
        assert sum(self.store.counts().values()) == len(cases)


RUNS = settings(max_examples=60, stateful_step_count=30, deadline=None)


class InSqlite(Cases):
    opened = staticmethod(lambda folder: SqliteCaseStore(folder / "cases.db"))


TestCases = InSqlite.TestCase
TestCases.settings = RUNS


def test_cases_in_redis(valkey: Valkey) -> None:
    class InRedis(Cases):
        opened = staticmethod(lambda folder: RedisCaseStore(redis.Redis.from_url(valkey.url), folder.name))

    run_state_machine_as_test(InRedis, settings=RUNS)
