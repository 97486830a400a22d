"""However an operator's API is described, and whatever comes over the wire: it is read alike, wholly, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.core.model import Message, Refusal
from guardrail.core.ports import Chat, Frame, StreamReader
from guardrail.dialects import json_pointer
from guardrail.dialects.json_api import JsonApi
from guardrail.dialects.json_layout import Layout
from guardrail.dialects.json_pointer import built, changed, follow

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | st.sampled_from(
    ["é–👋", '"', "\\", "\r\n", "a\n\nb", "\u2028", "[DONE]"]
)


def api(**stream: Any) -> JsonApi:
    entry = {
        "path": "/chat",
        "request": {"text": "/message", "stream": "/stream"},
        "reply": {"text": "/answer", "also": "/why", "tools": "/calls", "stream": {"text": "/delta", **stream}},
    }
    return JsonApi(Layout.model_validate_json(json.dumps(entry)))


TYPED = {"constants": {"/type": "token"}, "done": {"at": "/type", "is": "end"}}
WAYS: dict[str, tuple[JsonApi, str | dict[str, Any] | None]] = {
    "sse": (api(format="sse", done="[DONE]"), "[DONE]"),
    "sse, named": (api(format="sse", event="token", done={"event": "end"}), {}),
    "sse, open": (api(format="sse", text=["/delta", "/many/*/text"]), None),
    "sse, cumulative": (api(format="sse", cumulative=True, done="/end"), {"end": 1}),
    "lines": (api(format="ndjson", **TYPED), {"type": "end"}),
    "lines, open": (api(format="ndjson", text=["/delta", "/many/*/text"]), None),
    "lines, cumulative": (api(format="ndjson", cumulative=True, **TYPED), {"type": "end"}),
}
DELTAS = [name for name in WAYS if "cumulative" not in name]


def wire(way: str, value: Any, end: str = "\n", *, ascii_only: bool = False, name: str = "") -> bytes:
    data = value if isinstance(value, str) else json.dumps(value, ensure_ascii=ascii_only)
    if way.startswith("lines"):
        return f"{data}{end}".encode()
    return (f"event: {name}{end}" if name else "").encode() + f"data: {data}{end}{end}".encode()


@st.composite
def events(draw: st.DrawFn, way: str) -> list[dict[str, Any]]:
    """Events that carry text in every way it may be described, and in ways it is not."""
    values: list[dict[str, Any]] = []
    whole = ""
    for kind in draw(
        st.lists(st.sampled_from(["delta", "delta", "delta", "why", "many", "calls", "else"]), max_size=7)
    ):
        whole += text if (text := draw(TEXT)) and kind == "delta" else ""
        value: dict[str, Any] = {"type": "token"} if draw(st.booleans()) else {}
        if kind == "delta":
            value["delta"] = whole if "cumulative" in way else text
        elif kind == "many":
            value["many"] = [{"text": draw(TEXT)} for _ in range(draw(st.integers(0, 2)))]
        elif kind == "calls":
            value["calls"] = draw(st.sampled_from([[], [{"name": text}]]))
        else:
            value["why" if kind == "why" else "x"] = text if kind == "why" else {"deep": [text, None, 1.5]}
        values.append(value)
    return [{"delta": "", "id": "r1"}, *values]


@st.composite
def streams(draw: st.DrawFn, ways: Iterable[str] = tuple(WAYS)) -> tuple[str, bytes]:
    way = draw(st.sampled_from(list(ways)))
    end = draw(st.sampled_from(["\n", "\r\n"] if way.startswith("lines") else ["\n", "\r\n", "\r"]))
    raws = [wire(way, value, end, ascii_only=draw(st.booleans())) for value in draw(events(way))]
    quiet = end if way.startswith("lines") else f": wait{end}{end}"
    for _ in range(draw(st.integers(0, 2))):
        raws.insert(draw(st.integers(0, len(raws))), quiet.encode())
    last = WAYS[way][1]
    if last is not None:
        raws.append(wire(way, last, end, name="end" if way == "sse, named" else ""))
    return way, b"".join(raws)


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
def test_frames_do_not_depend_on_where_bytes_were_split(stream: tuple[str, bytes], places: list[int]) -> None:
    way, data = stream
    dialect = WAYS[way][0]
    frames, refused = read(dialect.reader(), [data])
    assert not refused
    assert b"".join(frame.raw for frame in frames) == data
    assert [frame.end for frame in frames].count(True) == 1
    assert read(dialect.reader(), cut(data, places)) == (frames, False)
    assert read(dialect.reader(), [data[i : i + 1] for i in range(len(data))]) == (frames, False)


@given(streams(), st.data(), PLACES)
def test_a_damaged_stream_is_refused_at_the_same_frame_under_every_split(
    stream: tuple[str, bytes], data: st.DataObject, places: list[int]
) -> None:
    way, raw = stream
    for _ in range(data.draw(st.integers(1, 4))):
        a = data.draw(st.integers(0, len(raw)))
        b = min(len(raw), a + data.draw(st.integers(0, 30)))
        bits = [b"", raw[a:b] * 2, b"\xff", b"\n\n", b"\r", b'"', b"data: ", b"[[[", b'"delta":"x",']
        raw = raw[:a] + data.draw(st.sampled_from(bits)) + raw[b:]
    dialect = WAYS[way][0]
    frames, refused = read(dialect.reader(), [raw])
    assert read(dialect.reader(), cut(raw, places)) == (frames, refused)
    whole = b"".join(frame.raw for frame in frames)
    assert raw.startswith(whole)
    assert refused or whole == raw


@given(st.sampled_from(list(WAYS)), st.binary(max_size=200), PLACES)
def test_any_bytes_as_a_stream_are_read_or_refused(way: str, raw: bytes, places: list[int]) -> None:
    dialect = WAYS[way][0]
    assert read(dialect.reader(), cut(raw, places)) == read(dialect.reader(), [raw])


def strings_in(value: Any) -> list[str]:
    """Every string but keys, found without knowing the description."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in inner for text in strings_in(part)]


