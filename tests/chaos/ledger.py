"""What was decided and what arrived: the three laws are checked here, and nowhere else.

1. Decided is delivered: whoever got our answer to a crisis has a case, and the webhook acknowledged it. The one
   way out is the one the person was told of: the disk took nothing, and the proxy was killed before it did again.
2. The journal holds: whole after every restart, no record missing in it, and what was lost is said in it.
3. Nothing uninspected is released: nobody reads what is barred, and no crisis is answered by the chatbot.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from guardrail import shipped
from guardrail.journal import Report, verify
from tests.chaos.hook import Hook
from tests.chaos.scenes import BARRED, SEAL, Scene

_NOBODY = tuple(texts["told.no"] for texts in shipped.policy(("base",)).responses.values())


class Attempt(msgspec.Struct, frozen=True):
    """What came of one request. ``status`` 0: no answer at all. ``cut``: the connection broke. ``over``: it had
    its end. ``life`` is the number of the process that answered, ``at`` a monotonic time."""

    status: int
    action: str
    exchange: str
    raw: bytes
    text: str
    cut: bool
    over: bool
    life: int
    at: float


class Decided(msgspec.Struct, frozen=True):
    """A crisis whose person got an answer of ours, or its beginning. ``nobody``: it said that nobody was told."""

    number: int
    exchange: str
    life: int
    at: float
    nobody: bool


class Loss(msgspec.Struct, frozen=True):
    """From ``at`` on, the disk took nothing from process ``life`` until it was killed."""

    life: int
    at: float


class Ledger:
    """``broken`` has a line for each law that was broken; ``counts`` is by (dialect, what)."""

    def __init__(self) -> None:
        self.decided: list[Decided] = []
        self.losses: list[Loss] = []
        self.broken: list[str] = []
        self.counts: collections.Counter[tuple[str, str]] = collections.Counter()
        self.checks = 0
        """Times the journal was verified."""
        self.torn = self.records = self.unrecorded = self.lost = self.turns = 0
        self.gone: list[Decided] = []
        """Whose case was lost, as they were told."""
        self._cry = asyncio.Event()

    def breaks(self, number: int, why: str) -> None:
        self.broken.append(f"conversation {number}: {why}")

    # --- what a person said and saw

    def cries(self) -> None:
        """Somebody in a crisis is asking now."""
        self._cry.set()

    async def next_cry(self, seconds: float) -> None:
        """Wait for that, so many seconds at most."""
        self._cry.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._cry.wait()

    def saw(self, scene: Scene, turn: int, got: Attempt) -> None:
        where = f"turn {turn + 1}, exchange {got.exchange or 'unknown'}"
        for words in BARRED:
            if words in got.text or words.encode() in got.raw:
                self.breaks(scene.number, f"{where}: read what is barred: {words!r}")
        self.counts[scene.dialect, "cut"] += got.cut
        if scene.turns[turn].crisis and got.status:
            self._crisis(scene, where, got)

    def _crisis(self, scene: Scene, where: str, got: Attempt) -> None:
        if got.status != 200 or got.action != "replace":
            self.breaks(scene.number, f"{where}: a crisis was answered with {got.status} {got.action or 'unmarked'}")
        if SEAL.encode() in got.raw:
            self.breaks(scene.number, f"{where}: a crisis was answered by the chatbot")
        if not got.cut and not (got.over and got.text):
            self.breaks(scene.number, f"{where}: the answer to a crisis had no end or no words")
        nobody = any(words in got.text for words in _NOBODY)
        self.decided.append(Decided(scene.number, got.exchange, got.life, got.at, nobody))
        self.counts[scene.dialect, "crises answered"] += 1

    # --- law 1

    def excused(self, decided: Decided) -> bool:
        return decided.nobody and any(decided.life == loss.life and decided.at >= loss.at for loss in self.losses)

    def undelivered(self, cases: Mapping[str, str], hook: Hook) -> list[tuple[Decided, str]]:
        """Who was answered and is not yet at a human, and why. ``cases`` maps exchanges to cases."""
        found = []
        self.gone = []
        for decided in self.decided:
            case = cases.get(decided.exchange)
            if case is None and self.excused(decided):
                self.gone.append(decided)
            elif case is None:
                found.append((decided, "has no case"))
            elif case not in hook.arrived:
                found.append((decided, f"case {case} never arrived at the webhook"))
        return found

    def check_deliveries(self, cases: Mapping[str, str], hook: Hook) -> None:
        for decided, why in self.undelivered(cases, hook):
            self.breaks(decided.number, f"exchange {decided.exchange} was answered, and {why}")
        for id, about in hook.about.items():
            if len(about) > 1:
                self.broken.append(f"webhook-id {id} was used for {len(about)} notices: {sorted(about)}")
        for (case, severity), ids in hook.pages.items():
            if len(ids) > 1:
                self.broken.append(f"case {case} was opened under {len(ids)} webhook-ids at severity {severity}")
        if hook.forged:
            self.broken.append(f"{hook.forged} notices were not signed as they should be")

    # --- law 2

    def check_journal(self, data: Path, *, stopped: bool) -> None:
        """Verify it. What a killed writer left unfinished may stand at its end until the next start."""
        report: Report = verify(data, (data / "secret").read_bytes().strip())
        self.checks += 1
        amiss = [problem for problem in report.problems if not (stopped and problem.kind == "torn")]
        self.broken += [f"journal, {self.checks}. check: {problem.text}" for problem in amiss]
        if report.entries < self.records:
            self.broken.append(f"journal: had {self.records} records, and has {report.entries}")
        self.records = report.entries

    def check_health(self, health: Mapping[str, Any]) -> None:
        """What health says at the end. A kill while a full disk refuses a case may leave half of it behind, and it
        is right to call a human then; nothing else may be in need of one."""
        self.lost = health["journal"]["lost"]
        halves = health["desk"]["unreadable"]
        if halves > len(self.losses):
            self.broken.append(f"{halves} cases in the spool cannot be read")

    def read_journal(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """What the journal says about itself at the end."""
        seen, told_lost = set(), 0
        for line in lines:
            if line["kind"] == "journal.recovered":
                self.torn += line["reason"] == "torn"
                if line["reason"] != "torn":
                    self.broken.append(f"journal: record {line['n']} says {line['reason']}")
            elif line["kind"] == "failure" and line["reason"] == "overflow":
                told_lost += line["count"]
            seen.add(line.get("exchange"))
        if self.lost > told_lost:
            self.broken.append(f"journal: {self.lost} records were lost, and {told_lost} are said to be")
        self.unrecorded = sum(decided.exchange not in seen for decided in self.decided)
