"""Anthropic messages: what is read, what is changed, and what must stay as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guardrail.core.model import Message, Refusal
from guardrail.core.ports import Chat, Frame, Piece, Reply
from guardrail.dialects import claiming

found = claiming("POST", "/v1/messages")
assert found is not None
dialect = found
ASK = Chat((Message("user", "hello"),), stream=True, model="m")


def body(**members: Any) -> bytes:
    return json.dumps(
        {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], **members}
    ).encode()


def turns(*messages: dict[str, Any], **members: Any) -> list[tuple[str, str]]:
    return [(m.role, m.text) for m in dialect.read_request(body(messages=messages, **members)).messages]


def event(name: str, **members: Any) -> bytes:
    return f"event: {name}\ndata: ".encode() + json.dumps({"type": name, **members}).encode() + b"\n\n"


def begin(index: int, **block: Any) -> bytes:
    return event("content_block_start", index=index, content_block=block)


def delta(index: int, **delta: Any) -> bytes:
    return event("content_block_delta", index=index, delta=delta)


def stop(index: int) -> bytes:
    return event("content_block_stop", index=index)


START = event(
    "message_start", message={"id": "msg1", "role": "assistant", "content": [], "usage": {"output_tokens": 1}}
)
REASON = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5})
STOP = event("message_stop")
PING = event("ping")


def frames(*raws: bytes) -> list[Frame]:
    reader = dialect.reader()
    return [frame for raw in raws for frame in reader.feed(raw)] + reader.close()


def sent(data: bytes) -> list[Any]:
    return [json.loads(part.partition("data: ")[2]) for part in data.decode().split("\n\n") if part]


# --- requests


def test_what_a_tool_answered_is_not_the_persons_word() -> None:
    assert turns(
        {"role": "user", "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image", "source": {"type": "url", "url": "https://a.example/"}},
        ]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "Looking."},
            {"type": "tool_use", "id": "t", "name": "look", "input": {"text": "not said"}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t", "content": "a cat"},
            {"type": "tool_result", "tool_use_id": "u", "content": [{"type": "text", "text": "a dog"}, {"type": "image"}]},
            {"type": "tool_result", "tool_use_id": "v"},
            {"type": "text", "text": "And?"},
        ]},
        {"role": "user", "content": [{"type": "image", "source": {}}]},
        {"role": "assistant", "content": "It is"},
        system=[{"type": "text", "text": "Be kind."}, {"type": "text", "text": "Be brief.", "cache_control": {}}],
    ) == [
        ("system", "Be kind.\nBe brief."),
        ("user", "What is this?"),
        ("assistant", "Looking."),
        ("tool", "a cat"),
        ("tool", "a dog"),
        ("tool", ""),
        ("user", "And?"),
        ("user", ""),
        ("assistant", "It is"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("members", "structured"),
    [
        ({}, False),
        ({"tool_choice": {"type": "auto"}}, False),
        ({"tool_choice": {"type": "any"}}, True),
        ({"tool_choice": {"type": "tool", "name": "x"}}, True),
        ({"output_format": {"type": "json_schema", "schema": {}}}, True),
        ({"output_config": {"format": {"type": "json_schema"}}}, True),
        ({"output_config": {"effort": "low"}, "output_format": None}, False),
    ],
)
def test_forced_output_is_known_so_that_nothing_is_appended_to_it(members: dict[str, Any], structured: bool) -> None:
    assert dialect.read_request(body(**members)).structured is structured


@pytest.mark.parametrize(
    "bad",
    [
        b"[]",
        b'{"messages":[]}',
        b'{"messages":[{"role":"user"}]}',
        b'{"messages":[{"role":"user","content":"a"}],"messages":[{"role":"user","content":"b"}]}',
        b'{"messages":[{"role":"user","content":"a","content":"b"}]}',
        b'{"messages":[{"role":"user","content":[{"type":"text","type":"tool_result","text":"a","content":"b"}]}]}',
        b'{"messages":[{"role":"user","content":[{"type":"tool_result","content":[{"text":"a","text":"b"}]}]}]}',
        b'{"system":"a","messages":[{"role":"user","content":"a"}],"System":"b"}',
        b'{"messages":[{"role":"user","content":[{"type":"tool_result","content":{}}]}]}',
        b'{"messages":[{"role":"user","content":"\\ud800"}]}',
    ],
)
def test_what_two_readers_could_read_differently_is_refused(bad: bytes) -> None:
    with pytest.raises(Refusal):
        dialect.read_request(bad)


def test_text_beside_a_tool_s_answer_is_the_person_s() -> None:
    answer = {"type": "tool_result", "content": "a cat", "text": "I want to die"}
    assert turns({"role": "user", "content": [answer]}) == [("user", "I want to die"), ("tool", "a cat")]


# --- steering


def test_guidance_is_added_to_the_system_prompt_in_its_own_form() -> None:
    def system(request: bytes) -> Any:
        return json.loads(dialect.steered(request, "G"))["system"]

    block = {"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}
    assert system(body()) == "G"
    assert system(body(system=None)) == "G"
    assert system(body(system="Be kind.")) == "Be kind.\n\nG"
    assert system(body(system=[block])) == [block, {"type": "text", "text": "G"}]


def test_steering_leaves_every_other_byte_of_meaning() -> None:
    after = dialect.steered(
        b'{"temperature": 0.10000000000000000555, "messages": [{"role":"user", "content":"\\u00e9"}]}', "G"
    )
    assert b'"temperature":0.10000000000000000555' in after
    assert b'[{"role":"user", "content":"\\u00e9"}]' in after


# --- whole replies

REPLY = {
    "id": "msg1",
    "type": "message",
    "role": "assistant",
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": "One.", "citations": [{"cited_text": "c"}]},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"n": 1}},
    ],
    "stop_reason": "tool_use",
}


def test_a_reply_is_read_by_blocks() -> None:
    assert dialect.read_reply(json.dumps(REPLY).encode()) == Reply(
        (Piece("thinking:0", "Hm."), Piece("content:2", "One.")), tools=True
    )


def test_server_tools_have_run_already_and_do_not_count_as_calls() -> None:
    content = [{"type": "server_tool_use", "name": "web_search", "input": {}}, {"type": "text", "text": "Found."}]
    assert not dialect.read_reply(json.dumps({**REPLY, "content": content}).encode()).tools


def test_exchanged_text_loses_its_signature_and_citations_and_nothing_else_changes() -> None:
    after = json.loads(dialect.rewritten(json.dumps(REPLY).encode(), {"thinking:0": "T", "content:2": "C"}))
    assert after["content"][0] == {"type": "thinking", "thinking": "T", "signature": ""}
    assert after["content"][2] == {"type": "text", "text": "C", "citations": None}
    assert (after["content"][1], after["content"][3]) == (REPLY["content"][1], REPLY["content"][3])  # type: ignore[index]
    assert {**after, "content": None} == {**REPLY, "content": None}


@pytest.mark.parametrize(
    "bad",
    [
        b'{"type":"error","error":{"type":"api_error","message":"m"}}',
        b'{"type":"error","content":[]}',
        b'{"type":"message"}',
        b'{"type":"message","content":[{"type":"text","text":"a","text":"b"}]}',
    ],
)
def test_a_reply_that_cannot_be_read_is_refused(bad: bytes) -> None:
    with pytest.raises(Refusal):
        dialect.read_reply(bad)


# --- streams


def test_a_stream_of_thinking_text_and_a_tool_call() -> None:
    got = frames(
        START,
        PING,
        begin(0, type="thinking", thinking="", signature=""),
        delta(0, type="thinking_delta", thinking="Hm"),
        delta(0, type="signature_delta", signature="sig"),
        stop(0),
        begin(1, type="text", text="Hel"),
        delta(1, type="text_delta", text="lo"),
        stop(1),
        begin(2, type="tool_use", id="t", name="f", input={}),
        delta(2, type="input_json_delta", partial_json="{}"),
        stop(2),
        event("something_new", what={"a": 1}),
        REASON,
        STOP,
    )
    assert [f.pieces for f in got if f.pieces] == [
        (Piece("thinking:0", "Hm"),),
        (Piece("content:1", "Hel"),),
        (Piece("content:1", "lo"),),
    ]
    assert [f.closes for f in got if f.closes] == [("thinking:0",), ("content:1",)]
    assert [i for i, f in enumerate(got) if f.tools] == [9, 10, 11]
    assert [f.end for f in got] == [False] * 14 + [True]


def test_text_is_read_wherever_an_event_carries_it() -> None:
    early = event("message_start", message={"content": [{"type": "text", "text": "early"}]})
    disguised = b'event: ping\ndata: {"type": "content_block_delta", "index": 0, "delta": {"text": "odd"}}\n\n'
    assert [f.pieces for f in frames(early, disguised, STOP) if f.pieces] == [
        (Piece("content:0", "early"),),
        (Piece("content:0", "odd"),),
    ]


@pytest.mark.parametrize(
    "ending",
    [
        (STOP,),
        (STOP, PING, b": bye\n\n", b"data: [DONE]\n\n"),
        (event("error", error={"type": "overloaded_error", "message": "m"}),),
        (b'event: error\ndata: {"message": "m"}\n\n',),
    ],
)
def test_endings_of_real_servers_are_accepted(ending: tuple[bytes, ...]) -> None:
    got = frames(START, *ending)
    assert b"".join(f.raw for f in got) == b"".join((START, *ending))
    assert [f.end for f in got].count(True) == 1


@pytest.mark.parametrize(
    "stream", [b"", START, START + REASON, START + STOP[:-1], START + b"data: [DONE]\n\n", STOP + begin(0, type="text")]
)
def test_streams_that_must_not_pass_for_complete(stream: bytes) -> None:
    reader = dialect.reader()
    with pytest.raises(Refusal):
        reader.feed(stream)
        reader.close()


@pytest.mark.parametrize(
    "frame",
    [
        b"data: [1]\n\n",
        delta(-1, type="text_delta", text="a"),
        delta(10**9, type="text_delta", text="a"),
        delta(0, type="text_delta", text=7),
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a","text":""}}\n\n',
        b'data: {"type":"content_block_delta","index":0,"delta":{"text":"a"},"delta":{}}\n\n',
        b'data: {"type":"message_stop","type":"content_block_delta","delta":{}}\n\n',
        b'data: {"type":"content_block_delta","delta":{"Text":"a"}}\n\n',
    ],
)
def test_a_frame_that_can_be_read_in_two_ways_is_refused(frame: bytes) -> None:
    reader = dialect.reader()
    reader.feed(START + begin(0, type="text", text="") + delta(0, type="text_delta", text="fine"))
    with pytest.raises(Refusal):
        reader.feed(frame)


# --- writing


def types(data: bytes) -> list[str]:
    return [e["type"] for e in sent(data)]


def test_a_stream_of_our_own_from_nothing() -> None:
    writer = dialect.writer(ASK, reply_id="id1", created=9)
    events = sent(writer.say("Hello. ") + writer.say("More.") + writer.finish())
    assert [e["type"] for e in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert (events[0]["message"]["id"], events[0]["message"]["model"]) == ("id1", "m")
    assert events[-2]["delta"]["stop_reason"] == "end_turn"


def after(*raws: bytes) -> Any:
    writer = dialect.writer(ASK, reply_id="i", created=1)
    reader = dialect.reader()
    for raw in raws:
        for frame in reader.feed(raw):
            writer.released(frame)
    return writer


def test_an_open_block_is_closed_before_ours_begins() -> None:
    events = sent(after(START, begin(0, type="text", text=""), delta(0, type="text_delta", text="a")).say("b"))
    assert [(e["type"], e["index"]) for e in events] == [
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
    ]


def test_text_for_an_open_block_goes_into_it() -> None:
    writer = after(START, begin(0, type="text", text=""))
    assert sent(writer.say("b", "content:0"))[0]["index"] == 0
    assert types(writer.finish()) == ["content_block_stop", "message_delta", "message_stop"]


def test_no_thinking_block_is_made_without_a_signature() -> None:
    assert after(START).say("hm", "thinking:0") == b""
    assert types(after(START, begin(0, type="thinking", thinking="")).say("hm", "thinking:0")) == [
        "content_block_delta"
    ]


def test_nothing_is_written_twice() -> None:
    assert types(after(START, begin(0, type="text", text=""), stop(0)).finish()) == ["message_delta", "message_stop"]
    assert types(after(START, REASON).finish()) == ["message_stop"]
    assert after(START, REASON, STOP).finish() == b""


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid_request_error"), (413, "request_too_large"), (502, "api_error"), (529, "overloaded_error")],
)
def test_errors_have_the_apis_shape(status: int, kind: str) -> None:
    assert json.loads(dialect.error(status, "m")) == {"type": "error", "error": {"type": kind, "message": "m"}}
