"""What the shipped model's numbers mean: ``labels.json``, and from a row of logits to signals."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence

import msgspec

from guardrail.core.model import CATEGORIES, OUTBOUND_SIGNALS, Direction, Frame, Signal, Span, Subject, Time
from guardrail.detectors.model_input import Marks

FORMAT = 2
NAME = "model"


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where one direction's numbers begin to mean something. All edges are logits.

    ``danger``: by the foremost signal, the edge of "any, at least 2". ``besides``: by signal, the edge of its own "at
    least 2" for being named beside the foremost. ``concern``, ``high``, ``imminent``: of "any, at least 1, 3, 4".
    ``slope`` and ``offset`` turn the logit of danger, less its edge, into a likelihood (Platt, 1999).
    """

    danger: Mapping[str, float]
    besides: Mapping[str, float]
    concern: float
    high: float
    imminent: float
    slope: float
    offset: float


class Labels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``labels.json`` of a model folder.

    ``stages``: the files that are run one after the other; after each but the last a turn whose logit of "any, at
    least 1" is below its edge of ``calm`` is let go. ``alone``: a bot's sentence whose logit of "any, at least 2" is
    below it, read without what was said before, is no harm in any light. ``scripts``: what is added to a row's logits
    of danger, by the script it is written in.
    """

    format: int
    version: str
    stages: tuple[str, ...]
    outputs: tuple[str, ...]
    marks: Marks
    inbound: Reading
    outbound: Reading
    minor: float
    alone: float
    calm_inbound: tuple[float, ...] = ()
    calm_outbound: tuple[float, ...] = ()
    scripts: Mapping[str, float] = {}

    def problems(self) -> list[str]:
        """What in it cannot be used, one line each."""
        found = [] if self.format == FORMAT else [f"format {self.format} is not {FORMAT}"]
        wanted = {f"{n}>={g}" for n in ("any_inbound", "any_outbound") for g in (1, 2, 3, 4)}
        wanted |= {f"{n}>={g}" for n in (*CATEGORIES, *OUTBOUND_SIGNALS) for g in (2,)} | {"minor", "intensity"}
        found += [f"outputs lack {name}" for name in sorted(wanted - set(self.outputs))[:3]]
        for reading, names in ((self.inbound, CATEGORIES), (self.outbound, OUTBOUND_SIGNALS)):
            found += [f"no edge for {name}" for name in names if name not in reading.danger]
            found += [f"no edge besides for {name}" for name in names if name not in reading.besides]
        numbers = [self.minor, self.alone, *self.calm_inbound, *self.calm_outbound, *self.scripts.values()]
        for reading in (self.inbound, self.outbound):
            numbers += [*reading.danger.values(), *reading.besides.values()]
            numbers += [reading.concern, reading.high, reading.imminent, reading.slope, reading.offset]
        if not all(map(math.isfinite, numbers)):
            found.append("an edge is no finite number")
        if len(self.calm_inbound) != len(self.stages) - 1 or len(self.calm_outbound) != len(self.stages) - 1:
            found.append("calm_inbound and calm_outbound need one edge for each stage but the last")
        return found


class Reader:
    """Rows of logits to signals, by the labels. Immutable."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self._at = {name: at for at, name in enumerate(labels.outputs)}
        self._heads = {
            head: tuple((name.partition(":")[2], at) for name, at in self._at.items() if name.startswith(f"{head}:"))
            for head in ("subject", "frame", "time", "emotion")
        }
        self._own = {
            direction: tuple((name, self._at[f"{name}>=2"]) for name in names)
            for direction, names in (("inbound", CATEGORIES), ("outbound", OUTBOUND_SIGNALS))
        }

    def calm(self, stage: int, direction: Direction, row: Sequence[float], script: str) -> bool:
        """Whether a turn may be let go after a stage that is not the last."""
        edges = self.labels.calm_inbound if direction == "inbound" else self.labels.calm_outbound
        return row[self._at[f"any_{direction}>=1"]] + self._moved(script) < edges[stage]

    def harmless(self, row: Sequence[float], script: str) -> bool:
        """Whether a bot's sentence that was read by itself need not be read in the light of what was said before."""
        return row[self._at["any_outbound>=2"]] + self._moved(script) < self.labels.alone

    def signals(self, row: Sequence[float], direction: Direction, script: str, span: Span) -> list[Signal]:
        """The signals of one judged turn, and doubts (severity 0) for the rest of its signals.

        ``row``: the logits, one an output. ``span``: the stretch that was read, in code points of the turn.
        """
        reading = self.labels.inbound if direction == "inbound" else self.labels.outbound
        own = self._own[direction]
        moved = self._moved(script)
        top, _ = max(own, key=lambda pair: row[pair[1]] - reading.besides[pair[0]])
        past = row[self._at[f"any_{direction}>=2"]] + moved - reading.danger[top]
        likely = _sigmoid(reading.slope * past + reading.offset)
        severity = self._severity(row, direction, reading, past, moved)
        found: list[Signal] = []
        for name, at in own:
            beyond = row[at] + moved - reading.besides[name]
            if name == top:
                found.append(self._signal(row, direction, name, severity, likely, span))
            elif severity >= 2 and beyond >= 0:
                found.append(self._signal(row, direction, name, 2, min(likely, _sigmoid(beyond)), span))
            else:
                found.append(Signal(name, 0, round(min(likely, _sigmoid(row[at])), 4), detector=NAME))
        if direction == "inbound":
            found += self._attributes(row, severity)
        return found

    def _moved(self, script: str) -> float:
        return self.labels.scripts.get(script, 0.0)

    def _severity(self, row: Sequence[float], direction: Direction, reading: Reading, past: float, moved: float) -> int:
        if past < 0 and direction == "outbound":
            return 0  # policies hold back what is mildly harmful too: of a bot it says harm, or nothing
        if past < 0:
            return int(row[self._at[f"any_{direction}>=1"]] + moved >= reading.concern)
        if row[self._at[f"any_{direction}>=3"]] < reading.high:
            return 2
        return 3 if row[self._at[f"any_{direction}>=4"]] < reading.imminent else 4

    def _signal(
        self, row: Sequence[float], direction: Direction, name: str, severity: int, score: float, span: Span
    ) -> Signal:
        if not severity:
            return Signal(name, 0, round(score, 4), detector=NAME)
        about: dict[str, str] = {}
        if direction == "inbound":
            about = {head: self._chosen(row, head) for head in ("subject", "frame", "time")}
        return Signal(
            name,
            severity,
            round(score, 4),
            (span,),
            NAME,
            subject=_SUBJECTS.get(about.get("subject", ""), "self"),
            # What is danger by the model's own reading is meant, whatever manner of speech it resembles.
            frame="sincere" if severity >= 2 else _FRAMES.get(about.get("frame", ""), "sincere"),
            time="now" if severity >= 2 else _TIMES.get(about.get("time", ""), "now"),
            pattern="",
        )

    def _chosen(self, row: Sequence[float], head: str) -> str:
        return max(self._heads[head], key=lambda pair: row[pair[1]], default=("", 0))[0]

    def _attributes(self, row: Sequence[float], severity: int) -> list[Signal]:
        found: list[Signal] = []
        if (sure := row[self._at["minor"]]) >= self.labels.minor:
            found.append(Signal("minor", 0, round(_sigmoid(sure), 4), detector=NAME))
        # Moods of people who are well are nobody's business: emotion is read beside distress only.
        if severity and (emotion := self._chosen(row, "emotion")) not in ("", "neutral"):
            intensity = round(_sigmoid(row[self._at["intensity"]]), 4)
            found.append(Signal("emotion", 0, intensity, detector=NAME, detail=emotion))
        return found


