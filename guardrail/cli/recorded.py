"""Recorded turns for ``guardrail policy simulate``: a data folder's journal, or a file with a conversation a line.

A journal is read as it lies there: a line that was cut, altered or written by something else is counted and named,
and the rest is read on. A file of conversations is the user's own, and a mistake in it ends the command.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Annotated, Any, cast

import msgspec

from guardrail.cli.inspecting import AUDIENCES, LONGEST_LINE
from guardrail.cli.policy_packs import CannotRead
from guardrail.core.conditions import Around
from guardrail.core.model import Audience, Context, Direction, Failed, Found, Message, Role, Signal
from guardrail.policy.proving import Look
from guardrail.policy.simulate import Recorded
from guardrail.policy.unjudged import Known

NAMED = 5
"""Lines that are named; the others are counted."""
_NOT_OURS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError)

Grade = Annotated[int, msgspec.Meta(ge=0, le=4)]


class Reading:
    """Recorded turns of ``path``, and what of it could not be read. ``zone``: the operator's. ``look``: what listens to
    conversations; ``otherwise``: the packs that are compared have other lexicons."""

    def __init__(self, path: Path, zone: tzinfo, look: Look, otherwise: bool = False) -> None:
        self._path, self._zone, self._look, self._otherwise = path, zone, look, otherwise
        self._is_journal = path.is_dir() or _is_journal(path)
        self.unreadable = 0
        self.places: list[str] = []

    def turns(self) -> Iterator[Recorded]:
        """Raises ``CannotRead`` where there is nothing to read, or a conversation is none."""
        if self._path.is_dir():
            yield from self._of_journal(_segments(self._path))
        elif self._is_journal:
            yield from self._of_journal([self._path])
        else:
            yield from _of_conversations(self._path, self._zone, self._look)

    def caveats(self) -> Iterator[str]:
        if self._otherwise and self._is_journal:
            yield "the packs' lexicons differ, and a journal holds no words: what only one of them hears is not seen"
        elif self._otherwise:
            yield "the packs' lexicons differ: both are tried on what the new one hears; try the old one by itself too"
        if self.unreadable:
            more = f" and {self.unreadable - len(self.places)} more" if self.unreadable > len(self.places) else ""
            lines = "line" if self.unreadable == 1 else "lines"
            what = f"{self.unreadable} {lines} could not be read and {'is' if self.unreadable == 1 else 'are'} left out"
            yield f"{what}: {', '.join(self.places)}{more}; guardrail journal verify says what was altered"

    def _of_journal(self, segments: Iterable[Path]) -> Iterator[Recorded]:
        for path in segments:
            for number, line in _lines(path):
                try:
                    if msgspec.json.decode(line, type=_Head).kind != "verdict":
                        continue
                    turn = msgspec.json.decode(line, type=_Verdict).turn(self._zone)
                except _NOT_OURS:
                    self.unreadable += 1
                    if len(self.places) < NAMED:
                        self.places.append(f"{path}:{number}")
                    continue
                yield turn


class _Head(msgspec.Struct):
    kind: str


class _Step(msgspec.Struct):
    rule: str = ""
    fired: bool = False


class _Seen(Signal, frozen=True):
    """A signal as the journal holds it. Its grade is held to the scale: what is beyond was not written by us."""

    severity: Grade
    score: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0


class _Verdict(msgspec.Struct):
    """A record of kind ``verdict``. ``None``: it is from before that was recorded."""

    exchange: str
    conversation: str
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    direction: Direction
    signals: tuple[_Seen, ...] = ()
    failures: tuple[Failed, ...] = ()
    trail: tuple[_Step, ...] = ()
    locale: str = ""
    country: str = ""
    audience: Audience = "unknown"
    shortened: bool = False
    grades: tuple[Grade, ...] | None = None
    cues: tuple[str, ...] | None = None
    prefers: tuple[str, ...] | None = None

    def turn(self, zone: tzinfo) -> Recorded:
        grades, weighed = self.grades, False
        if grades is None or len(grades) != len(self.signals):
            grades, weighed = tuple(s.severity for s in self.signals), bool(self.signals)
        signals = tuple(
            msgspec.structs.replace(s, severity=grade) for s, grade in zip(self.signals, grades, strict=True)
        )
        return Recorded(
            f"{self.exchange} {self.direction}",
            self.conversation,
            self.at.timestamp(),
            self.direction,
            (Found("recorded", signals), *self.failures),
            self.locale or "en",
            self.country or None,
            self.audience,
            self.exchange,
            Around(prefers=self.prefers or (), minute=_minute(self.at, zone)),
            Known(choices=self.prefers is not None, unread=self.cues),
            store_failed=any(step.fired and step.rule == "on_failure.store" for step in self.trail),
            weighed=weighed,
            shortened=self.shortened,
        )


def _minute(at: datetime, zone: tzinfo) -> int:
    local = at.astimezone(zone)
    return local.hour * 60 + local.minute


def _segments(folder: Path) -> list[Path]:
    from guardrail.journal.segments import segments_of

    if not (folder / "journal").is_dir():
        raise CannotRead([f"{folder / 'journal'}: there is none; name a proxy's data folder"], 2)
    return [path for _, path in segments_of(folder)]


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines that are not empty, with their numbers. One that is too long comes in parts that nothing can read."""
    try:
        with path.open("rb") as source:
            for number in itertools.count(1):
                line = source.readline(LONGEST_LINE + 1)
                if not line:
                    return
                if line.strip():
                    yield number, line
    except OSError as error:
        raise CannotRead([f"{path}: cannot be read ({(error.strerror or 'error').lower()})"], 2) from error


