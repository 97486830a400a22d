"""What is still heard of requests that are refused."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.dialects.salvage import HEARD, heard
from guardrail.server.decoding import PIECE, CannotDecode, Decoder, UnknownCoding, decoded

WORDS = "I don't want to live any more. \N{BROKEN HEART}"
MIB = 1024**2


def body(*contents: str, **members: object) -> bytes:
    messages = [{"role": "user", "content": content} for content in contents]
    return json.dumps({"model": "m", "messages": messages, **members}).encode()


@pytest.mark.parametrize(
    "damaged",
    [
        body(WORDS)[:-3],
        body(WORDS)[:-1] + b",}",
        body(WORDS).replace(b"{", b"{{", 1),
        body(WORDS) + body(WORDS),
        b"\xff" + body(WORDS),
        body(WORDS, image="A" * 20 * MIB),
        body("x" * 3 * MIB + " " + WORDS),
        body(*["What can I cook?"] * 50_000, WORDS),
        body('She said "so": ' * 100_000, WORDS),
        WORDS.encode(),
    ],
    ids=["torn", "comma", "brace", "twice", "byte", "image", "long", "many", "quotes", "bare"],
)
def test_the_last_words_are_heard(damaged: bytes) -> None:
    assert WORDS in heard(damaged)


def test_keys_are_no_words() -> None:
    assert heard(b'{"die": "soup", "end" : ["my", {"life": 1') == "soup\nmy"


@given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode) | st.text(max_size=100).map(body))
def test_nothing_that_comes_stops_the_listening(data: bytes) -> None:
    text = heard(data)
    text.encode()
    assert len(text) <= HEARD


@given(st.text(max_size=100), st.integers(0, 300))
def test_wherever_a_request_breaks_off_what_came_is_heard(said: str, kept: int) -> None:
    whole = json.dumps({"content": said}, ensure_ascii=False).encode()
    text = heard(whole[: len(b'{"content": "') + kept])
    if kept >= len(whole):
        assert text == said


@pytest.mark.parametrize("coding", [b"gzip", b"x-gzip", b"deflate", b" GZip ", b"identity", b""])
@given(plain=st.binary(max_size=2000), size=st.integers(1, 50))
def test_every_coding_gives_back_what_went_in(coding: bytes, plain: bytes, size: int) -> None:
    packers = {b"gzip": gzip.compress, b"x-gzip": gzip.compress, b"deflate": zlib.compress}
    packed = packers.get(coding.strip().lower(), bytes)(plain)
    decoder = Decoder(coding)
    parts = [piece for at in range(0, len(packed), size) for piece in decoder.pieces(packed[at : at + size])]
    assert b"".join(parts) == plain and decoder.is_whole


def test_deflate_without_its_wrapper_is_read_too() -> None:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    assert decoded(packer.compress(b"soup") + packer.flush(), b"deflate", 100) == b"soup"


def test_a_bomb_comes_in_small_pieces_and_stops_at_the_limit() -> None:
    bomb = gzip.compress(bytes(64 * MIB))
    assert max(map(len, Decoder(b"gzip").pieces(bomb))) <= PIECE
    assert len(decoded(bomb, b"gzip", MIB)) <= MIB + PIECE


def test_what_is_damaged_or_unknown_says_so() -> None:
    with pytest.raises(UnknownCoding):
        Decoder(b"br")
    with pytest.raises(CannotDecode):
        decoded(gzip.compress(b"soup")[:-9], b"gzip", 100)
    with pytest.raises(CannotDecode):
        decoded(b"no such thing", b"gzip", 100)
