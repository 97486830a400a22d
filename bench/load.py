"""A load generator: so many requests in the air for so long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from time import perf_counter

import msgspec

from bench.client import Connection
from bench.processes import Server

numbers = count()
"""No two requests of a run are the same: one that came again would be taken for a retry."""

Make = Callable[[int], bytes]
"""A number to the bytes of a request."""


class Measured(msgspec.Struct):
    """What one measurement gave. ``rate`` counts requests a second, or the events of streams; ``cpu`` is the server's
    own processor time in seconds for each; ``p50`` and ``p99`` are seconds a whole request took."""

    rate: float
    cpu: float
    p50: float
    p99: float


async def _worker(port: int, make: Make, mark: bytes, end: float, latencies: list[float]) -> int:
    """Requests one after the other. How many times ``mark`` came, or, where it is empty, how many requests."""
    done = 0
    async with Connection(port) as connection:
        begun = 0.0
        while begun < end:
            begun = perf_counter()
            await connection.ask(make(next(numbers)))
            marks = [part.count(mark) async for part in connection.body()]
            done += sum(marks) if mark else 1
            latencies.append(perf_counter() - begun)
    return done


async def _measure(port: int, make: Make, mark: bytes, seconds: float, connections: int) -> tuple[int, list[float]]:
    end, latencies = perf_counter() + seconds, list[float]()
    workers = [_worker(port, make, mark, end, latencies) for _ in range(connections)]
    return sum(await asyncio.gather(*workers)), sorted(latencies)


def measure(server: Server, make: Make, *, mark: bytes = b"", seconds: float, connections: int) -> Measured:
    """Keep ``connections`` requests in the air for ``seconds``. ``mark`` stands once in each event of a stream."""
    before, begun = server.cpu_seconds, perf_counter()
    done, latencies = asyncio.run(_measure(server.port, make, mark, seconds, connections))
    took, cpu = perf_counter() - begun, server.cpu_seconds - before
    return Measured(
        done / took, cpu / max(1, done), latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
    )
