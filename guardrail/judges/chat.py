"""What is said to a chat model that judges by a policy, and to one of Llama Guard's kind; what their answers mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Protocol

import msgspec

from guardrail.core.model import Direction, Message, Signal, Subject
from guardrail.detectors.run import Unread
from guardrail.judges import meanings, prompt
from guardrail.judges.exactly import read
from guardrail.judges.meanings import NAMES, Meaning, Meanings, of_direction

LLAMA_GUARD: Meanings = {
    "S1": (Meaning("violence_to_others", 0.5, 2), Meaning("encourages_harm", 0.5, 2)),
    "S6": (Meaning("medical_overreach", 0.5, 2),),
    "S11": (Meaning("suicide", 0.5, 2), Meaning("encourages_harm", 0.5, 3)),
}
"""What the codes of Llama Guard 3 and 4 mean here when the settings say nothing else: violent crimes, specialised
advice, suicide and self-harm."""


class _Said(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[msgspec.Raw] | None = None


class _Choice(msgspec.Struct):
    message: _Said
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]


_completions = msgspec.json.Decoder(_Completion)


class Form(Protocol):
    """How a judge is spoken to, and the only form its answer may have. Pure."""

    def messages(self, text: str, history: Sequence[Message], direction: Direction) -> list[dict[str, str]]: ...

    def options(self) -> Mapping[str, object]:
        """Further members of the request."""
        ...

    def signals(self, answer: str, direction: Direction, length: int) -> list[Signal]:
        """Raises ``Unread`` for what is not of the form."""
        ...


class Chat:
    """A ``Speech``: one request for a completion of at most ``max_tokens`` tokens, in ``form``."""

    def __init__(self, model: str, form: Form, max_tokens: int) -> None:
        self._model, self._form, self._max_tokens = model, form, max_tokens

    def body(self, text: str, history: Sequence[Message], direction: Direction) -> bytes:
        return msgspec.json.encode(
            {
                "model": self._model,
                "messages": self._form.messages(text, history, direction),
                "max_tokens": self._max_tokens,
                "temperature": 0,
                "stream": False,
                **self._form.options(),
            }
        )

    def signals(self, answer: bytes, direction: Direction, length: int) -> list[Signal]:
        choices = read(answer, _completions).choices
        if len(choices) != 1 or choices[0].finish_reason != "stop":
            raise Unread("invalid")  # broken off, filtered, or still calling tools: whatever is there may not be all
        said = choices[0].message
        if said.content is None or said.refusal or said.tool_calls:
            raise Unread("invalid")
        return self._form.signals(said.content, direction, length)


class _Judgement(msgspec.Struct, forbid_unknown_fields=True):
    severity: Annotated[int, msgspec.Meta(ge=0, le=4)]
    category: str
    subject: Subject = "self"
    reason: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    """For the judge's own thinking. It may quote the person, so nobody keeps it."""


_judgements = msgspec.json.Decoder(_Judgement)


class Json:
    """A ``Form``: a policy in the system message, the conversation as data, and one JSON object as the answer.

    ``outvotes``: "nothing" is a doubt about everything, and can outvote a stray word.
    """

    def __init__(self, name: str, policy: str, *, outvotes: bool = False) -> None:
        self._name, self._policy, self._outvotes = name, policy, outvotes

    def messages(self, text: str, history: Sequence[Message], direction: Direction) -> list[dict[str, str]]:
        return [
            {"role": "system", "content": f"{self._policy.strip()}\n\n{prompt.instructions(direction)}"},
            {"role": "user", "content": prompt.data(text, history, direction)},
        ]

    def options(self) -> Mapping[str, object]:
        return {"response_format": {"type": "json_object"}}

    def signals(self, answer: str, direction: Direction, length: int) -> list[Signal]:
        found = read(answer, _judgements)
        if found.severity:
            if found.category not in NAMES[direction]:
                raise Unread("invalid")
            return [Signal(found.category, found.severity, 1.0, ((0, length),), self._name, subject=found.subject)]
        if found.category != prompt.NOTHING:
            raise Unread("invalid")
        return [Signal(name, 0, 0.0, detector=self._name) for name in NAMES[direction]] if self._outvotes else []


_VERDICT = re.compile(r"[ \n]*(?P<safe>safe|unsafe\n(?P<codes>[A-Z]{1,3}\d{1,3}(?:, ?[A-Z]{1,3}\d{1,3}){0,31}))[ \n]*")


class LlamaGuard:
    """A ``Form``: the conversation in its own roles, which the model's template makes data, and ``safe`` or ``unsafe``
    with codes as the answer. A ``policy`` goes before it as a system message, for templates that have a place for one.
    """

    def __init__(self, name: str, signals: Meanings, policy: str = "", *, outvotes: bool = False) -> None:
        self._name, self._meanings, self._policy, self._outvotes = name, signals, policy.strip(), outvotes

    def messages(self, text: str, history: Sequence[Message], direction: Direction) -> list[dict[str, str]]:
        system = [{"role": "system", "content": self._policy}] if self._policy else []
        return [*system, *prompt.roles(text, history, direction)]

    def options(self) -> Mapping[str, object]:
        return {}

    def signals(self, answer: str, direction: Direction, length: int) -> list[Signal]:
        match = _VERDICT.fullmatch(answer)
        if match is None:
            raise Unread("invalid")
        codes = {code.strip() for code in (match["codes"] or "").split(",")}
        scores = {label: float(label in codes) for label, _ in of_direction(self._meanings, direction)}
        outvotes = self._outvotes and match["safe"] == "safe"
        return meanings.signals(self._name, scores, self._meanings, direction, length, outvotes=outvotes)
