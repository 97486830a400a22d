"""Lines of JSON end where every client agrees that they end."""

from __future__ import annotations

import pytest

from guardrail.core.model import Refusal
from guardrail.core.ports import Frame, Piece
from guardrail.dialects.ndjson import Line, LineReader, Splitter, parse
from guardrail.dialects.sse import MAX_FRAME


def lines(*parts: bytes) -> list[Line]:
    splitter = Splitter()
    return [line for part in parts for line in splitter.feed(part)]


def read(line: Line) -> Frame:
    if not line.data.startswith(b"{"):
        raise Refusal("no object")
    return Frame(line.raw, (Piece("content:0", line.data.decode()),))


def reader(over: bool = True) -> LineReader:
    def check() -> None:
        if not over:
            raise Refusal("not over")

    return LineReader(read, check)


@pytest.mark.parametrize(
    ("raw", "data"),
    [
        (b'{"a":1}\n', b'{"a":1}'),
        (b'{"a":1}\r\n', b'{"a":1}'),
        (b' {"a":\r1}\t', b'{"a":\r1}'),
        (b"\n", b""),
        (b" \r\n", b""),
        (b"\x0b\n", b"\x0b"),
        ("{“\u2028”}\n".encode(), "{“\u2028”}".encode()),
    ],
)
def test_a_line_carries_what_is_in_it_without_its_end(raw: bytes, data: bytes) -> None:
    assert parse(raw) == Line(raw, data)


def test_lines_end_with_lf_alone_and_keep_their_bytes() -> None:
    assert lines(b"{}\r{}\n\n{}", b"\r", b"\n \r\n{}") == [
        Line(b"{}\r{}\n", b"{}\r{}"),
        Line(b"\n", b""),
        Line(b"{}\r\n", b"{}"),
        Line(b" \r\n", b""),
    ]


def test_a_line_is_read_alike_whole_and_byte_by_byte() -> None:
    data = '{"é":1}\r\n\n{}\n'.encode()
    assert lines(*(data[i : i + 1] for i in range(len(data)))) == lines(data)


def test_a_last_line_without_an_end_is_read_like_any_other() -> None:
    split = reader()
    assert split.feed(b'{"a":1}\n{"b"') == [Frame(b'{"a":1}\n', (Piece("content:0", '{"a":1}'),))]
    assert split.feed(b":2}") == []
    assert split.close() == [Frame(b'{"b":2}', (Piece("content:0", '{"b":2}'),))]
    assert reader().close() == []


def test_blank_lines_pass_as_frames_that_say_nothing() -> None:
    assert reader().feed(b"\n \r\n") == [Frame(b"\n"), Frame(b" \r\n")]


LONGEST = b"{" + b" " * (MAX_FRAME - 3) + b"}\n"


@pytest.mark.parametrize("at", [1, 4096, MAX_FRAME - 1, MAX_FRAME])
def test_the_longest_line_passes_and_one_byte_more_does_not_however_it_arrives(at: int) -> None:
    assert [len(line.raw) for line in lines(LONGEST[:at], LONGEST[at:])] == [MAX_FRAME]
    longer = b" " + LONGEST
    with pytest.raises(Refusal, match="longer"):
        lines(longer[:at], longer[at:])


def test_a_line_that_never_ends_is_not_collected_forever() -> None:
    splitter = Splitter()
    with pytest.raises(Refusal, match="longer"):
        for _ in range(MAX_FRAME // 4096 + 1):
            list(splitter.feed(b"x" * 4096))


def test_lines_before_a_bad_one_are_not_lost_and_nothing_is_read_after_it() -> None:
    split = reader()
    assert [frame.raw for frame in split.feed(b"{}\n[]\n{}\n")] == [b"{}\n"]
    with pytest.raises(Refusal, match="no object"):
        split.feed(b"{}\n")
    with pytest.raises(Refusal, match="no object"):
        split.close()


def test_a_stream_that_may_not_end_here_is_refused_for_good() -> None:
    split = reader(over=False)
    assert len(split.feed(b"{}\n")) == 1
    for _ in range(2):
        with pytest.raises(Refusal, match="not over"):
            split.close()
