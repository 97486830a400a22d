"""The faults. Each is an async context manager over a ``World``: done while it is open, undone when it closes."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import resource
import socket
import sqlite3
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from guardrail.core.model import Context, Signal
from tests.faults.world import Handler, World, answer, good

Fault = Callable[[World], AbstractAsyncContextManager[None]]
GROWN = 512 * 1024
DATABASES = ("cases.db", "conversations.db")


# --- detectors


@asynccontextmanager
async def raises(world: World) -> AsyncIterator[None]:
    def look(text: str, context: Context) -> list[Signal]:
        raise RuntimeError

    world.detector.look = look  # type: ignore[method-assign]
    yield


@asynccontextmanager
async def lies(world: World) -> AsyncIterator[None]:
    """Offsets beyond the text, of a danger that nobody spoke of."""

    def look(text: str, context: Context) -> list[Signal]:
        return [Signal("suicide", 4, 1.0, ((len(text) + 5, len(text) + 9),), "plugin")]

    world.detector.look = look  # type: ignore[method-assign]
    yield


@asynccontextmanager
async def hangs(world: World) -> AsyncIterator[None]:
    over = threading.Event()

    def look(text: str, context: Context) -> list[Signal]:
        over.wait(30)
        return []

    detector = world.detector
    detector.look, detector.blocking = look, True  # type: ignore[method-assign]
    scanner = world.services.scanner
    world.services.scanner = type(scanner)(
        [d for d in scanner._first["inbound"] if d is not detector] + [detector], world.now
    )
    try:
        yield
    finally:
        over.set()
        world.services.scanner.close()


# --- stores


@contextlib.contextmanager
def _held(path: Path) -> Iterator[sqlite3.Connection]:
    other = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    other.execute("select count(*) from sqlite_master").fetchone()  # all its files are open from here on
    try:
        yield other
    finally:
        other.close()


@asynccontextmanager
async def locked(world: World) -> AsyncIterator[None]:
    """Another process holds both databases."""
    with contextlib.ExitStack() as stack:
        for name in DATABASES:
            stack.enter_context(_held(world.data / name)).execute("begin exclusive")
        yield


@asynccontextmanager
async def slow(world: World) -> AsyncIterator[None]:
    """Another process holds both databases nearly all the time."""
    over = threading.Event()

    def hold(other: sqlite3.Connection) -> None:
        while not over.is_set():
            other.execute("begin exclusive")
            over.wait(0.15)
            other.execute("rollback")
            over.wait(0.01)

    stack = contextlib.ExitStack()
    others = [stack.enter_context(_held(world.data / name)) for name in DATABASES]
    threads = [threading.Thread(target=hold, args=(other,)) for other in others]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        stack.close()


@asynccontextmanager
async def full(world: World) -> AsyncIterator[None]:
    """The databases may not grow. Small files elsewhere may still be written."""
    with contextlib.ExitStack() as stack:
        for name in DATABASES:
            other = stack.enter_context(_held(world.data / name))
            other.execute("create table filler (data blob)")
            other.execute("insert into filler values (zeroblob(?))", (2 * GROWN,))
            other.execute("begin")
            other.execute("select count(*) from filler").fetchone()  # who reads keeps the log from beginning anew
        async with _limited(resource.RLIMIT_FSIZE, lambda: GROWN)(world):
            yield


@asynccontextmanager
async def missing(world: World) -> AsyncIterator[None]:
    """The databases were moved away, as by a backup that went wrong; and are put back."""
    for name in DATABASES:
        (world.data / name).rename(world.data / f"{name}.away")
    try:
        yield
    finally:
        for name in DATABASES:
            (world.data / f"{name}.away").rename(world.data / name)


# --- the chatbot


def _answering(handler: Handler) -> Fault:
    @asynccontextmanager
    async def fault(world: World) -> AsyncIterator[None]:
        before, world.upstream.handler = world.upstream.handler, handler
        try:
            yield
        finally:
            world.upstream.handler = before

    return fault


@asynccontextmanager
async def refused(world: World) -> AsyncIterator[None]:
    await world.upstream.stop()
    try:
        yield
    finally:
        await world.upstream.start()


async def slow_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, streamed: bool) -> None:
    await reader.read()


async def slow_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, streamed: bool) -> None:
    body, kind = good(streamed)
    writer.write(answer(body[: len(body) // 2], kind, length=len(body)))
    await reader.read()


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, streamed: bool) -> None:
    body, kind = good(streamed)
    writer.write(answer(body[: len(body) // 2], kind, length=len(body)))
    await writer.drain()
    await asyncio.sleep(0.05)
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def wrong_type(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, streamed: bool) -> None:
    writer.write(answer(b"<html><body>Please log in.</body></html>", "text/html"))


async def packed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, streamed: bool) -> None:
    body, kind = good(streamed)
    writer.write(answer(gzip.compress(body), kind, more="content-encoding: gzip\r\n"))


async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, streamed: bool) -> None:
    writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
    writer.write(answer(*good(streamed)))


async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, streamed: bool) -> None:
    writer.write(answer(b"", status="307 Temporary Redirect", more="location: http://127.0.0.1:9/elsewhere\r\n"))


async def trailers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, streamed: bool) -> None:
    body, kind = good(streamed)
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n"
    writer.write(head.encode() + b"%x\r\n%s\r\n0\r\nx-sum: 1\r\n\r\n" % (len(body), body))


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, streamed: bool) -> None:
    body, kind = good(streamed)
    frame = body.split(b"\n\n")[1] + b"\n\n" if streamed else b" " * 500
    writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n".encode())
    while not writer.is_closing():
        writer.write(frame * 20)
        await writer.drain()
        await asyncio.sleep(0)


async def own_error(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, streamed: bool) -> None:
    writer.write(answer(b'{"error": {"message": "try later"}}', status="500 Internal Server Error"))


# --- who is told


@asynccontextmanager
async def unreachable(world: World) -> AsyncIterator[None]:
    await world.hook.stop()
    try:
        yield
    finally:
        await world.hook.start()


def _hook(handler: Handler) -> Fault:
    @asynccontextmanager
    async def fault(world: World) -> AsyncIterator[None]:
        before, world.hook.handler = world.hook.handler, handler
        try:
            yield
        finally:
            world.hook.handler = before

    return fault


async def unanswering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, streamed: bool) -> None:
    await reader.read()


async def failing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, streamed: bool) -> None:
    writer.write(answer(b"", status="500 Internal Server Error"))


async def moved(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, streamed: bool) -> None:
    writer.write(answer(b"", status="302 Found", more="location: http://127.0.0.1:9/elsewhere\r\n"))


# --- the machine


def _clock(seconds: float) -> Fault:
    @asynccontextmanager
    async def fault(world: World) -> AsyncIterator[None]:
        world.clock = seconds
        yield
        world.clock = 0.0

    return fault


def _limited(what: int, soft: Callable[[], int]) -> Fault:
    """The process may have no more of something. Nothing else may run in it meanwhile."""

    @asynccontextmanager
    async def fault(world: World) -> AsyncIterator[None]:
        before = resource.getrlimit(what)
        resource.setrlimit(what, (soft(), before[1]))
        try:
            yield
        finally:
            resource.setrlimit(what, before)

    return fault


def _handles() -> int:
    """The limit that leaves no handle free: the lowest number that is not taken."""
    lowest = os.dup(0)
    os.close(lowest)
    return lowest


@asynccontextmanager
async def bad_reload(world: World) -> AsyncIterator[None]:
    """An operator's list of verified helplines was saved with a mistake in it."""
    folder = world.data / "resources"
    folder.mkdir(exist_ok=True)
    (folder / "DE.yaml").write_text("- {id: [")
    yield


