"""What more languages cost: four of them against all that are shipped. ``python -m bench.languages``.

Each set has processes of its own, which take turns; each judges requests and their replies whole, with the
shipped policy and without a socket. Exit 1 when what is judged costs too much more with all languages.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from statistics import median

import msgspec

from bench.judged import Timed, files
from bench.processes import CORE
from bench.table import Row, at_most, main, say
from bench.texts import GROUPS

MOST = 1.2
FOUR = ("en", "de", "es", "fr")


def timed(languages: Sequence[str], seconds: float) -> Timed:
    command = ["taskset", "-c", str(CORE), sys.executable, "-m", "bench.judged", str(seconds), *languages]
    return msgspec.json.decode(subprocess.run(command, check=True, capture_output=True).stdout, type=Timed)


def rows(few: Sequence[Timed], all_: Sequence[Timed]) -> list[Row]:
    """One row a group of texts, then what a set costs once. Of each cost the least: what else runs only adds to it."""
    found = []
    for name in GROUPS:
        ours, theirs = (min(t.cost[name] for t in each) for each in (all_, few))
        found.append(at_most(f"judged, {name}: all languages against four", ours / theirs, MOST, " ×",
                             f" ({ours:.0f} µs, {theirs:.0f})"))  # fmt: skip
    load, resident = (
        [median(getattr(t, field) for t in each) for each in (all_, few)] for field in ("load", "resident")
    )
    found.append(Row("time to load and compile", f"{load[0]:.2f} s; of four {load[1]:.2f} s"))
    found.append(Row("resident memory with everything compiled", f"{resident[0]:.0f} MB; of four {resident[1]:.0f} MB"))
    return found


def run(arguments: argparse.Namespace) -> list[Row]:
    all_: list[Timed] = []
    few: list[Timed] = []
    for turn in range(arguments.rounds):
        for name, languages, found in (("four languages", FOUR, few), ("all languages", (), all_)):
            say(f"{name}, round {turn + 1}/{arguments.rounds}")
            found.append(timed(languages, arguments.seconds))
    return [Row("lexicon files", f"{len(files(()))}; of four languages {len(files(FOUR))}"), *rows(few, all_)]


def options() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--seconds", type=float, default=1.0, help="for each group of texts in each round")
    made.add_argument("--rounds", type=int, default=4)
    return made


if __name__ == "__main__":
    raise SystemExit(main(options(), run))
