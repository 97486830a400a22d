"""The chatbot behind us: over HTTP, or an ASGI app in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Protocol

import aiohttp
import httpx
import yarl
from httpx_aiohttp import AiohttpTransport

from guardrail.core.events import UpstreamFault
from guardrail.server.tasks import spawn

Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)


IDLE = 4.0
"""Seconds an idle connection is kept: less than the 5 after which Node and uvicorn close theirs, so that no request
is sent on one that is just being closed. A chat is not asked twice by itself."""


class UpstreamError(Exception):
    """The upstream failed, and how. Holds nothing it said."""

    def __init__(self, kind: UpstreamFault) -> None:
        super().__init__(kind)
        self.kind: UpstreamFault = kind


class Answer(Protocol):
    """The upstream's answer. ``chunks`` gives its body as it was sent, content coding and all; raises
    ``UpstreamError`` when it breaks off or stalls."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Headers: ...
    def chunks(self) -> AsyncIterator[bytes]: ...
    async def aclose(self) -> None: ...


class Upstream(Protocol):
    """Sends a request on. ``target`` is path and query as they came. Raises ``UpstreamError``."""

    async def send(self, method: str, target: str, headers: Headers, body: bytes | AsyncIterator[bytes]) -> Answer: ...
    async def aclose(self) -> None: ...


def end_to_end(headers: Iterable[tuple[bytes, bytes]], drop: frozenset[bytes] = frozenset()) -> Headers:
    """Headers that are not only for this hop (RFC 9110, 7.6.1), those that ``Connection`` names included."""
    pairs = [(name.lower(), value) for name, value in headers]
    named = {part.strip().lower() for name, value in pairs if name == b"connection" for part in value.split(b",")}
    return [(n, v) for n, v in pairs if n not in HOP_BY_HOP and n not in named and n not in drop]


class HttpUpstream:
    """A chatbot at a base URL. One connection pool, kept warm; no cookies kept, no redirects followed."""

    def __init__(
        self,
        base_url: str,
        *,
        header_timeout: float,
        idle_timeout: float,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._base = httpx.URL(base_url.rstrip("/") + "/")
        self._prefix = base_url.rstrip("/")
        self._urls: dict[str, httpx.URL] = {}
        self._transport = transport or ExactTransport()
        self._timeout = {"connect": 10.0, "read": header_timeout, "pool": 10.0, "write": idle_timeout}
        self._idle = idle_timeout

    async def send(self, method: str, target: str, headers: Headers, body: bytes | AsyncIterator[bytes]) -> Answer:
        request = httpx.Request(
            method, self._url(target), headers=headers, content=body, extensions={"timeout": self._timeout}
        )
        try:
            response = await self._transport.handle_async_request(request)
        except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UpstreamError(_kind(error, "refused")) from error
        return _HttpAnswer(response)

    def _url(self, target: str) -> httpx.URL:
        url = self._urls.get(target)
        if url is None:
            url = httpx.URL(self._prefix + target)
            if len(self._urls) < 256:
                self._urls[target] = url
        return url

    async def aclose(self) -> None:
        await self._transport.aclose()


class ExactTransport(AiohttpTransport):
    """The transport to the upstream: one pool, made in the running loop when first used.

    aiohttp rewrites URLs it is given as text (``%2F`` becomes ``/``), which would ask the upstream for
    something else than the client did. Given as encoded URLs it leaves them alone.
    """

    def __init__(self) -> None:
        super().__init__(client=self)
        self._session: aiohttp.ClientSession | None = None

    def __call__(self) -> Any:
        return self

    def request(self, *, url: str, **options: Any) -> Any:
        if self._session is None:
            self._session = _session()
        return self._session.request(url=yarl.URL(url, encoded=True), **options)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("user-agent", "accept", "accept-encoding", "content-type"),
        trust_env=False,
    )


class _HttpAnswer:
    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers: Headers = [(name.lower(), value) for name, value in response.headers.raw]

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.aiter_raw():
                yield chunk
        except (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UpstreamError(_kind(error, "torn")) from error

    async def aclose(self) -> None:
        try:
            await self._response.aclose()
        except (httpx.HTTPError, aiohttp.ClientError, OSError):
            return  # it is closed; that it did not go quietly changes nothing


def _kind(error: BaseException, otherwise: UpstreamFault) -> UpstreamFault:
    """``httpx-aiohttp`` calls every lost connection a connect timeout; its cause says which it was."""
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientConnectionError) and not isinstance(cause, aiohttp.ServerTimeoutError):
        return otherwise
    return "timeout" if isinstance(error, httpx.TimeoutException | TimeoutError) else otherwise


class AppUpstream:
    """A chatbot that is an ASGI app in this process. Its body streams through a queue of bounded length.

    Times are in seconds, as for a chatbot behind HTTP: an app that hangs is a failure that has its answer.
    """

    def __init__(self, app: Any, scope: Mapping[str, Any], *, header_timeout: float, idle_timeout: float) -> None:
        self._app, self._scope = app, scope
        self._header_timeout, self._idle_timeout = header_timeout, idle_timeout

    async def send(self, method: str, target: str, headers: Headers, body: bytes | AsyncIterator[bytes]) -> Answer:
        path, _, query = target.partition("?")
        scope = {
            **self._scope,
            "method": method,
            "headers": headers,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "extensions": {},  # the server's shortcuts for sending would lead past inspection
        }
        answer = _AppAnswer(self._app, scope, body, self._idle_timeout)
        begun = False
        try:
            await answer.begin(self._header_timeout)
            begun = True
        finally:
            if not begun:
                await answer.aclose()
        return answer

    async def aclose(self) -> None:
        return


class _AppAnswer:
    def __init__(self, app: Any, scope: dict[str, Any], body: bytes | AsyncIterator[bytes], idle: float) -> None:
        self.status = 0
        self.headers: Headers = []
        self._queue: asyncio.Queue[Mapping[str, Any] | BaseException] = asyncio.Queue(maxsize=8)
        self._gone = asyncio.Event()
        self._idle = idle
        self._body = body if not isinstance(body, bytes) else _once(body)
        self._runner = spawn("app-upstream", self._run(app, scope))

    async def _run(self, app: Any, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._queue.put)
            await self._queue.put(EOFError())
        except Exception as error:  # the app's own failure: the policy answers it
            await self._queue.put(error)

    async def _receive(self) -> dict[str, Any]:
        async for chunk in self._body:
            return {"type": "http.request", "body": chunk, "more_body": True}
        if not self._gone.is_set() and not getattr(self, "_told", False):
            self._told = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _next(self, seconds: float, otherwise: UpstreamFault) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(seconds):
                message = await self._queue.get()
        except TimeoutError as error:
            raise UpstreamError("timeout") from error
        if isinstance(message, BaseException):
            raise UpstreamError(otherwise) from message
        return message

    async def begin(self, seconds: float) -> None:
        message = await self._next(seconds, "refused")
        self.status = message["status"]
        self.headers = [(n.lower(), v) for n, v in message.get("headers", [])]

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            message = await self._next(self._idle, "torn")
            if chunk := message.get("body", b""):
                yield chunk
            if not message.get("more_body", False):
                return

    async def aclose(self) -> None:
        self._gone.set()
        self._runner.cancel()
        await asyncio.gather(self._runner, return_exceptions=True)
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(EOFError())  # whoever still reads must not wait for an app that is no more


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
