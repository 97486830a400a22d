"""Whatever the network or the upstream does to a streamed response, it is read alike, and ours ends well formed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.core.model import Message, Refusal
from guardrail.core.ports import Chat, Frame, StreamReader
from guardrail.dialects.responses import OpenAIResponses

DIALECT = OpenAIResponses()
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | st.sampled_from(
    ["é–👋", '"', "\\", "\r\n", "a\n\nb", '{"text": "x"}', '"delta": ']
)
PLACES = st.lists(st.integers(0, 100_000), max_size=40)
HEAD = {"id": "resp_1", "object": "response", "created_at": 5, "model": "real", "error": None}


def event(kind: str, **members: Any) -> dict[str, Any]:
    return {"type": kind, **members}


Part = tuple[str, str, list[str]]
"""Its type, its member and the words it is told in."""
EXTRA: dict[str, dict[str, Any]] = {"output_text": {"annotations": [], "logprobs": []}}


def part_events(part: Part, where: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    kind, member, words = part
    extra = EXTRA.get(kind, {})
    stem = "response.reasoning_summary_text" if kind == "summary_text" else f"response.{kind}"
    box = "response.reasoning_summary_part" if kind == "summary_text" else "response.content_part"
    whole = {"type": kind, member: "".join(words), **extra}
    return [
        event(f"{box}.added", **where, part={**whole, member: ""}),
        *(event(f"{stem}.delta", **where, delta=word) for word in words),
        event(f"{stem}.done", **where, **{member: "".join(words)}),
        event(f"{box}.done", **where, part=whole),
    ], whole


@st.composite
def item_events(draw: st.DrawFn, index: int) -> tuple[list[Any], dict[str, Any]]:
    kind = draw(st.sampled_from(["message", "message", "reasoning", "function_call", "web_search_call"]))
    head: dict[str, Any] = {"id": f"i_{index}", "type": kind}
    inner: list[Any] = []
    words = st.lists(TEXT, max_size=4)
    if kind in ("message", "reasoning"):
        names = {
            "message": [("output_text", "text"), ("refusal", "refusal")],
            "reasoning": [("summary_text", "text"), ("reasoning_text", "text")],
        }[kind]
        lists: dict[str, list[Any]] = {"content": []} if kind == "message" else {"summary": [], "content": []}
        for type_, member in draw(st.lists(st.sampled_from(names), max_size=2)):
            key = "summary" if type_ == "summary_text" else "content"
            number = "summary_index" if key == "summary" else "content_index"
            where = {"item_id": head["id"], "output_index": index, number: len(lists[key])}
            events, whole = part_events((type_, member, draw(words)), where)
            inner += events
            lists[key].append(whole)
        done = {**head, **lists, **({"role": "assistant"} if kind == "message" else {})}
        head = {**done, **{key: [] for key in lists}}
    elif kind == "function_call":
        given_ = draw(words)
        head |= {"call_id": "c", "name": "f", "arguments": ""}
        inner = [event("response.function_call_arguments.delta", output_index=index, delta=word) for word in given_]
        done = {**head, "arguments": "".join(given_)}
    else:
        inner = [event("response.web_search_call.searching", output_index=index, item_id=head["id"])]
        done = {**head, "action": {"type": "search", "query": draw(TEXT)}}
    return [
        event("response.output_item.added", output_index=index, item=head),
        *inner,
        event("response.output_item.done", output_index=index, item=done),
    ], done


@st.composite
def values(draw: st.DrawFn) -> list[Any]:
    """The events of a well-formed stream, every text told again and again as the API does."""
    told: list[Any] = []
    output = []
    for index in range(draw(st.integers(0, 3))):
        events, item = draw(item_events(index))
        told += events
        output.append(item)
    begin = {**HEAD, "status": "in_progress", "output": [], "instructions": "Be kind.", "usage": None}
    end = draw(st.sampled_from(["completed", "incomplete"]))
    last = event(f"response.{end}", response={**begin, "status": end, "output": output, "usage": {"total_tokens": 1}})
    all_ = [event("response.created", response=begin), *told, last]
    return [{**value, "sequence_number": number} for number, value in enumerate(all_)]


def as_sse(value: Any, ascii_only: bool = False, end: str = "\n", named: bool = True) -> bytes:
    name = f"event: {value['type']}{end}" if named else ""
    return f"{name}data: {json.dumps(value, ensure_ascii=ascii_only)}{end}{end}".encode()


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A well-formed stream, in one of the ways servers write it."""
    end, ascii_only, named = draw(st.sampled_from(["\n", "\r\n", "\r"])), draw(st.booleans()), draw(st.booleans())
    events = [as_sse(value, ascii_only, end, named) for value in draw(values())]
    for _ in range(draw(st.integers(0, 2))):
        events.insert(draw(st.integers(0, len(events) - 1)), f": wait{end}{end}".encode())
    tail = draw(st.sampled_from(["", f"data: [DONE]{end}{end}", "data: [DONE]"]))
    return b"".join(events) + tail.encode()


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
def test_frames_do_not_depend_on_where_bytes_were_split(data: bytes, places: list[int]) -> None:
    frames, refused = read(DIALECT.reader(), [data])
    assert not refused
    assert b"".join(frame.raw for frame in frames) == data
    assert read(DIALECT.reader(), cut(data, places)) == (frames, False)
    assert read(DIALECT.reader(), [data[i : i + 1] for i in range(len(data))]) == (frames, False)


