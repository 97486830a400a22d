"""Detectors as plug-ins: whatever one of them does, there is a finding for every look."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from guardrail.core.events import Scan
from guardrail.core.gate import Look
from guardrail.core.model import Context, Failed, Found, Signal
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
