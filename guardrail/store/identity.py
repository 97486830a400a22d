"""Which conversation a request belongs to, when nobody says.

Chat clients send the whole history each time. A keyed hash chain over its turns names every prefix without
keeping a word of it; a prefix that one conversation, and only one, has had belongs to that conversation.
The key keeps a stolen database from being a dictionary of what people say.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import msgspec

from guardrail.core.model import Message

Prefix = bytes
"""16 bytes: the keyed hash of the turns so far."""


MOST = 64
"""Prefixes of a history that are looked for, the longest ones: a client that comes back has rarely lost more turns."""


class Trail(msgspec.Struct, frozen=True):
    """The hashes of a request's history.

    ``answers[i]`` names the first ``counts[i]`` messages, which end with a turn of the bot; ascending, the last
    ``MOST`` of them. Beginnings without one are shared by everybody who ever began with the same words, and name
    nobody. ``whole`` names all messages; ``end`` is the hash's state after them, which the next turn goes on from.
    """

    answers: tuple[Prefix, ...]
    counts: tuple[int, ...]
    whole: Prefix
    end: Any


class Chain:
    """Makes prefixes. ``key`` at least 16 bytes; ``user`` is the operator's opaque id, hashed in at once."""

    def __init__(self, key: bytes) -> None:
        self._key = hashlib.blake2b(key, digest_size=32).digest()

    def start(self, user: str | None) -> Prefix:
        return self._link(b"\0" * 16, b"user:" + (user or "").encode("utf-8", "surrogatepass"))

    def name(self, kind: str, value: str, user: str | None) -> str:
        """A stable id for something the operator's app named itself, e.g. its conversation id."""
        return self._link(self.start(user), f"{kind}:{value}".encode("utf-8", "surrogatepass")).hex()

    def reply(self, id: str, user: str | None) -> Prefix:
        """What stands for a history that the client does not send: the reply it goes on from, by its API's id."""
        return self._link(self.start(user), f"reply:{id}".encode("utf-8", "surrogatepass"))

    def extend(self, trail: Trail, message: Message) -> Prefix:
        """The prefix one turn later. Clients trim white space, so it does not count."""
        state = trail.end.copy()
        state.update(_bytes([(message.role, message.text.strip())]))
        return bytes(state.digest())

    def trail(self, messages: Sequence[Message], user: str | None, known: int = 0, base: Trail | None = None) -> Trail:
        """Hash a history. System and tool turns vary without the person and are left out, empty turns too.

        One hash runs over all of it and is read where the bot has spoken: a long history costs little more than
        the reading of it. ``base``: the trail of the first ``known`` messages, of the same user.
        """
        new = range(known, len(messages))
        at = [i for i in new if (m := messages[i]).role not in _SILENT and m.text and not m.text.isspace()]
        turns = [((m := messages[i]).role, m.text.strip()) for i in at]
        ends = [n for n, (role, _) in enumerate(turns, 1) if role == "assistant"][-MOST:]
        if base is None:
            state = hashlib.blake2b(self.start(user), key=self._key, digest_size=16)
            base = Trail((), (), b"", state)
        else:
            state = base.end.copy()
        answers, done = list(base.answers), 0
        for n in ends:
            state.update(_bytes(turns[done:n]))
            answers.append(state.digest())
            done = n
        state.update(_bytes(turns[done:]))
        at.append(len(messages))
        counts = (*base.counts, *[at[n] for n in ends])
        return Trail(tuple(answers[-MOST:]), counts[-MOST:], state.digest(), state)

    def _link(self, prefix: Prefix, data: bytes) -> Prefix:
        return hashlib.blake2b(prefix + data, key=self._key, digest_size=16).digest()


_SILENT = frozenset(("system", "tool"))


def _bytes(turns: Sequence[tuple[str, str]]) -> bytes:
    """Turns so that no other turns give the same bytes: each with its length before it."""
    return "".join([f"{role}{len(text)}:{text}" for role, text in turns]).encode("utf-8", "surrogatepass")


def same(a: str, b: str) -> bool:
    """Constant-time comparison of secrets."""
    return hmac.compare_digest(a.encode(), b.encode())
