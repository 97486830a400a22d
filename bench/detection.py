"""How well danger is told from what only sounds like it: ``python -m bench.detection [--dev FOLDER] [--write FILE]``.

The corpus' test split, and public sets where a folder of them is named (they are not part of the project). Exit 1 when
a figure lies below its floor in ``detection.toml``.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import corpus.files
from bench.table import machine, say
from guardrail.evaluation.items import Item, items
from guardrail.evaluation.measure import LEAST, Figures, Pair, Tally, figures, judge, tally
from guardrail.evaluation.report import WORDS, share, table
from guardrail.guard import Guard

FLOORS = Path(__file__).with_suffix(".toml")
BEGIN, END = "<!-- figures -->\n", "<!-- /figures -->"
PREVALENCE = 0.01
WORST = ("category", "lang")
"""Groups whose worst has a floor of its own."""
SHOWN = ("category", "grade", "how", "lang", "age", "voice", "persona")


def judge_all(guard: Guard, found: Sequence[Item]) -> list[Pair]:
    return [(item, judge(guard, item)) for item in found]


def on_corpus(guard: Guard, split: str = "test") -> list[Figures]:
    """Figures of each direction on one split of the corpus."""
    return list(figures(judge_all(guard, [i for i in corpus.files.load() if i.split == split]), PREVALENCE))


def below(found: Sequence[Figures], floors: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Every figure that lies below its floor; a floor nothing was measured for counts as missed."""
    measured = {f.direction: dict(headline(f)) for f in found}
    for direction, wanted in floors.items():
        for name, least in wanted.items():
            have = measured.get(direction, {}).get(name)
            if have is None or have < least:
                yield f"{direction} {name}: {'nothing measured' if have is None else f'{have:.3f}'}, floor {least:.3f}"


def headline(found: Figures) -> Iterator[tuple[str, float]]:
    """The figures that have floors, by their names in ``detection.toml``."""
    yield "sensitivity", found.overall.sensitivity.share
    yield "specificity", found.overall.specificity.share
    if found.within_one.of:
        yield "within_one", found.within_one.share
    for kind in WORST:
        for name in ("sensitivity", "specificity"):
            known = [r.share for t in found.groups.get(kind, ()) if (r := getattr(t, name)).of >= LEAST]
            if known:
                yield f"worst_{kind}_{name}", min(known)


def floors() -> dict[str, dict[str, float]]:
    return tomllib.loads(FLOORS.read_text(encoding="utf-8"))


def public(guard: Guard, folder: Path) -> Iterator[Tally]:
    """One tally for each public set that says where there is danger."""
    for path in sorted(folder.glob("*.jsonl.gz")):
        say(path.name)
        text = gzip.decompress(path.read_bytes()).decode()
        found = [item for item in items(path.name, text) if isinstance(item, Item)]
        if found:
            yield tally(path.name.removesuffix(".jsonl.gz"), judge_all(guard, found))


def document(found: Sequence[Figures], sets: Sequence[Tally]) -> str:
    """The tables of ``docs/evidence.md``."""
    parts = [f"Measured on {machine()}.\n"]
    for one in found:
        danger, alone = WORDS[one.direction]
        parts.append(f"### {one.direction.capitalize()}, the corpus' test split ({one.items:,} items)\n")
        parts.append(f"- {danger}: **{share(one.overall.sensitivity)}** of {one.overall.sensitivity.of:,}")
        parts.append(f"- {alone}: **{share(one.overall.specificity)}** of {one.overall.specificity.of:,}")
        parts.append(f"- graded within one level: {share(one.within_one)}; area under ROC {one.area:.3f}")
        parts.append(f"- where 1 % of turns are {danger.split()[0]}, {one.predictive:.1%} of alarms are right\n")
        for kind in SHOWN:
            if kind in one.groups:
                parts += [*table(one.groups[kind], one.direction, kind), ""]
    if sets:
        parts += ["### Public sets\n", *table(sets, "inbound", "set"), ""]
    return "\n".join(parts)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--dev", type=Path, metavar="FOLDER", help="public sets as JSON Lines, packed")
    options.add_argument("--write", type=Path, metavar="FILE", help="the document whose tables are written anew")
    arguments = options.parse_args()
    guard = Guard.load()
    say("the corpus' test split")
    found = on_corpus(guard)
    text = document(found, list(public(guard, arguments.dev)) if arguments.dev else [])
    if arguments.write:
        old = arguments.write.read_text(encoding="utf-8")
        begin = old.index(BEGIN) + len(BEGIN)
        arguments.write.write_text(f"{old[:begin]}\n{text}\n{old[old.index(END, begin) :]}", encoding="utf-8")
    else:
        print(text)
    missed = list(below(found, floors()))
    for line in missed:
        print(line, file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
