"""Labelled conversations as files hold them: the corpus' lines, the public sets' lines, and tables."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from guardrail.core.model import CATEGORIES, OUTBOUND_SIGNALS, Audience, Direction, Message, Role, Severity

DANGER = Severity.ELEVATED
"""From this severity on an item counts as danger (inbound) or harm (outbound)."""
GROUPS = ("lang", "age", "voice", "frame", "subject", "time", "persona", "source")


class Item(msgspec.Struct, frozen=True):
    """A conversation whose last turn has been labelled.

    ``grades``: severity by signal; ``None`` where a set only says whether there is danger, in ``danger``. ``near``:
    the signal whose words a harmless item shares. ``groups``: who and how, for figures by group. ``place``: file:line.
    """

    id: str
    turns: tuple[Message, ...]
    danger: bool
    grades: Mapping[str, int] | None = None
    near: str = ""
    family: str = ""
    veiled: bool = False
    spans: tuple[str, ...] = ()
    detail: str = ""
    lang: str | None = None
    audience: Audience = "unknown"
    groups: Mapping[str, str] = {}
    split: str = ""
    place: str = ""

    @property
    def direction(self) -> Direction:
        return "outbound" if self.turns[-1].role == "assistant" else "inbound"

    @property
    def grade(self) -> int | None:
        return None if self.grades is None else max(self.grades.values(), default=0)

    @property
    def text(self) -> str:
        return self.turns[-1].text


class ItemError(ValueError):
    """A line that is no item. ``str(error)`` is one line: what is wrong and what to write instead."""


class Unlabelled(ItemError):
    """A readable line that says nothing about danger: left out and counted, and no fault."""


def identity(direction: str, lang: str | None, texts: Sequence[str]) -> str:
    """An item's id: a hash of what a reader reads, so that a label never outlives the words it was given for."""
    whole = "\0".join((direction, lang or "", *texts))
    return hashlib.blake2b(whole.encode(), digest_size=6).hexdigest()


_SALT = b"1289"
"""Chosen, before anything was trained, so that each language has about a tenth or more of its danger and of its calm in
either of the smaller splits."""


def split_of(family: str) -> str:
    """``train`` (70 of 100), ``calibrate`` or ``test``: by the family's name alone, so that no scenario is in two."""
    at = int.from_bytes(hashlib.blake2b(family.encode(), digest_size=4, salt=_SALT).digest()) % 100
    return "train" if at < 70 else "calibrate" if at < 85 else "test"


def items(
    name: str, data: str, lang: str | None = None, direction: Direction = "inbound"
) -> Iterator[Item | ItemError]:
    """Every line of a file (``.csv`` by its header, else JSON Lines) as an item, or as what is wrong with it.

    ``lang`` and ``direction`` are those of a corpus file, whose folders say them.
    """
    rows: Iterator[tuple[int, Any]] = _table(data) if name.endswith(".csv") else _lines(data)
    for line, raw in rows:
        place = f"{name}:{line}"
        try:
            yield _item(raw, place, lang, direction)
        except ItemError as error:
            yield type(error)(f"{place}:1: {error}")


def _lines(data: str) -> Iterator[tuple[int, Any]]:
    for line, text in enumerate(data.split("\n"), 1):
        if text.strip():
            try:
                yield line, msgspec.json.decode(text)
            except (msgspec.DecodeError, RecursionError):
                yield line, None


def _table(data: str) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(io.StringIO(data), strict=True)
    try:
        for row in reader:
            yield reader.line_num, {k: v for k, v in row.items() if k and v}
    except csv.Error:
        yield reader.line_num, None


def _item(raw: Any, place: str, lang: str | None, direction: Direction) -> Item:
    if not isinstance(raw, dict):
        raise ItemError("no JSON object and no row of a table; write one item a line")
    if "family" in raw or "is" in raw or "near" in raw:
        return corpus_item(raw, place, lang or _text(raw, "lang") or None, direction)
    return _public(raw, place)


