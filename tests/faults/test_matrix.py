"""The fault matrix: every fault, and every two that can meet, in every situation, each with its designed verdict.

No row fails open (in a crisis the chatbot is not asked, and its words never pass unread), mute (everybody gets an
answer that has an end), or bare (an error is always the API's own).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.designed import (
    AT_ONCE,
    ERROR,
    GIVEN_UP,
    IN_STREAM,
    LATER_ON,
    OURS,
    REPLY,
    SITUATIONS,
    THEIRS,
    Situation,
    Which,
    designed,
    meetings,
)
from tests.faults.faults import ALONE, fault, faults
from tests.faults.world import CRISIS, LATER, ORDINARY, PATIENT, SOUP, Got, World, world

TOGETHER = 6
BOTH = ("whole", "streamed")
SINGLE = [(which,) for which in faults()]


def reply(got: Got) -> str:
    """What somebody got, in the table's words."""
    if got.status == 200 and got.torn and got.error:
        return IN_STREAM
    if got.status == 200 and not got.torn and got.text == SOUP and got.action in ("pass", "support", "steer"):
        return REPLY
    if got.status == 200 and not got.torn and got.text and not got.error:
        return OURS
    if got.status in (307, 500) and not got.torn and "try later" in got.error + "try later" * (got.status == 307):
        return THEIRS
    return ERROR if got.status in (502, 503, 504) and got.error and not got.torn else f"{got.status} {got.body[:80]!r}"


class Row(NamedTuple):
    """One row as it was run: once for a whole reply, once for a stream."""

    replies: tuple[str, ...]
    kept: tuple[str, ...]
    told: str


async def told(w: World, tries: int, *, wait: float) -> None:
    """A human is told, or was tried to be told, so many times. ``wait``: seconds that pass with each look."""
    async with asyncio.timeout(15):
        while w.hook.asked < tries:
            w.services._wake()
            await asyncio.sleep(0.05)
            w.clock += wait


async def row(data: Path, which: Sequence[Which], situation: Situation) -> Row:
    async with world(data) as w:
        if situation == "latched":
            for name in BOTH:
                await w.say(CRISIS, stream=False, conversation=name)
            await told(w, len(BOTH), wait=0.0)
        text = {"calm": ORDINARY, "latched": LATER, "in crisis": CRISIS}[situation]
        asked, tries = w.upstream.asked, w.hook.asked
        w.kept.clear()
        hinders = any(each[0] == "store" or each[1] in ALONE for each in which)
        if hinders:
            w.patience = PATIENT
        async with contextlib.AsyncExitStack() as stack:
            for each in which:
                await stack.enter_async_context(fault(each)(w))
            got = [await w.say(text, stream=name == "streamed", conversation=name) for name in BOTH]
            if situation == "in crisis" and not hinders and ("channel", "refused") not in which:
                await told(w, tries + len(BOTH), wait=0.0)
        replies = tuple(map(reply, got))
        if situation != "in crisis":
            assert w.kept == [], "a calm turn makes nobody get up"
            return Row(replies, (), "")
        assert w.upstream.asked == asked, "in a crisis the chatbot is not asked"
        for each_got in got:
            assert SOUP not in each_got.text
            assert "112" in each_got.text, "who is in danger now is given the emergency number"
        await until_kept(w)
        if not hinders and ("channel", "redirecting") in which:
            await until_given_up(w)
            return Row(replies, tuple(w.kept), GIVEN_UP)
        later = hinders or any(family == "channel" for family, _ in which)
        if later:
            await told(w, w.hook.asked + len(BOTH), wait=60.0)
        return Row(replies, tuple(w.kept), LATER_ON if later else AT_ONCE)


async def until_kept(w: World) -> None:
    async with asyncio.timeout(10):
        while len(found := await w.cases()) < len(BOTH):
            await asyncio.sleep(0.05)
    assert [(case.category, case.severity) for case in found] == [("suicide", 4)] * len(BOTH)


async def until_given_up(w: World) -> None:
    """A notice that will never go is seen by whoever looks at the proxy."""
    async with asyncio.timeout(10):
        while not any("given up" in line for line in w.services.degraded()):
            await asyncio.sleep(0.05)
            await w.services.desk.drain()


async def check(data: Path, which: Sequence[Which], situation: Situation) -> list[str]:
    """What is not as designed, in a line each."""
    expected = designed(tuple(which), situation)
    name = f"{' + '.join(': '.join(each) for each in which)}, {situation}"
    try:
        got = await row(data, which, situation)
    except (AssertionError, TimeoutError) as error:
        return [f"{name}: {type(error).__name__} {error}"]
    wrong = [
        f"{name}, {how}: {was}, not {should}"
        for how, was, should in zip(BOTH, got.replies, (expected.whole, expected.streamed), strict=True)
        if was != should
    ]
    wrong += [f"{name}: the case was in the {where}" for where in got.kept if where not in expected.cases]
    return [*wrong, f"{name}: told {got.told}"] if got.told != expected.told else wrong


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("which", [(), *SINGLE], ids=lambda which: " ".join(which[0]) if which else "none")
async def test_each_fault_has_its_designed_answer(
    tmp_path: Path, which: tuple[Which, ...], situation: Situation
) -> None:
    assert await check(tmp_path, which, situation) == []


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("alone", [False, True], ids=["together", "one by one"])
async def test_any_two_faults_that_can_meet_have_theirs(tmp_path: Path, situation: Situation, alone: bool) -> None:
    pairs = [pair for pair in meetings(situation) if bool(ALONE & {name for _, name in pair}) == alone]
    numbers = itertools.count()
    at_once = asyncio.Semaphore(1 if alone else TOGETHER)

    async def one(pair: Sequence[Which]) -> list[str]:
        async with at_once:
            return await check(tmp_path / str(next(numbers)), pair, situation)

    found = await asyncio.gather(*(one(pair) for pair in pairs))
    assert [line for lines in found for line in lines] == []
