"""What the model is given to read: the judged turn first and whole, a bounded context, a reply sentence by sentence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guardrail.core.model import Message
from guardrail.core.segments import boundaries
from guardrail.detectors.model_input import BEFORE, JUDGED, WINDOWS, Marks, parts, windows

MARKS = Marks(0, 2, (7,), (8,))
WORDS = st.text(st.sampled_from("ab .!?,。\n\"'x"), max_size=300)


def tokens(text: str) -> list[int]:
    """A token a letter, so that what is where can be seen."""
    return [ord(letter) + 100 for letter in text]


def read(ids: tuple[int, ...]) -> str:
    return "".join(chr(i - 100) for i in ids if i >= 100)


def test_the_judged_turn_comes_first_and_the_newest_context_next() -> None:
    history = (Message("user", "first"), Message("assistant", "second"), Message("system", "never"))
    [window] = windows("judged", history, "inbound", tokens, MARKS)
    assert window.ids[:2] == (0, 7) and read(window.ids[: window.judged]) == "judged"
    assert window.ids[window.judged] == 8 and read(window.ids[window.judged :]) == "secondfirst"


@given(st.text(max_size=2000), st.lists(st.text(max_size=400), max_size=30))
def test_a_long_conversation_costs_no_more_than_a_short_one(text: str, before: list[str]) -> None:
    history = [Message("user" if at % 2 else "assistant", turn) for at, turn in enumerate(before)]
    for window in windows(text, history, "inbound", tokens, MARKS):
        assert len(window.ids) <= JUDGED + BEFORE + 4 and window.ids[0] == 0


def test_every_word_of_a_long_message_is_read_and_of_an_endless_one_the_beginning_and_the_end() -> None:
    text = " ".join(map(str, range(400)))
    made = windows(text, (), "inbound", tokens, MARKS)
    assert 1 < len(made) <= WINDOWS
    assert all(any(f" {number} " in f" {read(w.ids)} " for w in made) for number in range(400))
    endless = windows("begin " + "x" * 100_000 + " end", (), "inbound", tokens, MARKS)
    assert len(endless) == WINDOWS
    assert read(endless[0].ids).startswith("begin") and read(endless[-1].ids).endswith("end")


def test_a_reply_is_read_by_sentence_each_after_the_two_before_it() -> None:
    asked = (Message("user", "hello"),)
    found = parts("One. Two! Three? And so", asked, "outbound")
    assert [p.text for p in found] == ["One.", "Two!", "Three?", "And so"]
    assert [m.text for m in found[3].history] == ["hello", "Two! Three?"]
    assert [m.text for m in found[0].history] == ["hello"]


@given(WORDS)
def test_of_a_whole_reply_nothing_is_left_out(text: str) -> None:
    found = parts(text + " end", (), "outbound")
    inside = {at for part in found for at in range(*part.span)}
    assert all(at in inside or letter.isspace() for at, letter in enumerate(text + " end"))


@given(WORDS)
def test_a_reply_that_grows_is_read_once_whatever_the_pieces(text: str) -> None:
    """What was read when a sentence ended is what is read of it in the whole: it comes from memory."""
    whole = [(p.text, [m.text for m in p.history]) for p in parts(text, (), "outbound")]
    for end in boundaries(text, 0, "sentence", final=False):
        before = [(p.text, [m.text for m in p.history]) for p in parts(text[:end], (), "outbound")]
        assert before == whole[: len(before)]
