"""Where a reply is looked at, however it arrives."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from guardrail.core.conversation import Granularity
from guardrail.core.gate import WINDOW, Gate
from guardrail.core.ports import Frame, Piece
from guardrail.core.segments import boundaries

PIECES = st.lists(
    st.one_of(
        st.sampled_from(["Soup", ", ", "Stay.", " ", "…", "\n", "。", "3.5", ":", "x" * WINDOW]), st.text(max_size=6)
    ),
    max_size=12,
)


@given(PIECES, st.sampled_from(["clause", "sentence", "whole"]))
@example(["Stay", ","], "clause")
def test_every_sentence_is_read_whole_and_so_is_the_end(pieces: list[str], grain: Granularity) -> None:
    """A judge that is asked only where a sentence ends has read everything that leaves."""
    gate = Gate(grain, 10**6)
    read = []
    for text in [*pieces, None]:
        if text is None:
            gate.finish()
        else:
            gate.offer(Frame(b"", (Piece("content:0", text),)))
        for look in gate.looks():
            read += [look.base + cut for cut in look.cuts if cut not in look.within]
        gate.clear_all()
    assert read == boundaries("".join(pieces), 0, "sentence", final=True, longest=WINDOW)