class _Written(msgspec.Struct):
    """What every line of a journal has, and no conversation."""

    n: int
    kind: str
    mac: str


def _is_journal(path: Path) -> bool:
    """Whether a file is a piece of a journal: one of its first lines is a record."""
    for _, line in itertools.islice(_lines(path), 20):
        try:
            msgspec.json.decode(line, type=_Written)
        except _NOT_OURS:
            continue
        return True
    return False


class _Row(msgspec.Struct):
    """A conversation: ``messages`` with roles and contents, or one ``text`` and its ``direction``.

    ``at``: when it began, in the operator's time zone if it names none; the turns are a minute apart.
    """

    id: str | int = ""
    text: str = ""
    direction: Direction = "inbound"
    messages: list[dict[str, Any]] = []
    locale: str | None = None
    audience: str = "unknown"
    country: str | None = None
    at: datetime | None = None
    cues: dict[str, float] = {}
    prefers: list[str] = []


def _of_conversations(path: Path, zone: tzinfo, look: Look) -> Iterator[Recorded]:
    for number, line in _lines(path):
        try:
            row = msgspec.json.decode(line, type=_Row)
        except _NOT_OURS as error:
            raise CannotRead([f"{path}:{number}:1: is no conversation ({error}); correct it"], 2) from error
        if not row.messages and not row.text:
            raise CannotRead([f"{path}:{number}:1: has neither messages nor text; write one of them"], 2)
        name = str(row.id or number)
        turns = [(m.get("role"), str(m.get("content", ""))) for m in row.messages]
        turns = turns or [("user" if row.direction == "inbound" else "assistant", row.text)]
        history: tuple[Message, ...] = ()
        begun = row.at if row.at is None or row.at.tzinfo else row.at.replace(tzinfo=zone)
        minute = None if begun is None else _minute(begun, zone)
        for i, (role, text) in enumerate(turns):
            if role not in ("user", "assistant"):
                continue
            direction: Direction = "inbound" if role == "user" else "outbound"
            seen = tuple(look(text, Context(direction, history, row.locale)))
            history = (*history, Message(cast("Role", role), text))
            yield Recorded(
                f"{name} turn {i + 1}",
                name,
                (number * 1e6 if begun is None else begun.timestamp()) + i * 60.0,
                direction,
                seen,
                row.locale or "en",
                row.country,
                cast("Audience", row.audience if row.audience in AUDIENCES else "unknown"),
                around=Around(
                    tuple(row.cues.items()),
                    tuple(row.prefers),
                    None if minute is None else (minute + i) % 1440,
                ),
                known=Known(time=minute is not None),
            )
