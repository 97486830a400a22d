"""Every path that is not a chat we know: passed through, streaming both ways, any method, any size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from guardrail.server.request import Message, Receive, Scope, Send
from guardrail.server.upstream import Headers, Upstream, UpstreamError, end_to_end
from guardrail.server.watch import Watch
from guardrail.settings_model import Limits

DROPPED = frozenset((b"host", b"expect"))
_LENGTH = frozenset((b"content-length",))
REFUSAL = "guardrail.refusal"
"""The ASGI extension by which the server says that a request goes beyond a limit: ``status`` and ``message``."""


def for_upstream(headers: Headers, drop: frozenset[bytes] = frozenset()) -> Headers:
    """The request's headers as the upstream may see them: none that were meant for us."""
    kept = end_to_end(headers, DROPPED | drop)
    return [(name, value) for name, value in kept if not name.startswith(b"x-guardrail-")]


def target(scope: Scope) -> str:
    """Path and query, as the client wrote them."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    return (raw + (b"?" + query if query else b"")).decode("latin-1")


async def pass_through(scope: Scope, receive: Receive, send: Send, upstream: Upstream, limits: Limits) -> str:
    """Pass one exchange through. Gives what became of it: ``passed``, ``refused``, ``upstream_failed`` or ``torn``."""
    if refusal := scope.get("extensions", {}).get(REFUSAL):
        await _plain(send, refusal["status"], refusal["message"])
        return "refused"
    framing = {name for name, _ in scope["headers"]} & {b"content-length", b"transfer-encoding"}
    # With both, the length is a lie that the upstream may believe, and take the rest for somebody's next request.
    headers = for_upstream(scope["headers"], _LENGTH if b"transfer-encoding" in framing else frozenset())
    uploaded = asyncio.Event()
    body: bytes | AsyncIterator[bytes] = b""
    if framing:
        body = _stream(receive, uploaded, limits.client_idle)
    else:
        uploaded.set()

    async def later() -> Message:
        await uploaded.wait()  # an upstream may answer before it has all of the body, which is not ours to take
        return await receive()

    try:
        answer = await upstream.send(scope["method"], target(scope), headers, body)
    except UpstreamError as error:
        await _plain(send, 504 if error.kind == "timeout" else 502, "The upstream could not be reached.")
        return "upstream_failed"
    watch = Watch(later, limits.keep_alive, answer.aclose)
    try:
        await send({"type": "http.response.start", "status": answer.status, "headers": end_to_end(answer.headers)})
        async for chunk in answer.chunks():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    except UpstreamError:
        return "torn"  # the response stays unfinished: the server closes the connection, as the upstream did
    finally:
        await watch.stop()
        await answer.aclose()
    return "passed"


async def _stream(receive: Receive, uploaded: asyncio.Event, idle: float) -> AsyncIterator[bytes]:
    try:
        while True:
            async with asyncio.timeout(idle):
                message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError("the client went away")
            if chunk := message.get("body", b""):
                yield chunk
            if not message.get("more_body", False):
                return
    finally:
        uploaded.set()


async def _plain(send: Send, status: int, text: str) -> None:
    body = text.encode() + b"\n"
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


blocked = _plain
"""Answer a path that ``unknown_dialect: block`` does not let through."""
