"""A judge on another machine as a detector: asked within a deadline, a budget and a number of askings at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol

import msgspec

from guardrail.core.model import Context, Direction, Message, Signal
from guardrail.detectors.run import Unread
from guardrail.judges.course import About, Budget, Course
from guardrail.judges.line import Line

LONGEST = 20_000
"""Code points of a turn. A longer one is not sent: to read a part of it would be to say something of the rest."""
IN_FLIGHT = 32
"""Turns that one judge is asked about at a time."""
WAITING = 64
"""Turns that may wait for their turn besides."""


class Terms(msgspec.Struct, frozen=True):
    """Where a judge is, and how it is asked. ``deadline`` in seconds. ``token`` is sent as a bearer's."""

    name: str
    kind: str
    url: str
    directions: frozenset[Direction]
    deadline: float
    per_minute: int
    required: bool = False
    only_unsure: bool = False
    token: str = ""

    def __repr__(self) -> str:
        return f"Terms({self.name})"  # the token is nobody's to read in a trace


class Speech(Protocol):
    """What is sent to a judge, and what its answers mean. Pure."""

    def body(self, text: str, history: Sequence[Message], direction: Direction) -> bytes:
        """The request about ``text``, the turn to be judged; ``history`` came before it."""
        ...

    def signals(self, answer: bytes, direction: Direction, length: int) -> list[Signal]:
        """What an answer says of a turn of ``length`` code points. Raises ``Unread`` for any other answer than one
        of its form."""
        ...


class NetworkJudge:
    """A ``Detector`` that ``submit``s. It never raises into an exchange: a future fails with ``Unread``.

    ``now`` is in seconds and never goes back.
    """

    blocking = True
    by_sentence = True

    def __init__(self, terms: Terms, speech: Speech, line: Line, now: Callable[[], float] = time.monotonic) -> None:
        self.name, self.directions, self.deadline = terms.name, terms.directions, terms.deadline
        self.required, self.only_unsure = terms.required, terms.only_unsure
        self._terms, self._speech, self._line = terms, speech, line
        self._headers = {"authorization": f"Bearer {terms.token}"} if terms.token else {}
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._places = threading.BoundedSemaphore(IN_FLIGHT + WAITING)
        self._budget, self._course = Budget(terms.per_minute, now), Course(now)

    def look(self, text: str, context: Context) -> Sequence[Signal]:
        return self.submit(text, context).result()

    def submit(self, text: str, context: Context) -> Future[list[Signal]]:
        """The signals of a turn, once the judge has answered."""
        if not text.strip():
            return _done([])
        if len(text) > LONGEST:
            return self._passed_over(Unread("invalid"))
        if self._course.rests():
            return self._passed_over(Unread("absent"))
        if not self._places.acquire(blocking=False):
            return self._passed_over(Unread("deadline"))
        if not self._budget.take():
            self._places.release()
            return self._passed_over(Unread("deadline", excused=True))
        try:
            future = self._line.submit(self._asked(text, context))
        except Unread as closed:
            self._places.release()
            return self._passed_over(closed)
        future.add_done_callback(lambda _: self._places.release())
        return future

    def about(self) -> About:
        return self._course.about(self.name, self._terms.kind)

    def close(self) -> None:
        """Close the line, which other judges may have in common with this one: all are closed together."""
        self._line.close()

    def _passed_over(self, error: Unread) -> Future[list[Signal]]:
        self._course.passed_over(error.reason)
        future: Future[list[Signal]] = Future()
        future.set_exception(error)
        return future

    async def _asked(self, text: str, context: Context) -> list[Signal]:
        try:
            found = await self._answer(text, context)
        except asyncio.CancelledError:
            self._course.failed("deadline")
            raise
        except Unread as error:
            self._course.failed(error.reason)
            raise
        except Exception:
            self._course.failed("raised")
            raise Unread("raised") from None  # what it was may quote the text
        self._course.answered()
        return found

    async def _answer(self, text: str, context: Context) -> list[Signal]:
        body = self._speech.body(text, context.history, context.direction)
        try:
            async with self._slots, asyncio.timeout(self.deadline):
                answer = await self._line.post(self._terms.url, self._headers, body, self.deadline)
        except TimeoutError:
            raise Unread("deadline") from None
        return self._speech.signals(answer, context.direction, len(text))


def _done(signals: list[Signal]) -> Future[list[Signal]]:
    future: Future[list[Signal]] = Future()
    future.set_result(signals)
    return future
