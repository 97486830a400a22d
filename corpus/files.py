"""Where the corpus lies and how its lines are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from guardrail.core.model import Direction
from guardrail.evaluation.items import Item, ItemError, items

ROOT = Path(__file__).resolve().parent
DIRECTIONS: tuple[Direction, ...] = ("inbound", "outbound")
LANGUAGES = (
    "en", "ar", "bn", "de", "es", "fa", "fr", "hi", "id", "it", "ja", "ko", "nl", "pl", "pt", "ru", "sw", "th", "tl",
    "tr", "uk", "vi", "zh-Hans", "zh-Hant",
)  # fmt: skip


def files(root: Path = ROOT) -> list[tuple[Direction, str, Path]]:
    """Direction, language and path of every file, in order."""
    return [
        (direction, path.parent.name, path)
        for direction in DIRECTIONS
        for path in sorted((root / direction).glob("*/*.jsonl"))
    ]


def lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and content of every line that holds a JSON object."""
    for number, text in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        try:
            raw = msgspec.json.decode(text)
        except msgspec.DecodeError:
            continue
        if isinstance(raw, dict):
            yield number, raw


def load(root: Path = ROOT) -> list[Item]:
    """Every item. Raises ``ItemError`` at the first line that is none; ``corpus.check`` says all of them."""
    found: list[Item] = []
    for direction, lang, path in files(root):
        name = path.relative_to(root).as_posix()
        for item in items(name, path.read_text(encoding="utf-8"), lang, direction):
            if isinstance(item, ItemError):
                raise item
            found.append(item)
    return found
