"""What must hold for every reply, however its bytes arrive."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.core.conversation import Episode, State, Trajectory
from guardrail.core.events import UpstreamChunk, UpstreamHeaders
from guardrail.core.ports import Dialect
from guardrail.dialects.anthropic_messages import AnthropicMessages
from guardrail.dialects.openai_chat import OpenAIChat
from tests.playbook import MARKS, Pump
from tests.wire import anthropic_stream, openai_reply, openai_stream, said, said_whole

CALM = State("c1")
ELEVATED = State("c1", Trajectory(level=2.0, peak=2, seen_at=99.0), Episode(referred=True))
LATCHED = State("c1", Trajectory(level=3.0, peak=3, latch=3, latch_evidence_at=90.0, seen_at=99.0), Episode(answered=3))
STATES = st.sampled_from([CALM, ELEVATED, LATCHED])

ORDINARY = [
    "Soup",
    " and",
    " bread.",
    " Yes",
    ", truly",
    "!",
    "\n",
    " é",
    "🍲",
    "。",
    " 3.5",
    " e.g.",
    " so",
    ";",
    ", so ",
]
HARM = ["METHOD", " METHOD", " HUMAN", "HUM", "AN", " METHOD.", " HUMAN, "]
WORDS = st.lists(st.sampled_from(ORDINARY + HARM), min_size=1, max_size=25)
CALM_WORDS = st.lists(st.sampled_from(ORDINARY), min_size=1, max_size=25)
OUTBOUND_MARKS = [mark for mark, (name, _) in MARKS.items() if name in ("method_information", "claims_human")]


@st.composite
def split(draw: st.DrawFn, body: bytes) -> list[bytes]:
    cuts = draw(st.lists(st.integers(0, len(body)), max_size=12))
    return [body[a:b] for a, b in pairwise([0, *sorted(cuts), len(body)])]


def dialect_and_body(openai: bool, words: list[str]) -> tuple[Dialect, bytes]:
    return (
        (OpenAIChat(), openai_stream(words, usage=True)) if openai else (AnthropicMessages(), anthropic_stream(words))
    )


def run(dialect: Dialect, state: State, chunks: list[bytes], turn: str = "Hello") -> Pump:
    return Pump(dialect).open(("user", turn), state=state, known=0).answer(chunks)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.booleans(), STATES, WORDS)
def test_chunking_changes_neither_the_verdict_nor_what_is_said(
    data: st.DataObject, openai: bool, state: State, words: list[str]
) -> None:
    dialect, body = dialect_and_body(openai, words)
    whole = run(dialect, state, [body])
    parts = run(dialect, state, data.draw(split(body)))
    bytewise = run(dialect, state, [body[i : i + 1] for i in range(len(body))])
    assert whole.body == parts.body == bytewise.body
    assert whole.exchange.final == parts.exchange.final == bytewise.exchange.final


@settings(max_examples=150, deadline=None)
@given(st.data(), st.booleans(), STATES, WORDS)
def test_nothing_uninspected_or_harmful_is_released(
    data: st.DataObject, openai: bool, state: State, words: list[str]
) -> None:
    dialect, body = dialect_and_body(openai, words)
    pump = Pump(dialect).open(("user", "Hello"), state=state)
    text = "".join(words)
    pump.feed(UpstreamHeaders(101.0, 200, dialect.stream_type))
    for chunk in data.draw(split(body)):
        if pump.done or pump.closed:
            break
        pump.feed(UpstreamChunk(102.0, chunk))
        shown = said(pump.body)
        for mark in OUTBOUND_MARKS:
            assert mark not in shown
        original = shown.split("I am an AI.")[0].split("\n\nUNSAFE")[0].removesuffix("UNSAFE, so I stopped.")
        if original and text.startswith(original):
            assert any(looked.endswith(original) or original in looked for looked in pump.looked_at)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.booleans(), STATES, CALM_WORDS)
def test_a_reply_that_passes_is_byte_identical(
    data: st.DataObject, openai: bool, state: State, words: list[str]
) -> None:
    dialect, body = dialect_and_body(openai, words)
    assert run(dialect, state, data.draw(split(body))).body == body


@settings(max_examples=150, deadline=None)
@given(st.data(), st.booleans(), STATES, WORDS, st.integers(0, 400))
def test_every_stream_ends_well_formed_or_torn(
    data: st.DataObject, openai: bool, state: State, words: list[str], lost: int
) -> None:
    dialect, body = dialect_and_body(openai, words)
    pump = run(dialect, state, data.draw(split(body[: max(0, len(body) - lost)])))
    assert pump.done
    if pump.torn:
        assert b'"error"' in pump.body and state is CALM
        return
    reader = dialect.reader()
    frames = reader.feed(pump.body) + reader.close()
    assert b"".join(frame.raw for frame in frames) == pump.body


@settings(max_examples=100, deadline=None)
@given(WORDS)
def test_a_json_reply_holds_no_harm(words: list[str]) -> None:
    pump = Pump(OpenAIChat()).open(("user", "Hello"), stream=False).answer([openai_reply("".join(words))], stream=False)
    text = said_whole(pump.body)
    assert pump.status == 200 and not any(mark in text for mark in OUTBOUND_MARKS)
    assert text.strip() or not "".join(words).strip()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=8), STATES)
def test_arbitrary_bytes_from_the_upstream_are_always_answered(chunks: list[bytes], state: State) -> None:
    pump = run(OpenAIChat(), state, chunks)
    assert pump.done
    if state is not CALM:
        assert pump.status == 200 and not pump.torn