@given(st.data(), st.sampled_from(list(WAYS)))
def test_all_text_of_an_event_is_in_its_pieces(data: st.DataObject, way: str) -> None:
    dialect, _ = WAYS[way]
    for value in data.draw(events(way)):
        [frame] = dialect.reader().feed(wire(way, value))
        assert sorted(p.text for p in frame.pieces) == sorted(filter(None, strings_in(value)))


@given(streams())
def test_the_growth_of_a_stream_adds_up_to_what_the_client_shows(stream: tuple[str, bytes]) -> None:
    way, data = stream
    shown = ""
    for line in data.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if line.removeprefix("data: ").startswith("{"):
            delta = json.loads(line.removeprefix("data: ")).get("delta")
            shown = (delta if "cumulative" in way else shown + delta) if delta is not None else shown
    frames, _ = read(WAYS[way][0].reader(), [data])
    spoken = ("content:0", "grown:0")
    assert "".join(p.text for frame in frames for p in frame.pieces if p.channel in spoken) == shown


@given(streams(), st.integers(0, 60), st.booleans())
def test_wherever_a_stream_is_cut_ours_ends_it_well_formed(stream: tuple[str, bytes], kept: int, speaks: bool) -> None:
    way, data = stream
    dialect = WAYS[way][0]
    released = read(dialect.reader(), [data])[0][:kept]
    is_over = any(frame.end for frame in released)
    writer = dialect.writer(Chat((Message("user", "hi"),), stream=True), reply_id="r", created=1)
    for frame in released:
        writer.released(frame)
    given_up = b"".join(frame.raw for frame in released) + (b"" if is_over else dialect.keepalive)
    said = not is_over and (speaks or b"delta" not in given_up)
    ours = (writer.say("Stay with me.") if said else b"") + writer.finish()
    again, refused = read(dialect.reader(), [given_up + ours])
    assert not refused
    assert [frame.end for frame in again].count(True) == 1 and again[-1].end
    assert b"".join(frame.raw for frame in again) == given_up + ours
    heard = "".join(p.text for frame in again for p in frame.pieces if p.channel.startswith(("content:", "grown:")))
    before = "".join(p.text for frame in released for p in frame.pieces if p.channel.startswith(("content:", "grown:")))
    assert heard == before + ("Stay with me." if said else "")
    opened = {p.channel for frame in again for p in frame.pieces if p.channel.startswith("content:")}
    assert opened <= {name for frame in again for name in frame.closes}


# --- whole bodies

BODIES = JsonApi(
    Layout.model_validate_json(
        json.dumps({
            "path": "/chat",
            "request": {
                "text": ["/message", "/message/*"],
                "messages": {"at": "/history", "role": "/who", "text": ["/text", "/parts/*/text"]},
                "guidance": "/options/system",
                "stream": "/stream",
            },
            "reply": {
                "text": ["/answer", "/parts/*/text"], "also": "/why/*", "tools": "/calls/0", "optional": True,
                "stream": {"format": "sse"},
            },
        })
    )
)  # fmt: skip
TURNS = JsonApi(
    Layout.model_validate_json(
        json.dumps({
            "path": "/chat",
            "request": {"messages": {"at": "/a/history", "role": "/who", "text": "/text"}, "guidance": "messages"},
            "reply": {"text": "/answer"},
        })
    )
)  # fmt: skip
both = st.sampled_from([BODIES, TURNS])
KEYS = ["message", "history", "who", "text", "parts", "options", "system", "stream", "answer", "why", "calls", "a", "0"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | TEXT, inner, max_size=5),
    max_leaves=14,
)


def use(dialect: JsonApi, body: bytes) -> None:
    """All that is done with a body, in the order it is done. Only a refusal may be raised, and none after reading."""
    try:
        dialect.read_request(body)
    except Refusal:
        pass
    else:
        dialect.read_request(dialect.steered(body, "G"))
    try:
        reply = dialect.read_reply(body)
    except Refusal:
        return
    dialect.rewritten(body, {piece.channel: "x" for piece in reply.pieces})


