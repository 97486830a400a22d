"""Conversations in Redis or Valkey, for any number of proxies.

A state is written only over the one it was made from. Where another proxy was faster, both are merged, so that nobody's
latch is lost and nothing is taken back that a human has lowered. Each key has its own slot and its own time to live.
"""

from __future__ import annotations

import contextlib
import importlib.resources
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import redis
from redis.exceptions import RedisClusterException

from guardrail.core.conversation import State, merged
from guardrail.store.conversations import KEEP, Change, StoreFailed, Written
from guardrail.store.identity import Prefix

TRIES = 64
"""How often a state is merged again because another proxy was faster. Each time one of them has got through."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(State).decode


class RedisBackend:
    """A ``Backend``. ``db`` gives bytes and has its own timeouts; ``prefix`` keeps installations apart."""

    shared = True
    set_aside: Path | None = None

    def __init__(self, db: redis.Redis, prefix: str = "guardrail") -> None:
        self._db: Any = db  # its types leave open whether bytes or text come back
        self._prefix = prefix
        self._keep, self._own = (db.register_script(_script(name)) for name in ("keep", "own"))

    def open(self, most: int) -> Mapping[Prefix, str] | None:
        return None  # what everybody together has is not for one memory

    def close(self) -> None:
        self._db.close()

    def state(self, conversation: str) -> State | None:
        with _asked():
            raw = self._db.get(self._key("conversation", conversation))
            return _decode(raw) if raw else None

    def owners(self, prefixes: Sequence[Prefix]) -> dict[Prefix, str]:
        with _asked():
            asked = self._db.pipeline(transaction=False)
            for prefix in prefixes:
                asked.get(self._key("prefix", prefix.hex()))
            found = asked.execute()
        return {prefix: owner.decode() for prefix, owner in zip(prefixes, found, strict=True) if owner is not None}

    def write(self, changes: Sequence[Change], owners: Mapping[Prefix, tuple[str, float]]) -> Written:
        with _asked():
            states = {change.state.id: self._kept(change) for change in changes}
            shared = [
                prefix
                for prefix, (owner, _) in owners.items()
                if not self._own(keys=[self._key("prefix", prefix.hex())], args=[owner, int(KEEP)])
            ]
        return Written(states, shared)

    def _kept(self, change: Change) -> State:
        before = None if change.unread else change.before
        state, was = change.state, _encode(before) if before is not None else b""
        for _ in range(TRIES):
            now = self._keep(keys=[self._key("conversation", state.id)], args=[was, _encode(state), int(KEEP)])
            if now == 0:
                return state
            # What is there now, and what it was made from: a forgotten one was as good as new.
            state, was = merged(before or State(state.id), change.state, _theirs(now, state.id)), now
        raise StoreFailed("conversation store: too busy")

    def _key(self, kind: str, name: str) -> str:
        return f"{self._prefix}:{kind}:{name}"


def _theirs(raw: bytes, conversation: str) -> State:
    """What another proxy wrote. What cannot be read is as good as nothing: it must not keep other people's latches from
    being written."""
    try:
        return _decode(raw) if raw else State(conversation)
    except msgspec.DecodeError:
        return State(conversation)


def _script(name: str) -> str:
    return (importlib.resources.files("guardrail.store") / "lua" / f"{name}.lua").read_text(encoding="utf-8")


@contextlib.contextmanager
def _asked() -> Iterator[None]:
    """Whatever goes wrong, as one line without an address or a word of anybody's."""
    try:
        yield
    except (redis.RedisError, RedisClusterException, OSError) as error:
        raise StoreFailed(f"conversation store: redis: {short(error)}") from error


def short(error: Exception) -> str:
    """What Redis itself says begins with a word in capitals; anything else may hold an address."""
    word = str(error).split(" ", 1)[0]
    return word if word.isupper() and word.isascii() else type(error).__name__


def shared_key(db: redis.Redis, prefix: str, ours: bytes) -> bytes:
    """The key of the hashes that name conversations: whichever proxy was first has made it. Raises
    ``redis.RedisError``. It lies beside the hashes it guards; an operator's own ``secret`` does not."""
    name = f"{prefix}:secret"
    db.set(name, ours, nx=True)
    found: Any = db.get(name)
    return bytes(found) if found else ours
