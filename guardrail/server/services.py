"""The parts of one proxy, put together from settings, started and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import msgspec
import structlog

from escalation.case import Case, Outcome, priority_of
from escalation.desk import Desk
from escalation.dispatcher import Dispatcher, Told
from escalation.spool import Spool
from escalation.store import StoreError
from guardrail import __version__, logs, settings, shipped
from guardrail.core.compose import Names
from guardrail.core.conversation import OpenCase, lower
from guardrail.core.decide import Verdict
from guardrail.core.events import Commit, Committed, Record
from guardrail.core.ports import Detector
from guardrail.core.reply import Terms
from guardrail.core.rules import Policy
from guardrail.dialects.json_api import JsonApi
from guardrail.journal import JournalError, RecordRefused, verdict_fields, word
from guardrail.judges import configured
from guardrail.judges.configured import AJudge
from guardrail.judges.course import About
from guardrail.judges.folder import ModelError
from guardrail.metrics import Metrics
from guardrail.policy import PolicyError
from guardrail.redact import Redactor
from guardrail.server import telling
from guardrail.server.cases import to_new_case
from guardrail.server.context import Contexts
from guardrail.server.finding import Finder
from guardrail.server.histories import Histories
from guardrail.server.parts import Parts, StartFailed, open_parts
from guardrail.server.policies import Policies
from guardrail.server.scanner import Scanner, plugins
from guardrail.server.tasks import Supervisor
from guardrail.settings import Settings, SettingsError
from guardrail.store.conversations import StoreFailed
from guardrail.store.durable import weaknesses
from guardrail.store.identity import Chain

log = structlog.get_logger("guardrail")

HOUSEKEEPING = 1.0
LOOK_AT_REDIS = 30.0
"""Seconds between two looks at how the shared store is set up."""
LOWERED_TO = {"true_alarm": 2, "false_alarm": 0, "duplicate": 2, "test": 0}
"""What is left of a conversation's latch once a human has resolved its case: the judgement is theirs."""


