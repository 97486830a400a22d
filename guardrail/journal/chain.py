"""One record's bytes, and the chain that makes a changed, missing or moved record show.

A line is ``{"n":…,"at":…,"kind":…,…fields,"prev":…,"mac":…}``. ``prev`` is the ``mac`` of the record before;
``mac`` is HMAC-SHA256 over every byte of the line before it. Whoever has no key can neither write a record
nor take one out unseen. The heads file says, signed, how many records there are, so that a cut tail shows.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime

import msgspec

GENESIS = "0" * 64
_MAC = b',"mac":"'
_NOT_OURS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading a line raises that was never written by us."""
_TAIL = len(_MAC) + 64 + len(b'"}')


class Key:
    """The journal's own keys, derived from the installation's secret so that no signature serves elsewhere."""

    def __init__(self, secret: bytes) -> None:
        self._record = hmac.digest(secret, b"guardrail.journal.record", hashlib.sha256)
        self._heads = hmac.digest(secret, b"guardrail.journal.heads", hashlib.sha256)

    def record(self, body: bytes) -> str:
        return hmac.digest(self._record, body, hashlib.sha256).hex()

    def heads(self, body: bytes) -> str:
        return hmac.digest(self._heads, body, hashlib.sha256).hex()


class Head(msgspec.Struct, frozen=True):
    """The last record: its number (0: none yet) and its mac."""

    n: int = 0
    mac: str = GENESIS


class Entry(msgspec.Struct, frozen=True):
    """A line as read. ``genuine``: its mac is right, so every byte of it is as it was written."""

    n: int
    prev: str
    mac: str
    kind: str
    genuine: bool
    reason: str = ""


class _Line(msgspec.Struct):
    n: int
    prev: str
    mac: str
    kind: str
    reason: str = ""


_line = msgspec.json.Decoder(_Line)


def seal(key: Key, head: Head, at: float, kind: str, fields: bytes) -> tuple[bytes, Head]:
    """The line that follows ``head``, with its newline, and the head after it. ``at`` is POSIX seconds."""
    number = head.n + 1
    time = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    middle = b"," + fields if fields else b""
    body = b'{"n":%d,"at":"%s","kind":"%s"%s,"prev":"%s"' % (
        number,
        time.encode(),
        kind.encode(),
        middle,
        head.mac.encode(),
    )
    mac = key.record(body)
    return body + _MAC + mac.encode() + b'"}\n', Head(number, mac)


def read(key: Key, line: bytes) -> Entry:
    """A line, without its newline. What cannot be read at all has ``n`` 0 and is not genuine."""
    body, tail = line[:-_TAIL], line[-_TAIL:]
    sealed = tail.startswith(_MAC) and hmac.compare_digest(tail[len(_MAC) : -2], key.record(body).encode())
    try:
        found = _line.decode(line)
    except _NOT_OURS:
        return Entry(0, "", "", "", False)
    return Entry(found.n, found.prev, found.mac, found.kind, sealed, found.reason)


class _Heads(msgspec.Struct):
    n: int
    last: str
    segment: int
    mac: str = ""


def write_heads(key: Key, head: Head, segment: int) -> bytes:
    body = msgspec.json.encode(_Heads(head.n, head.mac, segment))
    return msgspec.json.encode(_Heads(head.n, head.mac, segment, key.heads(body))) + b"\n"


def read_heads(key: Key, raw: bytes) -> tuple[Head, int] | None:
    """The head and segment that were signed; ``None`` when this was not signed with our key."""
    try:
        found = msgspec.json.decode(raw, type=_Heads)
    except _NOT_OURS:
        return None
    body = msgspec.json.encode(_Heads(found.n, found.last, found.segment))
    if not hmac.compare_digest(found.mac.encode(), key.heads(body).encode()):
        return None
    return Head(found.n, found.last), found.segment
