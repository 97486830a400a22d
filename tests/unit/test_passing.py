"""Paths that are no chat: what is passed on is what came, and nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from guardrail.server.passing import pass_through
from guardrail.server.upstream import Headers
from guardrail.server.watch import BEGIN_AFTER
from guardrail.settings_model import Limits


class Early:
    """An upstream that begins its answer before it has read the request's body, and then answers with it."""

    status = 200

    def __init__(self) -> None:
        self.headers: Headers = [(b"content-type", b"text/plain")]
        self.asked: Headers = []
        self._body: AsyncIterator[bytes] | None = None

    async def send(self, method: str, target: str, headers: Headers, body: Any) -> Early:
        self.asked, self._body = headers, body
        return self

    async def chunks(self) -> AsyncIterator[bytes]:
        assert self._body is not None
        async for chunk in self._body:
            yield chunk

    async def aclose(self) -> None:
        return


async def passed(upstream: Early, parts: list[bytes], headers: Headers, pause: float = 0.0) -> bytes:
    waiting = list(parts)
    sent = []

    async def receive() -> dict[str, Any]:
        if waiting:
            await asyncio.sleep(pause)
            return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    scope = {"method": "POST", "path": "/upload", "raw_path": b"/upload", "headers": headers}
    assert await pass_through(scope, receive, send, upstream, Limits()) == "passed"
    return b"".join(sent)


async def test_a_slow_upload_that_is_answered_early_arrives_whole() -> None:
    parts = [b"one ", b"two ", b"three ", b"four"]
    chunked = [(b"transfer-encoding", b"chunked")]
    assert await passed(Early(), parts, chunked, pause=BEGIN_AFTER) == b"".join(parts)


async def test_a_length_beside_chunks_is_not_passed_on() -> None:
    upstream = Early()
    await passed(upstream, [b"0123456789"], [(b"transfer-encoding", b"chunked"), (b"content-length", b"3")])
    assert not {name for name, _ in upstream.asked} & {b"content-length", b"transfer-encoding"}
    await passed(upstream, [b"0123456789"], [(b"content-length", b"10")])
    assert (b"content-length", b"10") in upstream.asked
