"""Answers of other machines, read as exactly what they must be. Anything else is a failure, never "nothing there"."""

from __future__ import annotations

import json
from typing import NoReturn, TypeVar

import msgspec

from guardrail.detectors.run import Unread

T = TypeVar("T")


def read(data: bytes | str, decoder: msgspec.json.Decoder[T]) -> T:
    """``data`` as ``decoder`` has it. Raises ``Unread`` ("invalid"), also for a key that is given twice: which of the
    two counts would be anybody's choice."""
    try:
        json.loads(data, object_pairs_hook=_no_doubles, parse_constant=_no_number)
        return decoder.decode(data)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        raise Unread("invalid") from None


def _no_doubles(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError


def _no_number(_: str) -> NoReturn:
    raise ValueError
