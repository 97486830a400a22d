"""Server-sent events are the same however they were written and wherever the network split them."""

from __future__ import annotations

import pytest

from guardrail.core.model import Refusal
from guardrail.dialects.sse import MAX_FRAME, Event, Splitter, parse


def whole(data: bytes) -> list[Event]:
    return list(Splitter().feed(data))


@pytest.mark.parametrize(
    ("raw", "name", "data"),
    [
        (b'data: {"a":1}\n\n', b"", b'{"a":1}'),
        (b'data:{"a":1}\n\n', b"", b'{"a":1}'),
        (b'data: {"a":1}\r\n\r\n', b"", b'{"a":1}'),
        (b"event: ping\ndata: {}\n\n", b"ping", b"{}"),
        (b"id: 7\nretry: 10\nevent:x\ndata: 1\ndata: 2\n\n", b"x", b"1\n2"),
        (b": keep-alive\n\n", b"", b""),
        (b"\n\n", b"", b""),
        (b"data\n\n", b"", b""),
        (b"\xef\xbb\xbfdata: 1\n\n", b"", b"1"),
        (b" Data: 1\n\n", b"", b"1"),
        ("data: naïve – 👋\n\n".encode(), b"", "naïve – 👋".encode()),
    ],
)
def test_an_event_is_read_as_its_most_lenient_client_would(raw: bytes, name: bytes, data: bytes) -> None:
    assert whole(raw) == [Event(raw, name, data)]


def test_two_json_values_on_two_data_lines_are_never_taken_for_one_of_them() -> None:
    assert parse(b'data: {"a":1}\ndata: {"b":2}\n\n').data == b'{"a":1}\n{"b":2}'


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_byte_alone_gives_the_same_events(end: bytes) -> None:
    stream = end.join([b"event: a", b"data: 1", b"", b": c", b"", b"", b"data: 2", b"", b"data: 3", b"", b": tail"])
    splitter = Splitter()
    bytewise = [event for i in range(len(stream)) for event in splitter.feed(stream[i : i + 1])]
    assert bytewise == whole(stream)
    assert [event.data for event in bytewise if event.data] == [b"1", b"2", b"3"]
    rest = splitter.rest()
    assert rest is not None
    assert b"".join(event.raw for event in [*bytewise, rest]) == stream


def test_a_frame_waits_for_the_other_half_of_its_line_end() -> None:
    splitter = Splitter()
    assert list(splitter.feed(b"data: 1\r\n\r")) == []
    assert [event.raw for event in splitter.feed(b"\ndata: 2")] == [b"data: 1\r\n\r\n"]


def test_the_longest_frame_passes_and_one_byte_more_does_not() -> None:
    longest = b"data: " + b"x" * (MAX_FRAME - 8) + b"\n\n"
    assert len(whole(longest)) == 1
    with pytest.raises(Refusal):
        whole(b"data: x" + longest[6:])


def test_a_frame_that_never_ends_is_not_collected_forever() -> None:
    splitter = Splitter()
    with pytest.raises(Refusal):
        for _ in range(MAX_FRAME // 4096 + 2):
            list(splitter.feed(b"x" * 4096))