def said_in(value: Any) -> list[str]:
    """Every string under a key that holds text for a human, found without knowing the dialect."""
    if isinstance(value, list):
        return [text for inner in value for text in said_in(inner)]
    if not isinstance(value, dict):
        return []
    is_call = "arguments" in str(value.get("type"))
    own = [
        v for k, v in value.items() if k in ("text", "refusal", "query", "delta") and isinstance(v, str) and not is_call
    ]
    return own + [text for inner in value.values() for text in said_in(inner)]


@given(values())
def test_all_text_of_an_event_by_itself_is_in_its_pieces(told: list[Any]) -> None:
    for value in told:
        (frame,) = DIALECT.reader().feed(as_sse(value))
        assert "".join(sorted("".join(p.text for p in frame.pieces))) == "".join(sorted("".join(said_in(value))))


@given(values())
def test_nothing_that_is_told_again_was_not_looked_at(told: list[Any]) -> None:
    """Each text of a frame has been looked at by then; of the reply proper in that frame or one that told it whole."""
    reader = DIALECT.reader()
    seen: dict[str, str] = {}
    for value in told:
        frame = reader.feed(as_sse(value))[-1]
        for piece in frame.pieces:
            seen[piece.channel] = seen.get(piece.channel, "") + piece.text
        whole = [text for name, text in seen.items() if name.startswith(("again:", "thinking:", "refusal:", "other:"))]
        fresh = [piece.text for piece in frame.pieces]
        for text in said_in(value):
            assert not text or text in fresh or any(text in heard for heard in whole)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A stream with bytes lost, doubled or overwritten, or no stream at all."""
    data = draw(streams())
    if draw(st.integers(0, 4)) == 0:
        return draw(st.binary(max_size=200))
    for _ in range(draw(st.integers(1, 4))):
        a = draw(st.integers(0, len(data)))
        b = min(len(data), a + draw(st.integers(0, 30)))
        damage = draw(st.sampled_from([b"", data[a:b] * 2, b"\xff", b"\n\n", b"\r", b'"', b"data: ", b"[[["]))
        data = data[:a] + damage + data[b:]
    return data


@given(damaged(), PLACES)
def test_a_damaged_stream_is_refused_at_the_same_frame_under_every_split(data: bytes, places: list[int]) -> None:
    frames, refused = read(DIALECT.reader(), [data])
    assert read(DIALECT.reader(), cut(data, places)) == (frames, refused)
    whole = b"".join(frame.raw for frame in frames)
    assert data.startswith(whole)
    assert refused or whole == data


@given(streams(), st.integers(0, 60), st.sampled_from(["", "Stay with me. 👋"]), st.booleans())
def test_wherever_a_stream_is_cut_ours_ends_it_well_formed(data: bytes, kept: int, text: str, waits: bool) -> None:
    frames, _ = read(DIALECT.reader(), [data])
    released = [frame for frame in frames if frame.raw][:kept]
    writer = DIALECT.writer(Chat((Message("user", "hi"),), stream=True), reply_id="r", created=1)
    for frame in released:
        writer.released(frame)
    is_over = any(frame.end for frame in released)
    ours = b"" if is_over else (DIALECT.keepalive if waits else b"") + (writer.say(text) if text else b"")
    ours += writer.finish()
    again, refused = read(DIALECT.reader(), [b"".join(frame.raw for frame in released) + ours])
    assert not refused
    assert sum(frame.end for frame in again) == 1
    assert [frame for frame in again if frame.raw][: len(released)] == released
    opened = {piece.channel for frame in again for piece in frame.pieces}
    assert opened == {name for frame in again for name in frame.closes}
    if not is_over:
        ends_as_it_was_told(released, ours, text)


def ends_as_it_was_told(released: list[Frame], ours: bytes, text: str) -> None:
    """The last event tells just what was released and said, and the numbers go on."""
    written = [json.loads(raw.partition("data: ")[2]) for raw in ours.decode().split("\n\n") if "data: " in raw]
    first = max([f.raw.count(b'"sequence_number"') and number(f.raw) + 1 for f in released] or [0])
    assert [value["sequence_number"] for value in written] == list(range(first, first + len(written)))
    last = written[-1]["response"]
    assert (last["status"], last["id"]) == (
        "completed",
        "resp_1" if b"resp_1" in b"".join(f.raw for f in released) else "resp_guardrail_r",
    )
    got: dict[str, str] = {}
    for frame in released:
        for piece in frame.pieces:
            got[piece.channel] = got.get(piece.channel, "") + piece.text
    told = {piece.channel: piece.text for piece in DIALECT.read_reply(json.dumps(last).encode()).pieces}
    for name in [name for name in told if name.startswith("content:")]:
        assert told[name] in (got.get(name), text, got.get(name, "") + text)
    assert "".join(told[name] for name in told if name.startswith("content:")).endswith(text)
    assert {name for name in got if name.partition(":")[0] in ("content", "refusal", "thinking")} <= set(told)


def number(raw: bytes) -> int:
    data = next(line for line in raw.splitlines() if line.startswith(b"data: "))
    return int(json.loads(data[6:])["sequence_number"])


USES = (DIALECT.read_request, DIALECT.read_reply, lambda body: DIALECT.steered(body, "G"))


@given(st.binary(max_size=300))
def test_any_bytes_as_a_body_are_read_or_refused(body: bytes) -> None:
    for use in USES:
        try:
            use(body)
        except Refusal:
            continue


KEYS = ["input", "role", "content", "text", "type", "output", "summary", "action", "response", "item", "part", "delta"]
KINDS = st.sampled_from(["message", "reasoning", "function_call", "output_text", "response.output_item.done", "error"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | KINDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | TEXT, inner, max_size=5),
    max_leaves=12,
)


@given(JSON, st.lists(st.fixed_dictionaries({"role": JSON, "type": JSON, "content": JSON}), max_size=3), KINDS | JSON)
def test_any_json_is_read_or_refused(value: Any, items: list[Any], kind: Any) -> None:
    bodies = [value, {"input": items, "x": value}, {"input": value}, {"output": items, "error": None, "x": value}]
    for body in (json.dumps(b).encode() for b in bodies):
        for use in USES:
            try:
                use(body)
            except Refusal:
                continue
    for frame in (
        {"type": kind, "item": value, "part": items},
        {"type": kind, "delta": value, "response": {"output": items}},
    ):
        frames, _ = read(DIALECT.reader(), [as_sse(frame, named=False)])
        writer = DIALECT.writer(Chat(()), reply_id="r", created=1)
        for each in frames:
            writer.released(each)
        writer.say("Stay.")
        writer.finish()


@given(
    st.lists(st.tuples(st.sampled_from(["user", "assistant", "developer"]), TEXT), max_size=5), st.none() | TEXT, TEXT
)
def test_a_steered_request_is_the_same_with_guidance_added(
    turns: list[tuple[str, str]], instructions: str | None, guidance: str
) -> None:
    items: Any = [{"role": role, "content": text} for role, text in turns] or "hi"
    body = json.dumps({"input": items, "instructions": instructions, "x": {"y": [0.1]}}).encode()
    before, after = (DIALECT.read_request(b).messages for b in (body, DIALECT.steered(body, "G" + guidance)))
    own = before[1:] if instructions else before
    whole = f"{instructions}\n\nG{guidance}" if instructions else "G" + guidance
    assert after == (Message("system", whole), *own)
    assert json.loads(DIALECT.steered(body, "G"))["x"] == {"y": [0.1]}


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), TEXT), max_size=4), st.none() | st.just("resp_0"))
def test_a_resumed_request_is_the_same_with_turns_before_its_own(
    turns: list[tuple[str, str]], follows: str | None
) -> None:
    said = tuple(Message("user" if role == "user" else "assistant", text) for role, text in turns)
    body = json.dumps({"input": "hi", "previous_response_id": "resp_9", "store": True}).encode()
    read_ = DIALECT.read_request(DIALECT.resumed(body, follows or "", said))
    assert read_.follows == (follows or "")
    assert read_.messages[-1] == Message("user", "hi")
    assert "".join(m.text for m in read_.messages) == "".join(m.text for m in said) + "hi"


@given(
    TEXT.filter(bool),
    TEXT.filter(bool),
    st.sampled_from(["content:1.0", "refusal:1.1", "thinking:0.s0", "thinking:0.0"]),
)
def test_an_exchanged_reply_reads_as_what_it_was_exchanged_for(old: str, new: str, name: str) -> None:
    thought = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": old}],
        "content": [{"type": "reasoning_text", "text": old}],
    }
    said = {"type": "message", "content": [{"type": "output_text", "text": old}, {"type": "refusal", "refusal": old}]}
    body = json.dumps({"id": "resp_1", "output": [thought, said]}).encode()
    before = {piece.channel: piece.text for piece in DIALECT.read_reply(body).pieces}
    after = {piece.channel: piece.text for piece in DIALECT.read_reply(DIALECT.rewritten(body, {name: new})).pieces}
    assert after == {**before, name: new}


TWICE = [
    ('{"type": "response.output_text.delta", %s}', "delta"),
    ('{"type": "response.output_text.done", %s}', "text"),
    ('{"type": "response.refusal.done", %s}', "refusal"),
    ('{"type": "response.content_part.done", "part": {"type": "output_text", %s}}', "text"),
    (
        '{"type": "response.output_item.done", "item": {"type": "message", "content": [{"type": "refusal", %s}]}}',
        "refusal",
    ),
    ('{"type": "response.completed", "response": {"output": [{"type": "mcp_call", %s}]}}', "output"),
]


@given(st.sampled_from(TWICE), st.booleans(), TEXT, TEXT)
def test_a_text_key_given_twice_never_passes(where: tuple[str, str], capital: bool, first: str, second: str) -> None:
    outer, key = where
    other = key.title() if capital else key
    frame = outer.replace("%s", f'"{key}": {json.dumps(first)}, "{other}": {json.dumps(second)}')
    with pytest.raises(Refusal):
        DIALECT.reader().feed(b"data: " + frame.encode() + b"\n\n")
    reply = json.dumps({"id": "resp_1", "output": []})[:-2] + '{"type": "message", "content": [{"type": "output_text", '
    reply += f'"text": {json.dumps(first)}, "{"Text" if capital else "text"}": {json.dumps(second)}}}]}}]}}'
    with pytest.raises(Refusal):
        DIALECT.read_reply(reply.encode())
