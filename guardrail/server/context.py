"""What was said lately, in memory alone, for APIs whose requests bring only what is new.

Where a client sends its history nothing of it is kept: it comes again with the next request. Here the last turns
wait for that request, bounded in number, size and time, and are gone with the process. They inform detectors; and
they tell the chatbot what it missed when we answered in its place.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from guardrail.core.model import Message
from guardrail.store.conversations import put

KEEP = 3600.0
"""Seconds that turns are kept after the last of them."""
TURNS = 12
LONGEST = 2000
"""Code points of one turn: its end, which is what is answered."""


class Bridge(msgspec.Struct, frozen=True):
    """What an upstream missed: its own last reply (empty: none), and the turns since then."""

    follows: str
    turns: tuple[Message, ...]


class _Kept(msgspec.Struct, frozen=True):
    turns: tuple[Message, ...]
    at: float


class Contexts:
    """The last turns of the ``size`` conversations that spoke last, by conversation id; bridges by reply id."""

    def __init__(self, size: int = 2000) -> None:
        self._size = size
        self._turns: OrderedDict[str, _Kept] = OrderedDict()
        self._bridges: OrderedDict[str, tuple[Bridge, float]] = OrderedDict()

    def turns(self, conversation: str, at: float) -> tuple[Message, ...]:
        """The turns before the one that is beginning, oldest first."""
        kept = self._turns.get(conversation)
        return kept.turns if kept is not None and at - kept.at <= KEEP else ()

    def add(self, conversation: str, turns: Sequence[Message], at: float) -> None:
        """These were said. What is older than ``TURNS`` turns, or than ``KEEP``, is forgotten."""
        short = [Message(m.role, m.text[-LONGEST:]) for m in turns if m.role in ("user", "assistant") and m.text]
        put(self._turns, conversation, _Kept((*self.turns(conversation, at), *short)[-TURNS:], at), self._size)
        while self._turns and at - next(iter(self._turns.values())).at > KEEP:
            self._turns.popitem(last=False)

    def bridge(self, reply: str, at: float) -> Bridge | None:
        """What the upstream missed if reply ``reply`` was ours; ``None``: it was its own."""
        bridge, since = self._bridges.get(reply, (None, at))
        return bridge if at - since <= KEEP else None

    def remember_ours(self, reply: str, follows: str, turns: Sequence[Message], at: float) -> None:
        """Reply ``reply`` was ours, to ``turns``, after reply ``follows``. Follows of ours in turn are joined."""
        before = self.bridge(follows, at) if follows else None
        short = tuple(Message(m.role, m.text[-LONGEST:]) for m in turns)
        joined = Bridge(before.follows, (*before.turns, *short)[-TURNS:]) if before else Bridge(follows, short)
        put(self._bridges, reply, (joined, at), self._size)
        while self._bridges and at - next(iter(self._bridges.values()))[1] > KEEP:
            self._bridges.popitem(last=False)
