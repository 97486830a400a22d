"""Whether the journal is as it was written; if not, which record was changed, taken out, moved or cut off.

What this cannot show: that somebody put back an older copy of the whole folder, heads file included. For that
keep the last mac of a report in another place.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from guardrail.journal.chain import GENESIS, Entry, Head, Key, read, read_heads
from guardrail.journal.segments import HEADS, LOCK, segments_of

Kind = Literal["altered", "dropped", "reordered", "cut", "torn"]


class Problem(msgspec.Struct, frozen=True):
    """One thing amiss. ``line`` counts from 1 in ``segment``; ``n`` is the record's number, ``count`` how many."""

    segment: str
    line: int
    n: int
    kind: Kind
    count: int = 1
    note: str = ""

    @property
    def text(self) -> str:
        if self.note:
            return f"{self.segment}:{self.line}: {self.note}"
        last = f" to {self.n + self.count - 1}" if self.count > 1 else ""
        what = {
            "altered": f"record {self.n} was altered",
            "dropped": f"record {self.n}{last} is missing before this line",
            "reordered": f"record {self.n} does not stand where it was written",
            "cut": f"the end was cut off from record {self.n}{last}",
            "torn": f"record {self.n} is unfinished; the next start sets it aside",
        }
        return f"{self.segment}:{self.line}: {what[self.kind]}"


class Report(msgspec.Struct, frozen=True):
    """``entries`` counts genuine records. ``last`` is the last one's number and mac, to be kept elsewhere."""

    ok: bool
    entries: int
    problems: tuple[Problem, ...]
    last: Head
    text: str


UNSIGNED = "what was signed about the records before this line is gone: more of them may have been cut off"


class _Reader:
    """Follows the chain line by line and notes where it does not hold."""

    def __init__(self) -> None:
        self.head = Head()
        self.entries = 0
        self.problems: list[Problem] = []
        self._missing: dict[int, Problem] = {}
        self.strangers = 0  # lines since the last genuine record that are not genuine

    def line(self, segment: str, number: int, entry: Entry) -> None:
        if not entry.genuine:
            self.strangers += 1
            self.problems.append(Problem(segment, number, self.head.n + self.strangers, "altered"))
            return
        self.entries += 1
        if entry.n <= self.head.n:
            self._earlier(segment, number, entry)
            return
        gap = entry.n - self.head.n - 1 - self.strangers
        if gap > 0:
            first = self.head.n + 1 + self.strangers
            for n in range(first, entry.n):
                self._missing[n] = Problem(segment, number, n, "dropped")
        elif not self.strangers and entry.prev != self.head.mac:
            self.problems.append(Problem(segment, number, entry.n, "reordered"))
        self.head, self.strangers = Head(entry.n, entry.mac), 0
        if entry.kind == "journal.recovered" and entry.reason in ("heads_missing", "heads_forged"):
            self.problems.append(Problem(segment, number, entry.n, "cut", note=UNSIGNED))

    def _earlier(self, segment: str, number: int, entry: Entry) -> None:
        self._missing.pop(entry.n, None)
        self.problems.append(Problem(segment, number, entry.n, "reordered"))

    def found(self) -> tuple[Problem, ...]:
        return tuple(sorted((*self.problems, *_runs(self._missing)), key=lambda p: (p.segment, p.line, p.n)))


def _runs(missing: dict[int, Problem]) -> Iterator[Problem]:
    """Neighbours that are missing before the same line, as one problem."""
    run: Problem | None = None
    for _, problem in sorted(missing.items()):
        if run and problem.n == run.n + run.count and (problem.segment, problem.line) == (run.segment, run.line):
            run = msgspec.structs.replace(run, count=run.count + 1)
            continue
        if run:
            yield run
        run = problem
    if run:
        yield run


def verify(folder: Path, key: bytes) -> Report:
    """Check ``folder/journal`` with the installation's secret. Reads only, also while it is being written."""
    keys = Key(key)
    files = segments_of(folder)
    growing = files[-1][1].name if files and _is_written(folder / "journal") else ""
    raw = _heads(folder / "journal")
    reader, place = _Reader(), ("00000001.jsonl", 1)
    for segment, number, line in _lines(files):
        place = (segment, number + 1)
        if line.endswith(b"\n"):
            reader.line(segment, number, read(keys, line[:-1]))
        elif segment != growing:
            reader.problems.append(Problem(segment, number, reader.head.n + 1, "torn"))
    problems = (*reader.found(), *_ends(reader, keys, raw, place))
    return Report(not problems, reader.entries, problems, reader.head, _told(reader, problems))


def _ends(reader: _Reader, keys: Key, raw: bytes | None, place: tuple[str, int]) -> Iterator[Problem]:
    """What the heads file shows about the end of the journal."""
    if raw is None:
        if reader.entries or reader.strangers:
            yield Problem(*place, reader.head.n + 1, "cut", note=UNSIGNED)
        return
    heads = read_heads(keys, raw)
    if heads is None:
        yield Problem(HEADS, 1, reader.head.n, "altered", note="is not signed with this journal's key")
        return
    count = heads[0].n - reader.head.n - reader.strangers
    if count > 0:
        yield Problem(*place, reader.head.n + reader.strangers + 1, "cut", count)


def _told(reader: _Reader, problems: tuple[Problem, ...]) -> str:
    if not problems:
        last = f", last mac {reader.head.mac}" if reader.head.mac != GENESIS else ""
        return f"{reader.entries} records, all as they were written{last}"
    return "\n".join(problem.text for problem in problems)


def _lines(files: list[tuple[int, Path]]) -> Iterator[tuple[str, int, bytes]]:
    for _, path in files:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield path.name, number, line


def _heads(folder: Path) -> bytes | None:
    try:
        return (folder / HEADS).read_bytes()
    except FileNotFoundError:
        return None


def _is_written(folder: Path) -> bool:
    """Whether a process has this journal open: then its last line may be half written at this moment."""
    try:
        with (folder / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
