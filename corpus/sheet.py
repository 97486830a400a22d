"""Sheets for readers: ``python -m corpus.sheet out FILE`` writes what is to be read without its labels, and
``python -m corpus.sheet take FILE SHEET`` takes a reader's grades in.

A sheet is a table (CSV, as spreadsheets have it): ``id``, ``conversation``, and ``is``, which the reader fills in with
grades such as ``suicide 3, self_harm 2`` and leaves empty where there is nothing.
"""

from __future__ import annotations

import argparse
import csv
import random
import re
import sys
from pathlib import Path
from typing import Any

import msgspec

from corpus.files import ROOT
from corpus.readings import Reading, path_of, signals
from guardrail.core.model import Direction
from guardrail.evaluation.items import Item, ItemError, items

COLUMNS = ("id", "conversation", "is")


def read(path: Path) -> list[Item]:
    """The items of one corpus file. Raises ``ItemError``."""
    direction: Direction = "outbound" if path.parent.parent.name == "outbound" else "inbound"
    found = []
    place = path.resolve().relative_to(ROOT).as_posix() if path.resolve().is_relative_to(ROOT) else path.name
    for item in items(place, path.read_text(encoding="utf-8"), path.parent.name, direction):
        if isinstance(item, ItemError):
            raise item
        found.append(item)
    return found


def out(path: Path, target: Any) -> None:
    """Items in an order that says nothing: families are torn apart, so that no label gives away its neighbour's."""
    found = read(path)
    random.Random(path.name).shuffle(found)  # noqa: S311 - an order, not a secret
    table = csv.writer(target, lineterminator="\n")
    table.writerow(COLUMNS)
    for item in found:
        said = "\n".join(f"{'bot' if t.role == 'assistant' else 'person'}: {t.text}" for t in item.turns)
        table.writerow((item.id, said, ""))


def grades(text: str, known: tuple[str, ...]) -> dict[str, int]:
    """``suicide 3, self_harm 2`` as grades. Raises ``ItemError``."""
    found: dict[str, int] = {}
    for part in filter(None, re.split(r"[,;]\s*", text.strip())):
        match = re.fullmatch(r"([a-z_]+)[ =:]+([0-4])", part.strip())
        if match is None or match[1] not in known:
            raise ItemError(f"{part!r} is no grade; write a signal and 1 to 4, such as {known[0]} 3")
        if int(match[2]):
            found[match[1]] = int(match[2])
    return found


def take(path: Path, sheet: Path, *, third: bool = False) -> tuple[int, int]:
    """Write a reader's grades beside the writer's; gives how many were taken and how many differ.

    Raises ``ItemError`` with file and line, and then nothing is taken.
    """
    found = {item.id: item for item in read(path)}
    known = signals("outbound" if path.parent.parent.name == "outbound" else "inbound")
    said: dict[str, dict[str, int]] = {}
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            if row.get("id") not in found:
                raise ItemError(
                    f"{sheet}:{reader.line_num}:1: no item has this id; the text may have been changed since"
                )
            try:
                said[row["id"]] = grades(row.get("is") or "", known)
            except ItemError as error:
                raise ItemError(f"{sheet}:{reader.line_num}:1: {error}") from None
    if not said:
        raise ItemError(f"{sheet}: holds no grades; it needs the columns {', '.join(COLUMNS)}")
    target = path_of(next(iter(found.values())))
    before = _before(target)
    for id, by_reader in said.items():
        if third and id in before:
            before[id].third = by_reader
        else:
            before[id] = Reading(id, dict(found[id].grades or {}), by_reader)
    target.parent.mkdir(parents=True, exist_ok=True)
    kept = [before[id] for id in found if id in before]
    target.write_text("".join(msgspec.json.encode(r).decode() + "\n" for r in kept), encoding="utf-8")
    return len(said), sum(before[id].reader != before[id].writer for id in said)


def _before(target: Path) -> dict[str, Reading]:
    if not target.exists():
        return {}
    lines = target.read_text(encoding="utf-8").splitlines()
    return {r.id: r for r in (msgspec.json.decode(line, type=Reading) for line in lines)}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m corpus.sheet", description=__doc__)
    parser.add_argument("what", choices=("out", "take", "third"))
    parser.add_argument("file", type=Path)
    parser.add_argument("sheet", type=Path, nargs="?")
    arguments = parser.parse_args(argv)
    try:
        if arguments.what == "out":
            out(arguments.file, sys.stdout)
            return 0
        if arguments.sheet is None:
            parser.error("name the sheet to take")
        taken, apart = take(arguments.file, arguments.sheet, third=arguments.what == "third")
    except (ItemError, OSError) as error:
        print(f"corpus: {error}", file=sys.stderr)
        return 2
    print(f"{taken} readings taken, {apart} of them differ from the writer's")
    return 0


if __name__ == "__main__":
    sys.exit(main())
