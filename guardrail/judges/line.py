"""The way to judges on other machines: one event loop in a thread of its own, and one pool of connections, for all.

A handshake, a certificate store or a large answer holds up nobody's chat there, and whoever has no event loop can ask
too.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

import httpx

from guardrail.detectors.run import Unread

T = TypeVar("T")

LARGEST = 256 * 1024
"""Bytes of one answer."""
IDLE = 4.0
"""Seconds an idle connection is kept: less than common servers keep theirs."""


class Line:
    """Begun when it is first used. ``transport`` takes the place of the network in tests."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._transport = transport
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run ``work`` on the line. A future that is cancelled cancels it. Raises ``Unread`` once it is closed."""
        with self._lock:
            if self._closed:
                work.close()
                raise Unread("absent")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="judges", daemon=True)
                self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> bytes:
        """The body of the answer, which is 200, plain and not too large; no redirect is followed. Raises ``Unread``.

        To be awaited in work of this line only. ``seconds``: for each step of it.
        """
        if self._transport is None:
            self._transport = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=None, keepalive_expiry=IDLE))
        timeout = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
        sent = {**headers, "content-type": "application/json", "accept-encoding": "identity"}
        try:
            request = httpx.Request("POST", url, headers=sent, content=body, extensions={"timeout": timeout})
            response = await self._transport.handle_async_request(request)
            try:
                return await _whole(response)
            finally:
                await response.aclose()
        except (httpx.TimeoutException, TimeoutError):
            raise Unread("deadline") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError):
            raise Unread("absent") from None

    def close(self) -> None:
        """Let go of everything. Work under way is cancelled."""
        with self._lock:
            self._closed = True
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._end(loop), loop)
        thread.join(5)
        if not thread.is_alive():
            loop.close()

    async def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if self._transport is not None:
            await self._transport.aclose()
        loop.stop()


async def _whole(response: httpx.Response) -> bytes:
    if response.status_code != 200:
        raise Unread("absent")
    if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise Unread("invalid")  # it was asked not to: a few bytes could become very many
    assert isinstance(response.stream, AsyncIterable)
    body = bytearray()
    async for chunk in response.stream:
        body += chunk
        if len(body) > LARGEST:
            raise Unread("invalid")
    return bytes(body)
