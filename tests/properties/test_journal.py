"""Laws of the chain: whatever is written verifies, and whatever is then changed, at any byte, does not."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from guardrail.journal import Journal, Report, verify
from guardrail.journal.kinds import KINDS, RecordRefused, encoded

KEY = b"k" * 32
COUNT = 12


def journal_of(count: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal.open(Path(folder), KEY, lambda: 1_800_000_000.0)
        for number in range(count):
            journal.append("latch", {"conversation": f"c{number}", "before": 0, "after": 3})
        journal.close()
        global HEADS
        HEADS = (Path(folder) / "journal" / "heads.json").read_bytes()
        return (Path(folder) / "journal" / "00000001.jsonl").read_bytes()


HEADS = b""
WHOLE = journal_of(COUNT)
LINES = WHOLE.splitlines(keepends=True)


def report(data: bytes) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal"
        journal.mkdir()
        (journal / "00000001.jsonl").write_bytes(data)
        (journal / "heads.json").write_bytes(HEADS)
        return verify(Path(folder), KEY)


def test_the_untouched_journal_is_as_it_was_written() -> None:
    assert report(WHOLE).ok and report(WHOLE).entries == COUNT


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_any_changed_byte_shows_at_its_record(place: int, flip: int) -> None:
    changed = bytearray(WHOLE)
    changed[place] ^= flip
    found = report(bytes(changed))
    record = WHOLE[:place].count(b"\n") + 1
    assert not found.ok
    assert record in [problem.n for problem in found.problems]


@given(st.sets(st.integers(0, COUNT - 1), min_size=1))
def test_any_records_taken_out_are_named_exactly(gone: set[int]) -> None:
    found = report(b"".join(line for number, line in enumerate(LINES) if number not in gone))
    named = {n for p in found.problems if p.kind in ("dropped", "cut") for n in range(p.n, p.n + p.count)}
    assert named == {number + 1 for number in gone}


@given(st.permutations(range(COUNT)))
def test_any_other_order_shows(order: list[int]) -> None:
    assert report(b"".join(LINES[number] for number in order)).ok == (order == sorted(order))


@given(st.integers(0, COUNT), st.integers(0, COUNT - 1))
def test_a_record_put_in_twice_shows(place: int, which: int) -> None:
    assert not report(b"".join((*LINES[:place], LINES[which], *LINES[place:]))).ok


@given(st.binary(max_size=300), st.integers(0, COUNT))
def test_anything_put_in_shows_and_nothing_breaks_the_check(junk: bytes, place: int) -> None:
    found = report(b"".join((*LINES[:place], junk + b"\n", *LINES[place:])))
    assert not found.ok and found.entries == COUNT


@given(st.integers(0, len(WHOLE) - 1))
def test_a_cut_at_any_byte_shows(place: int) -> None:
    assert not report(WHOLE[:place]).ok


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@given(st.sampled_from(sorted(KINDS)), st.dictionaries(st.text(max_size=12), VALUES, max_size=4))
def test_a_field_that_is_not_declared_is_never_written(kind: str, fields: dict[str, object]) -> None:
    try:
        encoded(kind, fields)
    except RecordRefused:
        return
    assert set(fields) <= KINDS[kind]