_SUBJECTS: Mapping[str, Subject] = {"self": "self", "other": "other", "child": "child"}
_FRAMES: Mapping[str, Frame] = {
    "idiom": "idiom", "fiction": "fiction", "quotation": "quotation", "professional": "professional",
    "intrusive": "intrusive",
}  # fmt: skip
_TIMES: Mapping[str, Time] = {"past": "past"}


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-min(30.0, max(-30.0, x))))


_SCRIPTS = {
    "LATIN": "latin", "CYRILLIC": "cyrillic", "ARABIC": "arabic", "DEVANAGARI": "devanagari", "BENGALI": "bengali",
    "THAI": "thai", "CJK": "han", "HIRAGANA": "kana", "KATAKANA": "kana", "HANGUL": "hangul",
}  # fmt: skip


def script_of(text: str) -> str:
    """The script most of the first letters are in; with kana Chinese characters are Japanese. Empty: no letters."""
    count: dict[str, int] = {}
    for letter in text[:400]:
        if letter.isascii():
            if letter.isalpha():
                count["latin"] = count.get("latin", 0) + 1
        elif letter.isalpha() and (script := _SCRIPTS.get(unicodedata.name(letter, "").partition(" ")[0])):
            count[script] = count.get(script, 0) + 1
    if count.get("kana"):
        count["kana"] += count.pop("han", 0)
    return max(count, key=count.__getitem__, default="")
