"""The first-tier detector: what is said outright, with what takes weight away.

The patterns of a language are one ``re2.Set``: linear time whatever the text, one pass whatever their number.
Only where something hits are spans and counterweights looked for. Clinical law it keeps: counterweights never
silence a first-person ``high`` in the same message; only what frames that very sentence can.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import re2

from guardrail.core.model import Context, Direction, Frame, Severity, Signal, Span, Subject, Time
from guardrail.core.segments import boundaries
from guardrail.core.text import Normal, Vocabulary, folded, normalise, reveal
from guardrail.detectors.lexicon_load import Entry, load_entries
from guardrail.detectors.lexicon_patterns import SCRIPTS

_SCORES = (0.5, 0.6, 0.75, 0.85, 0.95)
_SET_MEMORY = 32 * 1024 * 1024
_SHARED_SPANS = 100
_MOST_SPANS = 1000
_HISTORY = 6
"""Earlier turns that may frame this one (a story begun, a part played)."""


_STRETCHED = "".join(map(chr, (*range(0x61, 0x7B), *range(0x430, 0x450), 0x456, 0x457, *range(0x627, 0x64B))))
_SUSPECT = re2.compile(
    "|".join(f"{letter}{{3}}" for letter in _STRETCHED)
    + r"|[\pL][0-9@$!|*][\pL]|[0-9@$!|*][a-z]{2}|(?:^|[^\pL])\pL[ .,_*-]{1,2}\pL[ .,_*-]{1,2}\pL(?:$|[^\pL])"
    + r"|[a-z][\x{370}-\x{52f}]|[\x{370}-\x{52f}][a-z]"
)
"""Text that could hide words. Ordinary text is not, and is spared the second reading."""


class _Hit(msgspec.Struct):
    """One entry's match on its way to a signal. ``span`` and ``sentence`` are of the reading it was found in."""

    entry: Entry
    span: Span
    sentence: Span
    severity: int
    frame: str
    time: str


class _Set:
    """The entries of one language. A text that has no letter of its script is not looked at. Compiled when first used.

    Languages together in one automaton would multiply its states: it would be built anew for nearly every message.
    """

    def __init__(self, entries: Sequence[Entry], seen: str) -> None:
        self._entries = tuple(entries)
        self._seen = re.compile(f"[{seen}]") if seen else None
        self._lock = threading.Lock()
        self._set: Any = None

    @property
    def is_ready(self) -> bool:
        return self._set is not None

    def compiled(self) -> Any:
        with self._lock:
            if self._set is None:
                options = re2.Options()
                options.max_mem = _SET_MEMORY
                options.log_errors = False
                made = re2.Set.SearchSet(options)
                for entry in self._entries:
                    made.Add(entry.pattern)
                made.Compile()
                self._set = made
        return self._set

    def hits(self, text: str, encoded: bytes) -> list[Entry]:
        """Entries that match. ``encoded`` is the text as RE2 reads it, made once for all languages."""
        if self._seen is not None and (len(encoded) == len(text) or self._seen.search(text) is None):
            return []
        found = (self._set or self.compiled()).Match(encoded)
        return [self._entries[i] for i in found] if found else []


@functools.lru_cache(maxsize=256)
def _set(entries: tuple[Entry, ...], seen: str) -> _Set:
    """One set for the same entries: a lexicon that differs in one language has the others ready."""
    return _Set(entries, seen)


