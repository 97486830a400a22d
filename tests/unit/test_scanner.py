"""Detectors as plug-ins: whatever one of them does, there is a finding for every look."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import pytest

from guardrail.core.events import Scan
from guardrail.core.gate import Look
from guardrail.core.model import Context, Failed, Found, Signal
from guardrail.detectors.run import Unread
from guardrail.server.scanner import WORKERS, Scanner


class Plugin:
    directions = frozenset(("inbound", "outbound"))
    deadline = 0.1
    required = False

    def __init__(self, name: str, blocking: bool, act: object) -> None:
        self.name, self.blocking, self._act = name, blocking, act

    def look(self, text: str, context: Context) -> Sequence[Signal]:
        return self._act(text)  # type: ignore[operator,no-any-return]


def see(text: str) -> list[Signal]:
    return [Signal("suicide", 3, spans=((0, len(text)),))]


def fail(text: str) -> list[Signal]:
    raise ValueError(text)


SCAN = Scan("outbound", (Look("content:0", "one. two.", 0, (5, 9)),))


@pytest.mark.parametrize("blocking", [False, True])
async def test_each_cut_gets_a_finding_from_each_detector(blocking: bool) -> None:
    scanner = Scanner([Plugin("good", blocking, see), Plugin("bad", blocking, fail)], lambda: 5.0)
    scanned = await scanner.scan(SCAN)
    scanner.close()
    assert scanned.at == 5.0 and len(scanned.findings) == 2
    for good, bad in scanned.findings:
        assert isinstance(good, Found) and bad == Failed("bad", "raised", False)
    assert [f.signals[0].spans for f, _ in scanned.findings if isinstance(f, Found)] == [((0, 5),), ((0, 9),)]


async def test_one_that_hangs_is_a_missed_deadline_and_does_not_stop_the_others() -> None:
    release = threading.Event()
    scanner = Scanner(
        [Plugin("stuck", True, lambda text: release.wait(30) and []), Plugin("good", False, see)], lambda: 5.0
    )
    scanned = await scanner.scan(SCAN)
    release.set()
    scanner.close()
    assert {finding[0] for finding in scanned.findings} == {Failed("stuck", "deadline", False)}
    assert all(isinstance(finding[1], Found) for finding in scanned.findings)


async def test_spans_outside_the_text_are_not_believed() -> None:
    scanner = Scanner([Plugin("liar", False, lambda text: [Signal("suicide", 3, spans=((0, 999),))])], lambda: 5.0)
    scanned = await scanner.scan(SCAN)
    assert {finding[0] for finding in scanned.findings} == {Failed("liar", "invalid", False)}


async def test_when_all_threads_hang_no_texts_pile_up_before_them() -> None:
    release = threading.Event()
    scanner = Scanner([Plugin("stuck", True, lambda text: release.wait(30) and [])], lambda: 5.0)
    for _ in range(8):
        scanned = await scanner.scan(SCAN)
        assert {finding[0] for finding in scanned.findings} == {Failed("stuck", "deadline", False)}
    assert scanner._pool is not None and scanner._pool._work_queue.qsize() <= 2 * WORKERS
    release.set()
    scanner.close()


async def test_a_long_history_lets_others_have_their_turn() -> None:
    others: list[str] = []

    def slowly(text: str) -> list[Signal]:
        time.sleep(0.02)
        return []

    async def other() -> None:
        others.append("answered")

    waiting = asyncio.create_task(other())
    looks = tuple(Look(f"user:{n}", "soup", 0, (4,), 0) for n in range(3))
    await Scanner([Plugin("slow", False, slowly)], lambda: 5.0).scan(Scan("inbound", looks))
    assert others == ["answered"], "while the history was looked at"
    await waiting


class Reader:
    """Reads for many: ``act`` says what becomes of each text's future."""

    directions = frozenset(("inbound", "outbound"))
    blocking = True
    deadline = 0.2

    def __init__(
        self, name: str, act: Callable[[str], object], *, only_unsure: bool = False, by_sentence: bool = False
    ) -> None:
        self.name, self._act, self.only_unsure, self.required = name, act, only_unsure, True
        self.by_sentence = by_sentence
        self.asked: list[str] = []
        self.futures: list[Future[list[Signal]]] = []

    def look(self, text: str, context: Context) -> Sequence[Signal]:
        return self.submit(text, context).result()

    def submit(self, text: str, context: Context) -> Future[list[Signal]]:
        self.asked.append(text)
        future: Future[list[Signal]] = Future()
        self.futures.append(future)
        answer = self._act(text)
        if isinstance(answer, Exception):
            future.set_exception(answer)
        elif isinstance(answer, list):
            future.set_result(answer)
        return future


