"""Which conversation a request belongs to, when nobody says.

Chat clients send the whole history each time. A keyed hash chain over its turns names every prefix without
keeping a word of it; a prefix that one conversation, and only one, has had belongs to that conversation.
The key keeps a stolen database from being a dictionary of what people say.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

import msgspec

from guardrail.core.model import Message

Prefix = bytes
"""16 bytes: the keyed hash of the turns so far."""


class Trail(msgspec.Struct, frozen=True):
    """The hashes of a request's history.

    ``prefixes[i]`` names the first ``counts[i]`` messages, ascending; the last one names all of them.
    ``answers``: indices of the first prefix that holds a turn of the bot and of the last that ends with
    one; ``None`` when the bot has not spoken. Prefixes before the first are shared by everybody who ever
    began with the same words, and name nobody.
    """

    prefixes: tuple[Prefix, ...]
    counts: tuple[int, ...]
    answers: tuple[int, int] | None

    @property
    def whole(self) -> Prefix:
        return self.prefixes[-1]


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

    def extend(self, prefix: Prefix, message: Message) -> Prefix:
        """The prefix one turn later. Clients trim white space, so it does not count."""
        return self._link(prefix, f"{message.role}:{message.text.strip()}".encode("utf-8", "surrogatepass"))

    def trail(self, messages: Sequence[Message], user: str | None) -> Trail:
        """Hash a history. System and tool turns vary without the person and are left out, empty turns too."""
        prefix = self.start(user)
        prefixes, counts = [prefix], [0]
        answers: tuple[int, int] | None = None
        for count, message in enumerate(messages, 1):
            if message.role in ("system", "tool") or not message.text.strip():
                counts[-1] = count
                continue
            prefix = self.extend(prefix, message)
            prefixes.append(prefix)
            counts.append(count)
            if message.role == "assistant":
                last = len(prefixes) - 1
                answers = (answers[0] if answers else last, last)
        return Trail(tuple(prefixes), tuple(counts), answers)

    def _link(self, prefix: Prefix, data: bytes) -> Prefix:
        return hashlib.blake2b(prefix + data, key=self._key, digest_size=16).digest()


def same(a: str, b: str) -> bool:
    """Constant-time comparison of secrets."""
    return hmac.compare_digest(a.encode(), b.encode())