@given(both, st.binary(max_size=300))
def test_any_bytes_as_a_body_are_read_or_refused(dialect: JsonApi, body: bytes) -> None:
    use(dialect, body)


@given(both, JSON, JSON, st.booleans())
def test_any_json_as_a_body_is_read_or_refused(dialect: JsonApi, value: Any, turn: Any, spaced: bool) -> None:
    for body in (
        value,
        {"message": "hi", "options": value, "history": [turn]},
        {"a": {"history": [{"who": "user", "text": "hi"}, turn]}, "message": ["a", value]},
        {"answer": "hi", "parts": [turn], "why": value},
    ):
        use(dialect, json.dumps(body, indent=1 if spaced else None).encode())


@given(JSON)
def test_all_text_of_a_reply_is_in_its_pieces(value: Any) -> None:
    body = json.dumps({"answer": "hi", "x": value}).encode()
    try:
        pieces = BODIES.read_reply(body).pieces
    except Refusal:
        return
    read_there = "\n\n".join(piece.text for piece in pieces)
    assert all(text in read_there for text in strings_in(value))


@given(both, st.lists(TEXT.filter(bool), min_size=1, max_size=4), TEXT)
def test_a_steered_conversation_is_the_same_with_guidance_added(
    dialect: JsonApi, texts: list[str], guidance: str
) -> None:
    turns = [{"who": ("user", "bot")[i % 2], "text": text} for i, text in enumerate(texts)]
    request = {"message": "hi", "history": turns, "a": {"history": turns}, "x": {"y": [0.1]}}
    body = json.dumps(request).encode()
    before, steered = dialect.read_request(body), dialect.steered(body, "G" + guidance)
    assert dialect.read_request(steered).messages == (Message("system", "G" + guidance), *before.messages)
    assert {key: json.loads(steered)[key] for key in ("message", "x")} == {"message": "hi", "x": {"y": [0.1]}}


@given(st.lists(TEXT.filter(bool), min_size=1, max_size=3), TEXT, st.data())
def test_an_exchanged_text_is_all_that_changes(parts: list[str], new: str, data: st.DataObject) -> None:
    value = {"answer": "hi", "parts": [{"text": text, "n": 1} for text in parts], "x": "é"}
    at = data.draw(st.integers(0, len(parts) - 1))
    rewritten = BODIES.rewritten(json.dumps(value).encode(), {f"content:1.{at}": new})
    assert json.loads(rewritten) == {
        **value,
        "parts": [{"text": new if i == at else text, "n": 1} for i, text in enumerate(parts)],
    }


# --- doubled keys


def doubled(keys: list[str], first: Any, second: Any) -> bytes:
    """An object in which one key on the way to a value is given twice, the last of ``keys`` being that one."""
    inner = f"{json.dumps(keys[-1])}: {json.dumps(first)}, {json.dumps(keys[-1])}: {json.dumps(second)}"
    for key in reversed(keys[:-1]):
        inner = f"{json.dumps(key)}: {{{inner}}}"
    return f"{{{inner}}}".encode()


@given(st.lists(TEXT, min_size=1, max_size=4), JSON, JSON)
def test_a_key_given_twice_never_passes_wherever_it_is(keys: list[str], first: Any, second: Any) -> None:
    inner = doubled(keys, first, second)
    for use_it, rest in (
        (BODIES.read_request, b'"message":"hi"'),
        (BODIES.read_reply, b'"answer":"hi"'),
        (lambda data: WAYS["sse"][0].reader().feed(b"data: " + data + b"\n\n"), b'"delta":"hi"'),
        (lambda data: WAYS["lines"][0].reader().feed(data + b"\n"), b'"delta":"hi"'),
    ):
        with pytest.raises(Refusal):
            use_it(b"{" + rest + b',"inner":' + inner + b"}")  # type: ignore[operator]


@given(st.sampled_from(["DELTA", "Delta", "dElta"]), TEXT, TEXT)
def test_a_text_key_in_another_case_never_passes(key: str, first: str, second: str) -> None:
    for value in ({"delta": first, key: second}, {key: second}):
        with pytest.raises(Refusal):
            WAYS["sse"][0].reader().feed(wire("sse", value))


# --- pointers

TOKENS = st.lists(st.sampled_from(["a", "b", "0", "3", "~", "/", ""]), max_size=4).map(tuple)


@given(TOKENS)
def test_a_pointer_is_read_as_it_is_shown(pointer: tuple[str, ...]) -> None:
    assert not pointer or json_pointer.parse(json_pointer.shown(pointer)) == pointer


@given(JSON, TOKENS, TEXT)
def test_what_is_written_at_a_pointer_is_found_there(value: Any, pointer: tuple[str, ...], text: str) -> None:
    made = built([(pointer, text)])
    assert [inner for _, inner in follow(made, pointer, "it")] == [text]
    if not json_pointer.can_hold(value, pointer):
        return
    after = json.loads(changed(json.dumps(value).encode(), pointer, lambda _: text, "it"))
    assert [inner for _, inner in follow(after, pointer, "it")] == [text]
