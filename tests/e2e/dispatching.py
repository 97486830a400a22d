"""A proxy's cases and nothing else, to be killed: commits cases and tells a webhook, until it is ended.

Usage: dispatching.py DATA URL SECRET EPOCH COUNT. Prints the id of each case once its commit is confirmed.
Its clock runs 30 times as fast from EPOCH on, so that the lease of a killed run ends in seconds.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import httpx

from escalation.case import NewCase
from escalation.channels import WebhookChannel
from escalation.desk import Desk
from escalation.dispatcher import Dispatcher
from escalation.ladder import Ladders, Rung
from escalation.spool import Spool
from escalation.sqlite import SqliteCaseStore

SPEED = 30.0
DAY = 24 * 3600.0


async def main(data: Path, url: str, secret: str, epoch: float, count: int) -> None:
    def now() -> float:
        return epoch + (time.time() - epoch) * SPEED

    async def redact(text: str, locale: str) -> str:
        return text

    desk = Desk(SqliteCaseStore(data / "cases.db"), Spool(data / "spool"), lambda: dispatcher.wake())
    async with httpx.AsyncClient(trust_env=False) as client:
        channels = {"hook": WebhookChannel(url, secret, client)}
        dispatcher = Dispatcher(desk, channels, Ladders([Rung(0.0, ("hook",))]), redact, now)
        async with asyncio.TaskGroup() as loops:
            loops.create_task(dispatcher.run())
            loops.create_task(drain(desk))
            for i in range(count):
                new = NewCase(f"k{i:02}", f"c{i:02}", 3, "suicide", now(), now() + DAY, summary="suicide, high (3)")
                committed = await desk.commit(new)
                if committed.where != "memory":
                    sys.stdout.write(f"{committed.id}\n")
                    sys.stdout.flush()


async def drain(desk: Desk) -> None:
    while True:
        await desk.drain()
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    folder, url, secret, epoch, count = sys.argv[1:]
    asyncio.run(main(Path(folder), url, secret, float(epoch), int(count)))
