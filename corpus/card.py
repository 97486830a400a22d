"""The figures of the dataset card: ``python -m corpus.card`` writes them into ``README.md``.

A test holds the card to them.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence

from corpus import readings
from corpus.check import COUNTED, by_language, shortfalls
from corpus.files import DIRECTIONS, ROOT, load
from corpus.near import twins
from corpus.probe import probe
from guardrail.core.model import CATEGORIES, OUTBOUND_SIGNALS
from guardrail.evaluation.items import DANGER, Item

CARD = ROOT / "README.md"
BEGIN, END = "<!-- figures: python -m corpus.card -->", "<!-- end of figures -->"
SPLITS = ("train", "calibrate", "test")


def figures(items: Sequence[Item], across: int) -> str:
    """Everything that is counted, as Markdown. ``across``: near-duplicates in different splits, which take a while."""
    parts = (_languages(items), _signals(items), _readings(items), _giveaways(items, across), _short(items))
    return "\n\n".join("\n".join(part) for part in parts)


def _languages(items: Sequence[Item]) -> Iterator[str]:
    yield "### By language"
    yield ""
    yield f"| language | {' | '.join(COUNTED)} |"
    yield "|---" * (len(COUNTED) + 1) + "|"
    for lang, counts in by_language(items):
        yield f"| {lang} | " + " | ".join(f"{count:,}" for count in counts) + " |"
    yield ""
    families = {(i.direction, i.family) for i in items}
    by_split = Counter(i.split for i in items)
    shares = ", ".join(f"{name} {by_split[name]:,}" for name in SPLITS)
    yield f"{len(families):,} scenario families; items by split: {shares}."


def _signals(items: Sequence[Item]) -> Iterator[str]:
    for direction, signals in zip(DIRECTIONS, (CATEGORIES, OUTBOUND_SIGNALS), strict=True):
        yield f"### {direction.capitalize()} signals"
        yield ""
        yield "| signal | 1 | 2 | 3 | 4 | near |"
        yield "|---|---|---|---|---|---|"
        mine = [i for i in items if i.direction == direction]
        for signal in signals:
            grades = Counter((i.grades or {}).get(signal, 0) for i in mine)
            near = sum(i.near == signal and not i.danger for i in mine)
            yield f"| `{signal}` | " + " | ".join(f"{grades[g]:,}" for g in range(1, 5)) + f" | {near:,} |"
        if direction == "inbound":
            yield ""


def _readings(items: Sequence[Item]) -> Iterator[str]:
    said = readings.load()
    yield "### Writer and blind reader"
    yield ""
    yield (
        f"{len(said):,} of {len(items):,} items have been read blind by another reader; weighted kappa (quadratic) of "
        "the grades 0 to 4. *apart*: danger to one reader and not to the other. *third*: settled by a third reading."
    )
    for direction in DIRECTIONS:
        mine = [said[i.id] for i in items if i.direction == direction and i.id in said]
        if not mine:
            continue
        third = sum(r.third is not None for r in mine)
        yield ""
        yield f"| {direction} ({len(mine):,} read, {third:,} of them by a third) | items | kappa | apart |"
        yield "|---|---|---|---|"
        for found in readings.agreement(mine, readings.signals(direction)):
            yield f"| {found.signal} | {found.items:,} | {found.kappa:.2f} | {found.apart:,} |"


def _giveaways(items: Sequence[Item], across: int) -> Iterator[str]:
    yield "### What gives a label away"
    yield ""
    yield "How well a line through features without meaning tells danger from calm on the test split (area under ROC;"
    yield "0.5 is chance), and pairs of texts in different splits that are nearly the same."
    yield ""
    yield "| | items | length | punctuation | words of help | turns | all four |"
    yield "|---|---|---|---|---|---|---|"
    for name in ("inbound", "outbound"):
        mine = [i for i in items if i.direction == name]
        if not mine:
            continue
        found = probe(mine)
        yield f"| {name} | {found.items:,} | " + " | ".join(f"{area:.2f}" for area in found.areas.values()) + " |"
    yield ""
    yield f"Near-duplicates across splits: {across}."


def _short(items: Sequence[Item]) -> Iterator[str]:
    missing = list(shortfalls(items))
    if missing:
        yield "### What it lacks of what was meant"
        yield ""
        yield from (f"- {line}" for line in missing)
    else:
        yield f"It has all it was meant to have (grade {int(DANGER)} and up counts as danger)."


def card(items: Sequence[Item], across: int) -> str:
    """The card with its figures renewed."""
    text = CARD.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n\n{figures(items, across)}\n\n{END}{rest.split(END)[1]}"


def main() -> int:
    items = load()
    across = sum(a.split != b.split for a, b, _ in twins(items))
    CARD.write_text(card(items, across), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
