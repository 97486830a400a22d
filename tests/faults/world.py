"""A whole proxy in this process, with real sockets before it and behind it, that faults can be done to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

from escalation.case import Case, NewCase
from escalation.desk import Committed
from guardrail import shipped
from guardrail.core.model import Context, Direction, Signal
from guardrail.journal import verify
from guardrail.server.app import App
from guardrail.server.scanner import Scanner
from guardrail.server.services import Services
from guardrail.server.upstream import HttpUpstream
from guardrail.settings_model import Settings
from tests.live import SECRET
from tests.wire import openai_reply, openai_stream

SOUP = "Soup is good."
CRISIS = "I am going to kill myself tonight"
LATER = "Are you there?"
ORDINARY = "What can I cook today?"
PATIENCE = 20.0
PATIENT = 1.0
ON_A_BUSY_DISK = 15.0
LIMITS = {
    "upstream_headers": "600ms", "upstream_idle": "600ms", "reply_body": "64KiB", "stream_body": "64KiB", "keep_alive": "100ms",
}  # fmt: skip

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bool], Awaitable[None]]


compiled = cache(shipped.load)


class Peer:
    """A server of raw bytes. ``handler`` answers each request; ``asked`` counts them."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.asked = 0
        self.bodies: list[bytes] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more: from now on connections are refused."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next((int(h[15:]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")), 0)
            body = await reader.readexactly(length)
            self.asked += 1
            self.bodies.append(body)
            await self.handler(reader, writer, b'"stream":true' in body.replace(b" ", b""))
            await writer.drain()
        writer.close()


def answer(
    body: bytes, kind: str = "application/json", status: str = "200 OK", *, more: str = "", length: int | None = None
) -> bytes:
    size = len(body) if length is None else length
    return (
        f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {size}\r\nconnection: close\r\n{more}\r\n".encode()
        + body
    )


def good(streamed: bool) -> tuple[bytes, str]:
    """A reply as the API gives it, and its type."""
    if streamed:
        return openai_stream(["Soup ", "is ", "good."]), "text/event-stream"
    return openai_reply(SOUP), "application/json"


async def kind_bot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, streamed: bool) -> None:
    writer.write(answer(*good(streamed)))


async def thanks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, streamed: bool) -> None:
    writer.write(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n")


async def kept_back(text: str, locale: str) -> str:
    """What the redaction worker would give, without its process."""
    return "<SUMMARY>"


class Plugin:
    """A detector that somebody plugged in. ``look`` is exchanged by faults."""

    name = "plugin"
    directions: frozenset[Direction] = frozenset(("inbound", "outbound"))
    deadline = 0.1
    blocking = False
    required = True

    def look(self, text: str, context: Context) -> list[Signal]:
        return []


class Got(msgspec.Struct, frozen=True):
    """What the client got."""

    status: int
    action: str
    body: bytes
    torn: bool

    @property
    def error(self) -> str:
        """The API's own error in it: its message; empty where there is none."""
        last = self.body.strip().split(b"\n\n")[-1].removeprefix(b"event: error\n").removeprefix(b"data: ")
        try:
            found = json.loads(last)
        except ValueError:
            return ""
        return str(found["error"]["message"]) if isinstance(found, dict) and "error" in found else ""

    @property
    def text(self) -> str:
        """The words a client shows."""
        said = ""
        for line in self.body.split(b"\n\n"):
            with contextlib.suppress(ValueError, LookupError, TypeError):
                choice = json.loads(line.removeprefix(b"data: "))["choices"][0]
                said += choice.get("delta", choice.get("message"))["content"] or ""
        return said


class World:
    """Made by ``world``. Faults take its parts and spoil them."""

    def __init__(self, data: Path, upstream: Peer, hook: Peer, detector: Plugin) -> None:
        self.data, self.upstream, self.hook, self.detector = data, upstream, hook, detector
        self.clock = 0.0
        self.patience = ON_A_BUSY_DISK
        """Seconds the case store has to take a case."""
        channels = {"hook": {"kind": "webhook", "url": f"http://127.0.0.1:{hook.port}/hook", "secret": SECRET}}
        given: dict[str, Any] = {
            "upstream": f"http://127.0.0.1:{upstream.port}", "data": str(data), "default_country": "DE", "limits": LIMITS,
            "escalation": {"channels": channels}, "log_level": "error",
        }  # fmt: skip
        with patch("guardrail.shipped.load", compiled):
            self.services = Services.configured(None, given)
        self.services.now = self.now  # type: ignore[method-assign]
        self.services._dispatcher._now = self.now
        self.services._dispatcher._delivery._now = self.now
        self.services._dispatcher._delivery._redact = kept_back
        self.kept: list[str] = []
        """Where each case was when its person was answered."""
        self._commit = self.services.desk.commit
        self.services.desk.commit = self.commit  # type: ignore[method-assign]
        self.services.scanner.close()
        self.services.scanner = Scanner((shipped.lexicon(), detector), self.now)
        settings: Settings = self.services.settings
        limits = settings.limits
        pool = HttpUpstream(
            settings.upstream, header_timeout=limits.upstream_headers, idle_timeout=limits.upstream_idle
        )
        self._pool, self._app = pool, App(self.services, pool)

    def now(self) -> float:
        return time.time() + self.clock

    async def commit(self, new: NewCase) -> Committed:
        """As the desk does. Many worlds share two cores: what is late because of that is no fault of the store."""
        done = await self._commit(new, self.patience)
        self.kept.append(done.where)
        return done

    async def say(self, text: str, *, stream: bool, conversation: str) -> Got:
        body = json.dumps({"model": "m", "stream": stream, "messages": [{"role": "user", "content": text}]}).encode()
        headers = [(b"content-type", b"application/json"), (b"x-guardrail-conversation", conversation.encode())]
        scope = {
            "type": "http", "method": "POST", "path": "/v1/chat/completions", "raw_path": b"/v1/chat/completions",
            "query_string": b"", "headers": headers,
        }  # fmt: skip
        sent: list[dict[str, Any]] = []
        requests = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if requests:
                return requests.pop()
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        async with asyncio.timeout(PATIENCE):
            with patch("guardrail.server.finding.LOOKUP", PATIENT):
                await self._app(scope, receive, send)  # type: ignore[arg-type]
        begin = sent[0]
        action = dict(begin["headers"]).get(b"x-guardrail-action", b"").decode()
        got = b"".join(m.get("body", b"") for m in sent[1:])
        return Got(begin["status"], action, got, torn=bool(sent[-1].get("more_body", True)))

    async def cases(self) -> list[Case]:
        """Every case there is, once everything that waits has gone where it belongs."""
        await self.services.desk.drain()
        found, _ = await self.services.desk.find(limit=1000)
        return found

    async def close(self) -> None:
        await self.services.stop()
        await self._pool.aclose()
        found = verify(self.data, key=(self.data / "secret").read_bytes().strip())
        assert found.ok, found


@contextlib.asynccontextmanager
async def world(data: Path) -> AsyncIterator[World]:
    upstream, hook = Peer(kind_bot), Peer(thanks)
    await upstream.start()
    await hook.start()
    made = World(data, upstream, hook, Plugin())
    await made.services.start()
    try:
        yield made
    finally:
        await made.close()
        await upstream.stop()
        await hook.stop()
