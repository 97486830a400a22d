"""Whatever the network or the upstream does to a stream, it is read alike, and ours ends well formed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.core.model import Message, Refusal
from guardrail.core.ports import Chat, Dialect, Frame, StreamReader
from guardrail.dialects import ALL

OPENAI, ANTHROPIC = ALL[:2]
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | st.sampled_from(
    ["é–👋", '"', "\\", "\r\n", "a\n\nb"]
)
dialects = st.sampled_from((OPENAI, ANTHROPIC))


def as_sse(value: Any, name: str, ascii_only: bool, end: str) -> bytes:
    head = f"event: {name}{end}" if name else ""
    return f"{head}data: {json.dumps(value, ensure_ascii=ascii_only)}{end}{end}".encode()


@st.composite
def openai_streams(draw: st.DrawFn) -> list[Any]:
    count = draw(st.integers(1, 3))
    values: list[Any] = []
    for index in range(count):
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        for field in draw(st.lists(st.sampled_from(["content", "refusal", "reasoning", "tool"]), max_size=5)):
            call = {"tool_calls": [{"index": 0, "function": {"arguments": draw(TEXT)}}]}
            deltas.append(call if field == "tool" else {field: draw(TEXT)})
        values += [{"choices": [{"index": index, "delta": d, "finish_reason": None}]} for d in deltas]
        values.append({"choices": [{"index": index, "delta": {}, "finish_reason": "stop"}]})
    if draw(st.booleans()):
        values.append({"choices": [], "usage": {"total_tokens": 1}})
    return [{"id": "c", "created": 1, "model": "m", **value} for value in values]


@st.composite
def anthropic_streams(draw: st.DrawFn) -> list[Any]:
    values: list[Any] = [{"type": "message_start", "message": {"id": "i", "content": []}}]
    for index, kind in enumerate(
        draw(st.lists(st.sampled_from(["text", "thinking", "tool_use", "new_kind"]), max_size=4))
    ):
        values.append({"type": "content_block_start", "index": index, "content_block": {"type": kind}})
        member = {"text": "text", "thinking": "thinking", "tool_use": "partial_json", "new_kind": "what"}[kind]
        for text in draw(st.lists(TEXT, max_size=4)):
            values.append(
                {"type": "content_block_delta", "index": index, "delta": {"type": f"{kind}_delta", member: text}}
            )
        if draw(st.booleans()):
            values.append({"type": "ping"})
        values.append({"type": "content_block_stop", "index": index})
    return [*values, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"}]


@st.composite
def streams(draw: st.DrawFn) -> tuple[Dialect, bytes]:
    """A dialect and a well-formed stream of it, in one of the ways servers write them."""
    end, ascii_only = draw(st.sampled_from(["\n", "\r\n", "\r"])), draw(st.booleans())
    if draw(st.booleans()):
        events = [as_sse(value, "", ascii_only, end) for value in draw(openai_streams())]
        dialect, tail = OPENAI, f"data: [DONE]{end}{end}".encode()
    else:
        events = [as_sse(value, value["type"], ascii_only, end) for value in draw(anthropic_streams())]
        dialect, tail = ANTHROPIC, b""
    for _ in range(draw(st.integers(0, 2))):
        events.insert(draw(st.integers(0, len(events) - 1)), f": wait{end}{end}".encode())
    return dialect, b"".join(events) + tail


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    return [data[a:b] for a, b in zip([0, *ends], ends, strict=False)]


def read(reader: StreamReader, parts: Iterable[bytes]) -> tuple[list[Frame], bool]:
    """Frames up to the end or the refusal, and whether it was refused. Nothing else may be raised."""
    frames: list[Frame] = []
    try:
        for part in parts:
            frames += reader.feed(part)
        frames += reader.close()
    except Refusal:
        return frames, True
    return frames, False


PLACES = st.lists(st.integers(0, 100_000), max_size=40)


@given(streams(), PLACES)
def test_frames_do_not_depend_on_where_bytes_were_split(stream: tuple[Dialect, bytes], places: list[int]) -> None:
    dialect, data = stream
    frames, refused = read(dialect.reader(), [data])
    assert not refused
    assert b"".join(frame.raw for frame in frames) == data
    assert read(dialect.reader(), cut(data, places)) == (frames, False)
    assert read(dialect.reader(), [data[i : i + 1] for i in range(len(data))]) == (frames, False)


def said_in(value: Any) -> list[str]:
    """Every string under a key that holds text for a human, found without knowing the dialect."""
    if isinstance(value, list):
        return [text for inner in value for text in said_in(inner)]
    if not isinstance(value, dict):
        return []
    own = [
        v
        for k, v in value.items()
        if k in ("content", "refusal", "reasoning", "text", "thinking") and isinstance(v, str)
    ]
    return own + [text for inner in value.values() for text in said_in(inner)]


@given(st.data())
def test_all_text_of_a_stream_is_in_its_pieces(data: st.DataObject) -> None:
    dialect, values = (
        (OPENAI, data.draw(openai_streams()))
        if data.draw(st.booleans())
        else (ANTHROPIC, data.draw(anthropic_streams()))
    )
    frames = [frame for value in values for frame in dialect.reader().feed(as_sse(value, "", True, "\n"))]
    assert ["".join(p.text for p in frame.pieces) for frame in frames] == ["".join(said_in(value)) for value in values]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[Dialect, bytes]:
    """A stream with bytes lost, doubled or overwritten, or no stream at all."""
    dialect, data = draw(streams())
    if draw(st.integers(0, 4)) == 0:
        return dialect, draw(st.binary(max_size=200))
    for _ in range(draw(st.integers(1, 4))):
        a = draw(st.integers(0, len(data)))
        b = min(len(data), a + draw(st.integers(0, 30)))
        data = (
            data[:a]
            + draw(st.sampled_from([b"", data[a:b] * 2, b"\xff", b"\n\n", b"\r", b'"', b"data: ", b"[[["]))
            + data[b:]
        )
    return dialect, data


@given(damaged(), PLACES)
def test_a_damaged_stream_is_refused_at_the_same_frame_under_every_split(
    stream: tuple[Dialect, bytes], places: list[int]
) -> None:
    dialect, data = stream
    frames, refused = read(dialect.reader(), [data])
    assert read(dialect.reader(), cut(data, places)) == (frames, refused)
    whole = b"".join(frame.raw for frame in frames)
    assert data.startswith(whole)
    assert refused or whole == data


@given(streams(), st.integers(0, 60), st.booleans(), st.booleans(), st.integers(1, 3))
def test_wherever_a_stream_is_cut_ours_ends_it_well_formed(
    stream: tuple[Dialect, bytes], kept: int, speaks: bool, usage: bool, choices: int
) -> None:
    dialect, data = stream
    frames, _ = read(dialect.reader(), [data])
    released = frames[:kept]
    chat = Chat((Message("user", "hi"),), stream=True, choices=choices, include_usage=usage)
    writer = dialect.writer(chat, reply_id="r", created=1)
    for frame in released:
        writer.released(frame)
    is_over = any(frame.end for frame in released)
    ours = (writer.say("Stay with me.") if speaks and not is_over else b"") + writer.finish()
    again, refused = read(dialect.reader(), [b"".join(frame.raw for frame in released) + ours])
    assert not refused
    assert sum(frame.end for frame in again) == 1
    assert again[: len(released)] == released
    closed = [name for frame in again for name in frame.closes if name.startswith("content:")]
    opened = {piece.channel for frame in again for piece in frame.pieces if piece.channel.startswith("content:")}
    assert len(closed) == len(set(closed))
    assert opened <= set(closed)
    if dialect is OPENAI and not is_over:
        assert {f"content:{index}" for index in range(choices)} <= set(closed)


@given(dialects, st.binary(max_size=300))
def test_any_bytes_as_a_body_are_read_or_refused(dialect: Dialect, body: bytes) -> None:
    for use in (dialect.read_request, dialect.read_reply, lambda data: dialect.steered(data, "G")):
        try:
            use(body)
        except Refusal:
            continue


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["messages", "role", "content", "text", "type", "choices", "message", "index", "system", "n"]
            )
            | TEXT,
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(
    dialects,
    JSON,
    st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "tool"]), "content": JSON}), max_size=3),
)
def test_any_json_as_a_body_is_read_or_refused(dialect: Dialect, value: Any, messages: list[Any]) -> None:
    bodies = [
        value,
        {"messages": messages, "extra": value},
        {"choices": [{"message": m} for m in messages], "content": value},
    ]
    for body in (json.dumps(b).encode() for b in bodies):
        for use in (dialect.read_request, dialect.read_reply, lambda data: dialect.steered(data, "G")):
            try:
                use(body)
            except Refusal:
                continue


@given(dialects, st.lists(TEXT.filter(bool), min_size=1, max_size=4), TEXT)
def test_a_steered_conversation_is_the_same_with_guidance_added(
    dialect: Dialect, texts: list[str], guidance: str
) -> None:
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
    body = json.dumps({"messages": messages, "x": {"y": [0.1]}}).encode()
    before, after = dialect.read_request(body), dialect.read_request(dialect.steered(body, "G" + guidance))
    assert after.messages == (Message("system", "G" + guidance), *before.messages)


@given(dialects, TEXT.filter(bool), TEXT.filter(bool))
def test_an_exchanged_reply_reads_as_what_it_was_exchanged_for(dialect: Dialect, old: str, new: str) -> None:
    chat = Chat((Message("user", "hi"),), choices=1)
    whole = dialect.replacement(chat, old, reply_id="r", created=1)
    name = dialect.read_reply(whole).pieces[0].channel
    pieces = dialect.read_reply(dialect.rewritten(whole, {name: new})).pieces
    assert [(piece.channel, piece.text) for piece in pieces] == [(name, new)]


@given(dialects, st.data())
def test_a_text_key_given_twice_in_a_frame_never_passes(dialect: Dialect, data: st.DataObject) -> None:
    keys = ["content", "refusal", "reasoning"] if dialect is OPENAI else ["text", "thinking"]
    key, first, second = data.draw(st.sampled_from(keys)), data.draw(TEXT), data.draw(TEXT)

    def frame(*texts: str) -> bytes:
        members = ", ".join(f'"{key}": {json.dumps(text)}' for text in texts)
        value = '{"choices": [{"index": 0, "delta": {%s}}]}' if dialect is OPENAI else '{"index": 0, "delta": {%s}}'
        return b"event: content_block_delta\ndata: " + value.replace("%s", members).encode() + b"\n\n"

    reader = dialect.reader()
    assert len(reader.feed(frame(data.draw(TEXT)))) == 1
    with pytest.raises(Refusal):
        reader.feed(frame(first, second))
