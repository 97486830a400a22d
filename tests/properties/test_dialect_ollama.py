"""Whatever the network or the upstream does to a stream of Ollama's, it is read alike, and ours ends well formed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.core.model import Message, Refusal
from guardrail.core.ports import Chat, Dialect, Frame, StreamReader
from guardrail.dialects.ollama_chat import OllamaChat
from guardrail.dialects.ollama_generate import OllamaGenerate

CHAT: Dialect = OllamaChat()
GENERATE: Dialect = OllamaGenerate()
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | st.sampled_from(
    ["é–👋", '"', "\\", "\r\n", "a\n\nb", "\u2028", "\x85", '{"content": "x"}']
)
PLACES = st.lists(st.integers(0, 100_000), max_size=40)
dialects = st.sampled_from((CHAT, GENERATE))
CALL = {"function": {"name": "look", "arguments": {"content": "x"}}}


def said(dialect: Dialect, content: str, **members: Any) -> dict[str, Any]:
    if dialect is CHAT:
        return {"message": {"role": "assistant", "content": content, **members}}
    return {"response": content, **members}


@st.composite
def values(draw: st.DrawFn, dialect: Dialect) -> list[Any]:
    """The parts of a well-formed stream."""
    parts = [
        said(dialect, draw(TEXT) if kind == "both" else "", thinking=draw(TEXT))
        if kind in ("thinking", "both")
        else said(dialect, "", tool_calls=[CALL])
        if kind == "tool"
        else said(dialect, draw(TEXT))
        for kind in draw(st.lists(st.sampled_from(["text", "text", "thinking", "both", "tool"]), max_size=6))
    ]
    end: dict[str, Any] = {"done": True, "done_reason": draw(st.sampled_from(["stop", "length"]))}
    head = {"model": "m", "created_at": "2026-01-02T03:04:05Z"}
    last = said(dialect, draw(st.just("") | TEXT))
    return [*({**head, **part, "done": False} for part in parts), {**head, **last, **end, "eval_count": 1}]


@st.composite
def streams(draw: st.DrawFn) -> tuple[Dialect, bytes]:
    """A dialect and a well-formed stream of it, in one of the ways servers write them."""
    dialect = draw(dialects)
    end, ascii_only = draw(st.sampled_from(["\n", "\r\n", " \n"])), draw(st.booleans())
    lines = [json.dumps(v, ensure_ascii=ascii_only) + end for v in draw(values(dialect))]
    if draw(st.booleans()):
        lines[-1] = lines[-1].rstrip()
    for _ in range(draw(st.integers(0, 2))):
        lines.insert(draw(st.integers(0, len(lines) - 1)), end)
    return dialect, "".join(lines).encode()


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
    if not isinstance(value, dict):
        return []
    own = [v for k, v in value.items() if k in ("content", "response", "thinking") and isinstance(v, str)]
    return own + [text for key, inner in value.items() if key != "tool_calls" for text in said_in(inner)]


@given(st.data())
def test_all_text_is_in_the_pieces(data: st.DataObject) -> None:
    dialect = data.draw(dialects)
    for value in data.draw(values(dialect)):
        body = json.dumps(value).encode()
        (frame,) = dialect.reader().feed(body + b"\n")
        assert sorted("".join(p.text for p in frame.pieces)) == sorted("".join(said_in(value)))
        assert dialect.read_reply(body).pieces == frame.pieces


@st.composite
def damaged(draw: st.DrawFn) -> tuple[Dialect, bytes]:
    """A stream with bytes lost, doubled or overwritten, or no stream at all."""
    dialect, data = draw(streams())
    if draw(st.integers(0, 4)) == 0:
        return dialect, draw(st.binary(max_size=200))
    for _ in range(draw(st.integers(1, 4))):
        a = draw(st.integers(0, len(data)))
        b = min(len(data), a + draw(st.integers(0, 30)))
        damage = draw(st.sampled_from([b"", data[a:b] * 2, b"\xff", b"\n", b"\r", b'"', b"{}", b"[[["]))
        data = data[:a] + damage + data[b:]
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


@given(
    streams(), st.integers(0, 20), st.sampled_from(["", "Stay with me.", "Stay\u2028 with\x85 me. 👋"]), st.booleans()
)
def test_wherever_a_stream_is_cut_ours_ends_it_well_formed(
    stream: tuple[Dialect, bytes], kept: int, text: str, waits: bool
) -> None:
    dialect, data = stream
    frames, _ = read(dialect.reader(), [data])
    released = frames[:kept]
    writer = dialect.writer(Chat((Message("user", "hi"),), stream=True), reply_id="r", created=1)
    for frame in released:
        writer.released(frame)
    is_over = any(frame.end for frame in released)
    ours = b"" if is_over else (dialect.keepalive if waits else b"") + (writer.say(text) if text else b"")
    ours += writer.finish()
    whole = b"".join(frame.raw for frame in released) + ours
    again, refused = read(dialect.reader(), [whole])
    assert not refused
    assert sum(frame.end for frame in again) == 1
    assert again[: len(released)] == released
    assert "".join(p.text for f in again[len(released) :] for p in f.pieces) == ("" if is_over else text)
    assert [name for frame in again for name in frame.closes].count("content:0") == 1
    assert ours.isascii()


@given(dialects, st.binary(max_size=300))
def test_any_bytes_as_a_body_are_read_or_refused(dialect: Dialect, body: bytes) -> None:
    for use in (dialect.read_request, dialect.read_reply, lambda data: dialect.steered(data, "G")):
        try:
            use(body)
        except Refusal:
            continue


NAMES = ["messages", "role", "content", "message", "prompt", "system", "suffix", "response", "thinking", "raw", "done"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES, "error"]) | TEXT, inner, max_size=5)
    ),
    max_leaves=12,
)


@given(dialects, JSON, st.lists(st.fixed_dictionaries({"role": JSON, "content": JSON}), max_size=3))
def test_any_json_as_a_body_is_read_or_refused(dialect: Dialect, value: Any, messages: list[Any]) -> None:
    for body in (
        json.dumps(b).encode()
        for b in (value, {"messages": messages, "x": value}, {"message": value}, {"prompt": value})
    ):
        for use in (dialect.read_request, dialect.read_reply, lambda data: dialect.steered(data, "G")):
            try:
                use(body)
            except Refusal:
                continue
        read(dialect.reader(), [body])


@given(
    st.lists(st.tuples(st.sampled_from(["user", "assistant", "system", "tool"]), TEXT), min_size=1, max_size=5), TEXT
)
def test_a_steered_chat_is_the_same_with_guidance_added(turns: list[tuple[str, str]], guidance: str) -> None:
    messages = [{"role": role, "content": text} for role, text in turns]
    body = json.dumps({"messages": messages, "x": {"y": [0.1]}}).encode()
    before, after = (list(CHAT.read_request(b).messages) for b in (body, CHAT.steered(body, "G" + guidance)))
    after.remove(Message("system", "G" + guidance))
    assert after == before
    assert json.loads(CHAT.steered(body, "G"))["x"] == {"y": [0.1]}


@given(TEXT.filter(bool), TEXT, TEXT)
def test_a_steered_completion_is_the_same_with_guidance_added(prompt: str, system: str, guidance: str) -> None:
    body = json.dumps({"prompt": prompt, "system": system, "context": [1]}).encode()
    after = GENERATE.read_request(GENERATE.steered(body, "G" + guidance))
    whole = f"{system}\n\nG{guidance}" if system else "G" + guidance
    assert after.messages == (Message("system", whole), Message("user", prompt))


@given(dialects, TEXT.filter(bool), TEXT.filter(bool), st.booleans())
def test_an_exchanged_reply_reads_as_what_it_was_exchanged_for(
    dialect: Dialect, old: str, new: str, thinks: bool
) -> None:
    value = {"model": "m", **said(dialect, old, **({"thinking": old} if thinks else {})), "done": True}
    for name in ("content:0", "thinking:0")[: 1 + thinks]:
        before = {piece.channel: piece.text for piece in dialect.read_reply(json.dumps(value).encode()).pieces}
        pieces = dialect.read_reply(dialect.rewritten(json.dumps(value).encode(), {name: new})).pieces
        assert {piece.channel: piece.text for piece in pieces} == {**before, name: new}


PLACES_OF_TEXT = [("message", "content"), ("message", "thinking"), ("", "response"), ("", "thinking")]


@given(dialects, st.sampled_from(PLACES_OF_TEXT), st.booleans(), TEXT, TEXT)
def test_a_text_key_given_twice_in_a_line_never_passes(
    dialect: Dialect, place: tuple[str, str], capital: bool, first: str, second: str
) -> None:
    outer, key = place
    members = f'{{"{key}": {json.dumps(first)}, "{key.title() if capital else key}": {json.dumps(second)}}}'
    reader = dialect.reader()
    assert len(reader.feed(json.dumps(said(dialect, first)).encode() + b"\n")) == 1
    with pytest.raises(Refusal):
        reader.feed((f'{{"{outer}": {members}}}' if outer else members).encode() + b"\n")
