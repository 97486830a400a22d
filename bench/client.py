"""An HTTP client over plain sockets: its own cost per request must not be what is measured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType

LONGEST_HEAD = 1024 * 1024


def content_length(head: bytes) -> int | None:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else None


class Connection:
    """One connection; one request at a time. Use it as a context."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Connection:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=LONGEST_HEAD)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def ask(self, data: bytes) -> bytes:
        """Send a request; the head of its answer. Raises ``RuntimeError`` for any status but 200."""
        self._writer.write(data)
        self._head = head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"unexpected answer: {head[:80]!r}")
        return head

    async def body(self) -> AsyncIterator[bytes]:
        """What the answer says, as it comes."""
        length = content_length(self._head)
        if length is not None:
            yield await self._reader.readexactly(length)
            return
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            yield (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readexactly(2)

    async def whole(self, data: bytes) -> tuple[bytes, bytes]:
        """Send a request; head and body of its answer."""
        head = await self.ask(data)
        return head, b"".join([part async for part in self.body()])
