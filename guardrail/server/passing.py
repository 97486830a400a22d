"""Every path that is not a chat we know: passed through, streaming both ways, any method, any size."""

from __future__ import annotations

from collections.abc import AsyncIterator

from guardrail.server.request import Receive, Scope, Send
from guardrail.server.upstream import Headers, Upstream, UpstreamError, end_to_end
from guardrail.server.watch import Watch

DROPPED = frozenset((b"host", b"expect"))


def for_upstream(headers: Headers, drop: frozenset[bytes] = frozenset()) -> Headers:
    """The request's headers as the upstream may see them: none that were meant for us."""
    kept = end_to_end(headers, DROPPED | drop)
    return [(name, value) for name, value in kept if not name.startswith(b"x-guardrail-")]


def target(scope: Scope) -> str:
    """Path and query, as the client wrote them."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    return (raw + (b"?" + query if query else b"")).decode("latin-1")


async def pass_through(scope: Scope, receive: Receive, send: Send, upstream: Upstream, keepalive: float) -> str:
    """Pass one exchange through. Gives what became of it: ``passed``, ``upstream_failed`` or ``torn``."""
    headers = for_upstream(scope["headers"])
    has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
    body: bytes | AsyncIterator[bytes] = _stream(receive) if has_body else b""
    try:
        answer = await upstream.send(scope["method"], target(scope), headers, body)
    except UpstreamError as error:
        await _plain(send, 504 if error.kind == "timeout" else 502, "The upstream could not be reached.")
        return "upstream_failed"
    watch = Watch(receive, keepalive, answer.aclose)
    try:
        await send({"type": "http.response.start", "status": answer.status, "headers": end_to_end(answer.headers)})
        async for chunk in answer.chunks(decoded=False):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    except UpstreamError:
        return "torn"  # the response stays unfinished: the server closes the connection, as the upstream did
    finally:
        await watch.stop()
        await answer.aclose()
    return "passed"


async def _stream(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client went away")
        if chunk := message.get("body", b""):
            yield chunk
        if not message.get("more_body", False):
            return


async def _plain(send: Send, status: int, text: str) -> None:
    body = text.encode() + b"\n"
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


blocked = _plain
"""Answer a path that ``unknown_dialect: block`` does not let through."""
