"""One chat API as it is measured: the bytes of its requests, replies and events."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from bench.sample import Turn

Json = dict[str, Any]


class Wire(msgspec.Struct, frozen=True):
    """One API. ``mark`` stands once in each event of a stream, ``stream`` gives a stream's bytes event by event."""

    name: str
    paths: tuple[str, str]
    """Of a whole reply, and of a stream."""
    body: Callable[[Sequence[Turn], bool], Json]
    whole: Callable[[str], Json]
    stream: Callable[[Sequence[str]], list[bytes]]
    stream_type: str = "text/event-stream"
    mark: bytes = b"data: "

    def request(self, turns: Sequence[Turn], streamed: bool, headers: str = "", **members: object) -> bytes:
        """One HTTP request; ``headers`` are lines that end, ``members`` go into its body."""
        body = json.dumps({**self.body(turns, streamed), **members}).encode()
        return http(self.paths[streamed], body, headers)


def http(path: str, body: bytes, headers: str = "") -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer none\r\n{headers}content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def data(value: object, end: str = "\n\n") -> bytes:
    return f"data: {json.dumps(value)}{end}".encode()


def event(kind: str, **members: object) -> bytes:
    return f"event: {kind}\n".encode() + data({"type": kind, **members})
