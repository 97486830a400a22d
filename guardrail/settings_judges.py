"""What ``judges`` in ``guardrail.yaml`` may say: whom to ask besides, how, and what the answers mean."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from guardrail.core.model import CATEGORIES, OUTBOUND_SIGNALS, Direction
from guardrail.judges.chat import LLAMA_GUARD
from guardrail.judges.meanings import Meaning, Meanings, of_direction
from guardrail.judges.moderation import OPENAI
from guardrail.settings_types import BearerToken, EndpointUrl, Frozen, Seconds

T = TypeVar("T")

LONGEST_POLICY = 64 * 1024
"""Bytes of a policy's text."""
DIRECTIONS: tuple[Direction, ...] = ("inbound", "outbound")


def _signal(value: str) -> str:
    if value not in CATEGORIES and value not in OUTBOUND_SIGNALS:
        from guardrail.settings_problems import nearest, shown

        otherwise = "write one of those in docs/judges.md"
        raise ValueError(
            f"unknown signal {shown(value)}; {nearest(value, (*CATEGORIES, *OUTBOUND_SIGNALS), otherwise)}"
        )
    return value


def _file(value: str) -> str:
    path = Path(value)
    try:
        text = path.read_bytes() if path.stat().st_size <= LONGEST_POLICY else None
    except OSError as error:
        raise ValueError(f"cannot be read ({(error.strerror or 'error').lower()}); name a text file") from error
    if text is None:
        raise ValueError("more than 64 KiB; a policy for a judge is a page or two")
    try:
        if not text.decode().strip():
            raise ValueError("the file is empty; write the policy into it, or leave the key out")
    except UnicodeDecodeError as error:
        raise ValueError("not UTF-8 text; save it as UTF-8") from error
    return value


def _some(value: T) -> T:
    if not value:
        raise ValueError("it is empty; say what a label means: {signal: suicide, from: 0.5, severity: 2}")
    return value


class Means(Frozen):
    """From a score of ``from`` on, a label means ``signal`` at ``severity``."""

    signal: Annotated[str, AfterValidator(_signal)]
    least: Annotated[float, Field(alias="from", ge=0, le=1)] = 0.5
    severity: Annotated[int, Field(ge=1, le=4)]


Label = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Signals = Annotated[Mapping[Label, Annotated[tuple[Means, ...], AfterValidator(_some)]], AfterValidator(_some)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class _Any(Frozen):
    """What every judge has."""

    directions: Annotated[tuple[Direction, ...], Field(min_length=1)] = DIRECTIONS
    deadline: Annotated[Seconds, Field(ge=0.05, le=60)] = 2.0
    """Time one turn may take to be judged."""
    when: Literal["always", "ambiguous"] = "always"
    """``ambiguous``: only where what the others have found leaves it open."""
    required: bool = False
    """Whether a turn counts as unread without it."""

    @property
    def meanings(self) -> Meanings | None:
        """What its labels mean; ``None``: it speaks of signals by our names."""
        return None

    @property
    def reads(self) -> frozenset[Direction]:
        """The directions of which it can say anything."""
        meanings = self.meanings
        if meanings is None:
            return frozenset(self.directions)
        return frozenset(d for d in self.directions if any(True for _ in of_direction(meanings, d)))

    @model_validator(mode="after")
    def _says_something(self) -> _Any:
        mute = [d for d in self.directions if d not in self.reads]
        if mute and ("directions" in self.model_fields_set or len(mute) == len(self.directions)):
            raise ValueError(f"none of its signals is {mute[0]}; add one, or take {mute[0]} out of directions")
        return self


class _Network(_Any):
    """What every judge on another machine has. What is said leaves the house."""

    url: EndpointUrl
    model: Text
    token: BearerToken | None = None
    per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 600
    """How often it is asked at most. Beyond that it is not, which is on record and nothing more."""
    outvotes: bool = False
    """Whether its "nothing" may outvote a stray word that another detector has found."""


class ModerationJudge(_Network):
    """A moderation endpoint in OpenAI's shape."""

    kind: Literal["moderation"]
    signals: Signals | None = None

    @property
    def meanings(self) -> Meanings:
        return OPENAI if self.signals is None else _meanings(self.signals)


class ChatJudge(_Network):
    """A chat model that judges: by a policy, or of Llama Guard's kind."""

    kind: Literal["chat"]
    format: Literal["json", "llama_guard"] = "json"
    policy: Annotated[Text, AfterValidator(_file)] | None = None
    """A file whose text goes into the system message."""
    signals: Signals | None = None
    max_tokens: Annotated[int, Field(ge=1, le=32_768)] = 1024
    """Tokens of one answer, thinking included. An answer that is broken off is a failure."""

    @property
    def meanings(self) -> Meanings | None:
        if self.format == "json":
            return None
        return LLAMA_GUARD if self.signals is None else _meanings(self.signals)

    @model_validator(mode="after")
    def _names_or_codes(self) -> ChatJudge:
        if self.format == "json" and self.signals is not None:
            raise ValueError("signals go with format: llama_guard; a judge that answers in JSON names them itself")
        return self


class TransformersJudge(_Any):
    """A text classifier on this machine, run by the ``transformers`` library. Never downloaded."""

    kind: Literal["transformers"]
    path: Text
    signals: Signals

    @property
    def meanings(self) -> Meanings:
        return _meanings(self.signals)


def _meanings(signals: Mapping[str, tuple[Means, ...]]) -> Meanings:
    return {label: tuple(Meaning(m.signal, m.least, m.severity) for m in several) for label, several in signals.items()}


Judge = Annotated[ModerationJudge | ChatJudge | TransformersJudge, Field(discriminator="kind")]