class _Patterns:
    """Entries of one direction, as sets to find them fast and patterns to find them exactly."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        by_language: dict[tuple[str, str], list[Entry]] = {}
        for entry in entries:
            by_language.setdefault((entry.language, entry.script), []).append(entry)
        self._sets = [_set(tuple(written), SCRIPTS[script].seen) for (_, script), written in by_language.items()]
        self._compiled: dict[str, Any] = {}

    def warm(self) -> Iterator[None]:
        for one in self._sets:
            if not one.is_ready:
                yield
                one.compiled()

    def hits(self, text: str) -> list[Entry]:
        """Entries that match somewhere in the text."""
        encoded = text.encode()
        return [entry for one in self._sets for entry in one.hits(text, encoded)]

    def spans(self, pattern: str, text: str) -> list[Span]:
        """Where a pattern matches. Neighbours may share the character between them, or a spared sentence would
        hide the harmful one after it; in a flood of matches all but the first may not."""
        compiled = self._compiled.get(pattern)
        if compiled is None:
            compiled = self._compiled[pattern] = re2.compile(pattern)
        found: list[Span] = []
        at = 0
        while len(found) < _SHARED_SPANS and (match := compiled.search(text, at)) is not None:
            found.append(match.span(1))
            at = max(match.end(1), at + 1)
            if at > len(text):
                return found
        if len(found) == _SHARED_SPANS:
            # A flood: the rest is found in one pass, in which neighbours share nothing.
            found += [match.span(1) for match in itertools.islice(compiled.finditer(text, at), _MOST_SPANS)]
        return found


class Lexicon:
    """A ``Detector``. Immutable once made; safe to share."""

    name = "lexicon"
    directions: frozenset[Direction] = frozenset(("inbound", "outbound"))
    deadline = 0.05
    blocking = False
    required = True

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = tuple(entries)
        self._first: dict[Direction, _Patterns] = {}
        self._second: dict[Direction, _Patterns] = {}
        for direction in self.directions:
            mine = [e for e in self.entries if e.direction == direction]
            self._first[direction] = _Patterns([e for e in mine if e.kind in ("shows", "cues")])
            self._second[direction] = _Patterns([e for e in mine if e.kind in ("raises", "weights")])
        self._vocabulary = Vocabulary(_words(self.entries))

    def warm(self) -> Iterator[None]:
        """Compile what would else be compiled when it is first needed. Each step takes up to 0.1 s of the processor."""
        for patterns in (*self._first.values(), *self._second.values()):
            yield from patterns.warm()

    def quiet(self, text: str, direction: Direction) -> bool:
        """True only if ``look`` would find nothing in this text, nor in any part of it cut at clauses."""
        return not any(self._first[direction].hits(reading.text) for reading in self._readings(text))

    def _readings(self, text: str) -> list[Normal]:
        normal = normalise(text)
        if _SUSPECT.search(normal.text) is None:
            return [normal]
        hidden = reveal(normal, self._vocabulary)
        return [normal] if hidden is None else [normal, hidden]

    def look(self, text: str, context: Context) -> list[Signal]:
        """Signals in ``text``: the strongest for each name and subject."""
        best: dict[tuple[str, str], Signal] = {}
        for reading in self._readings(text):
            for signal in self._look(reading, context):
                key = (signal.name, signal.subject)
                if key not in best or signal.severity > best[key].severity:
                    best[key] = signal
        return list(best.values())

    def _look(self, reading: Normal, context: Context) -> list[Signal]:
        first = self._first[context.direction]
        entries = first.hits(reading.text)
        if not entries:
            return []
        sentences = _sentences(reading.text)
        hits = [hit for entry in entries for hit in _found(first, entry, reading.text, sentences)]
        self._weigh(hits, reading.text, context)
        return _strongest(hits, reading, self.name)

    def _weigh(self, hits: list[_Hit], text: str, context: Context) -> None:
        """Counterweights first, then what raises: nothing raises what was taken away."""
        second = self._second[context.direction]
        graded = [hit for hit in hits if hit.entry.kind == "shows"]
        if not graded:
            return
        here = [(entry, span) for entry in second.hits(text) for span in second.spans(entry.pattern, text)]
        before = [m.text for m in context.history[-_HISTORY:]]
        earlier = [entry for turn in before for entry in second.hits(normalise(turn).text)]
        for hit in graded:
            for entry, span in here:
                if entry.kind == "weights" and _applies(entry, hit, span):
                    _lower(hit, entry)
            for entry in earlier:
                if entry.kind == "weights" and entry.within == "history" and _speaks_of(entry, hit):
                    _lower(hit, entry)
            for entry, span in here:
                if entry.kind == "raises" and hit.severity >= entry.frm and _applies(entry, hit, span):
                    hit.severity = max(hit.severity, entry.to)


def load_lexicon(source: Path | Sequence[Path]) -> Lexicon:
    """A lexicon from a folder of ``*.yaml``, or from files. Raises ``LexiconError``."""
    files = sorted(source.glob("*.yaml")) if isinstance(source, Path) else list(source)
    return Lexicon(load_entries(files))


def _words(entries: Iterable[Entry]) -> set[str]:
    """The vocabulary of what shows: the words of its examples."""
    found: set[str] = set()
    for entry in entries:
        if entry.kind == "shows":
            for example in entry.match:
                found.update(_LETTERS.sub(" ", folded(example.lower())).split())
    return found


_LETTERS = re.compile(r"[^\w\u0300-\u036f\u0900-\u0dff\u0e31-\u0e4e]+|[\d_]+")
"""What stands between words. Vowel signs are part of theirs."""


def _sentences(text: str) -> list[Span]:
    ends = boundaries(text, 0, "sentence", final=True)
    return list(zip([0, *ends[:-1]], ends, strict=True)) if ends else [(0, len(text))]


def _found(patterns: _Patterns, entry: Entry, text: str, sentences: Sequence[Span]) -> Iterable[_Hit]:
    spared = patterns.spans(entry.unless, text) if entry.unless else []
    for span in patterns.spans(entry.pattern, text):
        if any(_overlaps(other, span) for other in spared):
            continue
        start, end = sentences[max(0, bisect.bisect_right(sentences, (span[0], len(text) + 1)) - 1)]
        yield _Hit(entry, span, (start, max(end, span[1])), entry.to, entry.frame or "sincere", entry.time or "now")


def _overlaps(a: Span, b: Span) -> bool:
    return a[0] < b[1] and b[0] < a[1]


def _speaks_of(entry: Entry, hit: _Hit) -> bool:
    """Whether an entry is about such a hit, and of its language: the word for laughter in one is a farewell in another,
    and may not take weight from what is said in a third."""
    if _tongue(entry) != _tongue(hit.entry):
        return False
    return not entry.signals or hit.entry.signals[0] in entry.signals


def _tongue(entry: Entry) -> str:
    """The language without its script: Hindi in either of its scripts is one."""
    return entry.language.partition("-")[0]


def _applies(entry: Entry, hit: _Hit, span: Span) -> bool:
    if not _speaks_of(entry, hit):
        return False
    if entry.within == "around":
        return span[0] <= hit.span[0] and hit.span[1] <= span[1]
    if entry.within == "sentence":
        return _overlaps(span, hit.sentence)
    return True


_NEVER_LESS = frozenset(("suicide", "self_harm", "violence_to_others", "abuse_victim", "substance_crisis"))
"""Where ``imminent`` was said, nothing around it takes it back: laughter, a film, or that one is fine now."""


def _lower(hit: _Hit, entry: Entry) -> None:
    """Only what is around the very words can take ``high`` away: a quotation, a character, a negation. What
    stands beside them (laughter, a profession, an old story) leaves at least ``keep``."""
    floor = 0
    if hit.entry.to >= Severity.HIGH and entry.within != "around":
        floor = entry.keep
        if hit.entry.subject == "self" and entry.frame in ("fiction", "professional"):
            floor = Severity.HIGH  # a nurse, or somebody who has seen a film, may say it of themselves
        if hit.entry.to == Severity.IMMINENT and hit.entry.signals[0] in _NEVER_LESS:
            floor = Severity.IMMINENT
    lowered = max(entry.to, floor)
    if lowered < hit.severity:
        hit.severity = lowered
        hit.frame = entry.frame or hit.frame
        hit.time = entry.time or hit.time


def _strongest(hits: Iterable[_Hit], reading: Normal, detector: str) -> list[Signal]:
    groups: dict[tuple[str, str], list[_Hit]] = {}
    for hit in hits:
        groups.setdefault((hit.entry.signals[0], hit.entry.subject), []).append(hit)
    return [_signal(group, reading, detector) for group in groups.values()]


def _signal(group: list[_Hit], reading: Normal, detector: str) -> Signal:
    top = max(group, key=lambda hit: (hit.severity, hit.entry.cssrs))
    spans = sorted({reading.span(*hit.span) for hit in group if hit.severity == top.severity})
    return Signal(
        name=top.entry.signals[0],
        severity=top.severity,
        score=_SCORES[top.severity],
        spans=tuple(spans),
        detector=detector,
        subject=cast("Subject", top.entry.subject),
        frame=cast("Frame", top.frame),
        time=cast("Time", top.time),
        detail=top.entry.detail,
        pattern=top.entry.id,
        cssrs=top.entry.cssrs if top.severity >= Severity.ELEVATED else 0,
        language=top.entry.language,
    )
