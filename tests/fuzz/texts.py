"""The laws of what reads plain text: the one form of it, the lexicon, the clauses, and what takes personal data out."""

from __future__ import annotations

import functools
import zlib

from guardrail.core.gate import WINDOW
from guardrail.core.model import Context, Message, Signal
from guardrail.core.segments import boundaries
from guardrail.core.text import Normal, Vocabulary, normalise, reveal
from guardrail.detectors import load_lexicon
from guardrail.detectors.lexicon import Lexicon
from guardrail.server.decoding import PIECE, CannotDecode, Decoder, decoded
from guardrail.shipped import POLICIES
from tests.fuzz.supply import ODD, Supply

PIECES = (
    "I want to", " die", " kill myself", "k i l l ", "mys3lf", ". ", ", ", "\n", "you should", " never", " leave me",
    " I am", " a human", "’", "\u200b", "é", "🙃", "ё", " not", " ", "!", "d.i.e", "I'm", " tonight", "Ich will",
    " sterben", "ﬁ", "İ", "ß", "e\u0301\u0301", "ـ", "أريد", " أن أموت", "死にたい", "ｋｉｌｌ", "मैं मरना", "*", "k*ll", "ΐ", "Å",
    "\U0001d4b9", "\ud83d", "\u0345", "ǰ", "\r\n", "q" * 40, "a-b-c-d", "\u1e9e", "가", "\u1100\u1161",
)  # fmt: skip


def written(data: bytes) -> str:
    """Text of any kind: the bytes as UTF-8 where the first is even, else words put together by them."""
    supply = Supply(data)
    if supply.byte() % 2 == 0:
        return supply.rest().decode("utf-8", "replace")
    out = []
    while not supply.is_over and len(out) < 60:
        choice = supply.byte()
        out.append(
            chr(supply.byte() * 256 + supply.byte()) if choice > 240 else (PIECES + ODD)[choice % len(PIECES + ODD)]
        )
    return "".join(out)


@functools.cache
def lexicon() -> Lexicon:
    return load_lexicon(POLICIES / "lexicon")


WORDS = Vocabulary({"kill", "myself", "die", "want", "sterben", "to", "i", "end", "it", "all", "life"})


def normalised(data: bytes) -> None:
    """Every letter of a reading points at what it came from, in order, and reading twice changes nothing."""
    text = written(data)
    once = normalise(text)
    _check_offsets(once, text)
    assert normalise(once.text).text == once.text, "reading twice changes nothing"
    hidden = reveal(once, WORDS)
    if hidden is not None:
        _check_offsets(hidden, text)
    if text.isascii():
        assert [c for c in once.text if c.isalnum()] == [c for c in text.lower() if c.isalnum()], "no letter is lost"


def _check_offsets(reading: Normal, text: str) -> None:
    before = 0
    for at in range(len(reading.text)):
        start, end = reading.span(at, at + 1)
        assert 0 <= start < end <= len(text), "spans point into the original"
        assert start >= before, "spans are in order"
        before = start
    assert reading.span(0, len(reading.text))[1] <= len(text)


def looked_at(data: bytes) -> None:
    """Signals lie within the text, and a text that is quiet is quiet in every part of it cut at its clauses."""
    text = written(data)
    lex = lexicon()
    for direction in ("inbound", "outbound"):
        history = (Message("user", text[: len(text) // 2]),)
        found = lex.look(text, Context(direction, history=history))  # type: ignore[arg-type]
        _check_signals(found, text)
        if lex.quiet(text, direction):  # type: ignore[arg-type]
            assert not found, "a quiet text has no signals"
            cuts = boundaries(text, 0, "clause", final=True)
            for cut in cuts[:8]:
                window = text[max(0, cut - WINDOW) : cut]
                assert not lex.look(window, Context(direction)), "quiet is quiet at every cut"  # type: ignore[arg-type]


def _check_signals(found: list[Signal], text: str) -> None:
    for signal in found:
        assert 0 <= signal.severity <= 4 and 0 <= signal.score <= 1
        assert all(0 <= start < end <= len(text) for start, end in signal.spans), "spans point into the original"


def cut(data: bytes) -> None:
    """Ends of clauses do not depend on what comes later, and leave nothing out."""
    text = written(data)
    place = zlib.crc32(data) % (len(text) + 1)
    for grain in ("clause", "sentence"):
        early = boundaries(text[:place], 0, grain, final=False, longest=20)  # type: ignore[arg-type]
        whole = boundaries(text, 0, grain, final=True, longest=20)  # type: ignore[arg-type]
        assert early == [b for b in whole if b <= (early[-1] if early else 0)], "no boundary moves"
        assert (whole[-1] if whole else 0) == len(text), "a final text is cut to its end"
        assert all(a < b for a, b in zip([0, *whole], whole, strict=False)), "boundaries ascend"


def inflated(data: bytes) -> None:
    """A compressed body is undone, or refused; in bounded pieces, however it arrives."""
    for coding in (b"gzip", b"deflate", data[:8]):
        try:
            whole = decoded(data, coding, 4 * PIECE)
        except CannotDecode:
            continue
        decoder, pieces = Decoder(coding), []
        for at in range(0, len(data), 7):
            pieces += decoder.pieces(data[at : at + 7])
        assert b"".join(pieces).startswith(whole[: 4 * PIECE]), "what is undone does not depend on the splits"
        assert all(len(piece) <= PIECE for piece in pieces)


PRIVATE = ("anna.muster@example.org", "+49 151 23456789", "https://example.org/anna", "DE89 3704 0044 0532 0130 00")


def redacted(data: bytes) -> None:
    """What has the form of an address or a number is taken out, whatever stands around it."""
    around = written(data)[:200].encode("utf-8", "replace").decode()
    private = PRIVATE[zlib.crc32(data) % len(PRIVATE)]
    half = len(around) // 2
    text = f"{around[:half]}\n{private}\n{around[half:]}"
    told = _patterns().redact(text, "de-DE")
    assert private not in told, "personal data is taken out"


@functools.cache
def _patterns():  # type: ignore[no-untyped-def]
    from guardrail.redact.patterns import Patterns

    return Patterns()