class Services:
    """Everything an exchange needs. ``open`` makes it, ``start`` and ``stop`` belong to one event loop."""

    now: Callable[[], float] = staticmethod(time.time)

    def __init__(
        self,
        settings: Settings,
        policies: Policies,
        parts: Parts,
        scanner: Scanner,
        unread: str = "",
        judges: Sequence[AJudge] = (),
    ) -> None:
        self.settings = settings
        self.unread = unread
        """Why nobody reads what is meant; empty: the model does."""
        self.judges = judges
        self.policies = policies
        self._zone = ZoneInfo(settings.timezone)
        self.scanner = scanner
        self.store, self.journal, self.help = parts.conversations, parts.journal, parts.directory
        self.admin_token = parts.admin_token
        self.dialects = tuple(JsonApi(layout) for layout in settings.json_dialect)
        self.finder = Finder(Chain(parts.key), self.store)
        self.contexts = Contexts()
        self.histories = Histories()
        self.metrics = Metrics(__version__, self.policy.name)
        self.metrics.channels(tuple(settings.escalation.channels))
        self.terms = Terms(
            enforce=settings.mode == "enforce",
            default_locale=settings.default_locale,
            hold_limit=settings.limits.hold_chars,
            reply_limit=settings.limits.reply_body,
            stream_limit=settings.limits.stream_body,
            names=Names(settings.service_name, settings.bot_name),
        )
        self._cases = parts.cases
        self._shared = parts.shared
        self._weaknesses: tuple[str, ...] = ()
        self.desk = Desk(parts.cases, Spool(settings.data / "spool"), self._wake)
        self._redactor = Redactor()
        self._client = httpx.AsyncClient(trust_env=False)
        self._dispatcher = Dispatcher(
            self.desk,
            telling.channels(settings.escalation, self._client),
            telling.ladders(settings.escalation),
            self._redactor.redact,
            self.now,
            public_url=settings.public_url or "",
            on_told=self._on_told,
            on_dead=self._on_dead,
        )
        self._supervisor = Supervisor()
        self._started = False
        self._warned: set[str] = set()
        self.reload_asked = asyncio.Event()
        """Set where nobody waits for the answer: by a signal."""
        self._reloading = asyncio.Lock()
        self.active = 0
        """Chats under way."""

    # --- life

    @classmethod
    def open(cls, settings: Settings, say: Callable[[str], None] = lambda line: None) -> Services:
        """Open every part. Raises ``StartFailed`` with the reasons."""
        logs.configure(settings.log_level)
        try:
            policies = Policies(settings)
            reads, unread = _reading(settings)
            judges = configured.judges(settings.judges)
            scanner = Scanner((policies.lexicon, *reads, *judges, *plugins()), cls.now)
        except ValueError as error:
            raise StartFailed(tuple(str(error).splitlines())) from error
        return cls(settings, policies, open_parts(settings, cls.now, say), scanner, unread, judges)

    @classmethod
    def configured(cls, config: str | None, given: Mapping[str, object]) -> Services:
        """Open from a file, the environment and keywords. Raises ``SettingsError``, ``StartFailed``."""
        path = Path(config) if config else None
        return cls.open(settings.load(path, given, os.environ, need_upstream=False))

    async def start(self) -> None:
        """Begin the loops; a second call does nothing."""
        if self._started:
            return
        self._started = True
        self._supervisor.start("dispatcher", self._dispatcher.run)
        self._supervisor.start("housekeeping", self._keep_house)
        self._supervisor.start("policies", self._reload_when_asked)
        if self._shared is not None:
            self._supervisor.start("redis", self._look_at_redis)
        about = {"version": __version__, "mode": self.settings.mode, "pid": os.getpid(), "policy": self.policy.name}
        self._note("start", about)
        self._note_trial("start")
        log.info("ready", mode=self.settings.mode, policy=self.policy.name, degraded=self.degraded())

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.policies.current

    async def reload(self, by: str) -> Policy:
        """Put the policy that lies on the disk now in force. Raises ``PolicyError`` with every problem; then the last
        good one stays in force, and health says so. A trial that is refused keeps nothing back."""
        async with self._reloading:  # one after the other: rules and what is listened for are of one release
            return await self._reload(by)

    async def _reload(self, by: str) -> Policy:
        try:
            before = await self.policies.reload()
        except PolicyError as error:
            problems = error.problems
            log.error("the policy was refused, the last good one stays", problems=len(problems), first=problems[0])
            about = {"policy": word(self.policy.name), "by": word(by), "event": "refused"}
            self._note("policy", {**about, "count": len(problems)})
            self.metrics.reloaded("refused")
            self._note_trial(by)
            raise
        await self.scanner.exchange(self.policies.lexicon)
        policy = self.policy
        log.warning("a policy is in force", policy=policy.name, hash=policy.hash[:12], before=before.hash[:12])
        about = {"policy": word(policy.name), "before": before.hash, "by": word(by), "event": "in force"}
        self._note("policy", {**about, "signed": bool(policy.signed_by), "rules": len(policy.rules)})
        self.metrics.reloaded("in_force")
        self.metrics.policy(__version__, policy.name)
        self._note_trial(by)
        return policy

    def _note_trial(self, by: str) -> None:
        """Say it where the trial on the disk could not be used."""
        problems = self.policies.trial_refused
        if not problems:
            return
        log.error("the trial was refused", problems=len(problems), first=problems[0], on_trial=self._on_trial())
        about = {"policy": word(self.policy.name), "by": word(by), "event": "trial refused"}
        self._note("policy", {**about, "count": len(problems)})
        self.metrics.reloaded("trial_refused")

    def _on_trial(self) -> str:
        trial = self.policies.trial
        return f"{trial.name} stays on trial" if trial else "nothing is on trial"

    async def _reload_when_asked(self) -> None:
        while True:
            await self.reload_asked.wait()
            self.reload_asked.clear()
            with contextlib.suppress(PolicyError):  # said in the log, in health and in the journal
                await self.reload("SIGHUP")

    def minute(self, at: float) -> int:
        """The minute of the operator's day."""
        then = datetime.fromtimestamp(at, self._zone)
        return then.hour * 60 + then.minute

    async def stop(self) -> None:
        """End the loops, write what is unwritten, let go of the folder."""
        if not self._started:
            return
        self._started = False
        await self._supervisor.stop()
        await self.desk.close()
        self._cases.close()
        self.store.close()
        if self._shared is not None:
            self._shared.close()
        self.scanner.close()
        await self._redactor.close()
        await self._client.aclose()
        self._note("stop", {"pid": os.getpid()})
        with contextlib.suppress(JournalError):  # said in the log by the journal itself
            await asyncio.to_thread(self.journal.close)

    async def _keep_house(self) -> None:
        await self.scanner.warm()
        while True:
            await asyncio.sleep(HOUSEKEEPING)
            drained = await self.desk.drain()
            if drained:
                log.warning("cases that had to wait are in the store", count=drained)
            self.store.retry()
            self.metrics.journal_healthy(self.journal.health.ok)

    async def _look_at_redis(self) -> None:
        assert self._shared is not None, "begun only where there is one"
        while True:
            found = await asyncio.to_thread(weaknesses, self._shared)
            if found and found != self._weaknesses:
                log.warning("what is shared is not as safe as it should be", found=list(found))
            self._weaknesses = found
            await asyncio.sleep(LOOK_AT_REDIS)

    def _wake(self) -> None:
        self._dispatcher.wake()

    # --- what exchanges ask for

    async def commit(
        self, effect: Commit, exchange: str, conversation: str, place: tuple[str | None, str], policy: Policy
    ) -> Committed:
        """Make a verdict's cases durable. ``told`` only when a channel is configured to tell a human.

        ``policy``: the exchange's, here and below. The one in force may be another by now.
        """
        opened = []
        durable = True
        for draft in effect.drafts:
            new = to_new_case(draft, effect.verdict, exchange, conversation, place, self.now())
            done = await self.desk.commit(new)
            durable = durable and done.where != "memory"
            if done.where != "store":
                self.fault(f"case_in_{done.where}", exchange=exchange, case=new.id, policy=policy)
            opened.append(OpenCase(done.id, draft.category, draft.severity))
            if done.created:
                self.metrics.case_opened(draft.category, draft.severity)
            self._note(
                "case",
                {
                    "case": done.id,
                    "event": "opened" if done.created else "joined",
                    "where": done.where,
                    "exchange": exchange,
                    "conversation": conversation,
                    "category": draft.category,
                    "severity": draft.severity,
                    "deadline": new.deadline,
                    "priority": priority_of(new.severity, new.raised),
                    "ladder": new.ladder,
                    "rule": draft.rule,
                    "policy": word(effect.verdict.policy),
                },
                policy,
            )
        return Committed(self.now(), tuple(opened), told=durable and bool(self.settings.escalation.channels))

    def record(self, effect: Record, exchange: str, conversation: str) -> None:
        self.metrics.verdict(effect.verdict)
        if effect.other is not None:
            self.record_trial(effect.verdict, effect.other, exchange, conversation)
        verdict = effect.verdict
        if verdict.action == "pass" and not verdict.trail and not verdict.signals and not verdict.failures:
            return  # nothing was seen and nothing done: the exchange's own record says so
        self._note(
            "verdict",
            verdict_fields(effect.verdict, exchange=exchange, conversation=conversation, enacted=effect.enacted),
        )

    def record_trial(self, verdict: Verdict, other: Verdict, exchange: str, conversation: str) -> None:
        """What the policy on trial would have done differently."""
        self.metrics.differed(other.direction)
        fields = verdict_fields(other, exchange=exchange, conversation=conversation, enacted=False)
        live = {"live_severity": verdict.severity, "live_action": verdict.action, "live_rule": word(verdict.rule)}
        self._note("trial", {**fields, **live})

    def exchanged(
        self, exchange: str, conversation: str, dialect: str, outcome: str, action: str, policy: Policy
    ) -> None:
        """One exchange is over: the line every exchange has in the journal."""
        self.metrics.exchange(dialect, outcome)
        fields = {
            "exchange": exchange,
            "conversation": conversation,
            "dialect": dialect,
            "outcome": outcome,
            "action": action,
        }
        self._note("exchange", fields, policy)

    def fault(self, kind: str, *, exchange: str = "", case: str = "", policy: Policy | None = None) -> None:
        """Something failed and was answered; outside of an exchange there is no ``exchange`` and no ``policy``."""
        part, _, reason = kind.partition("_")
        if part == "upstream":
            self.metrics.upstream_error(reason)
        log.warning("a failure was answered", kind=kind, exchange=exchange)
        about = {"part": part, "reason": kind, "exchange": exchange, **({"case": case} if case else {})}
        self._note("failure", about, policy)

    def warn_once(self, what: str, path: str) -> None:
        """Say something about a path the first time it is seen. Paths beyond a hundred are only counted.

        Only how a path begins is said: further on it may name people and conversations.
        """
        begin = "/".join(path.split("/")[:3])[:100]
        if begin not in self._warned and len(self._warned) < 100:
            self._warned.add(begin)
            log.warning(what, path_begins=begin)

    # --- what people ask for

    async def act(self, verb: str, id: str, by: str) -> Case:
        """Acknowledge or claim a case. Raises what the case store raises."""
        act = self.desk.acknowledge if verb == "acknowledge" else self.desk.claim
        before = await self.desk.get(id)
        case = await act(id, by, self.now())
        if not before.is_answered and case.is_answered:
            self.metrics.case_acknowledged(max(0.0, (case.acknowledged_at or self.now()) - case.opened_at))
        self._journal_case(case, verb, by)
        return case

    async def resolve(self, id: str, by: str, outcome: Outcome, note: str) -> Case:
        """Resolve a case; what is left of the conversation's latch follows from what the human found."""
        case = await self.desk.resolve(id, by, outcome, note, self.now())
        self._journal_case(case, "resolve", by)
        await self._lower_latch(case, LOWERED_TO[outcome])
        return case

    async def _lower_latch(self, case: Case, to: int) -> None:
        try:
            state = await self.store.get(case.conversation, 1.0)
            if state is None or not state.trajectory.latch:
                return
            others = [c for c in state.cases if c.id != case.id]
            after = lower(state.trajectory, to) if not others else state.trajectory
            self.store.remember(msgspec.structs.replace(state, trajectory=after, cases=tuple(others)))
            await self.store.flush(1.0)
        except StoreFailed:
            self.fault("store_failed")
            return
        change = {"before": state.trajectory.latch, "after": after.latch, "by": case.resolved_by, "case": case.id}
        self._note("latch", {"conversation": case.conversation, **change})

    def _journal_case(self, case: Case, event: str, by: str) -> None:
        fields = {"case": case.id, "event": event, "by": by[:200], "state": case.state, "outcome": case.outcome}
        self._note("case", {key: value for key, value in fields.items() if value and str(value).isprintable()})

    def _on_told(self, told: Told) -> None:
        outcome: Any = {"sent": "sent", "failed": "retried"}.get(told.outcome, "dead")
        self.metrics.notification(told.channel, outcome)
        self._note("case", {"case": told.case, "event": told.kind, "channel": told.channel, "outcome": told.outcome})

    def _on_dead(self, told: Told) -> None:
        log.error("nobody could be told through a channel: act on it now", channel=told.channel, case=told.case)

    def _note(self, kind: str, fields: Mapping[str, object], policy: Policy | None = None) -> None:
        """Write into the journal, and by which policy: the exchange's, or the one in force where there is no exchange.
        Fields that name a policy's hash bring its signer, or have none.

        What the journal refuses is said in the log, and keeps nobody from an answer.
        """
        by = policy or self.policy
        released = {"policy_hash": by.hash, **({"signed_by": word(by.signed_by)} if by.signed_by else {})}
        try:
            self.journal.append(kind, {**fields} if "policy_hash" in fields else {**released, **fields})
        except RecordRefused as refused:
            log.error("a record could not be written", kind=kind, reason=str(refused))

    # --- how it is

    def degraded(self) -> list[str]:
        """What is not as it should be, one short phrase each."""
        desk = self.desk.health()
        found = {
            "case store": not desk.store,
            "the spool cannot be looked at": not desk.spool,
            **{f"{name} is damaged: nobody is told of its cases": True for name in self._damaged()},
            f"{desk.spooled} cases in the spool": desk.spooled > 0,
            f"{desk.unreadable} unreadable spool files": desk.unreadable > 0,
            f"{desk.in_memory} cases only in memory": desk.in_memory > 0,
            "conversation store": not self.store.healthy,
            **{weakness: True for weakness in self._weaknesses},
            f"a damaged conversation store was set aside: {self.store.set_aside}": self.store.set_aside is not None,
            f"the policy on the disk was refused ({self.policy.name} stays in force)": bool(self.policies.refused),
            **{f"suicide goes unanswered: {waiver}": True for waiver in self.policy.waived},
            f"the trial on the disk was refused ({self._on_trial()})": bool(self.policies.trial_refused),
            "journal: " + self.journal.health.reason: not self.journal.health.ok,
            "nobody is told: no escalation channel": not self.settings.escalation.channels,
            f"{desk.dead_letters} notices given up": desk.dead_letters > 0,
            **{f"nobody has set up the ladder {name}: the usual one is used": True for name in self._unknown_ladders()},
            "a background loop had to be begun again": self._supervisor.restarts > 0,
            f"only what is said outright is heard: {self.unread}": bool(self.unread),
            "shadow mode: nobody is protected": self.settings.mode == "shadow",
            **{f"{name} has stopped working: start the proxy again": True for name in self.scanner.dead()},
            **{f"judge {judge.name} fails: {_lately(judge.about())}": True for judge in self._failing()},
            **{f"helplines: {problem}": True for problem in self.help.problems()},
        }
        return [what for what, is_so in found.items() if is_so]

    def _unknown_ladders(self) -> list[str]:
        """Ladders the policy in force asks for and the settings do not have."""
        asked = {rule.then.case.ladder for rule in self.policy.rules if rule.then.case and rule.then.case.ladder}
        return sorted(asked - set(self.settings.escalation.ladders))

    def _failing(self) -> list[AJudge]:
        return [judge for judge in self.judges if judge.about().failing]

    def _damaged(self) -> list[str]:
        return sorted(path.name for path in self.settings.data.glob("cases.damaged-*.db"))

    def health(self) -> dict[str, object]:
        return {
            "degraded": self.degraded(),
            "policy": self.about_policy(),
            "mode": self.settings.mode,
            "desk": self.desk.health(),
            "journal": self.journal.health,
            "judges": [judge.about() for judge in self.judges],
            "unverified_helplines": self.help.unverified([c for c in (self.settings.default_country,) if c]),
        }

    def about_policy(self) -> dict[str, object]:
        policy, trial = self.policy, self.policies.trial
        return {
            "name": policy.name,
            "hash": policy.hash,
            "signed_by": policy.signed_by,
            "waived": list(policy.waived),
            "rules": len(policy.rules),
            "languages": list(policy.responses),
            "refused": list(self.policies.refused),
            "trial": trial and {"name": trial.name, "hash": trial.hash},
            "trial_refused": list(self.policies.trial_refused),
        }

    async def refresh_gauges(self) -> None:
        """Bring gauges up to date before they are read. A store that does not answer leaves them, and turns red."""
        try:
            counts = await self.desk.in_store(lambda store: store.counts())
            unanswered = await self.desk.in_store(lambda store: store.unanswered())
            dead = await self.desk.in_store(lambda store: store.dead_letters())
        except StoreError:
            return
        oldest = self.now() - unanswered[0].opened_at if unanswered else 0.0
        self.metrics.cases(counts, max(0.0, oldest))  # type: ignore[arg-type]
        self.metrics.backlog(dead, self.desk.health().spooled)


def _lately(about: About) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in about.failed.items()) or "not lately asked"


def _reading(settings: Settings) -> tuple[tuple[Detector, ...], str]:
    """The model, or why there is none. Raises ``ModelError`` where the settings want one, and it cannot be had."""
    wanted = settings.model
    if wanted.folder == "none":
        return (), "the settings want no model"
    try:
        return (shipped.model(wanted.folder, wanted.deadline, wanted.threads),), ""
    except ModelError as error:
        if wanted.without == "refuse":
            raise ModelError(f"{error}; or allow model.without: start") from error
        log.error("there is no model: only what is said outright is heard", reason=str(error))
        return (), str(error)


__all__ = ["Services", "SettingsError", "StartFailed"]
