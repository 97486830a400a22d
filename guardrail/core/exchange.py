"""One exchange between a person and a bot. READ THIS FIRST: everything in the product hangs from here.

An ``Exchange`` is told what happened (events), and says what to do about it (effects, to be performed in
order). It has no clock, no sockets and no ids of its own. ``TABLE`` is the whole protocol: which event is
answered how in which state. The order that protects people is in the effects: a case is committed before
the reply it belongs to, and nothing is sent to the upstream before the person's turn has been judged.

The states:

``new``         nothing has happened yet
``scanning``    the person's turn is being looked at
``committing``  a case is being made durable; nobody is answered before
``waiting``     the request is with the upstream
``replying``    the upstream's reply is being read, looked at, and released
``parting``     a reply was cut, and a case about it is being made durable
``passing``     the upstream's own error goes to a calm person as it is
``done``        the response is complete
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from guardrail.core import compose
from guardrail.core.conversation import Episode, State
from guardrail.core.decide import CaseDraft, Verdict, effect_of, needs_care
from guardrail.core.events import (
    ClientGone,
    CloseUpstream,
    Commit,
    Committed,
    Effect,
    End,
    Event,
    Fault,
    Opened,
    Record,
    Replied,
    SaveState,
    Scan,
    Scanned,
    Send,
    SendUpstream,
    Start,
    Tick,
    UpstreamChunk,
    UpstreamEnded,
    UpstreamFailed,
    UpstreamFault,
    UpstreamHeaders,
)
from guardrail.core.gate import Look
from guardrail.core.model import ACTION_RANK, Action, Audience, Finding, Message, Refusal, Severity
from guardrail.core.ports import Dialect, Frame, Help, Piece, StreamReader
from guardrail.core.ports import Reply as WholeReply
from guardrail.core.reply import Reader, Reply, Terms
from guardrail.core.rules import Policy
from guardrail.core.turn import Judged, judge, with_case

Phase = Literal["new", "scanning", "committing", "waiting", "replying", "parting", "passing", "done"]

STATUS: Mapping[UpstreamFault, tuple[int, str]] = {
    "refused": (502, "The chatbot could not be reached."),
    "timeout": (504, "The chatbot did not answer in time."),
    "torn": (502, "The chatbot's reply broke off."),
    "oversized": (502, "The chatbot's reply was larger than is allowed."),
    "unreadable": (502, "The chatbot's reply could not be read."),
    "overloaded": (503, "The service is busy. Please try again in a moment."),
}
"""What a calm person's client is told, in its API's own error shape, when the upstream failed."""


class Exchange:
    """The sans-IO heart: ``handle(event) -> effects``. Synchronous, deterministic, never raises on bad input."""

    def __init__(
        self, policy: Policy, dialect: Dialect, help_lines: Help, terms: Terms, trial: Policy | None = None
    ) -> None:
        self.phase: Phase = "new"
        self.verdict: Verdict | None = None
        """The verdict on the person's turn."""
        self.final: Verdict | None = None
        """The verdict on the bot's reply, once there is one."""
        self._policy, self._dialect, self._help, self._terms = policy, dialect, help_lines, terms
        self._trial = trial
        """A policy that is only tried: what it would have done is on record where it is something else."""
        self._other: Verdict | None = None
        self._out: list[Effect] = []
        self._looks: tuple[Look, ...] = ()
        self._asked = False
        self._told = False
        self._started = False
        self._now = 0.0
        self._reply: Reply | None = None
        self._reader: StreamReader | None = None
        self._body = bytearray()
        self._size = 0
        self._streamed = False
        self._upstream_done = False
        self._broken = False
        self._attempts = 0
        self._parting: Verdict | None = None
        self._saved: State | None = None
        self._earlier = Episode()
        self._opened_cases: set[str] = set()
        self._pieces: tuple[Piece, ...] = ()

    def handle(self, event: Event) -> list[Effect]:
        """What to do now that this has happened. An event that no longer matters is answered by nothing."""
        self._now = max(self._now, event.at)
        step = TABLE.get((self.phase, type(event)))
        if step is not None:
            step.handler(self, event)
        out, self._out = self._out, []
        return out

    # --- the person's turn

    def _on_opened(self, event: Opened) -> None:
        self._opened = event
        self._state = event.state
        if self._terms.enforce and event.state.episode.shadow:
            self._state = msgspec.structs.replace(event.state, episode=Episode())
        messages = event.chat.messages
        begin = _fresh_from(messages, event.known)
        self._unseen = [m.text for m in messages[event.known : begin] if m.role == "user"]
        self._fresh = "\n".join(m.text for m in messages[begin:] if m.role == "user")
        texts = [*self._unseen, self._fresh]
        self._looks = tuple(Look(f"user:{i}", text, 0, (len(text),), 0) for i, text in enumerate(texts) if text)
        self.phase = "scanning"
        if self._looks:
            self._out.append(Scan("inbound", self._looks, messages[:begin], event.locale, event.audience))
        else:
            self._on_scanned_request(Scanned(event.at))

    def _on_scanned_request(self, event: Scanned) -> None:
        results = iter(event.findings)
        found = {look.channel: next(results, ()) for look in self._looks}
        drafts: dict[str, CaseDraft] = {}
        before = self._state.trajectory.latch
        for i in range(len(self._unseen)):
            # The history of a conversation we do not know: its risk counts, and a human is told, but it is
            # not answered again.
            past, state = self._judge(found.get(f"user:{i}", ()), spoken=True)
            self._state = msgspec.structs.replace(state, episode=self._state.episode)
            _merge(drafts, [d for d in past.cases if d.severity >= Severity.HIGH])
        spoken = bool(self._fresh)
        self.verdict, self._state = self._judge(found.get(f"user:{len(self._unseen)}", ()), spoken=spoken)
        self._choose_tongues(self.verdict)
        if self._opened.refused is not None and not self._answers(self.verdict):
            self._refuse(*self._opened.refused)
            return
        _merge(drafts, self.verdict.cases)
        self._durable = self._state.trajectory.latch > before
        if drafts and self._terms.enforce:
            self.phase = "committing"
            self._out.append(Commit(tuple(drafts.values()), self.verdict))
        else:
            self._act()

    def _choose_tongues(self, verdict: Verdict) -> None:
        self._tongues = compose.languages(
            self._opened.locale,
            verdict.signals,
            self._state.language,
            self._terms.default_locale,
            self._policy.responses,
        )

    def _refuse(self, status: int, message: str) -> None:
        """What is refused is not sent on: the client is told why, somebody in care is answered."""
        if self._cares:
            self._answer(self._failure_text())
            return
        self._start(status, "application/json", "pass")
        self._send(self._dialect.error(status, message))
        self._out.append(End())
        self.phase = "done"

    def _judge(self, findings: tuple[Finding, ...], *, spoken: bool) -> tuple[Verdict, State]:
        judged = self._judged(self._policy, findings, spoken=spoken)
        if self._trial is not None:
            self._other = self._judged(self._trial, findings, spoken=spoken).verdict
        self._earlier = judged.earlier
        return judged.verdict, judged.state

    def _judged(self, policy: Policy, findings: tuple[Finding, ...], *, spoken: bool) -> Judged:
        return judge(
            policy,
            findings,
            self._state,
            direction="inbound",
            now=self._now,
            locale=self._locale,
            country=self._opened.country,
            audience=self._opened.audience,
            spoken=spoken,
            store_failed=self._opened.store_failed,
            around=self._opened.around,
        )

    @property
    def _locale(self) -> str:
        return self._opened.locale or self._state.language or self._terms.default_locale

    @property
    def _audience(self) -> Audience:
        return self._opened.audience if self._opened.audience != "unknown" else self._state.audience

    def _on_committed(self, event: Committed) -> None:
        self._take_cases(event)
        self._act()

    def _take_cases(self, event: Committed) -> None:
        self._told = self._told or event.told
        for case in event.cases:
            self._state = with_case(self._state, case)

    def _act(self) -> None:
        assert self.verdict is not None
        verdict = self.verdict
        if not self._terms.enforce and self._state.episode.is_open:
            self._state = msgspec.structs.replace(
                self._state, episode=msgspec.structs.replace(self._state.episode, shadow=True)
            )
        self._saved = self._state
        if self._terms.enforce and not {"replace", "handoff", "support"}.isdisjoint(verdict.actions):
            # Answered is who has got the answer: whoever asks again because the proxy died meanwhile is answered again.
            self._saved = msgspec.structs.replace(self._state, episode=self._earlier)
        self._out.append(SaveState(self._saved, self._durable))
        self._out.append(Record(verdict, self._terms.enforce, _differing(verdict, self._other)))
        if self._answers(verdict):
            self._answer(self._compose(verdict))
        else:
            guidance = compose.guidance_of(self._policy, verdict) if self._terms.enforce else ""
            self.phase = "waiting"
            self._out.append(SendUpstream(guidance))

    def _answers(self, verdict: Verdict) -> bool:
        """Whether the person is answered here and now, by a text of ours."""
        return self._terms.enforce and ACTION_RANK[verdict.action] >= ACTION_RANK["rewrite"]

    def _compose(self, verdict: Verdict) -> str:
        return compose.compose(
            self._policy,
            verdict,
            tongues=self._tongues,
            help_lines=self._help,
            country=self._opened.country,
            audience=self._audience,
            at=self._now,
            told=self._told,
            names=self._terms.names,
        )

    # --- the upstream's answer

    def _on_headers(self, event: UpstreamHeaders) -> None:
        content_type = event.content_type.partition(";")[0].strip().lower()
        streamed = content_type == self._dialect.stream_type.partition(";")[0]
        is_json = content_type == "application/json" or content_type.endswith("+json")
        if not 200 <= event.status < 300:
            self._upstream_answered_badly(event.status)
        elif streamed or (is_json and not self._started):
            self._begin_reply(event.status, streamed=streamed)
        elif self._terms.enforce:
            self._fail("unreadable")
        else:
            self._leave_unread(event.status)

    def _leave_unread(self, status: int) -> None:
        """Shadow mode changes nothing, not even for what cannot be read: it goes on as it is, and counts."""
        self._out.append(Fault("upstream_unreadable"))
        self._start(status, None, self.action)
        self.phase = "passing"

    def _upstream_answered_badly(self, status: int) -> None:
        if self._cares or self._started:
            self._fail("unreadable")
            return
        self._out.append(Fault("upstream_status"))
        self._start(status, None, self.action)
        self.phase = "passing"

    @property
    def _cares(self) -> bool:
        """Whether a failure must be answered humanely: enforcing, and the person is in crisis or not yet calm, or
        what is remembered of them could not be asked for."""
        return self._terms.enforce and (self._opened.store_failed or needs_care(self._state.trajectory, self.verdict))

    @property
    def action(self) -> Action:
        """The strictest action taken so far."""
        verdicts = [v.action for v in (self.verdict, self.final) if v is not None and self._terms.enforce]
        return max(verdicts, key=ACTION_RANK.__getitem__, default="pass")

    def _begin_reply(self, status: int, *, streamed: bool) -> None:
        assert self.verdict is not None
        verdict = self.verdict
        offered = self._terms.enforce and "support" in verdict.actions
        self._reply = Reply(
            self._policy,
            self._dialect,
            self._opened.chat,
            self._state,
            Reader(self._locale, self._opened.country, self._audience, self._opened.around),
            self._terms,
            self._compose,
            streamed=streamed,
            reply_id=self._opened.id,
            created=int(self._opened.at),
            appendix=self._compose(verdict) if offered else "",
            trial=self._trial,
        )
        self._streamed = streamed
        self._reader = self._dialect.reader() if streamed else None
        self._body.clear()
        self._size = 0
        self._asked = self._upstream_done = self._broken = False
        self.phase = "replying"
        if streamed or not self._terms.enforce:
            self._start(status, None, self.action)

    def _on_chunk(self, event: UpstreamChunk) -> None:
        assert self._reply is not None
        if not self._terms.enforce:
            self._send(event.data)
        self._size += len(event.data)
        if self._size > (self._terms.reply_limit if self._reader is None else self._terms.stream_limit):
            self._fail("oversized")
            return
        if self._reader is None:
            self._body += event.data
            return
        try:
            self._take(self._reader.feed(event.data))
        except Refusal:
            self._fail("unreadable")
            return
        self._look()

    def _on_upstream_ended(self, _: UpstreamEnded) -> None:
        assert self._reply is not None
        self._upstream_done = True
        try:
            frames = self._reader.close() if self._reader is not None else [self._read_whole()]
        except Refusal:
            self._fail("torn" if self._streamed else "unreadable")
            return
        self._take(frames)
        self._look()

    def _take(self, frames: Sequence[Frame]) -> None:
        """Frames for the reply. Instead of the upstream's error somebody in care gets the policy's answer to it."""
        assert self._reply is not None
        failed = next((at for at, frame in enumerate(frames) if frame.error), None)
        if failed is not None and self._cares:
            self._broken, self._upstream_done = True, False
            frames = frames[:failed]
        self._reply.take(frames)

    def _read_whole(self) -> Frame:
        whole: WholeReply = self._dialect.read_reply(bytes(self._body))
        self._pieces = whole.pieces
        return Frame(bytes(self._body), whole.pieces, whole.tools, end=True, id=whole.id)

    def _look(self) -> None:
        """Have detectors look at what is due, one scan at a time; then release what may go."""
        assert self._reply is not None
        if self._asked:
            return
        try:
            self._looks = self._reply.looks()
            if not self._looks and self._upstream_done:
                self._looks = self._reply.finish()
        except Refusal:
            self._fail("oversized")
            return
        if self._looks:
            self._asked = True
            self._out.append(
                Scan("outbound", self._looks, self._opened.chat.messages, self._opened.locale, self._audience)
            )
        else:
            self._release()

    def _on_scanned_reply(self, event: Scanned) -> None:
        assert self._reply is not None
        self._asked = False
        cut = self._reply.settle(self._looks, event, self._now)
        if cut is not None:
            self._cut(cut)
            return
        self._tell_of(self._reply)
        if self._streamed and self._terms.enforce:
            self._send(self._reply.release())
        self._look()

    def _tell_of(self, reply: Reply) -> None:
        """A reply that goes on, changed or not, may still be a matter for a human."""
        if reply.verdict is not None and self._terms.enforce:
            self._open_cases(reply.verdict)

    def _open_cases(self, verdict: Verdict) -> None:
        drafts = tuple(d for d in verdict.cases if d.category not in self._opened_cases)
        if drafts:
            self._opened_cases.update(d.category for d in drafts)
            self._out.append(Commit(drafts, verdict))

    def _release(self) -> None:
        assert self._reply is not None
        reply = self._reply
        if self._streamed and self._terms.enforce:
            self._send(reply.release())
        elif self._upstream_done and self._terms.enforce:
            body = reply.whole(bytes(self._body), self._pieces)
            self.final = reply.verdict
            self._start(200, None, self.action)
            self._send(body)
        if self._broken:
            self._fail("torn")
        elif self._upstream_done:
            self._end(reply)

    # --- endings

    def _cut(self, verdict: Verdict) -> None:
        """A reply that may not go on. What of it was inspected before has been released."""
        assert self._reply is not None
        if verdict.action == "regenerate" and not self._reply.has_begun and self._attempts == 0:
            self._attempts += 1
            self._open_cases(verdict)
            self._out.append(Record(verdict, True))
            self._out.append(CloseUpstream())
            self.phase = "waiting"
            self._out.append(SendUpstream(compose.guidance_of(self._policy, verdict)))
            return
        self.final = verdict
        if self._streamed:
            self._send(self._reply.release())
        self._out.append(CloseUpstream())
        self._parting = verdict
        if verdict.cases:
            self.phase = "parting"
            self._out.append(Commit(verdict.cases, verdict))
        else:
            self._part()

    def _on_parted(self, event: Committed) -> None:
        self._take_cases(event)
        self._part()

    def _part(self) -> None:
        assert self._parting is not None and self._reply is not None
        self._answer(self._compose(self._parting))

    def _on_failed(self, event: UpstreamFailed) -> None:
        self._fail(event.kind)

    def _fail(self, kind: UpstreamFault) -> None:
        """The upstream failed. In a crisis the person is answered; otherwise the client is told what happened."""
        if self._reply is not None and self._streamed and self._reply.is_complete:
            self._end(self._reply)  # everything was said: how the connection ends is nobody's matter
            return
        self._out.append(Fault(f"upstream_{kind}"))
        if not self._terms.enforce and self._started:
            self.phase = "passing"
            if self._upstream_done:
                self._on_passing_ended(UpstreamEnded(self._now))
            elif kind not in ("unreadable", "oversized"):
                self._on_passing_failed(UpstreamFailed(self._now, kind))
            return
        self._out.append(CloseUpstream())
        if self._cares:
            self._answer(self._failure_text())
            return
        status, message = STATUS[kind]
        if self._started:
            self._send(self._dialect.stream_error(status, message))
            self._out.append(End(torn=True))
        else:
            self._start(status, "application/json", self.action)
            self._send(self._dialect.error(status, message))
            self._out.append(End())
        self.phase = "done"

    def rescue(self) -> list[Effect]:
        """What to do when a part of ours broke where nothing may. Who is, or may be, in a crisis gets the last
        resort and never an error; nobody gets silence."""
        self._out = [Fault("internal"), CloseUpstream()]
        if self._terms.enforce and self.phase != "done" and (self.verdict is None or self._cares):
            self._answer(compose.LAST_RESORT)
        elif self.phase != "done" and not self._started:
            self._start(500, "application/json", self.action)
            self._send(self._dialect.error(500, "Something failed here."))
            self._out.append(End())
        else:
            self._out.append(End(torn=True))
        self.phase = "done"
        out, self._out = self._out, []
        return out

    def _failure_text(self) -> str:
        """The policy's answer to a failed upstream, recorded as the verdict it is."""
        assert self.verdict is not None
        answer = self._policy.on_failure.upstream
        self.final = msgspec.structs.replace(
            self.verdict,
            direction="outbound",
            action="replace",
            actions=("replace",),
            signals=(),
            severity=0,
            rule="on_failure.upstream",
            response=answer.response,
            resources=answer.resources,
            cases=(),
            trail=(),
        )
        return self._compose(self.final)

    def _answer(self, text: str) -> None:
        """Give the person a text of ours, in their dialect, status 200, well formed to its end."""
        opened = self._opened
        if self._started and self._reply is not None:
            self._send(self._reply.end_with(text))
            replied = Replied(self._reply.texts(), self._reply.id, ours=True)
        elif opened.chat.stream:
            writer = self._dialect.writer(opened.chat, reply_id=opened.id, created=int(opened.at))
            stream = writer.say(text) + writer.finish()
            self._start(200, self._dialect.stream_type, self.action)
            self._send(stream)
            replied = Replied((text,), _id_in(self._dialect.reader(), stream), ours=True)
        else:
            body = self._dialect.replacement(opened.chat, text, reply_id=opened.id, created=int(opened.at))
            self._start(200, "application/json", self.action)
            self._send(body)
            replied = Replied((text,), self._dialect.read_reply(body).id, ours=True)
        self._close(replied)

    def _end(self, reply: Reply) -> None:
        self.final = reply.verdict
        changed = reply.verdict is not None and ACTION_RANK[reply.verdict.action] >= ACTION_RANK["rewrite"]
        self._close(Replied(reply.texts(), reply.id, ours=changed and self._terms.enforce))

    def _close(self, replied: Replied) -> None:
        self._remember_reply()
        if self.final is not None:
            ours = self.final.rule.startswith("on_failure")
            other = self._reply.other if self._reply is not None and not ours else None
            self._out.append(Record(self.final, self._terms.enforce or ours, _differing(self.final, other)))
        self._out.append(replied)
        self._out.append(End())
        self.phase = "done"

    def _remember_reply(self) -> None:
        """What the reply adds to what is remembered: that it was given, its part in patterns over turns, its cases."""
        if self._saved is None:
            return
        state = self._state
        if self._reply is not None:
            state = msgspec.structs.replace(state, drift=self._reply.remembered().drift)
        if state != self._saved:
            self._state = self._saved = state
            self._out.append(SaveState(state, durable=False))

    def _on_passing_chunk(self, event: UpstreamChunk) -> None:
        self._send(event.data)

    def _on_passing_ended(self, _: UpstreamEnded) -> None:
        self._out.append(End())
        self.phase = "done"

    def _on_passing_failed(self, _: UpstreamFailed) -> None:
        self._out.append(End(torn=True))
        self.phase = "done"

    def _on_tick(self, _: Tick) -> None:
        over = self._reply is not None and self._reply.is_complete
        if self._streamed and self._started and self._terms.enforce and not over:
            self._send(self._dialect.keepalive)

    def _on_client_gone(self, _: ClientGone) -> None:
        """Nobody listens any more. What was decided stands: cases are committed, the state is remembered."""
        self._out.append(CloseUpstream())
        if self._reply is not None:
            self.final = self._reply.verdict
            self._remember_reply()
            self._out.append(Replied(self._reply.texts(), self._reply.id))
            if self.final is not None:
                self._out.append(Record(self.final, self._terms.enforce))
        self._out.append(End(torn=True))
        self.phase = "done"

    # --- bytes

    def _start(self, status: int, content_type: str | None, action: Action) -> None:
        if not self._started:
            self._started = True
            self._out.append(Start(status, content_type, action))

    def _send(self, data: bytes) -> None:
        if data:
            self._out.append(Send(data))


