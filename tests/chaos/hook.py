"""The webhook, which has moods. What it acknowledged is what counts as arrived."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import datetime
import json
from typing import Any, Literal

from standardwebhooks import Webhook

from tests.live import SECRET

Mood = Literal["fine", "500", "hang", "refused", "deaf"]
MOODS: tuple[Mood, ...] = ("500", "hang", "refused", "deaf")
"""``deaf``: it takes the notice and hangs up before it has said so."""


class Hook:
    """``arrived`` has the cases of every notice that was acknowledged; ``notices`` each id's (case, type) and each
    page's ids."""

    def __init__(self) -> None:
        self.mood: Mood = "fine"
        self.arrived: set[str] = set()
        self.about: dict[str, set[tuple[str, str]]] = collections.defaultdict(set)
        self.pages: dict[tuple[str, int], set[str]] = collections.defaultdict(set)
        self.forged = 0
        self.heard = 0
        self.acknowledged = 0
        self._port = 0
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/hook"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more, and break off what is open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def turn(self, mood: Mood) -> None:
        self.mood = mood
        if mood == "refused":
            await self.stop()
        elif self._server is None:
            await self.start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._take(reader, writer)
        finally:
            self._serving.discard(task)
            writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            headers, body = await _request(reader)
            case = self._note(headers, body)
            if self.mood == "hang":
                await asyncio.sleep(60)
            if self.mood == "deaf":
                return
            good = self.mood == "fine"
            writer.write(
                b"HTTP/1.1 204 No Content\r\n\r\n" if good else b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"
            )
            await writer.drain()
            if good and case:
                self.acknowledged += 1
                self.arrived.add(case)

    def _note(self, headers: dict[str, str], body: str) -> str:
        """The case it is about; empty when it is not signed by us."""
        moment = datetime.datetime.fromtimestamp(int(headers["webhook-timestamp"]), datetime.UTC)
        if headers["webhook-signature"] != Webhook(SECRET).sign(headers["webhook-id"], moment, body):
            self.forged += 1
            return ""
        notice: dict[str, Any] = json.loads(body)
        case, kind = str(notice["data"]["id"]), str(notice["type"])
        self.heard += 1
        self.about[headers["webhook-id"]].add((case, kind))
        if kind == "case.opened":
            self.pages[(case, notice["data"]["severity"])].add(headers["webhook-id"])
        return case


async def _request(reader: asyncio.StreamReader) -> tuple[dict[str, str], str]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head if line)}
    return headers, (await reader.readexactly(int(headers["content-length"]))).decode()