FAMILIES: Mapping[str, Mapping[str, Fault]] = {
    "detector": {"raises": raises, "hangs": hangs, "lies about offsets": lies},
    "store": {"locked": locked, "full": full, "slow": slow, "missing": missing},
    "chatbot": {
        "refused": refused,
        "slow headers": _answering(slow_headers),
        "slow body": _answering(slow_body),
        "reset mid-frame": _answering(reset),
        "wrong content type": _answering(wrong_type),
        "gzip despite identity": _answering(packed),
        "1xx first": _answering(early),
        "redirect": _answering(redirect),
        "trailers": _answering(trailers),
        "endless": _answering(endless),
        "its own error": _answering(own_error),
    },
    "channel": {
        "refused": unreachable,
        "hanging": _hook(unanswering),
        "500": _hook(failing),
        "redirecting": _hook(moved),
    },
    "machine": {
        "clock an hour ahead": _clock(3600.0),
        "clock a day back": _clock(-86_400.0),
        "disk full": _limited(resource.RLIMIT_FSIZE, lambda: 0),
        "no file handles": _limited(resource.RLIMIT_NOFILE, _handles),
        "broken helplines file": bad_reload,
    },
}
ALONE = frozenset(("full", "disk full", "no file handles"))
"""What is done to the whole process."""


def faults() -> list[tuple[str, str]]:
    return [(family, name) for family, found in FAMILIES.items() for name in found]


def fault(which: tuple[str, str]) -> Any:
    return FAMILIES[which[0]][which[1]]
