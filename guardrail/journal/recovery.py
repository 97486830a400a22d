"""Where to go on after the last run, which may have been killed in the middle of a line.

What is found amiss is never smoothed over: it becomes the first record of the new run, in the chain. A tail
that somebody cut leaves a gap in the numbers, because the new run goes on from what was signed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from guardrail.journal.chain import Entry, Head

Fields = Mapping[str, object]


class Recovered(msgspec.Struct, frozen=True):
    """The record to follow, the segment to write to, its length in bytes, and what has to be recorded."""

    head: Head
    segment: int
    end: int
    records: tuple[Fields, ...] = ()


def recover(
    found: Sequence[tuple[int, Path]],
    heads: tuple[Head, int] | None,
    reason: str,
    read: Callable[[bytes], Entry],
) -> Recovered:
    """``heads`` is what was signed last; when it is ``None``, ``reason`` says why."""
    records: list[Fields] = []
    segment, end = 1 if heads is None else heads[1], 0
    lines: list[bytes] = []
    if found:
        segment, path = found[-1]
        lines, end, torn = _lines_of(path)
        if torn:
            records.append({"reason": "torn", "segment": segment, "bytes": torn})
        for _, earlier in reversed(found[:-1]):
            if lines:
                break
            lines = earlier.read_bytes().split(b"\n")[:-1]
    last = read(lines[-1]) if lines else None
    if heads is None:
        head = _last_genuine(lines, read)
        if reason == "heads_forged" or last is not None:
            records.append({"reason": reason, "found": head.n})
    elif last is not None and last.genuine and last.n >= heads[0].n:
        head = Head(last.n, last.mac)
    else:
        head = heads[0]
        genuine = last is None or last.genuine
        if head.n or last is not None:
            what = "cut" if genuine else "altered"
            records.append({"reason": what, "expected": head.n, "found": last.n if last and genuine else 0})
    return Recovered(head, segment, end, tuple(records))


def _last_genuine(lines: Sequence[bytes], read: Callable[[bytes], Entry]) -> Head:
    for line in reversed(lines):
        entry = read(line)
        if entry.genuine:
            return Head(entry.n, entry.mac)
    return Head()


def _lines_of(path: Path) -> tuple[list[bytes], int, int]:
    """Whole lines, their length in bytes, and how many bytes of an unfinished one were set aside."""
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    torn = data[end:]
    if torn:
        with path.with_suffix(".torn").open("ab") as aside:
            aside.write(torn + b"\n")
            aside.flush()
            os.fsync(aside.fileno())
        with path.open("r+b") as file:
            file.truncate(end)
            os.fsync(file.fileno())
    return data[:end].split(b"\n")[:-1], end, len(torn)
