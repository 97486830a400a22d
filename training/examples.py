"""What is learnt from: the corpus, the lexicon's own examples, ordinary requests, and sets that name emotions."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from corpus.files import load
from corpus.training import load_training
from guardrail.core.model import CATEGORIES, OUTBOUND_SIGNALS, Context, Direction, Message
from guardrail.detectors.lexicon import Lexicon
from guardrail.detectors.model_input import Part, parts
from guardrail.evaluation.items import Item
from training import targets
from training.targets import Target

_GOEMOTIONS = {
    "anger": ("anger", 1.0), "annoyance": ("anger", 0.4), "disapproval": ("anger", 0.3), "disgust": ("disgust", 0.8),
    "fear": ("fear", 1.0), "nervousness": ("fear", 0.4), "joy": ("joy", 0.8), "amusement": ("joy", 0.5),
    "approval": ("joy", 0.2), "excitement": ("joy", 1.0), "gratitude": ("joy", 0.6), "love": ("joy", 1.0),
    "optimism": ("joy", 0.4), "relief": ("joy", 0.5), "pride": ("joy", 0.7), "admiration": ("joy", 0.6),
    "desire": ("joy", 0.5), "caring": ("joy", 0.5), "sadness": ("sadness", 0.8), "disappointment": ("sadness", 0.4),
    "embarrassment": ("sadness", 0.4), "grief": ("sadness", 1.0), "remorse": ("sadness", 0.7),
    "surprise": ("surprise", 0.8), "realization": ("surprise", 0.3), "confusion": ("surprise", 0.3),
    "curiosity": ("surprise", 0.3), "neutral": ("neutral", 0.0),
}  # fmt: skip
"""The finer label's place among its neighbours stands for intensity: annoyance is less than anger. It is a proxy; no
set with a licence we can use has intensities."""
_XED = ("anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral")
OURS = frozenset(
    [
        "en",
        "ar",
        "bn",
        "de",
        "es",
        "fa",
        "fr",
        "hi",
        "id",
        "it",
        "ja",
        "ko",
        "nl",
        "pl",
        "pt",
        "pt-BR",
        "ru",
        "sw",
        "th",
        "tl",
        "tr",
        "uk",
        "vi",
        "zh",
        "zh-TW",
    ],
)


class Example(msgspec.Struct, frozen=True):
    """One judged turn in its conversation, and what the outputs should say of it."""

    text: str
    history: tuple[Message, ...]
    direction: Direction
    target: Target
    source: str


def inbound(item: Item) -> Example:
    target = targets.nothing()
    grades = item.grades or {}
    for name in CATEGORIES:
        targets.grade(target, name, grades.get(name, 0))
    targets.grade(target, "any_inbound", max(grades.values(), default=0))
    targets.choose(target, "subject", targets.SUBJECTS, item.groups.get("subject", "self"))
    targets.choose(target, "frame", targets.FRAMES, item.groups.get("frame", "sincere"))
    targets.choose(target, "time", targets.TIMES, item.groups.get("time", "now"))
    if age := item.groups.get("age"):
        target[targets.AT["minor"]] = float(age in ("child", "teen"))
    return Example(item.text, item.turns[:-1], "inbound", target, "corpus")


def outbound(item: Item, grades: dict[str, int], text: str, history: tuple[Message, ...]) -> Example:
    target = targets.nothing()
    for name in OUTBOUND_SIGNALS:
        targets.grade(target, name, grades.get(name, 0))
    targets.grade(target, "any_outbound", max(grades.values(), default=0))
    return Example(text, history, "outbound", target, "corpus")


def replies(item: Item, chance: random.Random) -> Iterator[Example]:
    """Some of a reply's sentences, as they are read when it is spoken: those that harm, and some that do not."""
    grades = dict(item.grades or {})
    read = [_seldom_alone(part, chance) for part in parts(item.text, item.turns[:-1], "outbound")]
    harmful = [(item.text.find(span), item.text.find(span) + len(span)) for span in item.spans]
    telling = [p for p in read if any(p.span[0] < end and start < p.span[1] for start, end in harmful)]
    calm = [p for p in read if p not in telling]
    for part in telling[:2]:
        yield outbound(item, grades, part.text, tuple(part.history))
    if not grades or telling:
        for part in chance.sample(calm, min(len(calm), 1 if grades else 2)):
            yield outbound(item, {}, part.text, tuple(part.history))


ALONE = 0.3
"""As many sentences of replies are read without what was said before, as each is at first when it is spoken."""


def _seldom_alone(part: Part, chance: random.Random) -> Part:
    return msgspec.structs.replace(part, history=()) if chance.random() < ALONE else part


def to_learn_from(seed: int, *, training_part: bool) -> list[Example]:
    """The corpus' train split, with the part that is only learnt from or without it."""
    chance = random.Random(seed)
    found: list[Example] = []
    for item in (*load(), *(load_training() if training_part else ())):
        if item.split == "train":
            found += [inbound(item)] if item.direction == "inbound" else replies(item, chance)
    return found


def to_measure_on(split: str) -> list[Example]:
    """A split as it is judged: whole turns."""
    return [
        inbound(item)
        if item.direction == "inbound"
        else outbound(item, dict(item.grades or {}), item.text, item.turns[:-1])
        for item in load()
        if item.split == split
    ]


