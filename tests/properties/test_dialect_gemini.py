"""Whatever the network or the upstream does to a Gemini stream, it is read alike, and ours ends well formed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.core.model import Message, Refusal
from guardrail.core.ports import Chat, Dialect, Frame, StreamReader
from guardrail.dialects.gemini import Gemini, GeminiArray
from guardrail.dialects.gemini_json import snake

WHOLE, EVENTS, ARRAY = Gemini("whole"), Gemini("events"), GeminiArray()
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | st.sampled_from(
    ["é–👋", '"', "\\", "\r\n", "a\n\nb", "}]", '{"', "\u2028"]
)
KEYS_OF_TEXT = ("text", "output", "code", "finishMessage", "caption")

thoughts = st.builds(lambda text: {"text": text, "thought": True}, TEXT)
said = st.builds(lambda text: {"text": text}, TEXT)
calls = st.builds(lambda text: {"functionCall": {"name": "f", "args": {"a": text}}}, TEXT)
code = st.builds(lambda text: {"executableCode": {"code": text}}, TEXT)
printed = st.builds(lambda text: {"codeExecutionResult": {"output": text}}, TEXT)
unknown = st.builds(lambda text: {"newKind": {"inner": [{"caption": text}]}}, TEXT)
pictures = st.just({"inlineData": {"mimeType": "image/png", "data": "QUFB"}})
PARTS = st.lists(said | thoughts | calls | code | printed | unknown | pictures, max_size=3)


@st.composite
def responses(draw: st.DrawFn) -> list[Any]:
    """The responses of a well-formed stream of one to three candidates, one after another or side by side."""
    count = draw(st.integers(1, 3))
    values: list[Any] = []
    for _ in range(draw(st.integers(0, 4))):
        shown = draw(st.lists(st.sampled_from(range(count)), max_size=3, unique=True))
        values.append({"candidates": [{"index": i, "content": {"parts": draw(PARTS), "role": "model"}} for i in shown]})
    for index in draw(st.permutations(range(count))):
        last = {"content": {"parts": draw(PARTS)}} if draw(st.booleans()) else {"finishMessage": draw(TEXT)}
        values.append({"candidates": [{"index": index, "finishReason": "STOP", **last}]})
    if draw(st.booleans()):
        values.append({"usageMetadata": {"totalTokenCount": 1}})
    return [{**value, "modelVersion": "m", "responseId": "r"} for value in values]


def written(value: Any, ascii_only: bool, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=ascii_only, indent=indent)


def as_events(values: Iterable[Any], ascii_only: bool, end: str) -> list[bytes]:
    return [f"data: {written(value, ascii_only)}{end}{end}".encode() for value in values]


@st.composite
def streams(draw: st.DrawFn) -> tuple[Dialect, bytes]:
    """A dialect and a well-formed stream of it, in one of the ways servers write them."""
    values, ascii_only = draw(responses()), draw(st.booleans())
    if draw(st.booleans()):
        end = draw(st.sampled_from(["\r\n", "\n", "\r"]))
        events = as_events(values, ascii_only, end)
        for _ in range(draw(st.integers(0, 2))):
            events.insert(
                draw(st.integers(0, len(events) - 1)), draw(st.sampled_from([f": wait{end}{end}", end])).encode()
            )
        return EVENTS, b"".join(events)
    indent, comma = draw(st.sampled_from([None, 2])), draw(st.sampled_from([",", "\n,\n", " \r\n, "]))
    body = comma.join(written(value, ascii_only, indent) for value in values)
    return ARRAY, f"{draw(st.sampled_from(['', ' ']))}[{body}]{draw(st.sampled_from(['', chr(10)]))}".encode()


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
    own = [inner for key, inner in value.items() if key in KEYS_OF_TEXT and isinstance(inner, str)]
    return own + [text for inner in value.values() for text in said_in(inner)]


def spoken(texts: Iterable[str]) -> str:
    return "".join("".join(texts).split())


@given(responses(), st.booleans())
def test_all_text_of_a_stream_is_in_its_pieces(values: list[Any], in_snake_case: bool) -> None:
    for value in values:
        data = written(respelled(value) if in_snake_case else value, True)
        (frame,) = EVENTS.reader().feed(f"data: {data}\n\n".encode())
        whole = WHOLE.read_reply(data.encode())
        for pieces in (frame.pieces, whole.pieces):
            assert sorted(spoken(p.text for p in pieces)) == sorted(spoken(said_in(value)))


def respelled(value: Any) -> Any:
    if isinstance(value, list):
        return [respelled(inner) for inner in value]
    if isinstance(value, dict):
        return {snake(key): respelled(inner) for key, inner in value.items()}
    return value


@st.composite
def damaged(draw: st.DrawFn) -> tuple[Dialect, bytes]:
    """A stream with bytes lost, doubled or overwritten, or no stream at all."""
    dialect, data = draw(streams())
    if draw(st.integers(0, 4)) == 0:
        return dialect, draw(st.binary(max_size=200))
    for _ in range(draw(st.integers(1, 4))):
        a = draw(st.integers(0, len(data)))
        b = min(len(data), a + draw(st.integers(0, 30)))
        noise = [b"", data[a:b] * 2, b"\xff", b"\n\n", b"\r", b'"', b"data: ", b"[[[", b"]", b",", b'{"text":"a"}']
        data = data[:a] + draw(st.sampled_from(noise)) + data[b:]
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


@given(streams(), st.integers(0, 20), st.booleans(), st.booleans(), st.integers(1, 3))
def test_wherever_a_stream_is_cut_ours_ends_it_well_formed(
    stream: tuple[Dialect, bytes], kept: int, speaks: bool, waits: bool, choices: int
) -> None:
    dialect, data = stream
    frames, _ = read(dialect.reader(), [data])
    released = frames[:kept]
    writer = dialect.writer(Chat((Message("user", "hi"),), stream=True, choices=choices), reply_id="r", created=1)
    for frame in released:
        writer.released(frame)
    is_over = any(frame.end for frame in released)
    waiting = dialect.keepalive if waits and not is_over else b""
    ours = (writer.say("Stay with me.") if speaks and not is_over else b"") + writer.finish()
    sent = b"".join(frame.raw for frame in released) + waiting + ours
    again, refused = read(dialect.reader(), [sent])
    assert not refused
    assert [frame.pieces for frame in again if frame.pieces][: len([f for f in released if f.pieces])] == [
        frame.pieces for frame in released if frame.pieces
    ]
    closed = [name for frame in again for name in frame.closes if name.startswith("content:")]
    opened = {piece.channel for frame in again for piece in frame.pieces if piece.channel.startswith("content:")}
    assert len(closed) == len(set(closed))
    assert opened <= set(closed)
    if dialect is ARRAY:
        assert isinstance(json.loads(sent), list)
        assert sum(frame.end for frame in again) == 1
    if not is_over:
        assert {f"content:{index}" for index in range(choices)} <= set(closed)


forms = st.sampled_from((WHOLE, EVENTS, ARRAY))


@given(forms, st.binary(max_size=300))
def test_any_bytes_as_a_body_are_read_or_refused(dialect: Dialect, body: bytes) -> None:
    for use in (dialect.read_request, dialect.read_reply, lambda data: dialect.steered(data, "G")):
        try:
            use(body)
        except Refusal:
            continue


NAMES = [
    "contents",
    "role",
    "parts",
    "text",
    "thought",
    "systemInstruction",
    "system_instruction",
    "generationConfig",
    "candidateCount",
    "candidates",
    "content",
    "index",
    "finishReason",
    "finishMessage",
    "promptFeedback",
    "blockReason",
    "error",
    "inlineData",
    "mimeType",
    "data",
    "functionCall",
    "functionResponse",
    "response",
    "groundingMetadata",
    "searchEntryPoint",
    "renderedContent",
    "groundingSupports",
    "segment",
    "cachedContent",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.just("text/plain"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | TEXT, inner, max_size=5),
    max_leaves=12,
)


@given(JSON, JSON)
def test_any_json_as_a_body_is_read_or_refused(value: Any, other: Any) -> None:
    bodies = [
        value,
        {"contents": [{"parts": [value], "role": other}], "systemInstruction": other, "generationConfig": value},
        {"contents": value, "cachedContent": other},
        {"candidates": [{"content": {"parts": [value, {"text": "a"}]}, "index": other}]},
        {"candidates": [value], "promptFeedback": other},
        {"candidates": [{"groundingMetadata": value, "finishReason": other}]},
    ]
    for data in (json.dumps(body).encode() for body in bodies):
        for use in (WHOLE.read_request, exchange, lambda data: WHOLE.steered(data, "G"), stream_of):
            try:
                use(data)
            except Refusal:
                continue


def exchange(data: bytes) -> None:
    """What can be read can also be exchanged, and says then what it was exchanged for."""
    pieces = WHOLE.read_reply(data).pieces
    channels = {p.channel for p in pieces if p.channel.startswith(("content:", "thinking:"))}
    after = WHOLE.read_reply(WHOLE.rewritten(data, dict.fromkeys(channels, "new")))
    assert {(p.channel, p.text) for p in after.pieces if p.channel in channels} == {(c, "new") for c in channels}


def stream_of(data: bytes) -> None:
    """What can be read as a frame can also be taken note of."""
    for dialect, raw in ((EVENTS, b"data: " + data + b"\r\n\r\n"), (ARRAY, b"[" + data)):
        writer = dialect.writer(Chat(()), reply_id="r", created=1)
        for frame in dialect.reader().feed(raw):
            writer.released(frame)
        writer.finish()


@given(st.lists(TEXT.filter(bool), min_size=1, max_size=4), TEXT, st.sampled_from(["", "S"]), st.booleans())
def test_a_steered_conversation_is_the_same_with_guidance_added(
    texts: list[str], guidance: str, system: str, in_snake_case: bool
) -> None:
    contents = [{"role": ("user", "model")[i % 2], "parts": [{"text": text}]} for i, text in enumerate(texts)]
    request: dict[str, Any] = {"contents": contents, "x": {"y": [0.1]}}
    if system:
        request["systemInstruction"] = {"parts": [{"text": system}]}
    body = json.dumps(respelled(request) if in_snake_case else request).encode()
    before, after = WHOLE.read_request(body), WHOLE.read_request(WHOLE.steered(body, "G" + guidance))
    guided = f"{system}\nG{guidance}" if system else f"G{guidance}"
    assert after.messages == (Message("system", guided), *before.messages[bool(system) :])


@given(TEXT.filter(bool), TEXT, st.integers(1, 3))
def test_an_exchanged_reply_reads_as_what_it_was_exchanged_for(old: str, new: str, choices: int) -> None:
    whole = WHOLE.replacement(Chat((), choices=choices), old, reply_id="r", created=1)
    name = f"content:{choices - 1}"
    pieces = WHOLE.read_reply(WHOLE.rewritten(whole, {name: new})).pieces
    kept = [(f"content:{index}", old) for index in range(choices - 1)]
    assert [(p.channel, p.text) for p in pieces if p.text] == kept + [(name, new)] * bool(new)


spellings = st.sampled_from(["text", "Text", "TEXT", "te_xt", "_text", "t\\u0065xt"])


@given(spellings, spellings, TEXT, TEXT, TEXT)
def test_a_text_key_given_twice_or_in_another_spelling_never_passes(
    one: str, other: str, before: str, first: str, second: str
) -> None:
    def part(*members: tuple[str, str]) -> str:
        return "{" + ", ".join(f'"{key}": {json.dumps(text)}' for key, text in members) + "}"

    doubled = part((one, first), (other, second))
    plain = part(("text", before))
    for opening, dialect in (("data: ", EVENTS), ("[", ARRAY)):
        shape = opening + '{"candidates": [{"content": {"parts": [%s]}}]}' + ("\r\n\r\n" if dialect is EVENTS else "")
        assert dialect.reader().feed((shape % plain).encode())
        reader = dialect.reader()
        with pytest.raises(Refusal):
            reader.feed((shape % doubled).encode())
            reader.feed(b"")
    for body in (
        '{"contents": [{"parts": [%s]}]}',
        '{"contents": [{"parts": []}], "systemInstruction": {"parts": %s}}',
    ):
        with pytest.raises(Refusal):
            WHOLE.read_request((body % doubled).encode())