def corpus_item(raw: dict[str, Any], place: str, lang: str | None, direction: Direction) -> Item:
    """One line of the corpus: ``family``, ``text`` or ``turns``, ``is``, ``near`` (see ``corpus/README.md``)."""
    texts = raw["turns"] if "turns" in raw else [raw.get("text")]
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) and t.strip() for t in texts):
        raise ItemError("text or turns must hold what was said; write text: one message, or turns: a list of them")
    known = CATEGORIES if direction == "inbound" else OUTBOUND_SIGNALS
    grades = raw.get("is", {})
    if not isinstance(grades, dict) or any(k not in known or not _is_grade(v) for k, v in grades.items()):
        raise ItemError(f"is must map {direction} signals to 1, 2, 3 or 4; write is: {{{known[0]}: 3}}")
    spans = raw.get("spans", [])
    if not isinstance(spans, list) or not all(isinstance(span, str) for span in spans):
        raise ItemError("spans must be a list of texts; write spans: [the words that tell it]")
    roles: tuple[Role, Role] = ("user", "assistant") if direction == "inbound" else ("assistant", "user")
    last = len(texts) - 1
    return Item(
        id=identity(direction, lang, texts),
        turns=tuple(Message(roles[(last - at) % 2], text) for at, text in enumerate(texts)),
        danger=max(grades.values(), default=0) >= DANGER,
        grades=grades,
        near=_text(raw, "near"),
        family=_text(raw, "family"),
        veiled=raw.get("veiled") is True,
        spans=tuple(spans),
        detail=_text(raw, "detail"),
        lang=lang,
        audience="minor" if raw.get("age") == "child" else "unknown",
        groups={key: _text(raw, key) for key in GROUPS if _text(raw, key)} | ({"lang": lang} if lang else {}),
        split=split_of(_text(raw, "family")),
        place=place,
    )


def _is_grade(value: object) -> bool:
    return type(value) is int and 1 <= value <= 4


def _public(raw: dict[str, Any], place: str) -> Item:
    """``id, text, lang, role, context?, crisis or severity``, as the public sets and most tables have it."""
    text = raw.get("text") or raw.get("content")
    if not isinstance(text, str) or not text.strip():
        raise ItemError("no text; name the column text")
    told = raw.get("severity", raw.get("crisis", raw.get("label")))
    grade = _grade(told)
    if grade is None:
        raise (Unlabelled if told is None else ItemError)(
            "no label; name the column severity (0 to 4) or crisis (0 or 1)"
        )
    role: Role = "assistant" if raw.get("role") == "assistant" or raw.get("direction") == "outbound" else "user"
    graded = "severity" in raw or str(raw.get("crisis_scale", "")).startswith("0-4")
    category = _text(raw, "category")
    known = CATEGORIES if role == "user" else OUTBOUND_SIGNALS
    lang = _text(raw, "lang") or _text(raw, "language") or None
    turns = (*_before(raw.get("context")), Message(role, text))
    return Item(
        id=str(raw.get("id") or identity(role, lang, [t.text for t in turns])),
        turns=turns,
        danger=grade >= DANGER if graded else grade >= 1,
        grades={category: grade} if graded and grade and category in known else {} if graded and not grade else None,
        lang=lang,
        groups={key: _text(raw, key) for key in GROUPS if _text(raw, key)} | ({"lang": lang} if lang else {}),
        split=_text(raw, "split"),
        place=place,
    )


def _grade(told: object) -> int | None:
    if isinstance(told, str):
        told = {"true": 1, "false": 0, "yes": 1, "no": 0}.get(told.strip().lower(), told.strip())
        told = int(told) if isinstance(told, str) and told in ("0", "1", "2", "3", "4") else told
    return int(told) if isinstance(told, int) and 0 <= told <= 4 else None


def _before(context: object) -> Iterator[Message]:
    """Earlier turns: texts (the person's), or mappings with a role."""
    for turn in context if isinstance(context, list) else [context] if isinstance(context, str) else []:
        if isinstance(turn, str) and turn.strip():
            yield Message("user", turn)
        elif isinstance(turn, dict) and isinstance(text := turn.get("text", turn.get("content")), str) and text.strip():
            yield Message("assistant" if turn.get("role") == "assistant" else "user", text)


def _text(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key, "")
    return value if isinstance(value, str) else ""
