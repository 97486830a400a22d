"""The only place where tasks are made: each is named, kept, and its end is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

log = structlog.get_logger("guardrail.tasks")

T = TypeVar("T")

RESTART_AFTER = 1.0


def spawn(name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task of one request. Whoever spawns it must await it, or cancel it and await that."""
    return asyncio.create_task(work, name=name)


class Supervisor:
    """Runs the loops that must never stop. One that ends or raises is logged, counted and begun again."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.restarts = 0

    def start(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        self._tasks[name] = asyncio.create_task(self._keep(name, loop), name=name)

    async def _keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await loop()
                log.error("a loop ended and is begun again", loop=name)
            except Exception as error:
                log.error("a loop failed and is begun again", loop=name, error=type(error).__name__)
            self.restarts += 1
            await asyncio.sleep(RESTART_AFTER)

    def alive(self) -> bool:
        return all(not task.done() for task in self._tasks.values())

    async def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()
