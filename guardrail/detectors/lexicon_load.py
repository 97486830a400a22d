"""Lexicon files to entries: what shows, what raises, what takes weight away, what the person is doing.

A file is one language in one direction. Every entry carries examples it must match and examples it must
spare, and tests run them all: nobody can add a pattern without saying what it is for.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from guardrail.core.model import CUES, SIGNALS, Direction
from guardrail.detectors.lexicon_patterns import SCRIPTS, Expander, Writing, is_readable, script_of
from guardrail.yamlread import Places, Unreadable, parse, read_bytes

Kind = Literal["shows", "raises", "weights", "cues"]
Within = Literal["around", "sentence", "message", "history"]


class LexiconError(ValueError):
    """A lexicon cannot be used. ``problems`` holds each as ``file:line:col: what; what to do``."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as it is used. ``pattern`` and ``unless`` are wrapped and expanded RE2 source, empty for none.

    ``signals`` is what a show or cue gives (one), or what a raise or weight applies to (empty: any).
    ``to`` is the severity shown, raised to, or the most that is left; ``frm`` the least that is raised;
    ``keep`` what a weight leaves at least of a first-person ``high`` elsewhere in the message.
    """

    id: str
    kind: Kind
    language: str
    script: str = "Latn"
    direction: Direction
    signals: tuple[str, ...]
    pattern: str
    unless: str = ""
    to: int = 0
    frm: int = 0
    keep: int = 2
    within: Within = "sentence"
    subject: str = "self"
    frame: str = ""
    time: str = ""
    detail: str = ""
    cssrs: int = 0
    match: tuple[str, ...] = ()
    spare: tuple[str, ...] = ()
    where: str = ""


_FIELDS: Mapping[Kind, Mapping[str, type | tuple[type, ...]]] = {
    "shows": {
        "id": str, "signal": str, "severity": int, "cssrs": int, "subject": str, "detail": str, "time": str,
        "frame": str, "any": list, "unless": list, "boundary": str, "match": list, "spare": list,
    },
    "raises": {
        "id": str, "signals": list, "from": int, "to": int, "within": str, "any": list, "boundary": str,
        "match": list, "spare": list,
    },
    "weights": {
        "id": str, "frame": str, "time": str, "signals": list, "lowers_to": int, "max": int, "within": str, "any": list,
        "boundary": str, "match": list, "spare": list,
    },
    "cues": {"id": str, "signal": str, "any": list, "unless": list, "boundary": str, "match": list, "spare": list},
}  # fmt: skip
_TOP = ("language", "direction", "script", "diacritics", "words", "shows", "raises", "weights", "cues")
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "subject": ("self", "other", "child"),
    "frame": ("sincere", "idiom", "fiction", "quotation", "professional", "intrusive"),
    "time": ("now", "past"),
    "within": ("around", "sentence", "message", "history"),
    "boundary": ("word", "start", "none"),
}


def load_entries(files: Sequence[Path]) -> list[Entry]:
    """All entries of the files, in order. Raises ``LexiconError`` with every problem at once."""
    problems: list[str] = []
    found: list[tuple[Path, bytes]] = []
    for path in files:
        try:
            found.append((path, read_bytes(path)))
        except Unreadable as error:
            problems.append(str(error))
    entries = parse_entries(found, problems)
    if problems:
        raise LexiconError(problems)
    return entries


def parse_entries(
    files: Iterable[tuple[Path, bytes]], problems: list[str], beside: Iterable[Entry] = (), *, placed: bool = False
) -> list[Entry]:
    """Entries of files that were read already; what is wrong is added to ``problems``. ``beside``: entries there are
    already, whose ids are taken. ``placed``: each entry knows its line, which takes time in large files."""
    entries: list[Entry] = []
    for path, data in files:
        try:
            entries += _File(path, data, problems, placed).entries()
        except Unreadable as error:
            problems.append(str(error))
    seen = {entry.id: entry.where for entry in beside}
    for entry in entries:
        if entry.id in seen:
            problems.append(f"{entry.where}: the id {entry.id} is used twice; rename one")
        seen[entry.id] = entry.where
    return entries


class _File:
    def __init__(self, path: Path, data: bytes, problems: list[str], placed: bool) -> None:
        self._path, self._problems, self._placed = path, problems, placed
        self._tree = parse(path, data)
        self._places = Places(path, data)
        self._writing = Writing("Latn", False)

    def _wrong(self, at: Sequence[str | int], what: str) -> None:
        self._problems.append(f"{self._places.of(*at)}: {what}")

    def entries(self) -> Iterator[Entry]:
        tree = self._tree
        for key in tree:
            if key not in _TOP:
                self._wrong((key,), f"unknown key {key}; {_nearest(str(key), _TOP)}")
        language, direction = tree.get("language"), tree.get("direction")
        if not isinstance(language, str) or direction not in ("inbound", "outbound"):
            self._wrong((), "a lexicon needs language: and direction: inbound or outbound; add them")
            return
        script, diacritics = tree.get("script") or script_of(language), tree.get("diacritics", "required")
        if not isinstance(script, str) or script not in SCRIPTS:
            self._wrong(("script",), f"unknown script {script}; write one of {', '.join(SCRIPTS)}")
            return
        if diacritics not in ("required", "optional"):
            self._wrong(("diacritics",), f"diacritics cannot be {diacritics}; write required or optional")
            return
        self._writing = Writing(script, diacritics == "optional")
        expander = Expander(self._words(tree.get("words") or {}), self._writing)
        for kind in _FIELDS:
            listed = tree.get(kind) or []
            if not isinstance(listed, list):
                self._wrong((kind,), f"{kind} must be a list; begin each entry with a dash")
                continue
            for at, raw in enumerate(listed):
                entry = self._entry(kind, (kind, at), raw, language, direction, expander)
                if entry is not None:
                    yield entry

    def _words(self, raw: Any) -> dict[str, str]:
        words: dict[str, str] = {}
        if not isinstance(raw, dict):
            self._wrong(("words",), "words must map names to lists; write words: {name: [one, two]}")
            return words
        for name, listed in raw.items():
            if not isinstance(listed, list) or not all(isinstance(w, str) for w in listed):
                self._wrong(("words", name), "a word list must be a list of texts; quote what is not")
                continue
            words[name] = "(?:" + "|".join(listed) + ")"
        return words

    def _entry(
        self,
        kind: Kind,
        at: tuple[str | int, ...],
        raw: Any,
        language: str,
        direction: Direction,
        expander: Expander,
    ) -> Entry | None:
        before = len(self._problems)
        if not isinstance(raw, dict):
            self._wrong(at, "an entry must be a mapping; begin it with id:")
            return None
        self._check_fields(kind, at, raw)
        if len(self._problems) > before:
            return None
        signals = tuple(raw.get("signals") or ([raw["signal"]] if "signal" in raw else []))
        for name in signals:
            if name not in SIGNALS:
                self._wrong(
                    (*at, "signal" if "signal" in raw else "signals"),
                    f"unknown signal {name}; {_nearest(name, sorted(SIGNALS))}",
                )
        boundary = raw.get("boundary") or SCRIPTS[self._writing.script].boundary
        pattern = self._pattern((*at, "any"), raw["any"], expander, boundary)
        unless = self._pattern((*at, "unless"), raw.get("unless", []), expander, boundary)
        if len(self._problems) > before:
            return None
        return Entry(
            id=f"{language}.{raw['id']}" if direction == "inbound" else f"{language}.bot.{raw['id']}",
            kind=kind,
            language=language,
            script=self._writing.script,
            direction=direction,
            signals=signals,
            pattern=pattern,
            unless=unless,
            to=next((raw[key] for key in ("severity", "to", "lowers_to") if key in raw), 0),
            frm=raw.get("from", 0),
            keep=raw.get("max", 2),
            within=raw.get("within", "sentence"),
            subject=raw.get("subject", "self"),
            frame=raw.get("frame", ""),
            time=raw.get("time", ""),
            detail=raw.get("detail", ""),
            cssrs=raw.get("cssrs", 0),
            match=tuple(raw["match"]),
            spare=tuple(raw["spare"]),
            where=self._places.of(*at) if self._placed else str(self._path),
        )

    def _check_fields(self, kind: Kind, at: tuple[str | int, ...], raw: Mapping[Any, Any]) -> None:
        fields = _FIELDS[kind]
        for key, value in raw.items():
            if key not in fields:
                self._wrong((*at, key), f"unknown key {key}; {_nearest(str(key), fields)}")
            elif not isinstance(value, fields[key]) or isinstance(value, bool):
                self._wrong((*at, key), f"{key} has the wrong type; write {_type_name(fields[key])}")
            elif key in _CHOICES and value not in _CHOICES[key]:
                self._wrong((*at, key), f"{key} cannot be {value}; write one of {', '.join(_CHOICES[key])}")
            elif isinstance(value, list) and not all(isinstance(v, str) for v in value):
                self._wrong((*at, key), f"{key} must hold texts; quote each")
            elif isinstance(value, int) and not 0 <= value <= 5:
                self._wrong((*at, key), f"{key} is out of range; write 0 to 4")
        needed = {
            "shows": ("signal", "severity"),
            "raises": ("from", "to"),
            "weights": ("lowers_to",),
            "cues": ("signal",),
        }
        for key in ("id", "any", "match", "spare", *needed[kind]):
            if key not in raw:
                self._wrong(at, f"an entry of {kind} needs {key}; add it")
        if kind == "cues" and raw.get("signal") not in (*CUES, "minor"):
            self._wrong((*at, "signal"), f"a cue must be one of {', '.join(CUES)} or minor; write one")
        for key in ("match", "spare"):
            if isinstance(raw.get(key), list) and len(raw[key]) < 2:
                self._wrong((*at, key), f"{key} needs two examples at least; add more")

    def _pattern(self, at: tuple[str | int, ...], raw: Sequence[str], expander: Expander, boundary: str) -> str:
        done = []
        for i, source in enumerate(raw):
            try:
                done.append(expander.expand(source))
            except KeyError as error:
                self._wrong((*at, i), f"unknown word list {error}; define it under words:")
        if not done:
            return ""
        joined = "(" + "|".join(done) + ")"
        if not is_readable(joined):
            for i, one in enumerate(done):
                if not is_readable(one):
                    self._wrong((*at, i), "not a pattern RE2 can read; correct its brackets and signs")
        return self._writing.bounded(joined, boundary)


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(list(known)[:20])}"


def _type_name(kind: Any) -> str:
    return {str: "text", int: "a whole number", list: "a list"}[kind]
