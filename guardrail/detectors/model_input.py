"""What the shipped model reads: the judged turn first, then what came before it, newest first.

The judged turn stands first, so that no context can push it out of the window, and what comes before it is kept short,
so that a message late in a long conversation costs what an early one does. Training and run time read through here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import msgspec

from guardrail.core.model import Direction, Message, Span
from guardrail.core.segments import boundaries

JUDGED = 160
"""Tokens of the judged turn in one window."""
OVERLAP = 32
"""Tokens that a window of a long turn shares with the one before it, so that no sentence is cut in all of them."""
BEFORE = 80
"""Tokens of earlier turns, all of them together."""
EACH = 40
"""Tokens of one earlier turn: its beginning and its end."""
TURNS = 6
WINDOWS = 24
"""Windows of one turn that are read: of a longer one its beginning and, mostly, its end."""

Tokens = Callable[[str], Sequence[int]]
"""A text's tokens, without any that mark its beginning or end."""


class Marks(msgspec.Struct, frozen=True):
    """Token numbers that stand between texts. ``person`` and ``bot`` say who speaks."""

    begin: int
    end: int
    person: tuple[int, ...]
    bot: tuple[int, ...]


class Window(msgspec.Struct, frozen=True):
    """Tokens as the model gets them; those in ``[1, judged)`` are the judged turn's, the rest is context.

    ``whole``: nothing of the judged turn lies outside this window.
    """

    ids: tuple[int, ...]
    judged: int
    whole: bool = True


class Part(msgspec.Struct, frozen=True):
    """A stretch of the judged turn that is read by itself, with what came before it."""

    span: Span
    text: str
    history: Sequence[Message]


def parts(text: str, history: Sequence[Message], direction: Direction) -> list[Part]:
    """What is read of a turn: a person's as a whole, a bot's sentence by sentence, each after the two before it.

    So a reply that grows is read once, whatever the pieces it comes in.
    """
    if direction == "inbound":
        return [Part((0, len(text)), text, history)]
    ends = boundaries(text, 0, "sentence", final=True)
    spans = [(a, b) for a, b in itertools.pairwise([0, *ends]) if text[a:b].strip()]
    found = []
    for number, (start, end) in enumerate(spans):
        before = text[spans[max(0, number - 2)][0] : start].strip()
        turns = (*history, Message("assistant", before)) if before else history
        found.append(Part((start, end), text[start:end].strip(), turns))
    return found


def windows(text: str, history: Sequence[Message], direction: Direction, tokens: Tokens, marks: Marks) -> list[Window]:
    """The windows of one judged turn, at least one and at most ``WINDOWS``."""
    mine = tuple(tokens(text))
    role = marks.bot if direction == "outbound" else marks.person
    after = _context(history, tokens, marks)
    step = JUDGED - OVERLAP
    starts = [0] if len(mine) <= JUDGED else list(range(0, len(mine) - OVERLAP, step))
    if len(starts) > WINDOWS:
        starts = starts[: WINDOWS // 4] + starts[-(WINDOWS - WINDOWS // 4) :]
    found = []
    for start in starts:
        part = mine[start : start + JUDGED]
        judged = (marks.begin, *role, *part, marks.end)
        found.append(Window((*judged, *after), len(judged), len(starts) == 1))
    return found


def _context(history: Sequence[Message], tokens: Tokens, marks: Marks) -> tuple[int, ...]:
    spoken = [turn for turn in history if turn.role in ("user", "assistant") and turn.text]
    found: list[int] = []
    for turn in reversed(spoken[-TURNS:]):
        role = marks.bot if turn.role == "assistant" else marks.person
        part = tuple(tokens(turn.text[:4000]))
        if len(part) > EACH:
            part = (*part[: EACH // 2], *part[-(EACH - EACH // 2) :])
        if len(found) + len(role) + len(part) + 1 > BEFORE:
            break
        found += (*role, *part, marks.end)
    return tuple(found)
