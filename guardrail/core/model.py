"""The words of the system as frozen, serialisable values: message, signal, verdict and their vocabularies.

Everything that crosses a boundary is one of these. They are ``msgspec.Struct``s: immutable, cheap to
make, and ``msgspec.json`` round-trips them, which is what makes a recorded exchange replayable.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Literal

import msgspec

Direction = Literal["inbound", "outbound"]
"""``inbound``: written by the person. ``outbound``: written by the bot."""

Role = Literal["user", "assistant", "system", "tool"]
Audience = Literal["adult", "minor", "unknown"]
Subject = Literal["self", "other", "child"]
Frame = Literal["sincere", "idiom", "fiction", "quotation", "professional", "intrusive"]
Time = Literal["now", "past"]

Span = tuple[int, int]
"""Half-open ``[start, end)`` in code points of the original text of the judged turn."""


class Severity(IntEnum):
    """Urgency, not a prediction of risk (NICE NG225: risk scales must not decide who gets help)."""

    NONE = 0
    CONCERN = 1
    ELEVATED = 2
    HIGH = 3
    IMMINENT = 4


CATEGORIES: tuple[str, ...] = (
    "suicide",
    "self_harm",
    "violence_to_others",
    "abuse_victim",
    "psychosis_mania",
    "eating_disorder",
    "substance_crisis",
    "medical_emergency",
    "acute_distress",
    "dependency_on_bot",
)
"""The ten inbound crisis categories. Only these carry an inbound severity."""

ATTRIBUTES: tuple[str, ...] = ("minor", "emotion")
"""Inbound attributes: they inform, and never raise severity."""

OUTBOUND_SIGNALS: tuple[str, ...] = (
    "method_information",
    "encourages_harm",
    "dismisses",
    "abandons_in_crisis",
    "delusion_reinforcement",
    "sycophantic_harm",
    "medical_overreach",
    "claims_human",
    "claims_credentials",
    "isolation",
    "dependency_fostering",
    "farewell_manipulation",
    "commercial_pressure",
    "political_persuasion",
    "gaslighting_or_false_urgency",
    "secrecy_with_minor",
    "discourages_help",
    "unsafe_wording",
    "hollow_reply",
)

CUES: tuple[str, ...] = ("goodbye", "asks_if_human", "safe_now", "stop", "asks_numbers", "retracts", "yes", "no")
"""What the person is doing with the conversation, not how they are: never a severity.

``safe_now`` ("I'm safe, carry on") is the way back after a false alarm; ``asks_numbers`` the only
thing besides rising urgency that shows helplines twice; ``retracts`` ("I was joking") lowers nothing;
``yes`` and ``no`` are short answers to a question that was asked.
"""

GRADED: Mapping[Direction, frozenset[str]] = {
    "inbound": frozenset(CATEGORIES),
    "outbound": frozenset(OUTBOUND_SIGNALS),
}
"""What carries a severity in either direction: the rest says who, how and when."""
SIGNALS: frozenset[str] = frozenset((*CATEGORIES, *ATTRIBUTES, *OUTBOUND_SIGNALS, *CUES))

ACTIONS: tuple[str, ...] = ("pass", "support", "steer", "rewrite", "regenerate", "replace", "handoff")
"""The ladder, mildest first. ``support`` and ``steer`` accumulate; of the rest the strictest wins."""

Action = Literal["pass", "support", "steer", "rewrite", "regenerate", "replace", "handoff"]

PRIORITIES: tuple[str, ...] = ("urgent", "high")
"""What a policy may raise a case to, first things first. A case has at least what its severity gives it."""
ACTION_RANK: Mapping[str, int] = {name: rank for rank, name in enumerate(ACTIONS)}


class Message(msgspec.Struct, frozen=True, gc=False):
    """One turn. ``text`` is what a human would read; other parts stay with the dialect."""

    role: Role
    text: str


class Signal(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a detector saw. ``severity`` 0-4 after counterweights, ``score`` 0-1, ``spans`` in the original.

    ``pattern`` is the identifier of the entry that matched, so a trail explains a verdict without
    holding any of the person's words. ``cssrs`` is the C-SSRS ideation level 1-5, for suicide only.
    ``language`` is the language of the entry that matched: evidence for the language to answer in.
    """

    name: str
    severity: int
    score: float = 1.0
    spans: tuple[Span, ...] = ()
    detector: str = ""
    subject: Subject = "self"
    frame: Frame = "sincere"
    time: Time = "now"
    detail: str = ""
    pattern: str = ""
    cssrs: int = 0
    language: str = ""
    echo: bool = False
    """It shows only in the light of the turns before: said by itself, the turn would be calm."""


class Found(msgspec.Struct, frozen=True, tag="found"):
    """A detector finished: these are its signals, possibly none."""

    detector: str
    signals: tuple[Signal, ...] = ()


FailureReason = Literal["raised", "deadline", "absent", "invalid"]


class Failed(msgspec.Struct, frozen=True, tag="failed", omit_defaults=True):
    """A detector did not do its work. Never read as "nothing there": the policy answers it.

    One that is not ``required`` is on record only: what the required ones saw stands.
    """

    detector: str
    reason: FailureReason
    required: bool = True


Finding = Found | Failed


class Context(msgspec.Struct, frozen=True):
    """What a detector may know besides the judged text: the turns before it, and who is reading."""

    direction: Direction
    history: tuple[Message, ...] = ()
    locale: str | None = None
    audience: Audience = "unknown"


class Refusal(ValueError):
    """Input that cannot be read. ``str(error)`` is one line fit for a person; it quotes no message text."""