def from_lexicon(lexicon: Lexicon) -> list[Example]:
    """What the lexicon's patterns must match, graded as the whole lexicon grades it, and what they must spare."""
    found: list[Example] = []
    for direction in ("inbound", "outbound"):
        names = CATEGORIES if direction == "inbound" else OUTBOUND_SIGNALS
        seen: set[str] = set()
        for entry in lexicon.entries:
            if entry.direction != direction or entry.kind not in ("shows", "cues"):
                continue
            for text in (*entry.match, *entry.spare):
                if text in seen:
                    continue
                seen.add(text)
                signals = [s for s in lexicon.look(text, Context(direction)) if s.name in names]
                grades = {s.name: s.severity for s in signals}
                target = targets.nothing()
                if not grades and entry.kind == "shows" and text in entry.match:
                    continue
                for name in names:
                    targets.grade(target, name, grades.get(name, 0))
                targets.grade(target, f"any_{direction}", max(grades.values(), default=0))
                if signals and direction == "inbound":
                    top = max(signals, key=lambda s: s.severity)
                    targets.choose(target, "subject", targets.SUBJECTS, top.subject)
                    targets.choose(target, "frame", targets.FRAMES, top.frame)
                    targets.choose(target, "time", targets.TIMES, top.time)
                found.append(Example(text, (), direction, target, "lexicon"))
    return found


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield msgspec.json.decode(line)


def texts(folder: Path, names: Sequence[str]) -> list[str]:
    """Texts of public sets in our languages, whatever they are labelled with."""
    return [row["text"] for name in names for row in _lines(folder / f"{name}.jsonl.gz") if row["lang"] in OURS]


def ordinary(folder: Path, counts: dict[str, int], chance: random.Random) -> list[Example]:
    """Requests to banks, hotels and assistants: nothing in any of them."""
    target = targets.nothing()
    for name in ("any_inbound", *CATEGORIES):
        targets.grade(target, name, 0)
    targets.choose(target, "subject", targets.SUBJECTS, "self")
    targets.choose(target, "frame", targets.FRAMES, "sincere")
    found: list[Example] = []
    for name, count in counts.items():
        rows = list(_lines(folder / f"{name}.jsonl.gz"))
        found += [Example(r["text"], (), "inbound", target, name) for r in chance.sample(rows, min(count, len(rows)))]
    return found


def elsewhere(folder: Path, each: int, chance: random.Random) -> list[Example]:
    """Lines of subtitles in languages that are none of ours, as harmless. Without them whatever the model cannot read
    looks alarming to it. A few of them threaten somebody in a film; that is the price."""
    target = targets.nothing()
    for name in ("any_inbound", *CATEGORIES):
        targets.grade(target, name, 0)
    by_language: dict[str, list[str]] = {}
    for row in _lines(folder / "xed.jsonl.gz"):
        if row["lang"] not in OURS:
            by_language.setdefault(row["lang"], []).append(row["text"])
    return [
        Example(text, (), "inbound", target, "xed")
        for _, texts_ in sorted(by_language.items())
        for text in chance.sample(texts_, min(each, len(texts_)))
    ]


def emotions(folder: Path, counts: dict[str, int], chance: random.Random) -> list[Example]:
    """Short texts whose emotion is named; of danger they say nothing."""
    found: list[Example] = []
    for name, count in counts.items():
        rows = [r for r in _lines(folder / f"{name}.jsonl.gz") if r["lang"] in OURS]
        for row in chance.sample(rows, min(count, len(rows))):
            labels = row["labels"]["emotions"]
            target = targets.nothing()
            if name == "goemotions":
                pairs = [_GOEMOTIONS[label] for label in labels if label in _GOEMOTIONS]
                target[targets.AT["intensity"]] = max((strength for _, strength in pairs), default=0.0)
                held = {label for label, _ in pairs}
            else:
                held = set(labels) & set(_XED)
                if not held:
                    continue
            for label in targets.EMOTIONS:
                target[targets.AT[f"emotion:{label}"]] = float(label in held)
            found.append(Example(row["text"], (), "inbound", target, name))
    return found


_LEET = str.maketrans({"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "l": "1"})


def roughened(text: str, chance: random.Random) -> str:
    """The same words as somebody types who does not care how: what it means stays."""
    at = chance.random()
    if at < 0.18:
        text = text.lower()
    elif at < 0.22:
        text = text.upper()
    if chance.random() < 0.12:
        text = "".join(letter for letter in text if letter not in ".,!?;:'\"…’")
    if chance.random() < 0.12:
        letters = list(text)
        for _ in range(max(1, len(letters) // 40)):
            place = chance.randrange(len(letters)) if len(letters) > 3 else 0
            if len(letters) > 3 and letters[place].isalpha():
                if chance.random() < 0.5:
                    del letters[place]
                else:
                    letters[place - 1], letters[place] = letters[place], letters[place - 1]
        text = "".join(letters)
    if chance.random() < 0.015:
        words = text.split(" ")
        place = chance.randrange(len(words))
        words[place] = words[place].translate(_LEET)
        text = " ".join(words)
    return text