def turns(*texts: str) -> Scan:
    return Scan("inbound", tuple(Look(f"user:{n}", text, 0, (len(text),), 0) for n, text in enumerate(texts)))


async def test_a_detector_says_itself_why_it_did_not_look() -> None:
    excused = Reader("excused", lambda text: Unread("deadline", excused=True))
    wrong = Reader("wrong", lambda text: Unread("invalid"))
    scanned = await Scanner([excused, wrong], lambda: 5.0).scan(turns("soup"))
    assert scanned.findings == ((Failed("excused", "deadline", False), Failed("wrong", "invalid", True)),)


async def test_the_newest_turn_is_put_before_a_reader_first() -> None:
    reader = Reader("reader", lambda text: [])
    await Scanner([reader], lambda: 5.0).scan(turns("oldest", "older", "newest"))
    assert reader.asked == ["newest", "older", "oldest"]


async def test_nobody_goes_on_reading_what_is_not_waited_for() -> None:
    stuck = Reader("stuck", lambda text: None)
    scanned = await Scanner([stuck], lambda: 5.0).scan(turns("soup"))
    assert scanned.findings == ((Failed("stuck", "deadline", True),),)
    await asyncio.sleep(0)  # the cancellation is passed on in the loop's next turn
    assert stuck.futures and all(future.cancelled() for future in stuck.futures)


async def test_a_second_opinion_is_asked_only_of_what_the_first_leave_open() -> None:
    def first(text: str) -> list[Signal]:
        return {"low": [Signal("suicide", 1)], "clear": [], "grave": [Signal("suicide", 4)]}[text]

    second = Reader("second", lambda text: [Signal("suicide", 2)], only_unsure=True)
    scanned = await Scanner([second, Plugin("first", False, first)], lambda: 5.0).scan(turns("clear", "low", "grave"))
    assert second.asked == ["low"]
    assert [[f.detector for f in row] for row in scanned.findings] == [["first"], ["first", "second"], ["first"]]


async def test_a_second_opinion_that_fails_is_a_finding_too() -> None:
    second = Reader("second", lambda text: Unread("absent"), only_unsure=True)
    first = Plugin("first", False, lambda text: [Signal("suicide", 1)])
    scanned = await Scanner([first, second], lambda: 5.0).scan(turns("low"))
    assert scanned.findings[0][1] == Failed("second", "absent", True)


async def test_who_reads_by_sentence_is_not_asked_in_the_middle_of_one() -> None:
    reader = Reader("reader", lambda text: [Signal("isolation", 3)], by_sentence=True)
    look = Look("content:0", "They, too, left. Stay", 0, (6, 11, 17, 21), within=frozenset((6, 11)))
    scanned = await Scanner([Plugin("words", False, lambda text: []), reader], lambda: 5.0).scan(
        Scan("outbound", (look,))
    )
    assert sorted(reader.asked) == ["They, too, left. ", "They, too, left. Stay"]
    assert [[f.detector for f in row] for row in scanned.findings] == [["words"]] * 2 + [["words", "reader"]] * 2
