"""Whatever a judge answers: calm is one exact form, and everything else a failure."""

from __future__ import annotations

import itertools
import json
import re

from hypothesis import example, given
from hypothesis import strategies as st

from guardrail.core.model import CATEGORIES, OUTBOUND_SIGNALS, Direction, Message, Signal
from guardrail.detectors.run import Unread
from guardrail.judges import prompt
from guardrail.judges.chat import LLAMA_GUARD, Chat, Json, LlamaGuard
from guardrail.judges.classifier import PIECE, pieces
from guardrail.judges.moderation import OPENAI, Moderation

NAMES = (*CATEGORIES, *OUTBOUND_SIGNALS, "none", "safe", "")
directions = st.sampled_from(("inbound", "outbound"))
near = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(("", " ", "\n\n", "\t", "\xa0", "The answer: ", "```")),
    st.sampled_from(("safe", "unsafe", "Safe", "safe.", "unsafe\nS11", "unsafe\nS2,S11", "unsafe S11", "unsafe\n")),
    st.sampled_from(("", ",", "\nsafe", "\nS1", " ok")),
    st.sampled_from(("", " ", "\n", "\r\n", "\x00")),
)
objects = st.fixed_dictionaries(
    {},
    optional={
        "severity": st.one_of(st.integers(-1, 5), st.booleans(), st.floats(), st.text(max_size=2)),
        "category": st.sampled_from(NAMES),
        "subject": st.sampled_from(("self", "other", "child", "nobody")),
        "reason": st.text(max_size=5),
        "safe": st.booleans(),
    },
).map(json.dumps)


def read(form: Json | LlamaGuard, answer: str, direction: Direction) -> list[Signal] | None:
    try:
        return form.signals(answer, direction, 4)
    except Unread as error:
        assert error.reason == "invalid"
        return None


@given(st.one_of(st.text(), near), directions)
@example("safe", "inbound")
def test_a_guard_is_calm_by_one_word_alone(answer: str, direction: Direction) -> None:
    found = read(LlamaGuard("judge", LLAMA_GUARD), answer, direction)
    if found == [] and "unsafe" not in answer:
        assert answer.strip(" \n") == "safe"
    elif found is not None:
        assert re.fullmatch(r"unsafe\n[A-Z0-9, ]+", answer.strip(" \n"))
        assert bool(found) == any(
            code in LLAMA_GUARD for code in re.split(r"\W+", answer) if code != "S6" or direction == "outbound"
        )


@given(st.one_of(st.text(), near, objects, objects.map(lambda text: text + " ")), directions)
@example('{"severity": 0, "category": "none"}', "inbound")
def test_a_judgement_is_one_object_of_the_form_or_a_failure(answer: str, direction: Direction) -> None:
    found = read(Json("judge", "policy"), answer, direction)
    if found is None:
        return
    said = json.loads(answer)
    assert set(said) <= {"severity", "category", "subject", "reason"} and type(said["severity"]) is int
    if found:
        assert [(s.name, s.severity) for s in found] == [(said["category"], said["severity"])]
    else:
        assert (said["severity"], said["category"]) == (0, "none")


@given(st.binary(max_size=200), directions)
def test_bytes_that_are_no_answer_are_a_failure(answer: bytes, direction: Direction) -> None:
    for speech in (Moderation("judge", "m", OPENAI), Chat("m", Json("judge", "policy"), 9)):
        try:
            speech.signals(answer, direction, 4)
        except Unread as error:
            assert error.reason == "invalid"
        else:
            raise AssertionError("nothing this short is an answer of either form")


@given(st.lists(st.tuples(st.sampled_from(("user", "assistant", "system")), st.text())), st.text(), directions)
def test_nothing_in_a_conversation_gets_out_of_its_place(
    turns: list[tuple[str, str]], text: str, direction: Direction
) -> None:
    history = [Message(role, said) for role, said in turns]  # type: ignore[arg-type]
    begin, *lines, end = prompt.data(text, history, direction).split("\n")
    assert (begin, end) == (prompt.BEGIN, prompt.END) and not any("<" in line or ">" in line for line in lines)
    shown = [json.loads(line) for line in lines]
    assert shown[-1]["text"] == text and [line.get("judged", False) for line in shown].count(True) == 1
    roles = [message["role"] for message in prompt.roles(text, history, direction)]
    assert roles[0] == "user" and all(a != b for a, b in itertools.pairwise(roles))
    assert roles[-1] == ("user" if direction == "inbound" else "assistant")


@given(st.text(max_size=3 * PIECE), st.integers(0, 3 * PIECE))
def test_a_text_in_pieces_leaves_nothing_out(text: str, more: int) -> None:
    text += "x" * more
    assert all(len(piece) <= PIECE for piece in pieces(text))
    again = ""
    for at, piece in enumerate(pieces(text)):
        again = again[: at * 300] + piece
    assert again == text
