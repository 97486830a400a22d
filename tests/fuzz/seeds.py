"""What the fuzzer begins with: what each reader meets when all is well, and every kind of small change to it."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator

from tests.fuzz import files, records, texts
from tests.fuzz.readers import READERS
from tests.fuzz.shapes import SHAPES, Shape
from tests.fuzz.supply import ODD

_PLAIN, _VARIED = b"\x00", b"\x01"
_PAIRS = ((0, 0), (0, 1), (1, 0), (3, 6), (6, 6), (7, 1), (2, 7))
_FILES = {
    "file.any-mapping": files.YAML_SEED,
    "file.settings": files.SETTINGS_SEED,
    "file.lexicon": files.LEXICON_SEED,
    "file.policy": files.POLICY_SEED,
    "file.resources": files.COUNTRY_SEED,
}


def seeds(name: str) -> list[bytes]:
    """The first inputs of a reader."""
    kind, _, which = name.partition(".")
    if kind in ("request", "reply", "stream") and which in SHAPES:
        return list(_of_chat(kind, SHAPES[which]))
    if name in _FILES:
        return [
            _PLAIN + _FILES[name],
            *_changes(),
            *(_PLAIN + scrap.encode("utf-8", "replace") for scrap in files.SCRAPS),
        ]
    return _OTHERS[name]()


def _of_chat(kind: str, shape: Shape) -> Iterator[bytes]:
    values = {"request": shape.requests, "reply": shape.replies, "stream": shape.events}[kind]
    for value in values:
        written = json.dumps(value)
        yield _PLAIN + (_framed(shape, written) if kind == "stream" else written.encode())
    if kind == "stream":
        whole = b"".join(_framed(shape, json.dumps(value)) for value in values)
        yield _PLAIN + (b"[" + whole.strip(b",") + b"]" if shape.framing == "array" else whole + shape.last)
    yield from _changes()


def _framed(shape: Shape, written: str) -> bytes:
    match shape.framing:
        case "lines":
            return written.encode() + b"\n"
        case "array":
            return written.encode() + b","
        case _:
            return f"data: {written}\n\n".encode()


def _changes() -> Iterator[bytes]:
    """One change in each of the first places, of every kind."""
    for place in range(0, 40, 2):
        for change in range(1, 13, 2):
            yield _VARIED + bytes(place) + bytes((change, place, change + 1, 1))


def _texts() -> list[bytes]:
    return [_PLAIN + piece.encode("utf-8", "replace") for piece in texts.PIECES] + [
        _VARIED + bytes(range(at, at + 12)) for at in range(0, len(texts.PIECES + ODD), 3)
    ]


def _packed() -> list[bytes]:
    plain = b"I want to die. " * 20
    return [gzip.compress(plain, mtime=0), zlib.compress(plain), zlib.compress(plain)[2:-4], plain, b"identity"]


def _paths() -> list[bytes]:
    ends = ("/v1/chat/completions", "/v1/messages", "/api/chat", "/api/generate", "/v1/responses", "/chat/7",
            "/v1beta/models/m:generateContent", "/v1beta/models/m:streamGenerateContent?alt=sse")  # fmt: skip
    return [end.encode() for end in ends] + [b"/V1//Messages/", b"/v1/%6dessages", b"/v1/messages/../x", b"?alt=sse"]


_OTHERS = {
    "request.any-path": _paths,
    "request.continued": lambda: [
        bytes((n, k, *bytes(60), 1, a, b)) for n in range(3) for k in range(2) for a, b in _PAIRS
    ],
    "request.damaged": lambda: list(_of_chat("request", SHAPES["openai-chat"])),
    "request.compressed": _packed,
    "text.normal": _texts,
    "text.clauses": _texts,
    "text.lexicon": _texts,
    "text.redacted": _texts,
    "file.journal": lambda: [bytes((n, a, 1, at, 20, a)) for n in range(4) for a in range(8) for at in (0, 90, 200)],
    "file.spool": lambda: [records.SPOOL_SEED, records.SPOOL_SEED[:20], b"{}", b"[]", b'{"id":' + b"[" * 1500],
    "file.secret": lambda: [b"x" * 43, b"x" * 43 + b"\n", b"", b"short", b" " * 20, b"\xff" * 20],
}


def words(name: str) -> list[str]:
    """Words worth putting in anywhere."""
    which = name.partition(".")[2]
    if which in SHAPES:
        shape = SHAPES[which]
        return [f'"{key}":' for key in shape.keys] + [
            "data: ",
            "event: ",
            "\n\n",
            "\r\n",
            "[DONE]",
            "\\u00",
            "null",
            '"',
        ]
    if name in _FILES:
        return [scrap for scrap in files.SCRAPS if 0 < len(scrap) < 30]
    return []


def check_complete() -> None:
    """Every reader has seeds."""
    for name in READERS:
        assert seeds(name), name
