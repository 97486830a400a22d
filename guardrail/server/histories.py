"""Long histories that come again with each turn, and are read once.

A chat client sends its whole history every time, byte for byte what it sent before and a little more. Where a body
goes on from one that was read a moment ago, only what is new in it is read: put after the same beginning, in the place
of what is known. A parser meets the same bytes in the same state either way, so it would say the same.

What is kept is kept in memory alone, bounded in size and time, and gone with the process.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import NamedTuple

import msgspec

from guardrail.core.model import Message, Refusal
from guardrail.core.ports import Chat, Dialect
from guardrail.dialects.strict import fields
from guardrail.store.identity import Trail

SHORTEST = 4 * 1024
"""Bytes. What is shorter is read faster than it is looked for."""
BEGIN = 4 * 1024
"""Bytes by which a body is looked for. Bodies that share them (a long system prompt) are told apart one by one."""
ALIKE = 8
KEEP = 600.0
"""Seconds after the last turn."""
MOST = 32 * 1024 * 1024
"""Bytes in all. The messages take about as much again."""


class Known(msgspec.Struct):
    """A history that was read: the body up to the end of its last message, and what it says.

    ``begin``: bytes before the first message. ``trail`` is set when it is known, and whose it is.
    """

    dialect: str
    begin: int
    body: bytes
    messages: tuple[Message, ...]
    at: float
    preface: int = 0
    user: str | None = None
    trail: Trail | None = None


class Read(NamedTuple):
    """A chat, the history it goes on from where that is known, and what is known of it for the next turn."""

    chat: Chat
    base: Known | None = None
    kept: Known | None = None


class Histories:
    """What was read lately. ``size`` bounds the bytes that are kept."""

    def __init__(self, size: int = MOST) -> None:
        self._size, self._held = size, 0
        self._kept: OrderedDict[bytes, list[Known]] = OrderedDict()

    def read(self, dialect: Dialect, body: bytes, at: float) -> Read:
        """Read a request. Raises ``Refusal`` as the dialect does."""
        if not dialect.history or len(body) < SHORTEST:
            return Read(dialect.read_request(body))
        place = _place(dialect, body)
        base = self._find(place, dialect, body, at)
        chat = _continued(dialect, base, body) if base is not None else None
        if base is None or chat is None:
            base, chat = None, dialect.read_request(body)
            bounds, known = _bounds(dialect, body), 0
        else:
            bounds, known = _bounds(dialect, _short(base, body)), len(base.body) + 1 - base.begin
        if bounds is None:
            return Read(chat, base)
        kept = Known(dialect.name, bounds[0], body[: bounds[1] + known], chat.messages, at, chat.preface)
        self._keep(place, kept, base)
        return Read(chat, base, kept)

    def _find(self, place: bytes, dialect: Dialect, body: bytes, at: float) -> Known | None:
        for known in reversed(self._kept.get(place, ())):
            end = len(known.body)
            if at - known.at <= KEEP and body[end : end + 1] == b"," and body.startswith(known.body):
                return known
        return None

    def _keep(self, place: bytes, new: Known, instead: Known | None) -> None:
        before = self._kept.pop(place, [])
        alike = [k for k in before if k is not instead and k.body != new.body][-ALIKE + 1 :]
        self._kept[place] = [*alike, new]
        self._held += _bytes(self._kept[place]) - _bytes(before)
        while self._kept and (self._held > self._size or new.at - next(iter(self._kept.values()))[-1].at > KEEP):
            self._held -= _bytes(self._kept.popitem(last=False)[1])


def _bytes(kept: list[Known]) -> int:
    return sum(len(known.body) for known in kept)


def _place(dialect: Dialect, body: bytes) -> bytes:
    return hashlib.blake2b(body[:BEGIN], digest_size=16, person=dialect.name.encode()[:16]).digest()


def _short(known: Known, body: bytes) -> bytes:
    """The body without the messages that are known."""
    return known.body[: known.begin] + body[len(known.body) + 1 :]


def _continued(dialect: Dialect, known: Known, body: bytes) -> Chat | None:
    """The chat, read from what is new in it; ``None``: it has to be read as a whole."""
    try:
        new = dialect.read_request(_short(known, body))
    except Refusal:
        return None  # its refusal is to be about the whole
    preface = new.messages[: new.preface]
    if preface != known.messages[: known.preface] or len(preface) == len(new.messages):
        return None  # what stands elsewhere has changed; or there is nothing new, and a comma too many
    return msgspec.structs.replace(new, messages=(*known.messages, *new.messages[new.preface :]))


def _bounds(dialect: Dialect, body: bytes) -> tuple[int, int] | None:
    """Where the messages begin and where the last of them ends; ``None`` where that is not plain to see."""
    raw = bytes(fields(body, "the request").get(dialect.history, b""))
    begin = body.find(raw) if raw.startswith(b"[") else -1
    if begin < 0 or body.find(raw, begin + 1) >= 0:
        return None
    return begin + 1, begin + len(raw[:-1].rstrip())
