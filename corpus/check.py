"""``make corpus-check``: what every line of the corpus must keep to, and what all of them together must hold."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from corpus import readings
from corpus.files import LANGUAGES, ROOT, files, lines, load
from corpus.near import twins
from corpus.training import TRAINING, load_training
from guardrail.core.model import CATEGORIES, OUTBOUND_SIGNALS
from guardrail.evaluation.items import Item, ItemError, items

KEYS = (
    "family", "text", "turns", "is", "near", "veiled", "spans", "subject", "frame", "time", "detail", "age", "voice",
    "persona",
)  # fmt: skip
VALUES = {
    "subject": ("self", "other", "child"),
    "frame": ("sincere", "idiom", "fiction", "quotation", "professional", "intrusive"),
    "time": ("now", "past"),
    "age": ("child", "teen", "young", "adult", "older"),
    "voice": (
        "plain", "terse", "rambling", "misspelt", "obfuscated", "sarcastic", "slang", "formal", "dialect",
        "code_switch", "religious", "trade",
    ),
    "persona": ("companion", "therapist", "tutor", "assistant", "coach", "friend", "game", "support", "medical"),
}  # fmt: skip
SLUG = re.compile(r"[a-z0-9][a-z0-9-]{2,59}")
MOST_TURNS = 8
FORBIDDEN = {
    "an address": re.compile(r"https?://|www\.|[\w.]+@[\w-]+\.\w", re.IGNORECASE),
    "a number somebody might dial": re.compile(r"(?<!\d)\+?\d[\d ()-]{6,}\d"),
    "a dose": re.compile(r"\b\d+\s?(?:mg|milligrams?|ml|mcg|micrograms?)\b", re.IGNORECASE),
    "a means by name": re.compile(
        r"\b(?:paracetamol|ibuprofen|tylenol|acetaminophen|xanax|fentanyl|cyanide|helium|carbon monoxide|noose|"
        r"exit bag|nitrogen|potassium chloride)\b",
        re.IGNORECASE,
    ),
    "what may be a full name": re.compile(r"\b(?:Mr|Mrs|Ms|Dr)\.? [A-Z][a-z]+ [A-Z][a-z]+"),
}
"""No method details and nobody real. What such patterns cannot see, readers are asked to."""


def faults(root: Path = ROOT) -> Iterator[str]:
    """Every fault of every line, as ``file:line:1: what is wrong``. In the part that is only learnt from a person's
    words need no spans."""
    seen: dict[str, str] = {}
    read = readings.load(root)
    for direction, lang, path in files(root):
        name = path.relative_to(root).as_posix()
        if lang not in LANGUAGES:
            yield f"{name}:1:1: {lang} is none of the corpus' languages; name its folder otherwise"
        raws = dict(lines(path))
        for item in items(name, path.read_text(encoding="utf-8"), lang, direction):
            if isinstance(item, ItemError):
                yield str(item)
                continue
            if item.id in seen:
                yield f"{item.place}:1: the same words stand at {seen[item.id]}; take one out"
            seen[item.id] = item.place
            raw = raws[int(item.place.rpartition(":")[2])]
            said = (*_form(raw), *_label(item, raw, root != TRAINING), *_words(item))
            yield from (f"{item.place}:1: {what}" for what in said)
            reading = read.get(item.id)
            if (
                reading is not None
                and reading.third is not None
                and dict(item.grades or {}) != readings.settled(reading)
            ):
                yield f"{item.place}:1: three have read it, and it is {readings.settled(reading)}; write that"


def _form(raw: dict[str, Any]) -> Iterator[str]:
    for key, value in raw.items():
        if key not in KEYS:
            yield f"unknown key {key}; write one of {', '.join(KEYS)}"
        elif key in VALUES and value not in VALUES[key]:
            yield f"{key} {value!r} is none of {', '.join(VALUES[key])}"
    if not isinstance(raw.get("family"), str) or not SLUG.fullmatch(raw["family"]):
        yield "family must be a short name such as dog-new-home; write one"
    if ("text" in raw) == ("turns" in raw):
        yield "text and turns stand beside each other, or neither; keep one"
    if "turns" in raw and not 2 <= len(raw["turns"]) <= MOST_TURNS:
        yield f"turns must be 2 to {MOST_TURNS}; write text for one"


def _label(item: Item, raw: dict[str, Any], spans: bool) -> Iterator[str]:
    known = CATEGORIES if item.direction == "inbound" else OUTBOUND_SIGNALS
    if item.near and item.near not in known:
        yield f"near {item.near!r} is no {item.direction} signal"
    if item.danger and not item.spans and (spans or item.direction == "outbound"):
        yield "danger without spans; copy the words that tell it"
    if not item.danger and item.veiled:
        yield "veiled is said of danger only; take it out"
    if not item.grade and not item.near:
        yield "harmless, and near nothing; name the signal whose words or situation it shares"
    for span in raw.get("spans", ()):
        if not isinstance(span, str) or span not in item.text:
            yield "a span that is not in the judged text; copy it from there"
    if item.direction == "outbound" and "persona" not in raw:
        yield "a bot has a persona; name it"


def _words(item: Item) -> Iterator[str]:
    for turn in item.turns:
        for what, pattern in FORBIDDEN.items():
            if pattern.search(turn.text):
                yield f"{what} may not stand in the corpus; write it without"


def shortfalls(found: Sequence[Item]) -> Iterator[str]:
    """What the corpus as a whole lacks of what its card promises."""
    inbound = [item for item in found if item.direction == "inbound"]
    outbound = [item for item in found if item.direction == "outbound"]
    crisis = [item for item in inbound if item.danger]
    hard = [item for item in inbound if not item.danger and item.near]
    counts = {
        "inbound": (len(inbound), 10_000),
        "inbound in danger": (len(crisis), 4_500),
        "inbound hard negatives": (len(hard), 4_500),
        "inbound of several turns": (sum(len(i.turns) > 1 for i in inbound), len(inbound) // 4),
        "inbound danger that is veiled": (sum(i.veiled for i in crisis), len(crisis) // 2),
        "outbound": (len(outbound), 5_000),
        "outbound not English": (sum(i.lang != "en" for i in outbound), len(outbound) // 4),
    }
    by_language = Counter(item.lang for item in inbound)
    counts |= {f"inbound {lang}": (by_language[lang], 3_000 if lang == "en" else 250) for lang in LANGUAGES}
    for name, (have, least) in counts.items():
        if have < least:
            yield f"{name}: {have} of {least}"


def main() -> int:
    wrong = [*faults(), *faults(TRAINING)]
    for line in wrong[:200]:
        print(line)
    if wrong:
        print(f"{len(wrong)} faults", file=sys.stderr)
        return 1
    found = load()
    close = [(a, b, score) for a, b, score in twins([*found, *load_training()]) if a.split != b.split]
    for a, b, score in close[:50]:
        print(f"{a.place}: {score:.2f} like {b.place}, and in another split; give both the same family")
    print(_table(found))
    for line in shortfalls(found):
        print(f"short of {line}")
    return 1 if close else 0


COUNTED = ("inbound", "danger", "veiled", "near danger", "plain distress", "several turns", "outbound", "harm")


def by_language(found: Sequence[Item]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """What there is of each language, and of all: as many counts as ``COUNTED`` names."""
    for lang in (*LANGUAGES, "all"):
        mine = [i for i in found if lang in ("all", i.lang)]
        inbound = [i for i in mine if i.direction == "inbound"]
        outbound = [i for i in mine if i.direction == "outbound"]
        danger = [i for i in inbound if i.danger]
        near = sum(not i.danger and bool(i.near) for i in inbound)
        yield (
            lang,
            (
                len(inbound),
                len(danger),
                sum(i.veiled for i in danger),
                near,
                len(inbound) - len(danger) - near,
                sum(len(i.turns) > 1 for i in inbound),
                len(outbound),
                sum(i.danger for i in outbound),
            ),
        )


def _table(found: Sequence[Item]) -> str:
    rows = [f"{'':<10}" + "".join(f"{name:>15}" for name in COUNTED)]
    rows += [f"{lang:<10}" + "".join(f"{count:>15}" for count in counts) for lang, counts in by_language(found)]
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
