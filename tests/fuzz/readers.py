"""Every reader of what comes from outside, by name: its laws, the bytes to begin with, and its share of a run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

from tests.fuzz import chats, continued, files, records, texts
from tests.fuzz.shapes import SHAPES


class Reader(NamedTuple):
    """``check`` raises for a find. ``share`` is in parts of a whole run; ``longest`` in bytes of an input."""

    check: Callable[[bytes], None]
    share: int
    longest: int = 512


def _of_chats() -> dict[str, Reader]:
    found: dict[str, Reader] = {}
    for name in SHAPES:
        # The forms of one API share their requests and replies.
        if name not in ("gemini-events", "gemini-array", "json-lines"):
            found[f"request.{name}"] = Reader(functools.partial(chats.request, name), 50)
            found[f"reply.{name}"] = Reader(functools.partial(chats.reply, name), 45)
        if name != "gemini":
            found[f"stream.{name}"] = Reader(functools.partial(chats.stream, name), 25)
    return found


READERS: dict[str, Reader] = {
    **_of_chats(),
    "request.continued": Reader(continued.request, 50),
    "request.any-path": Reader(chats.claimed, 50, 128),
    "request.damaged": Reader(chats.salvaged, 40),
    "request.compressed": Reader(texts.inflated, 60),
    "text.normal": Reader(texts.normalised, 120, 256),
    "text.clauses": Reader(texts.cut, 80, 256),
    "text.lexicon": Reader(texts.looked_at, 6, 256),
    "text.redacted": Reader(texts.redacted, 2, 200),
    "file.any-mapping": Reader(files.yaml, 12, 300),
    "file.settings": Reader(files.configured, 6, 300),
    "file.lexicon": Reader(files.lexicon_file, 6, 300),
    "file.policy": Reader(files.policy, 1, 300),
    "file.resources": Reader(files.resources, 6, 300),
    "file.journal": Reader(records.journal, 10, 300),
    "file.spool": Reader(records.spooled, 15, 300),
    "file.secret": Reader(records.secret, 10, 64),
}
