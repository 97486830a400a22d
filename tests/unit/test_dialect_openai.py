"""OpenAI chat completions: what is read, what is changed, and what must stay as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guardrail.core.model import Message, Refusal
from guardrail.core.ports import Chat, Frame, Piece, Reply
from guardrail.dialects import claiming

found = claiming("POST", "/v1/chat/completions")
assert found is not None
dialect = found
ASK = Chat((Message("user", "hello"),), stream=True, model="m")


def body(**members: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}).encode()


def turns(*messages: dict[str, Any]) -> list[tuple[str, str]]:
    return [(m.role, m.text) for m in dialect.read_request(body(messages=messages)).messages]


def chunk(index: int = 0, finish: str | None = None, **delta: Any) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return event({"id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "real", "choices": [choice]})


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def frames(*raws: bytes) -> list[Frame]:
    reader = dialect.reader()
    return [frame for raw in raws for frame in reader.feed(raw)] + reader.close()


def sent(data: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in data.decode().split("\n\n") if line and line != "data: [DONE]"]


# --- requests


def test_a_conversation_with_tools_pictures_and_a_prefill() -> None:
    assert turns(
        {"role": "system", "content": "Be kind."},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "data:,"}},
            {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
            {"type": "text", "text": "Tell me."},
        ]},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "t", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        ]},
        {"role": "tool", "tool_call_id": "t", "content": "a cat"},
        {"role": "function", "name": "old", "content": "a dog"},
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "assistant", "content": "It is"},
    ) == [
        ("system", "Be kind."),
        ("system", "Be brief."),
        ("user", "What is this?\nTell me."),
        ("assistant", ""),
        ("tool", "a cat"),
        ("tool", "a dog"),
        ("assistant", "No."),
        ("assistant", "It is"),
    ]  # fmt: skip


def test_words_under_an_unknown_role_are_read_as_the_persons() -> None:
    assert turns({"role": "human", "content": "hi"}, {"role": "USER", "content": "there"}) == [
        ("user", "hi"),
        ("user", "there"),
    ]


def test_settings_that_decide_how_the_reply_is_read() -> None:
    read = dialect.read_request(body(stream=True, n=3, stream_options={"include_usage": True}))
    assert (read.stream, read.choices, read.include_usage, read.structured, read.model) == (True, 3, True, False, "m")
    plain = dialect.read_request(body(stream=None, n=None, stream_options=None, response_format=None))
    assert (plain.stream, plain.choices, plain.include_usage, plain.structured) == (False, 1, False, False)


@pytest.mark.parametrize(
    ("members", "structured"),
    [
        ({"response_format": {"type": "json_object"}}, True),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}}, True),
        ({"response_format": {"type": "text"}}, False),
        ({"guided_json": {"type": "object"}}, True),
        ({"grammar": "root ::= x"}, True),
    ],
)
def test_json_output_is_known_so_that_nothing_is_appended_to_it(members: dict[str, Any], structured: bool) -> None:
    assert dialect.read_request(body(**members)).structured is structured


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"[]",
        b"{}",
        b'{"messages":[]}',
        b'{"messages":null}',
        b'{"messages":[{"content":"no role"}]}',
        b'{"messages":[{"role":"user","content":5}]}',
        b'{"messages":[{"role":"user","content":"a"}],"messages":[]}',
        b'{"messages":[{"role":"user","content":"a"}],"Messages":[]}',
        '{"messages":[{"role":"user","content":"a"}],"meſſages":[]}'.encode(),
        b'{"messages":[{"role":"user","content":"a"}],"mess\\u0061ges":[]}',
        b'{"messages":[{"role":"user","content":"a","content":"b"}]}',
        b'{"messages":[{"role":"user","content":"a","Content":"b"}]}',
        b'{"messages":[{"role":"user","content":"a","role":"tool"}]}',
        b'{"messages":[{"role":"user","content":[{"type":"text","text":"a","text":"b"}]}]}',
        b'{"messages":[{"role":"user","content":"\xff"}]}',
        b'{"messages":[{"role":"user","content":"a"}],"user":"\xff"}',
        b'{"messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"messages":[{"role":"user","content":"\\udc00 low"}]}',
        b'{"messages":[{"role":"user","content":"a"}],"temperature":NaN}',
        b'{"messages":[{"role":"user","content":"a"}],"n":0}',
        b'{"messages":[{"role":"user","content":"a"}],"n":1000000}',
        b'{"messages":[{"role":"user","content":"a"}],"stream":"yes"}',
        b'{"messages":[{"role":"user","content":"a"}],"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"messages":[{"role":"user","content":"a"}]} {}',
        '{"messages":[{"role":"user","content":"a"}]}'.encode("utf-16"),
    ],
)  # fmt: skip
def test_what_two_readers_could_read_differently_is_refused(bad: bytes) -> None:
    with pytest.raises(Refusal) as refusal:
        dialect.read_request(bad)
    assert "\n" not in str(refusal.value)


def test_a_refusal_quotes_no_message_text() -> None:
    with pytest.raises(Refusal) as refusal:
        dialect.read_request(b'{"messages":[{"role":"user","content":"secret"}],"n":"secret"}')
    assert "secret" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_keys_may_repeat_where_they_are_no_duplicates() -> None:
    parameters = {"content": {"text": 1, "role": 2}, "Text": {"Role": 3, "role": 4}}
    tools = [{"type": "function", "function": {"name": "say", "parameters": parameters}}]
    read = dialect.read_request(body(tools=tools, response_format={"type": "text"}))
    assert read.messages == (Message("user", "hi"),)
    quoted = 'they wrote {"content": "x", "messages": []} — é'
    assert turns({"role": "user", "content": quoted}) == [("user", quoted)]


# --- steering


def test_guidance_follows_the_leading_instructions_in_their_own_role() -> None:
    def roles(*given: str) -> list[str]:
        request = body(messages=[{"role": role, "content": "x"} for role in given])
        return [
            m["role"] + ("*" if m["content"] == "G" else "")
            for m in json.loads(dialect.steered(request, "G"))["messages"]
        ]

    assert roles("user") == ["system*", "user"]
    assert roles("system", "user", "system") == ["system", "system*", "user", "system"]
    assert roles("developer", "user") == ["developer", "developer*", "user"]


def test_steering_leaves_every_other_byte_of_meaning() -> None:
    before = (
        b'{"model": "m", "temperature": 0.10000000000000000555, "seed": 123456789012345678901234567890,'
        b' "messages": [{"role": "user", "content": "h\\u00e9 \\/", "x": 1e400, "name" : "n"}], "extra": {"a": [1.0]}}'
    )
    after = dialect.steered(before, "G")
    for kept in (b"0.10000000000000000555", b"123456789012345678901234567890", b'"extra":{"a": [1.0]}'):
        assert kept in after
    assert b'{"role": "user", "content": "h\\u00e9 \\/", "x": 1e400, "name" : "n"}' in after


# --- whole replies


def completion(*messages: dict[str, Any], **members: Any) -> bytes:
    choices = [
        {"index": i, "message": {"role": "assistant", **m}, "finish_reason": "stop"} for i, m in enumerate(messages)
    ]
    return json.dumps({"id": "c", "object": "chat.completion", "choices": choices, **members}).encode()


def test_everything_a_human_would_read_is_read() -> None:
    reply = dialect.read_reply(
        completion(
            {"content": "One."},
            {"content": None, "refusal": "No."},
            {"content": "Two.", "reasoning_content": "Hm.", "reasoning": "Hm."},
            {"content": None, "audio": {"id": "a", "data": "AA", "transcript": "Spoken."}},
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Deep."}]},
                    {"type": "text", "text": "Out."},
                ]
            },
            {"content": "Three.", "reasoning_details": [{"type": "reasoning.text", "text": "Detail."}]},
        )
    )
    assert reply == Reply(
        (
            Piece("content:0", "One."),
            Piece("refusal:1", "No."),
            Piece("thinking:2", "Hm."),
            Piece("content:2", "Two."),
            Piece("content:3", "Spoken."),
            Piece("thinking:4", "Deep."),
            Piece("content:4", "Out."),
            Piece("thinking:5", "Detail."),
            Piece("content:5", "Three."),
        )
    )


@pytest.mark.parametrize("call", [{"tool_calls": [{"id": "t"}]}, {"function_call": {"name": "f", "arguments": ""}}])
def test_tool_calls_are_seen(call: dict[str, Any]) -> None:
    assert dialect.read_reply(completion({"content": None, **call})).tools
    assert not dialect.read_reply(completion({"content": "x", "tool_calls": [], "function_call": None})).tools


@pytest.mark.parametrize(
    "bad",
    [
        b'{"error":{"message":"m"}}',
        b'{"choices":[{"index":0}]}',
        b'{"choices":[{"index":-1,"message":{"content":"a"}}]}',
        b'{"choices":[{"index":0,"message":{"content":"a","content":"b"}}]}',
        b'{"choices":[{"index":0,"message":{"content":7}}]}',
        b"<html>",
    ],
)
def test_a_reply_that_cannot_be_read_is_refused(bad: bytes) -> None:
    with pytest.raises(Refusal):
        dialect.read_reply(bad)


def test_exchanged_text_takes_what_belonged_to_the_old_text_with_it() -> None:
    before = json.loads(
        completion(
            {"content": "bad", "annotations": [1], "audio": {"transcript": ""}, "tool_calls": [{"id": "t"}]},
            {"content": "good", "annotations": [2]},
            x=1,
        )
    )
    for choice in before["choices"]:
        choice["logprobs"] = {"content": [{"token": "x"}]}
    after = json.loads(dialect.rewritten(json.dumps(before).encode(), {"content:0": "better"}))
    assert after["choices"][0]["message"] == {"role": "assistant", "content": "better", "tool_calls": [{"id": "t"}]}
    assert after["choices"][0]["logprobs"] is None
    assert after["choices"][1] == before["choices"][1]
    assert after["x"] == 1


@pytest.mark.parametrize("channel", ["content:0", "thinking:0", "refusal:0"])
@pytest.mark.parametrize(
    "message",
    [
        {
            "content": "A",
            "refusal": "B",
            "reasoning": "C",
            "reasoning_content": "D",
            "reasoning_details": [{"text": "E"}],
        },
        {
            "content": [{"type": "thinking", "thinking": "F"}, {"type": "text", "text": "G"}],
            "audio": {"transcript": "H"},
        },
    ],
)
def test_old_text_is_gone_wherever_the_server_put_it(message: dict[str, Any], channel: str) -> None:
    body_ = completion(message)
    old = {piece.channel: piece.text for piece in dialect.read_reply(body_).pieces}
    new = dialect.read_reply(dialect.rewritten(body_, {channel: "new"})).pieces
    assert Piece(channel, "new") in new
    assert all(piece.text != old.get(channel) for piece in new)


# --- streams


def test_a_stream_of_reasoning_text_and_a_tool_call() -> None:
    got = frames(
        chunk(role="assistant", content=""),
        chunk(reasoning_content="Hm"),
        chunk(content="Hel"),
        b": comment\n\n",
        chunk(content="lo"),
        chunk(tool_calls=[{"index": 0, "id": "t", "function": {"name": "f", "arguments": "{"}}]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": "}"}}]),
        chunk(finish="tool_calls"),
        event({"choices": [], "usage": {"total_tokens": 3}}),
        DONE,
    )
    assert [f.pieces for f in got if f.pieces] == [
        (Piece("thinking:0", "Hm"),),
        (Piece("content:0", "Hel"),),
        (Piece("content:0", "lo"),),
    ]
    assert [f.tools for f in got] == [False] * 5 + [True, True] + [False] * 3
    assert [f.closes for f in got if f.closes] == [("thinking:0",), ("content:0",)]
    assert [f.end for f in got] == [False] * 9 + [True]


def test_choices_close_one_by_one_and_mixed_frames_are_read_whole() -> None:
    both = event(
        {"choices": [
            {"index": 0, "delta": {"content": "a", "refusal": "r"}, "finish_reason": "stop"},
            {"index": 1, "delta": {"content": "b", "function_call": {"arguments": "{"}}, "finish_reason": ""},
        ]}
    )  # fmt: skip
    first, *_ = frames(both, chunk(1, "length"), DONE)
    assert first.pieces == (Piece("content:0", "a"), Piece("refusal:0", "r"), Piece("content:1", "b"))
    assert first.closes == ("content:0", "refusal:0")
    assert first.tools


def test_spoken_replies_are_read_by_their_transcript() -> None:
    got = frames(chunk(audio={"id": "a", "transcript": "Hi"}), chunk(audio={"data": "AAAA"}), chunk(finish="stop"))
    assert [f.pieces for f in got] == [(Piece("content:0", "Hi"),), (), ()]


@pytest.mark.parametrize(
    "ending",
    [
        (chunk(finish="stop"),),
        (chunk(finish="stop"), b"data: [DONE]"),
        (chunk(finish="stop"), b"data: [DONE]\n"),
        (chunk(finish="stop"), b": bye"),
        (DONE,),
        (DONE, b"\n\n: bye\n\n \n\n"),
        (event({"error": {"message": "busy"}}),),
        (event({"error": {"message": "busy"}}), DONE),
        (b'event: error\ndata: {"message": "busy"}\n\n',),
    ],
)
def test_endings_of_real_servers_are_accepted(ending: tuple[bytes, ...]) -> None:
    stream = (chunk(content="a"), *ending)
    assert b"".join(f.raw for f in frames(*stream)) == b"".join(stream)


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        chunk(content="a"),
        chunk(finish="stop") + chunk(1, content="b"),
        chunk(finish="stop") + b"data: {",
        chunk(finish="stop") + chunk(content="b")[:-1],
        DONE + chunk(content="late"),
        event({"error": {"message": "m"}}) + chunk(content="late"),
    ],
)
def test_streams_that_must_not_pass_for_complete(stream: bytes) -> None:
    reader = dialect.reader()
    with pytest.raises(Refusal):
        reader.feed(stream)
        reader.close()
    with pytest.raises(Refusal):
        reader.close()


@pytest.mark.parametrize(
    "frame",
    [
        event("a string"),
        event([1]),
        b"data: [DONE] and more\n\n",
        b'data: {"choices":[{"index":0,"delta":{"content":"a","content":"b"}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"a"},"delta":{}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"a"}}],"choices":[]}\n\n',
        b'data: {"choices":[],"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"refusal":"a","refusal":null}}]}\n\n',
        b'data: {"choices":[{"index":500,"delta":{}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":{}}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"\xff"}}]}\n\n',
        b'data: {"choices":[]}\ndata: {"choices":[]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"a","Content":"b"}}]}\n\n',
        b'data: {"Choices":[{"Index":0,"Delta":{"Content":"a"}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"\\"","content":""}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"a","c\\u006fntent":"b"}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{}],"tool_calls":null}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"reasoning":"a"},"delta":{"content":""}},{"index":1}]}\n\n',
    ],
)
def test_a_frame_that_can_be_read_in_two_ways_is_refused(frame: bytes) -> None:
    with pytest.raises(Refusal):
        dialect.reader().feed(frame)


def test_frames_before_a_bad_one_are_not_lost() -> None:
    reader = dialect.reader()
    assert len(reader.feed(chunk(content="a") + event("bad"))) == 1
    with pytest.raises(Refusal):
        reader.feed(chunk(content="b"))


# --- writing


def test_a_stream_of_our_own_from_nothing() -> None:
    writer = dialect.writer(Chat(ASK.messages, choices=2, model="m", include_usage=True), reply_id="id1", created=9)
    data = writer.say("Hello.") + writer.finish()
    chunks = sent(data)
    assert [(c["id"], c["model"], c["created"]) for c in chunks] == [("id1", "m", 9)] * len(chunks)
    assert [(x["index"], x["delta"], x["finish_reason"]) for c in chunks for x in c["choices"]] == [
        (0, {"role": "assistant", "content": ""}, None),
        (0, {"content": "Hello."}, None),
        (1, {"role": "assistant", "content": ""}, None),
        (1, {"content": "Hello."}, None),
        (0, {}, "stop"),
        (1, {}, "stop"),
    ]
    assert chunks[-1]["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert data.endswith(DONE)


def test_after_a_cut_the_stream_goes_on_as_the_one_that_began() -> None:
    writer = dialect.writer(ASK, reply_id="id1", created=9)
    for frame in frames(chunk(role="assistant", content=""), chunk(content="a"), chunk(1, "stop"), DONE)[:3]:
        writer.released(frame)
    chunks = sent(writer.say("b") + writer.finish())
    assert [(c["id"], c["model"], c["created"]) for c in chunks] == [("c1", "real", 5)] * 2
    assert [(x["index"], x["delta"], x["finish_reason"]) for c in chunks for x in c["choices"]] == [
        (0, {"content": "b"}, None),
        (0, {}, "stop"),
    ]


def test_the_role_is_given_when_the_upstream_did_not() -> None:
    writer = dialect.writer(ASK, reply_id="i", created=1)
    for frame in frames(chunk(content="a"), DONE)[:1]:
        writer.released(frame)
    assert [x["delta"] for c in sent(writer.say("b")) for x in c["choices"]] == [
        {"role": "assistant", "content": ""},
        {"content": "b"},
    ]


def test_reasoning_goes_on_in_the_field_it_began_in() -> None:
    writer = dialect.writer(ASK, reply_id="i", created=1)
    for frame in frames(chunk(role="assistant", reasoning="a"), DONE)[:1]:
        writer.released(frame)
    assert sent(writer.say("b", "thinking:0"))[0]["choices"][0]["delta"] == {"reasoning": "b"}


def test_usage_is_written_once() -> None:
    writer = dialect.writer(Chat(ASK.messages, include_usage=True), reply_id="i", created=1)
    stream = (
        chunk(role="assistant", content="a"),
        chunk(finish="stop"),
        event({"choices": [], "usage": {"total_tokens": 3}}),
    )
    for frame in frames(*stream):
        writer.released(frame)
    assert writer.finish() == DONE


def test_nothing_follows_a_terminator() -> None:
    writer = dialect.writer(ASK, reply_id="i", created=1)
    for frame in frames(chunk(content="a"), DONE):
        writer.released(frame)
    assert writer.finish() == b""


def test_a_last_line_without_an_end_does_not_swallow_the_terminator() -> None:
    writer = dialect.writer(ASK, reply_id="i", created=1)
    for frame in frames(chunk(role="assistant", content="a", finish="stop"), b": bye"):
        writer.released(frame)
    assert writer.finish() == b"\n\n" + DONE


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "invalid_request_error"), (429, "rate_limit_error"), (502, "server_error")]
)
def test_errors_have_the_apis_shape(status: int, kind: str) -> None:
    assert json.loads(dialect.error(status, "m")) == {
        "error": {"message": "m", "type": kind, "param": None, "code": None}
    }


@pytest.mark.parametrize(
    "message",
    [
        '{"Content":"a"}',
        '{"content":"a","Content":"b"}',
        '{"content":"a","content":"b"}',
        '{"content":"a","\\u0063ontent":"b"}',
        '{"content":"a","reasonıng":"b","ſ":1}'.replace("ı", "i").replace('"ſ"', '"tranſcript"'),
    ],
)
def test_a_whole_reply_says_each_thing_once_and_in_lower_case(message: str) -> None:
    with pytest.raises(Refusal):
        dialect.read_reply(f'{{"choices":[{{"index":0,"message":{message}}}]}}'.encode())


def test_a_part_that_says_two_things_is_read_twice() -> None:
    part = {"type": "refusal", "text": "Stay.", "refusal": "I cannot."}
    assert turns({"role": "user", "content": [part]}) == [("user", "Stay.\nI cannot.")]
    reply = json.dumps({"choices": [{"message": {"content": [part]}}]}).encode()
    assert dialect.read_reply(reply).pieces == (Piece("content:0", "Stay.I cannot."),)


def test_a_chunk_with_a_delta_and_a_whole_message_is_read_in_both() -> None:
    choice = {"index": 0, "delta": {"content": "Hi"}, "message": {"content": "Ho", "refusal": "No"}}
    (frame,) = dialect.reader().feed(event({"choices": [choice]}))
    assert frame.pieces == (Piece("content:0", "Hi"), Piece("content:0", "Ho"), Piece("refusal:0", "No"))
