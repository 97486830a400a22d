"""The case store against a plain model, through any order of events, crashes of the dispatcher included."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from escalation.case import NewCase
from escalation.ladder import Rung, pages
from escalation.sqlite import SqliteCaseStore
from escalation.store import Conflict, Job

RUNGS = (Rung(0.0, ("hook",)), Rung(300.0, ("hook", "mail")))
PAGES = ("case.opened", "case.repaged")


class Cases(RuleBasedStateMachine):
    """People put, answer and resolve; a dispatcher queues, leases, sends, fails and dies."""

    ids = Bundle("ids")

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = SqliteCaseStore(Path(self.folder.name) / "cases.db")
        self.now = 0.0
        self.count = 0
        self.severity: dict[str, int] = {}
        self.put_ids: dict[str, str] = {}
        self.leased: list[Job] = []
        self.delivered: list[str] = []

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    @rule(target=ids, conversation=st.sampled_from("ab"), category=st.sampled_from(["suicide", "self_harm"]), severity=st.integers(2, 4))
    def put(self, conversation: str, category: str, severity: int) -> str:
        self.count += 1
        id = f"k{self.count}"
        case = self.store.put(NewCase(id, conversation, severity, category, self.now, self.now + 300)).case
        self.put_ids[id] = case.id
        self.severity[case.id] = max(severity, self.severity.get(case.id, 0))
        return id

    @rule(id=ids)
    def put_again(self, id: str) -> None:
        before = self.store.get(self.put_ids[id])
        again = self.store.put(NewCase(id, "z", 4, "violence_to_others", self.now, self.now + 1))
        assert again.case == before and not again.created

    @rule(id=ids, verb=st.sampled_from(["acknowledge", "claim", "resolve"]), by=st.sampled_from(["ann", "bob"]))
    def act(self, id: str, verb: str, by: str) -> None:
        case_id = self.put_ids[id]
        before = self.store.get(case_id)
        try:
            if verb == "resolve":
                self.store.resolve(case_id, by, "test", "", self.now)
            else:
                getattr(self.store, verb)(case_id, by, self.now)
        except Conflict:
            assert before.state in ("resolved", "claimed")

    @rule(seconds=st.sampled_from([1.0, 100.0, 1000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def queue(self) -> None:
        for case in self.store.unanswered():
            for page in pages(case, RUNGS, self.now):
                self.store.schedule(case.id, "case.opened" if page.first else "case.repaged", page.channels, page.key, self.now)
            if self.now >= case.deadline:
                self.store.expire(case.id, self.now)

    @rule(limit=st.integers(1, 5))
    def lease(self, limit: int) -> None:
        for job in self.store.lease(self.now, self.now + 90, limit):
            assert not (job.kind in PAGES and self.store.get(job.case.id).is_answered), "paged after an answer"
            assert job.id not in self.delivered, "told twice"
            self.leased.append(job)

    @rule(data=st.data(), outcome=st.sampled_from(["sent", "retry", "dead", "killed"]))
    def finish(self, data: st.DataObject, outcome: str) -> None:
        if not self.leased:
            return
        job = data.draw(st.sampled_from(self.leased))
        self.leased.remove(job)
        if outcome == "sent":
            self.store.sent(job, self.now)
            self.delivered.append(job.id)
        elif outcome != "killed":
            self.store.failed(job, self.now + 10 if outcome == "retry" else None, self.now)

    @invariant()
    def nothing_is_lost_and_nothing_falls(self) -> None:
        if not hasattr(self, "store"):
            return
        cases = {case.id: case for case in self.store.find(None, 1000, None)[0]}
        assert set(self.put_ids.values()) <= set(cases)
        for id, severity in self.severity.items():
            assert cases[id].severity == severity
        matters = [(c.conversation, c.category) for c in cases.values() if c.state != "resolved"]
        assert len(matters) == len(set(matters))
        assert sum(self.store.counts().values()) == len(cases)


TestCases = Cases.TestCase
TestCases.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