def _differing(verdict: Verdict, other: Verdict | None) -> Verdict | None:
    """``other``, if it would have done something else; the names of rules are nobody's concern."""
    return other if other is not None and effect_of(other) != effect_of(verdict) else None


def _id_in(reader: StreamReader, stream: bytes) -> str:
    return next((frame.id for frame in reader.feed(stream) if frame.id), "")


def _fresh_from(messages: Sequence[Message], known: int) -> int:
    """Where the person's turns after the last reply begin: those are judged together."""
    begin = len(messages)
    while begin > known and messages[begin - 1].role == "assistant":
        begin -= 1  # words put into the bot's mouth, or a place kept for its answer: the person has none yet
    while begin > known and messages[begin - 1].role in ("user", "system"):
        begin -= 1
    return begin


def _merge(drafts: dict[str, CaseDraft], more: Sequence[CaseDraft]) -> None:
    """One case a category: the more severe draft stands."""
    for draft in more:
        if draft.category not in drafts or draft.severity > drafts[draft.category].severity:
            drafts[draft.category] = draft


class Step(NamedTuple):
    """What answers an event, and the states it may lead to."""

    handler: Callable[[Exchange, Any], None]
    to: tuple[Phase, ...]


TABLE: Mapping[tuple[Phase, type], Step] = {
    ("new", Opened): Step(Exchange._on_opened, ("scanning", "committing", "waiting", "done")),
    ("scanning", Scanned): Step(Exchange._on_scanned_request, ("committing", "waiting", "done")),
    ("committing", Committed): Step(Exchange._on_committed, ("waiting", "done")),
    ("waiting", UpstreamHeaders): Step(Exchange._on_headers, ("replying", "passing", "done")),
    ("waiting", Committed): Step(Exchange._take_cases, ("waiting",)),
    ("waiting", UpstreamFailed): Step(Exchange._on_failed, ("done",)),
    ("waiting", ClientGone): Step(Exchange._on_client_gone, ("done",)),
    ("replying", UpstreamChunk): Step(Exchange._on_chunk, ("replying", "passing", "done")),
    ("replying", UpstreamEnded): Step(Exchange._on_upstream_ended, ("replying", "done")),
    ("replying", UpstreamFailed): Step(Exchange._on_failed, ("done",)),
    ("replying", Scanned): Step(Exchange._on_scanned_reply, ("replying", "waiting", "parting", "passing", "done")),
    ("replying", Committed): Step(Exchange._take_cases, ("replying",)),
    ("replying", Tick): Step(Exchange._on_tick, ("replying",)),
    ("replying", ClientGone): Step(Exchange._on_client_gone, ("done",)),
    ("parting", Committed): Step(Exchange._on_parted, ("done",)),
    ("passing", UpstreamChunk): Step(Exchange._on_passing_chunk, ("passing",)),
    ("passing", UpstreamEnded): Step(Exchange._on_passing_ended, ("done",)),
    ("passing", UpstreamFailed): Step(Exchange._on_passing_failed, ("done",)),
    ("passing", ClientGone): Step(Exchange._on_client_gone, ("done",)),
}
"""(state, event) -> its handler and where it leads. What is not here does not happen, or does not matter any more."""


def replay(exchange: Exchange, events: Sequence[Event]) -> list[Verdict]:
    """The verdicts of a recorded exchange under ``exchange``'s policy."""
    for event in events:
        exchange.handle(event)
    return [v for v in (exchange.verdict, exchange.final) if v is not None]
