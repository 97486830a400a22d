"""The pump of one guarded exchange: performs its effects in order, and tells it what happened."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from time import perf_counter

import msgspec
import structlog

from guardrail.core.conditions import Around
from guardrail.core.conversation import State, merged
from guardrail.core.events import (
    ClientGone,
    CloseUpstream,
    Commit,
    Effect,
    End,
    Event,
    Fault,
    Opened,
    Record,
    Replied,
    SaveState,
    Scan,
    SendUpstream,
    Start,
    Tick,
    UpstreamChunk,
    UpstreamEnded,
    UpstreamFailed,
    UpstreamHeaders,
)
from guardrail.core.events import Send as SendBytes
from guardrail.core.exchange import Exchange
from guardrail.core.model import Message, Refusal
from guardrail.core.ports import Chat, Dialect
from guardrail.dialects.salvage import HEARD, LONGEST, heard
from guardrail.server.context import Bridge
from guardrail.server.decoding import CannotDecode, Decoder, UnknownCoding
from guardrail.server.finding import Located
from guardrail.server.passing import REFUSAL, for_upstream, target
from guardrail.server.request import About, BodyRefused, Receive, Scope, Send, plain, read_body, read_headers
from guardrail.server.services import Services
from guardrail.server.upstream import Answer, Headers, Upstream, UpstreamError, end_to_end
from guardrail.server.watch import Watch
from guardrail.store.conversations import StoreFailed

log = structlog.get_logger("guardrail.exchange")

_REPLACED = frozenset((b"content-length", b"accept-encoding", b"content-encoding"))
_LENGTH = frozenset((b"content-length",))
_REWRITTEN = frozenset((b"content-length", b"content-encoding"))
_OURS = frozenset((b"x-guardrail-exchange", b"x-guardrail-action"))
_BOOKS = (SaveState, Record, Replied, Fault)
_SAVE_WITHIN = 0.1
"""Seconds a rise of the latch may take to reach the disk before the reply goes without it."""


class Chatting:
    """One request on a path whose dialect we speak. Make one a request and await ``run`` once."""

    def __init__(
        self, services: Services, upstream: Upstream, dialect: Dialect, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._services, self._upstream, self._dialect = services, upstream, dialect
        self._scope, self._receive, self._client = scope, receive, send
        self._id = secrets.token_hex(12)
        self._about = read_headers(scope["headers"])
        self._policy = services.policy  # of this exchange, whatever is put in force meanwhile
        self._exchange = Exchange(self._policy, dialect, services.help, services.terms, services.policies.trial)
        self._body = b""
        self._located: Located | None = None
        self._new: Chat | None = None  # the chat as the request brought it
        self._bridge: Bridge | None = None
        self._remembered: State | None = None  # what this exchange last knew or said of its conversation
        self._answer: Answer | None = None
        self._decoder: Decoder | None = (
            None  # none: its coding is unknown, and its bytes go on as they are or not at all
        )
        self._start: Start | None = None
        self._started = False
        self._bytes: list[bytes] = []
        self._end: End | None = None
        self._busy = False
        self._gone = False
        self._asking: asyncio.Task[None] | None = None
        self._sent_at = 0.0
        self._held_since = 0.0
        self._awaited = 0.0

    async def run(self) -> None:
        """Answer the request."""
        self._services.active += 1
        try:
            await self._run()
        finally:
            self._services.active -= 1

    async def _run(self) -> None:
        begun = perf_counter()
        opened = await self._open(self._about)
        if opened is None:
            return
        keepalive = self._services.settings.limits.keep_alive
        # Twice as often, or a tick just too early would make the silence twice as long.
        watch = Watch(self._receive, keepalive / 2, self._on_gone, self._on_quiet)
        try:
            await self._drive(opened)
            while self._answer is not None:
                await self._read(self._answer)
        except asyncio.CancelledError:
            await self._part()
            raise
        finally:
            await watch.stop()
            await self._close_answer()
        self._exchanged(self._outcome())
        self._services.metrics.added_latency(perf_counter() - begun - self._awaited)

    def _exchanged(self, outcome: str) -> None:
        self._services.exchanged(
            self._id, self._conversation, self._dialect.name, outcome, self._exchange.action, self._policy
        )

    def _fault(self, kind: str) -> None:
        self._services.fault(kind, exchange=self._id, policy=self._policy)

    def _outcome(self) -> str:
        if self._gone:
            return "client_gone"
        return "torn" if self._end is not None and self._end.torn else "answered"

    # --- the request

    async def _open(self, about: About) -> Opened | None:
        """Read the request and find its conversation; ``None`` when it was answered here."""
        limits = self._services.settings.limits
        try:
            self._body = await read_body(self._receive, limits.request_body, limits.request_body_time)
            if coding := _coding(self._scope["headers"]):
                self._body = plain(self._body, coding, limits.request_body)
            read = self._services.histories.read(self._dialect, self._body, self._services.now())
            chat = read.chat
        except ConnectionError:
            return None
        except BodyRefused as refused:
            await self._refuse(about, refused.status, str(refused), heard(refused.heard))
            return None
        except Refusal as refused:
            await self._refuse(about, 400, f"The request could not be read: {refused}.", heard(self._body))
            return None
        if len(chat.messages) > limits.messages:
            await self._refuse(about, 400, f"The history has more than {limits.messages} messages.", _last_words(chat))
            return None
        if refusal := self._scope.get("extensions", {}).get(REFUSAL):
            await self._refuse(about, refusal["status"], refusal["message"], _last_words(chat))
            return None
        at = self._services.now()
        self._located = located = await self._services.finder.find(chat, about.caller, at, read.base)
        if read.kept is not None:
            read.kept.user, read.kept.trail = about.caller.user, located.trail
        self._remembered = located.state
        if located.store_failed:
            self._fault("store_failed")
        self._new = chat
        earlier: tuple[Message, ...] = ()
        if located.named is not None and not any(m.role == "assistant" for m in chat.messages):
            earlier = self._services.contexts.turns(located.state.id, at)
            chat = msgspec.structs.replace(chat, messages=(*earlier, *chat.messages))
        if chat.follows:
            self._bridge = self._services.contexts.bridge(chat.follows, at)
            if self._bridge is None and chat.missed_since is not None:
                self._bridge = Bridge(chat.missed_since, ())  # we have forgotten the turns: from there on, then
        return Opened(
            id=self._id,
            at=at,
            chat=chat,
            state=located.state,
            known=len(earlier) + located.known,
            locale=about.locale,
            country=about.country or self._services.settings.default_country,
            audience=about.audience,
            store_failed=located.store_failed,
            around=self._around(about, at),
        )

    def _around(self, about: About, at: float) -> Around:
        return Around(about.cues, about.prefers, self._services.minute(at))

    async def _refuse(self, about: About, status: int, message: str, said: str) -> None:
        """A request that is refused is never sent on. Somebody in care, or in danger by what was still heard of
        it (``said``), is answered all the same."""
        self._fault("request_refused")
        turns = (Message("user", said),) if said else ()
        chat = Chat(turns, stream=self._dialect.seems_streamed(self._body))
        at = self._services.now()
        self._located = located = await self._services.finder.find(chat, about.caller, at)
        self._remembered = located.state
        opened = Opened(
            id=self._id,
            at=at,
            chat=chat,
            state=located.state,
            locale=about.locale,
            country=about.country or self._services.settings.default_country,
            audience=about.audience,
            store_failed=located.store_failed,
            around=self._around(about, at),
            refused=(status, message),
        )
        await self._drive(opened)
        outcome = "refused" if self._exchange.action == "pass" else "answered"
        self._exchanged(outcome)

    # --- the pump

    async def _drive(self, event: Event) -> None:
        """Perform what comes of an event. Whatever breaks in it, the person is answered."""
        try:
            await self._pump(event)
        except Exception as error:
            if isinstance(error, OSError) and self._started:
                raise  # the client's connection broke: nobody is there to be answered
            log.exception("an exchange broke", exchange=self._id)
            await self._rescue()

    async def _rescue(self) -> None:
        for effect in self._exchange.rescue():
            await self._perform_or_say(effect)
        await self._flush()
        self._busy = False

    async def _part(self) -> None:
        """The server stops and waits no longer. Who is there gets an answer with an end, as when a chatbot fails."""
        if self._gone or self._end is not None:
            return
        with contextlib.suppress(OSError):
            await self._drive(UpstreamFailed(self._services.now(), "timeout"))
            if self._end is None:
                await self._rescue()

    async def _pump(self, event: Event) -> None:
        """Hand an event over and perform what comes back, until nothing more comes of it."""
        self._busy = True
        events = deque([event])
        while events:
            for effect in self._exchange.handle(events.popleft()):
                if (answer := await self._perform_or_say(effect)) is not None:
                    events.append(answer)
            await self._flush()
        self._busy = False

    async def _perform_or_say(self, effect: Effect) -> Event | None:
        """What is only for the books may fail without keeping anybody from an answer; the log says so."""
        try:
            return await self._perform(effect)
        except Exception:
            if not isinstance(effect, _BOOKS):
                raise
            log.exception("a record of an exchange failed", exchange=self._id, effect=type(effect).__name__)
            return None

    async def _perform(self, effect: Effect) -> Event | None:
        match effect:
            case SendBytes():
                self._bytes.append(effect.data)
            case Scan():
                begun = perf_counter()
                scanned = await self._services.scanner.scan(effect)
                self._services.metrics.inspection(effect.direction, perf_counter() - begun)
                return scanned
            case SaveState():
                await self._save(effect)
            case Record():
                self._services.record(effect, self._id, self._conversation)
            case SendUpstream():
                return await self._ask(effect.guidance)
            case Start():
                self._start = effect
            case End():
                self._end = effect
            case Replied():
                self._remember_reply(effect)
            case Commit():
                return await self._services.commit(effect, self._id, self._conversation, self._place(), self._policy)
            case CloseUpstream():
                await self._close_answer()
            case Fault():
                self._fault(effect.kind)
        return None

    def _remember_reply(self, replied: Replied) -> None:
        if self._located is None or self._new is None:
            return
        at, contexts = self._services.now(), self._services.contexts
        self._services.finder.replied(self._located, self._about.caller.user, replied, at)
        if self._located.named is None and not replied.id:
            return  # the next request brings its history
        said = [m for m in self._new.messages if m.role == "user"]
        turns = (*said, *(Message("assistant", text) for text in replied.texts[:1]))
        contexts.add(self._conversation, turns, at)
        if replied.ours and replied.id and not self._new.conversation:
            contexts.remember_ours(replied.id, self._new.follows, turns, at)

    @property
    def _conversation(self) -> str:
        return self._located.state.id if self._located else ""

    def _place(self) -> tuple[str | None, str]:
        about, settings = self._about, self._services.settings
        return about.country or settings.default_country, about.locale or settings.default_locale

    async def _save(self, effect: SaveState) -> None:
        if not effect.state.id:
            return
        before, self._remembered = self._remembered, effect.state
        now = self._services.store.peek(effect.state.id)
        state = effect.state
        if before is not None and now is not None and now != before:  # another exchange, or a human, was faster
            state = merged(before, state, now)
        self._services.store.remember(state)
        if effect.durable:
            try:
                await self._services.store.flush(_SAVE_WITHIN)
            except StoreFailed:
                self._fault("store_failed")

    # --- the upstream

    async def _ask(self, guidance: str) -> Event:
        if self._services.active > self._services.settings.limits.exchanges:
            return UpstreamFailed(self._services.now(), "overloaded")
        body = self._body
        if self._bridge is not None:
            body = self._dialect.resumed(body, self._bridge.follows, self._bridge.turns)
        if guidance:
            body = self._dialect.steered(body, guidance)
        headers = for_upstream(self._scope["headers"], _REPLACED)
        headers += [(b"accept-encoding", b"identity"), (b"content-length", str(len(body)).encode())]
        begun = perf_counter()
        self._asking = asyncio.current_task()
        try:
            if self._gone:
                return ClientGone(self._services.now())
            self._answer = await self._upstream.send(self._scope["method"], target(self._scope), headers, body)
        except UpstreamError as error:
            return UpstreamFailed(self._services.now(), error.kind)
        except asyncio.CancelledError:
            if not self._gone or self._asking is None:
                raise
            self._asking.uncancel()
            return ClientGone(self._services.now())
        finally:
            self._asking = None
            self._awaited += perf_counter() - begun
        content_type = next((v for n, v in self._answer.headers if n == b"content-type"), b"")
        try:
            # An upstream that compresses although it was asked not to can still be read.
            self._decoder = Decoder(_coding(self._answer.headers))
        except UnknownCoding:
            self._decoder, content_type = None, b""
        return UpstreamHeaders(self._services.now(), self._answer.status, content_type.decode("latin-1"))

    async def _read(self, answer: Answer) -> None:
        """Read the upstream's answer to its end, or until it is not wanted any more."""
        begun = asked = perf_counter()
        event: Event
        try:
            async for chunk in answer.chunks():
                self._awaited += perf_counter() - asked
                if perf_counter() - begun > self._services.settings.limits.reply_time:
                    raise UpstreamError("timeout")
                for piece in (chunk,) if self._decoder is None else self._decoder.pieces(chunk):
                    await self._drive(UpstreamChunk(self._services.now(), piece))
                    if self._answer is not answer:
                        return
                if self._gone:
                    break
                asked = perf_counter()
            whole = self._decoder is None or self._decoder.is_whole
            event = UpstreamEnded(self._services.now()) if whole else UpstreamFailed(self._services.now(), "torn")
        except UpstreamError as error:
            event = UpstreamFailed(self._services.now(), error.kind)
        except CannotDecode:
            event = UpstreamFailed(self._services.now(), "unreadable")
        self._awaited += perf_counter() - asked
        if self._gone:
            event = ClientGone(self._services.now())
        await self._drive(event)
        if self._answer is answer:
            await self._close_answer()

    async def _close_answer(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            await answer.aclose()

    # --- the client

    async def _flush(self) -> None:
        """Send what this event gave, in as few messages as it can be."""
        body = b"".join(self._bytes)
        self._bytes.clear()
        done = self._end is not None
        if self._start is not None:
            length = len(body) if done else None
            await self._client(
                {
                    "type": "http.response.start",
                    "status": self._start.status,
                    "headers": self._headers(self._start, length),
                }
            )
            self._started, self._start = True, None
        self._note_hold(bool(body))
        if not self._started or not (body or done):
            return
        if self._end is not None and self._end.torn:
            if body:
                await self._client({"type": "http.response.body", "body": body, "more_body": True})
            return  # unfinished: the server closes the connection, and the client can tell
        await self._client({"type": "http.response.body", "body": body, "more_body": not done})
        self._sent_at = perf_counter()

    def _note_hold(self, sent: bool) -> None:
        if sent and self._held_since:
            self._services.metrics.hold(perf_counter() - self._held_since)
            self._held_since = 0.0
        elif not sent and not self._held_since:
            self._held_since = perf_counter()

    def _headers(self, start: Start, length: int | None) -> Headers:
        if start.content_type is None and self._answer is not None:
            kept = end_to_end(self._answer.headers, _REWRITTEN if self._decoder is not None else _LENGTH)
            headers = [(name, value) for name, value in kept if name not in _OURS]
        else:
            headers = [
                (b"content-type", (start.content_type or "application/json").encode()),
                (b"cache-control", b"no-cache"),
            ]
        if start.status == 503:
            headers.append((b"retry-after", b"5"))
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        headers.append((b"x-guardrail-exchange", self._id.encode()))
        headers.append((b"x-guardrail-action", start.action.encode()))
        return headers

    async def _on_gone(self) -> None:
        self._gone = True
        if self._asking is not None:
            self._asking.cancel()
        elif self._answer is not None and not self._busy:
            await self._answer.aclose()

    async def _on_quiet(self) -> None:
        interval = self._services.settings.limits.keep_alive
        if self._busy or not self._started or perf_counter() - self._sent_at < interval:
            return
        for effect in self._exchange.handle(Tick(self._services.now())):
            if isinstance(effect, SendBytes):
                with contextlib.suppress(OSError):  # the client is gone, which the watch will see
                    await self._client({"type": "http.response.body", "body": effect.data, "more_body": True})


def _coding(headers: Headers) -> bytes:
    return b",".join(value for name, value in headers if name == b"content-encoding")


def _last_words(chat: Chat) -> str:
    """What the person said since the last reply, in a history that is too long to be looked at."""
    said: list[str] = []
    for message in reversed(chat.messages):
        if message.role == "user":
            said.append(message.text[-LONGEST:])
        elif message.role == "assistant" and said:
            break
    return "\n".join(reversed(said))[-HEARD:]
