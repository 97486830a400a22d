"""What the gate relies on: a text that is quiet is quiet in every part cut at its clauses; offsets never lie."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.core.gate import WINDOW
from guardrail.core.model import Context
from guardrail.core.segments import boundaries
from guardrail.core.text import Vocabulary, normalise, reveal
from guardrail.detectors import load_lexicon
from guardrail.shipped import POLICIES

LEXICON = load_lexicon(POLICIES / "lexicon")
PIECES = st.sampled_from(
    ["I want to", " die", " kill myself", "k i l l ", "mys3lf", ". ", ", ", "\n", "you should", " never", " leave me", " I am", " a human",
     " therapy", " is useless", "’", "\u200b", "é", "🙃", "ё", " not", " ", "!", "d.i.e", "I'm", " tonight", "Ich will", " sterben",
     "أريد", " أن أموت", "хочу", " умереееть", " у м е р е т ь", "मैं", " मरना चाहता हूँ", "死にたい", "我想死", "。", "؟", "죽고", "싶어"]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=14).map("".join)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.sampled_from(["inbound", "outbound"]))
def test_quiet_means_quiet_at_every_cut(text: str, direction: str) -> None:
    if not LEXICON.quiet(text, direction):  # type: ignore[arg-type]
        return
    cuts = boundaries(text, 0, "clause", final=True)
    for floor in [0, *cuts]:
        for cut in cuts:
            window = text[max(floor, cut - WINDOW) : cut]
            assert LEXICON.look(window, Context(direction)) == []  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(st.one_of(TEXTS, st.text(max_size=80)))
def test_any_text_is_read_and_spans_lie_within_it(text: str) -> None:
    for direction in ("inbound", "outbound"):
        for signal in LEXICON.look(text, Context(direction)):  # type: ignore[arg-type]
            assert 0 <= signal.severity <= 4 and 0 <= signal.score <= 1
            assert all(0 <= start < end <= len(text) for start, end in signal.spans)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_offsets_are_monotone_and_cover_what_they_came_from(text: str) -> None:
    readings = [normalise(text)]
    hidden = reveal(readings[0], Vocabulary({"kill", "myself", "die", "want"}))
    if hidden is not None:
        readings.append(hidden)
    for reading in readings:
        ends = 0
        for i in range(len(reading.text)):
            start, end = reading.span(i, i + 1)
            assert 0 <= start <= end <= len(text)
            assert end >= ends or start >= 0
            ends = end
        assert reading.span(0, len(reading.text))[1] <= len(text)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_reading_twice_changes_nothing(text: str) -> None:
    once = normalise(text).text
    assert normalise(once).text == once


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab .,!?\n\"')3…。", max_size=60), st.integers(0, 60), st.sampled_from(["clause", "sentence"]))
def test_boundaries_do_not_depend_on_what_comes_later(text: str, cut: int, grain: str) -> None:
    """A growing text only ever adds boundaries: none moves, none goes away."""
    prefix = text[:cut]
    found = boundaries(prefix, 0, grain, final=False, longest=20)  # type: ignore[arg-type]
    whole = boundaries(text, 0, grain, final=True, longest=20)  # type: ignore[arg-type]
    assert found == [b for b in whole if b <= (found[-1] if found else 0)]


@given(st.text(alphabet="ab .,!\n", max_size=200))
def test_a_final_text_is_cut_to_its_end_and_no_clause_is_too_long(text: str) -> None:
    found = boundaries(text, 0, "clause", final=True, longest=20)
    assert (found[-1] if found else 0) == len(text)
    assert all(b - a <= 21 for a, b in zip([0, *found], found, strict=False))
