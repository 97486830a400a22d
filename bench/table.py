"""What was measured, as rows of a table, and whether it is good enough."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec


class Row(msgspec.Struct, frozen=True):
    """One figure, with what it must be; an empty ``target``: it is only for information."""

    what: str
    measured: str
    target: str = ""
    good: bool = True


Run = Callable[[argparse.Namespace], list[Row]]


def at_least(what: str, value: float, least: float, more: str = "") -> Row:
    return Row(what, f"{value:.2f}{more}", f"≥ {least:g}", value >= least)


def at_most(what: str, value: float, most: float, unit: str = "", more: str = "") -> Row:
    return Row(what, f"{value:.{_places(value)}f}{unit}{more}", f"≤ {most:g}{unit}", value <= most)


def _places(value: float) -> int:
    return 0 if value >= 100 else 2


def say(text: str) -> None:
    """Progress, beside the table and not in it."""
    print(f"  {text}", file=sys.stderr, flush=True)


def machine() -> str:
    return (
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )


def markdown(rows: Sequence[Row]) -> str:
    lines = ["| what | measured | target | |", "| --- | --- | --- | --- |"]
    lines += [f"| {r.what} | {r.measured} | {r.target} | {_mark(r)} |" for r in rows]
    return "\n".join(lines)


def _mark(row: Row) -> str:
    if not row.target:
        return ""
    return "met" if row.good else "missed"


def main(options: argparse.ArgumentParser, run: Run) -> int:
    """Measure, print the table, and give the exit status: 1 when a target is missed."""
    options.add_argument("--rows", type=Path, metavar="FILE", help="write the rows as JSON too")
    arguments = options.parse_args()
    rows = run(arguments)
    if arguments.rows:
        arguments.rows.write_bytes(msgspec.json.encode(rows))
    widths = [max(len(getattr(row, name)) for row in rows) for name in ("what", "measured", "target")]
    print(machine())
    for row in rows:
        print(f"{row.what:{widths[0]}}  {row.measured:{widths[1]}}  {row.target:{widths[2]}}  {_mark(row)}".rstrip())
    return 0 if all(row.good for row in rows) else 1
