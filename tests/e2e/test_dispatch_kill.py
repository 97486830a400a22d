"""A case whose commit was confirmed reaches a human, however often the process is killed."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import datetime
import json
import os
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from standardwebhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SCRIPT = Path(__file__).with_name("dispatching.py")
ROOT = Path(__file__).parents[2]
COUNT = 50
PATIENCE = 120.0
"""Seconds after which the test fails rather than waits."""


class Receiver:
    """A webhook that answers slowly enough to be in the middle of something when its sender is killed."""

    def __init__(self) -> None:
        self.ids: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
        self.forged = 0
        self.changed = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._ended: list[asyncio.Task[None]] = []

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """The URL to deliver to. Every connection is closed at the end."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
        finally:
            server.close()
            for writer in self._writers:
                writer.close()
            await asyncio.gather(*self._ended)

    @property
    def cases(self) -> set[str]:
        return {case for case, _ in self.ids}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._ended.append(task)
        self._writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self._one(reader)
                await asyncio.sleep(0.02)
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = (await reader.readexactly(int(headers["content-length"]))).decode()
        self._check(headers, body)
        event = json.loads(body)
        self.ids[(event["data"]["id"], event["type"])].add(headers["webhook-id"])
        self.changed.set()

    def _check(self, headers: dict[str, str], body: str) -> None:
        moment = datetime.datetime.fromtimestamp(int(headers["webhook-timestamp"]), datetime.UTC)
        if headers["webhook-signature"] != Webhook(SECRET).sign(headers["webhook-id"], moment, body):
            self.forged += 1

    async def wait_for(self, wanted: int | set[str]) -> None:
        """Until so many cases, or all of these, have arrived."""
        async with asyncio.timeout(PATIENCE):
            while not (len(self.cases) >= wanted if isinstance(wanted, int) else wanted <= self.cases):
                self.changed.clear()
                await self.changed.wait()

    def check(self) -> None:
        assert self.forged == 0
        assert {what: ids for what, ids in self.ids.items() if len(ids) != 1} == {}, "a repeat under another id"


class Sender:
    """Runs the script and remembers which commits it confirmed, over all its lives."""

    def __init__(self, data: Path, url: str) -> None:
        self.confirmed: set[str] = set()
        self._arguments = (str(data), url, SECRET, str(time.time()))
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._heard = asyncio.Event()

    async def start(self, count: int = COUNT) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(SCRIPT),
            *self._arguments,
            str(count),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self._reading = asyncio.ensure_future(self._read(self._process))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            if line.endswith(b"\n"):
                self.confirmed.add(line.decode().strip())
                self._heard.set()

    async def confirms(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.confirmed) < count:
                self._heard.clear()
                await self._heard.wait()

    async def kill(self) -> None:
        assert self._process is not None and self._reading is not None
        assert self._process.returncode is None, "it was to be killed, and had ended by itself"
        self._process.kill()
        await self._process.wait()
        await self._reading


async def test_every_confirmed_case_arrives_and_a_repeat_has_the_same_id(tmp_path: Path) -> None:
    receiver = Receiver()
    async with receiver.listening() as url:
        sender = Sender(tmp_path, url)
        for arrived in (1, 12, 24, 36):
            await sender.start()
            await receiver.wait_for(arrived)
            await sender.kill()
        assert sender.confirmed, "it was killed before it did anything"
        await sender.start(count=0)
        await receiver.wait_for(sender.confirmed)
        await sender.kill()
    receiver.check()
    assert _integrity(tmp_path) == "ok"


async def test_cases_committed_while_the_database_is_locked_arrive_after_a_kill(tmp_path: Path) -> None:
    receiver = Receiver()
    async with receiver.listening() as url:
        sender = Sender(tmp_path, url)
        await sender.start(count=1)
        await receiver.wait_for(1)
        await sender.kill()
        blocker = sqlite3.connect(tmp_path / "cases.db", isolation_level=None)
        blocker.execute("begin exclusive")
        await sender.start(count=8)
        await sender.confirms(8)
        await sender.kill()
        assert len(list((tmp_path / "spool").glob("*.json"))) == 8
        blocker.execute("rollback")
        blocker.close()
        await sender.start(count=0)
        await receiver.wait_for(sender.confirmed)
        await sender.kill()
    assert receiver.cases == {f"k{i:02}" for i in range(8)}
    receiver.check()


def _integrity(data: Path) -> str:
    with contextlib.closing(sqlite3.connect(data / "cases.db")) as db:
        return str(db.execute("pragma integrity_check").fetchone()[0])
