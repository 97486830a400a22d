"""Every measurement in turn, about eight minutes: ``python -m bench.all [--write docs/benchmarks.md]``.

Each runs as a process of its own, so that none finds what another left behind. ``--write`` puts the tables between
the two marks of a document. Exit 1 when a target is missed, or a measurement did not come to its end.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bench.table import Row, machine, markdown, say

BEGIN, END = "<!-- figures -->\n", "<!-- /figures -->"
PARTS: Mapping[str, Sequence[str]] = {
    "proxy": ("--dialect", "all", "--seconds", "2", "--rounds", "3"),
    "conversations": (),
    "history": (),
    "languages": (),
    "streams": (),
    "beside": (),
}
"""Each measurement, and how it is called here."""


def measure(part: str, options: Sequence[str]) -> list[Row]:
    """The rows of one measurement."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.json"
        ended = subprocess.run([sys.executable, "-m", f"bench.{part}", *options, "--rows", rows]).returncode
        if not rows.exists():
            return [Row(f"bench.{part}", f"ended with {ended}", "to come to its end", good=False)]
        return msgspec.json.decode(rows.read_bytes(), type=list[Row])


def document(found: Mapping[str, Sequence[Row]]) -> str:
    tables = [f"### `bench.{part}`\n\n{markdown(rows)}\n" for part, rows in found.items()]
    return "\n".join([f"Measured on {machine()}.\n", *tables])


def written(text: str, tables: str) -> str:
    """The document with these tables between its marks. Raises ``ValueError`` where it has none."""
    begin = text.index(BEGIN) + len(BEGIN)
    return f"{text[:begin]}\n{tables}\n{text[text.index(END, begin) :]}"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--write", type=Path, metavar="FILE", help="the document whose tables are written anew")
    options.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="NAME")
    arguments = options.parse_args()
    if arguments.write:
        written(arguments.write.read_text(), "")  # a document without marks is told before, not after
    found: dict[str, list[Row]] = {}
    for part in arguments.only:
        say(f"== {part}")
        found[part] = measure(part, PARTS[part])
    if arguments.write:
        arguments.write.write_text(written(arguments.write.read_text(), document(found)))
    return 0 if all(row.good for rows in found.values() for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
