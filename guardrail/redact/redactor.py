"""Asks the worker process, starts it when it is needed, and does without it when it does not answer."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import structlog

from guardrail.redact.worker import Answer, Ask

log = structlog.get_logger("guardrail.redact")

MAX_CHARS = 10_000
_LINE_BYTES = 8 * MAX_CHARS
_ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-P", "-m", "guardrail.redact.worker")

Reason = Literal["too_long", "deadline", "crashed", "not_started", "closed"]


class RedactionError(Exception):
    """The text could not be redacted, so nothing of it may leave. ``reason`` is for metrics and logs."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"redaction: {reason}")
        self.reason: Reason = reason


class Redactor:
    """Takes personal data out of text, in a process of its own. One event loop; ``close`` when done.

    The worker starts at the first call (``start`` seconds at most), answers each in ``deadline`` seconds, ends
    after ``idle`` seconds without one, and is ended and begun anew after a crash or a hang.
    """

    def __init__(
        self,
        *,
        start: float = 10.0,
        deadline: float = 2.0,
        idle: float = 60.0,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._start, self._deadline, self._idle = start, deadline, idle
        self._command = tuple(command)
        self._lock = asyncio.Lock()
        self._process: Process | None = None
        self._ended: list[Process] = []
        self._resting: asyncio.TimerHandle | None = None
        self._count = 0
        self._closed = False

    async def redact(self, text: str, locale: str) -> str:
        """``text`` with personal data replaced by its kind, ``<PHONE_NUMBER>`` and the like.

        Raises ``RedactionError``, whatever went wrong; the caller then sends a fixed line instead.
        """
        if len(text) > MAX_CHARS:
            raise RedactionError("too_long")
        async with self._lock:
            if self._closed:
                raise RedactionError("closed")
            self._rest(None)
            done = False
            try:
                answer = await self._asked(text, locale)
                done = True
            finally:
                if done:
                    self._rest(self._idle)
                else:
                    self._kill()  # its next line would answer this question, not the next one
        return answer

    async def _asked(self, text: str, locale: str) -> str:
        process = await self._running()
        self._count += 1
        line = msgspec.json.encode(Ask(self._count, text.encode("utf-8", "replace").decode(), locale)) + b"\n"
        try:
            async with asyncio.timeout(self._deadline):
                answer = await _exchange(process, line)
        except TimeoutError as error:
            raise self._failure("deadline") from error
        except (
            OSError,
            ValueError,
        ) as error:  # msgspec's and the reader's own errors are ValueErrors
            raise self._failure("crashed") from error
        if answer.id != self._count:
            raise self._failure("crashed")
        return answer.text

    async def _running(self) -> Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        self._kill()
        try:
            async with asyncio.timeout(self._start):
                await self._reap()
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=DEVNULL,
                    env=_environment(),
                    limit=_LINE_BYTES,
                )
                ready = await _answer(self._process)
        except (OSError, ValueError, TimeoutError) as error:
            raise self._failure("not_started") from error
        if ready.id != 0:
            raise self._failure("not_started")
        return self._process

    def _failure(self, reason: Reason) -> RedactionError:
        log.warning("a summary was withheld: the redaction worker did not answer", reason=reason)
        return RedactionError(reason)

    def _rest(self, seconds: float | None) -> None:
        """End the worker when nothing is asked for so long; ``None``: not now."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if seconds is not None:
            self._resting = asyncio.get_running_loop().call_later(seconds, self._kill)

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self._ended.append(process)
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode is None:
            process.kill()

    async def _reap(self) -> None:
        """Take leave of ended workers: what they left in their pipes is read and dropped."""
        while self._ended:
            await self._ended[-1].communicate()
            self._ended.pop()

    @property
    def pid(self) -> int | None:
        """The worker's process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def close(self) -> None:
        """End the worker, and wait until it has ended."""
        async with self._lock:
            self._closed = True
            self._rest(None)
            self._kill()
            await self._reap()


async def _exchange(process: Process, line: bytes) -> Answer:
    if process.stdin is None:
        raise OSError("no pipe")
    process.stdin.write(line)
    await process.stdin.drain()
    return await _answer(process)


async def _answer(process: Process) -> Answer:
    if process.stdout is None:
        raise OSError("no pipe")
    return msgspec.json.decode(await process.stdout.readline(), type=Answer)


def _environment() -> dict[str, str]:
    """No secrets of ours: the worker needs none, and reads what people wrote."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONPATH": str(_ROOT), "PYTHONUTF8": "1"}
