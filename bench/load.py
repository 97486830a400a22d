"""A small load generator over plain sockets: its own cost per request must not be what is measured."""

from __future__ import annotations

import asyncio
from itertools import count
from time import perf_counter

import msgspec

from bench.sample import request


class Measured(msgspec.Struct):
    """What one measurement gave: requests a second, events a second, and latencies in seconds.

    ``work`` counts requests, or the events of streams; ``cpu`` is the server's own processor time in seconds for
    each: what is left of a comparison when other work disturbs the clock.
    """

    rate: float
    events: float
    p50: float
    p99: float
    work: int = 0
    cpu: float = 0.0


async def _one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes, streamed: bool) -> int:
    writer.write(data)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"unexpected answer: {head[:80]!r}")
    if not streamed and b"content-length" in head.lower():
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        await reader.readexactly(length)
        return 1
    events = 0
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16)
        events += (await reader.readexactly(size + 2)).count(b"data: ")
        if size == 0:
            return events


async def measure(port: int, *, streamed: bool, seconds: float, connections: int) -> Measured:
    """Keep ``connections`` requests in the air for ``seconds``."""
    numbers, latencies, events = count(), [], 0
    end = perf_counter() + seconds

    async def worker() -> None:
        nonlocal events
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while perf_counter() < end:
            begun = perf_counter()
            events += await _one(reader, writer, request(streamed, next(numbers)), streamed)
            latencies.append(perf_counter() - begun)
        writer.close()

    begun = perf_counter()
    await asyncio.gather(*(worker() for _ in range(connections)))
    took = perf_counter() - begun
    latencies.sort()
    return Measured(
        len(latencies) / took,
        events / took,
        latencies[len(latencies) // 2],
        latencies[int(len(latencies) * 0.99)],
        events if streamed else len(latencies),
    )


async def first_event(port: int) -> float:
    """Seconds to the first bytes of a stream's body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begun = perf_counter()
    writer.write(request(True, 0))
    await reader.readuntil(b"\r\n\r\n")
    await reader.readuntil(b"data: ")
    writer.close()
    return perf_counter() - begun
