"""The law of histories that come again: a request read from where the last one ended says what it says at once."""

from __future__ import annotations

from unittest.mock import patch

from guardrail.core.model import Refusal
from guardrail.core.ports import Chat, Dialect
from guardrail.server import histories
from guardrail.server.histories import Histories
from tests.fuzz.shapes import SHAPES, Shape
from tests.fuzz.supply import Supply, varied

NAMES = ("openai-chat", "anthropic", "ollama-chat")
SCRAPS = (
    b"",
    b"]",
    b"}",
    b'"',
    b",",
    b"],",
    b'],"messages":[',
    b'],"system":"Be kind",',
    b"\\",
    b" ",
    b"\n",
    b"{}",
    b"null",
)


def request(data: bytes) -> None:
    """A request, and then one that goes on from its bytes: whatever comes after them, nothing is read otherwise."""
    supply = Supply(data)
    shape = SHAPES[supply.pick(NAMES)]
    first = varied(supply.pick(shape.requests), supply, shape.keys).encode("utf-8", "surrogatepass")
    lately = Histories()
    with patch.object(histories, "SHORTEST", 0), patch.object(histories, "BEGIN", 20):
        kept = _read(lately, shape.dialect, first)
        end = len(kept.body) if kept is not None else len(first)
        second = first[:end] + b"," + _more(shape, supply) + (supply.pick(SCRAPS) or first[end:])
        _read(lately, shape.dialect, second)
        _read(lately, shape.dialect, second + supply.rest())


def _more(shape: Shape, supply: Supply) -> bytes:
    said = {"role": "user", "content": "I want to die"}
    return b",".join(
        varied(said, supply, shape.keys).encode("utf-8", "surrogatepass") + supply.pick(SCRAPS)
        for _ in range(1 + supply.byte() % 2)
    )


def _read(lately: Histories, dialect: Dialect, body: bytes) -> histories.Known | None:
    expected = _whole(dialect, body)
    try:
        read = lately.read(dialect, body, 1.0)
    except Refusal as refusal:
        assert str(refusal) == expected, "a history that comes again is refused as it is when it is new"
        return None
    assert read.chat == expected, "a history that comes again says what it says when it is new"
    return read.kept


def _whole(dialect: Dialect, body: bytes) -> Chat | str:
    try:
        return dialect.read_request(body)
    except Refusal as refusal:
        return str(refusal)
