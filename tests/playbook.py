"""A small policy, a detector that knows marks instead of words, and a pump without sockets.

Marks stand for what a real detector would find, so that these tests are about the machine and not the lexicon.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from guardrail.core.conversation import OpenCase, State
from guardrail.core.events import (
    ClientGone,
    CloseUpstream,
    Commit,
    Committed,
    Effect,
    End,
    Event,
    Opened,
    Scan,
    Scanned,
    Send,
    SendUpstream,
    Start,
    UpstreamChunk,
    UpstreamEnded,
    UpstreamFailed,
    UpstreamHeaders,
)
from guardrail.core.exchange import TABLE, Exchange
from guardrail.core.model import Context, Failed, Finding, Found, Message, Signal
from guardrail.core.ports import Chat, Dialect, HelpQuery
from guardrail.core.reply import Terms
from guardrail.core.rules import CaseRule, OnFailure, Policy, Rule, Then, When, indexed
from guardrail.detectors.run import look

MARKS = {
    "DIE4": ("suicide", 4),
    "DIE3": ("suicide", 3),
    "DIE2": ("suicide", 2),
    "METHOD": ("method_information", 3),
    "HUMAN": ("claims_human", 2),
    "HOLLOW": ("hollow_reply", 2),
    "CHILD": ("minor", 0),
    "SAFE": ("safe_now", 0),
}
RULES = (
    Rule(
        "in.4",
        When("inbound", ("suicide",), (4, 4)),
        Then("replace", "four", "stay", ("emergency_ambulance",), CaseRule(300)),
    ),
    Rule(
        "in.3",
        When("inbound", ("suicide",), (3, 3)),
        Then("replace", "three", "stay", ("suicide_crisis",), CaseRule(3600)),
    ),
    Rule("in.2", When("inbound", ("suicide",), (2, 2)), Then("support", "line", "listen", ("suicide_crisis",))),
    Rule("in.latched", When("inbound", (), (0, 2), latch=(3, 4)), Then("steer", steer="stay")),
    Rule("out.method", When("outbound", ("method_information",), (2, 4)), Then("replace", "unsafe")),
    Rule("out.human", When("outbound", ("claims_human",), (2, 4)), Then("rewrite", "machine")),
)
TEXTS = {
    "four": "FOUR {help} {told} Are you alone?",
    "three": "THREE {help} {told} May I ask more?",
    "line": "LINE {help}",
    "unsafe": "UNSAFE, so I stopped.",
    "machine": "I am an AI.",
    "failure.unread": "UNREAD",
    "failure.upstream": "UPSTREAM {help}",
    "told.yes": "TOLD",
    "told.no": "NOT TOLD",
}
POLICY = Policy(
    id="test",
    version="1",
    hash="0",
    rules=RULES,
    on_failure=OnFailure(
        detector_inbound=Then("steer", steer="watch"),
        detector_outbound=Then("replace", "failure.unread"),
        store=Then("steer", steer="watch"),
        upstream=Then("replace", "failure.upstream", resources=("suicide_crisis",)),
    ),
    responses={"en": TEXTS},
    guidance={"stay": "STAY-GUIDANCE", "listen": "LISTEN-GUIDANCE", "watch": "WATCH-GUIDANCE"},
    index=indexed(RULES),
)


class Marks:
    """Finds marks. ``broken`` raises on them instead."""

    name = "marks"
    directions = frozenset(("inbound", "outbound"))
    deadline = 1.0
    blocking = False
    required = True

    def __init__(self, broken: bool = False) -> None:
        self.broken = broken

    def look(self, text: str, context: Context) -> Sequence[Signal]:
        if self.broken:
            raise RuntimeError("broken")
        found = []
        for mark, (name, severity) in MARKS.items():
            spans = tuple(m.span() for m in re.finditer(mark, text))
            if spans:
                found.append(Signal(name, severity, 0.9, spans, self.name, pattern=f"en.{mark.lower()}", language="en"))
        return found


class OneLine:
    """Help that is always the same line."""

    def lines(self, query: HelpQuery) -> tuple[str, ...]:
        return (f"HELP-{query.kinds[0]}",)


@dataclass
class Pump:
    """Performs an exchange's effects in memory and writes down what happened."""

    dialect: Dialect
    detector: Marks = field(default_factory=Marks)
    policy: Policy = POLICY
    terms: Terms = field(default_factory=Terms)
    tell: bool = True

    def __post_init__(self) -> None:
        self.exchange = Exchange(self.policy, self.dialect, OneLine(), self.terms)
        self.events: list[Event] = []
        self.effects: list[Effect] = []
        self.body = b""
        self.looked_at: list[str] = []

    def open(
        self,
        *turns: tuple[str, str],
        stream: bool = True,
        state: State | None = None,
        known: int = 0,
        store_failed: bool = False,
        **chat: object,
    ) -> Pump:
        messages = tuple(Message(role, text) for role, text in turns)  # type: ignore[arg-type]
        request = Chat(messages, stream=stream, **chat)  # type: ignore[arg-type]
        return self.feed(Opened("x1", 100.0, request, state or State("c1"), known, store_failed=store_failed))

    def answer(
        self, chunks: Iterable[bytes], *, stream: bool = True, status: int = 200, content_type: str | None = None
    ) -> Pump:
        kind = content_type or (self.dialect.stream_type if stream else "application/json")
        self.feed(UpstreamHeaders(101.0, status, kind))
        for chunk in chunks:
            if self.done or self.closed:
                return self
            self.feed(UpstreamChunk(102.0, chunk))
        if not self.done and not self.closed:
            self.feed(UpstreamEnded(103.0))
        return self

    def fail(self, kind: str) -> Pump:
        return self.feed(UpstreamFailed(104.0, kind))  # type: ignore[arg-type]

    def leave(self) -> Pump:
        return self.feed(ClientGone(105.0))

    def feed(self, event: Event) -> Pump:
        events = [event]
        while events:
            event = events.pop(0)
            self.events.append(event)
            before = self.exchange.phase
            effects = self.exchange.handle(event)
            step = TABLE.get((before, type(event)))
            assert self.exchange.phase in (step.to if step else (before,)), (before, event, self.exchange.phase)
            for effect in effects:
                self.effects.append(effect)
                if isinstance(effect, Scan):
                    events.append(self._scan(effect))
                elif isinstance(effect, Commit):
                    cases = tuple(OpenCase(f"case-{d.category}", d.category, d.severity) for d in effect.drafts)
                    events.append(Committed(100.5, cases, self.tell))
                elif isinstance(effect, Send):
                    self.body += effect.data
        return self

    def _scan(self, scan: Scan) -> Scanned:
        context = Context(scan.direction, scan.history)
        texts = [look_.window(cut)[1] for look_ in scan.looks for cut in look_.cuts]
        self.looked_at += texts
        findings: list[tuple[Finding, ...]] = [(look(self.detector, text, context),) for text in texts]
        if all(isinstance(f, Found) and not f.signals for (f,) in findings):
            return Scanned(100.2)
        assert all(isinstance(f, Found | Failed) for (f,) in findings)
        return Scanned(100.2, tuple(findings))

    def seen(self, kind: type) -> list[Effect]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def done(self) -> bool:
        return self.exchange.phase == "done"

    @property
    def closed(self) -> bool:
        """The upstream was closed and not asked again."""
        last = [type(e) for e in self.effects if isinstance(e, CloseUpstream | SendUpstream)]
        return bool(last) and last[-1] is CloseUpstream

    @property
    def status(self) -> int:
        return next(e.status for e in self.effects if isinstance(e, Start))

    @property
    def torn(self) -> bool:
        return any(e.torn for e in self.effects if isinstance(e, End))


def order(pump: Pump) -> list[str]:
    """The kinds of effects in the order they were asked for."""
    return [type(effect).__name__ for effect in pump.effects]


def recorded(pump: Pump) -> bytes:
    """The exchange's events as they would be kept."""
    return msgspec.json.encode(pump.events)
