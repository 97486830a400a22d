"""Keeps an eye on the client of a long exchange: whether it is still there, and whether it has waited long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from guardrail.server.request import Receive
from guardrail.server.tasks import spawn

BEGIN_AFTER = 0.2
"""Seconds. Most exchanges are over before; they cost no task of their own."""


class Watch:
    """Calls ``on_gone`` once when the client disconnects, and ``on_quiet`` every ``interval`` seconds before that."""

    def __init__(
        self,
        receive: Receive,
        interval: float,
        on_gone: Callable[[], Awaitable[None]],
        on_quiet: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._receive, self._interval = receive, interval
        self._on_gone, self._on_quiet = on_gone, on_quiet
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(BEGIN_AFTER, self._begin)

    def _begin(self) -> None:
        self._task = spawn("watch", self._watch())

    async def _watch(self) -> None:
        gone = spawn("watch-receive", self._until_gone())
        try:
            while not gone.done():
                await asyncio.wait({gone}, timeout=self._interval)
                if not gone.done() and self._on_quiet is not None:
                    await self._on_quiet()
            await self._on_gone()
        finally:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def stop(self) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
