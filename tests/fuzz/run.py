"""Fuzzes every reader: ``python -m tests.fuzz.run [--inputs N] [--reader NAME]… [--seconds N] [--out FOLDER]``.

One process a reader, one after another. Ends with a table, and 1 where something was found. ``--minimise FILE``
with one ``--reader`` prints the smallest input that still fails in the same way, to be put among ``finds``.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.fuzz.readers import READERS
from tests.fuzz.report import Report, signature

MEMORY = Path("/dev/shm")
"""A file is written for every input of some readers: in memory, where the machine has a place for it."""
_COVERED = re.compile(r"cov: (\d+)")
_DONE = re.compile(r"#(\d+)\s")


class Row(NamedTuple):
    """One reader's run. ``rate`` is inputs a second; ``ended``: libFuzzer gave up, at a hang or for want of memory."""

    name: str
    report: Report
    edges: int
    rate: float
    ended: bool


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="in all, spread over the readers")
    parser.add_argument("--seconds", type=int, default=0, help="at most, for each reader")
    parser.add_argument("--reader", action="append", help=f"one of {', '.join(READERS)}, or the beginning of some")
    parser.add_argument("--out", type=Path, help="where finds are put (default: a folder that is named at the end)")
    parser.add_argument("--minimise", type=Path, metavar="FILE")
    given = parser.parse_args()
    names = [name for name in READERS if any(name.startswith(asked) for asked in given.reader or [""])]
    if not names:
        parser.error("no such reader")
    if given.minimise is not None:
        sys.stdout.buffer.write(smallest(names[0], given.minimise.read_bytes()))
        return 0
    if importlib.util.find_spec("atheris") is None:
        print("fuzz: Atheris is not here; it is for x86_64 and Python 3.11 to 3.13: make dev", file=sys.stderr)
        return 2
    out = given.out or Path(tempfile.mkdtemp(prefix="fuzz-"))
    whole = sum(READERS[name].share for name in names)
    rows = []
    for name in names:
        runs = max(1, given.inputs * READERS[name].share // whole)
        rows.append(_fuzzed(name, runs, given.seconds, out / name))
    _print_table(rows)
    found = [row for row in rows if row.report.finds or row.ended]
    for row in found:
        for what, file in row.report.finds.items():
            print(f"{row.name}: {what}\n    {out / row.name / file}")
    return 1 if found else 0


def _fuzzed(name: str, runs: int, seconds: int, folder: Path) -> Row:
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.worker", name, str(runs), str(seconds), str(folder)]
    edges, begun = 0, time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="fuzz-", dir=MEMORY if MEMORY.is_dir() else None) as scratch,
        open(folder / "log", "w") as log,
        subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, errors="replace", env={**os.environ, "TMPDIR": scratch}
        ) as process,
    ):
        assert process.stderr is not None
        for line in process.stderr:
            log.write(line)
            if covered := _COVERED.search(line):
                edges = int(covered.group(1))
                _show_progress(name, line, runs, edges)
    report = Report()
    with contextlib.suppress(FileNotFoundError):
        report = msgspec.json.decode((folder / "report.json").read_bytes(), type=Report)
    rate = report.inputs / max(0.001, time.monotonic() - begun)
    print(f"\r{name}: {report.inputs} inputs, {edges} edges, {len(report.finds)} finds".ljust(79), flush=True)
    return Row(name, report, edges, rate, process.returncode != 0 or any(folder.glob("ended-*")))


def _show_progress(name: str, line: str, runs: int, edges: int) -> None:
    done = _DONE.match(line)
    if done and sys.stderr.isatty():
        print(f"\r{name}: {int(done.group(1))}/{runs}, {edges} edges".ljust(79), end="", file=sys.stderr, flush=True)


def _print_table(rows: list[Row]) -> None:
    print(f"\n| {'reader':24} | {'inputs':>9} | {'edges':>6} | {'a second':>8} | {'slowest ms':>10} | finds |")
    print(f"|{'-' * 26}|{'-' * 10}:|{'-' * 7}:|{'-' * 9}:|{'-' * 11}:|------:|")
    for name, report, edges, rate, ended in rows:
        finds = f"{len(report.finds)}{' +' if ended else ''}"
        print(f"| {name:24} | {report.inputs:9} | {edges:6} | {rate:8.0f} | {report.slowest:10.1f} | {finds:>5} |")
    print(f"| {'in all':24} | {sum(row.report.inputs for row in rows):9} |        |          |            |       |")


def smallest(name: str, data: bytes) -> bytes:
    """The input with all taken out, and all made zero, that the find does not need."""
    wanted = _failing(name, data)
    if wanted is None:
        raise SystemExit("fuzz: this input does not fail")
    size = len(data)
    while size := size // 2:
        at = 0
        while at < len(data):
            shorter = data[:at] + data[at + size :]
            if _failing(name, shorter) == wanted:
                data = shorter
            else:
                at += size
    for at in range(len(data)):
        plain = data[:at] + b"\0" + data[at + 1 :]
        data = plain if _failing(name, plain) == wanted else data
    return data


def _failing(name: str, data: bytes) -> str | None:
    try:
        READERS[name].check(data)
    except Exception as error:
        return signature(error)
    return None


if __name__ == "__main__":
    sys.exit(main())
