"""What is said to a moderation endpoint in OpenAI's shape, and what its scores mean."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from guardrail.core.model import Direction, Message, Signal
from guardrail.detectors.run import Unread
from guardrail.judges import meanings
from guardrail.judges.exactly import read
from guardrail.judges.meanings import Meaning, Meanings, of_direction

OPENAI: Meanings = {
    "self-harm/intent": (Meaning("suicide", 0.5, 2), Meaning("suicide", 0.9, 3)),
    "self-harm/instructions": (Meaning("suicide", 0.5, 2), Meaning("method_information", 0.5, 3)),
    "self-harm": (Meaning("suicide", 0.5, 1),),
    "harassment/threatening": (Meaning("violence_to_others", 0.7, 2),),
    "illicit/violent": (Meaning("violence_to_others", 0.7, 2), Meaning("encourages_harm", 0.7, 2)),
}
"""What the categories of OpenAI's ``omni-moderation`` models mean here when the settings say nothing else. They say
what a text is about, not how urgent it is: so little of it is ``high``."""


class _Result(msgspec.Struct):
    category_scores: dict[str, msgspec.Raw]


class _Answer(msgspec.Struct):
    results: list[_Result]


_answers = msgspec.json.Decoder(_Answer)
_scores = msgspec.json.Decoder(float)


class Moderation:
    """A ``Speech``. The endpoint sees the turn alone, without what came before it."""

    def __init__(self, name: str, model: str, signals: Meanings, *, outvotes: bool = False) -> None:
        self._name, self._model, self._meanings, self._outvotes = name, model, signals, outvotes

    def body(self, text: str, history: Sequence[Message], direction: Direction) -> bytes:
        return msgspec.json.encode({"model": self._model, "input": text})

    def signals(self, answer: bytes, direction: Direction, length: int) -> list[Signal]:
        results = read(answer, _answers).results
        if len(results) != 1:
            raise Unread("invalid")
        given = results[0].category_scores
        wanted = {label for label, _ in of_direction(self._meanings, direction)}
        if not wanted.issubset(given):
            raise Unread("invalid")
        scores = {label: read(bytes(given[label]), _scores) for label in wanted}
        if not all(0 <= score <= 1 for score in scores.values()):
            raise Unread("invalid")
        return meanings.signals(self._name, scores, self._meanings, direction, length, outvotes=self._outvotes)
