"""Ollama's chats and completions: what is read, what is changed, and what must stay as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guardrail.core.model import Message, Refusal
from guardrail.core.ports import Chat, Dialect, Frame, Piece, Reply
from guardrail.dialects.ndjson import written
from guardrail.dialects.ollama_chat import OllamaChat
from guardrail.dialects.ollama_generate import OllamaGenerate

CHAT, GENERATE = OllamaChat(), OllamaGenerate()
ASK = Chat((Message("user", "hello"),), stream=True, model="m")
AT = "2026-01-02T03:04:05.123456789Z"
both = pytest.mark.parametrize("dialect", [CHAT, GENERATE], ids=["chat", "generate"])


def body(**members: Any) -> bytes:
    return json.dumps({"model": "m", **members}).encode()


def turns(dialect: Dialect, **members: Any) -> list[tuple[str, str]]:
    return [(m.role, m.text) for m in dialect.read_request(body(**members)).messages]


def said(content: str = "", **members: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": content, **members}}


def line(part: dict[str, Any], **members: Any) -> bytes:
    return json.dumps({"model": "real", "created_at": AT, **part, "done": False, **members}).encode() + b"\n"


def last(part: dict[str, Any] | None = None, **members: Any) -> bytes:
    return line(part or said(), done=True, done_reason="stop", eval_count=3, **members)


def frames(dialect: Dialect, *raws: bytes) -> list[Frame]:
    reader = dialect.reader()
    return [frame for raw in raws for frame in reader.feed(raw)] + reader.close()


# --- whose requests these are


@pytest.mark.parametrize(
    ("method", "path", "owner"),
    [
        ("POST", "/api/chat", CHAT),
        ("POST", "/api/generate", GENERATE),
        ("POST", "/ollama/api/chat/", CHAT),
        ("post", "//api/./GENERATE", GENERATE),
        ("GET", "/api/chat", None),
        ("POST", "/api/embed", None),
        ("POST", "/api/pull", None),
        ("POST", "/api/chats", None),
        ("POST", "/v1/chat/completions", None),
    ],
)
def test_each_path_has_one_dialect(method: str, path: str, owner: Dialect | None) -> None:
    assert [d for d in (CHAT, GENERATE) if d.claims(method, path, "")] == ([owner] if owner else [])


# --- requests


def test_a_chat_with_tools_pictures_and_reasoning() -> None:
    call = {"function": {"name": "look", "arguments": {"content": "x"}}}
    assert turns(CHAT, messages=[
        {"role": "system", "content": "Be kind."},
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "What is this?", "images": ["iVBORw0KGgo="]},
        {"role": "assistant", "content": "", "thinking": "Let me see.", "tool_calls": [call]},
        {"role": "tool", "tool_name": "look", "content": "a cat"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "assistant", "content": "It is"},
    ]) == [
        ("system", "Be kind."),
        ("system", "Be brief."),
        ("user", "What is this?"),
        ("assistant", ""),
        ("tool", "a cat"),
        ("assistant", ""),
        ("assistant", "It is"),
    ]  # fmt: skip


def test_words_under_an_unknown_role_or_none_are_read_as_the_persons() -> None:
    given = [{"role": "human", "content": "hi"}, {"role": "User ", "content": "there"}, {"content": "you"}]
    assert turns(CHAT, messages=given) == [("user", "hi"), ("user", "there"), ("user", "you")]


def test_a_prompt_is_the_persons_turn_and_what_follows_the_gap_is_too() -> None:
    assert turns(GENERATE, prompt="hi", system="Be kind.", context=[1, 2], images=["iVBORw0KGgo="]) == [
        ("system", "Be kind."),
        ("user", "hi"),
    ]
    assert turns(GENERATE, prompt="hi", suffix="bye", template="{{ .Prompt }}") == [("user", "hi\nbye")]
    assert turns(GENERATE, prompt="[INST] hi [/INST]", raw=True) == [("user", "[INST] hi [/INST]")]


@pytest.mark.parametrize("members", [{}, {"messages": []}, {"messages": None}, {"messages": [], "keep_alive": 0}])
def test_a_chat_without_messages_loads_the_model(members: dict[str, Any]) -> None:
    read = CHAT.read_request(body(**members))
    assert (read.messages, read.stream, read.model) == ((), True, "m")
    assert json.loads(CHAT.steered(body(**members), "G")) == {"model": "m", **members}


@pytest.mark.parametrize("members", [{}, {"prompt": ""}, {"prompt": None, "system": "Be kind."}, {"keep_alive": 0}])
def test_a_completion_without_a_prompt_loads_the_model(members: dict[str, Any]) -> None:
    read = GENERATE.read_request(body(**members))
    assert not [m for m in read.messages if m.role == "user"]
    assert json.loads(GENERATE.steered(body(**members), "G")) == {"model": "m", **members}


LOADED = b'{"model":"m","created_at":"%s","message":{"role":"assistant","content":""},"done_reason":"load","done":true}'


def test_the_answer_to_loading_is_a_reply_that_says_nothing() -> None:
    assert CHAT.read_reply(LOADED % AT.encode()) == Reply()
    unloaded = {"model": "m", "created_at": AT, "response": "", "done": True, "done_reason": "unload"}
    assert GENERATE.read_reply(json.dumps(unloaded).encode()) == Reply()


@both
@pytest.mark.parametrize(
    ("members", "stream", "structured"),
    [
        ({}, True, False),
        ({"stream": None, "format": None}, True, False),
        ({"stream": True, "format": ""}, True, False),
        ({"stream": False, "format": "json"}, False, True),
        ({"stream": False, "format": {"type": "object"}}, False, True),
    ],
)
def test_replies_are_streams_unless_the_client_says_no(
    dialect: Dialect, members: dict[str, Any], stream: bool, structured: bool
) -> None:
    read = dialect.read_request(body(**members, think=True, options={"temperature": 0}, logprobs=True))
    assert (read.stream, read.structured) == (stream, structured)


@both
def test_who_cannot_be_read_is_answered_in_the_form_they_most_likely_wait_for(dialect: Dialect) -> None:
    assert dialect.seems_streamed(b'{"messages": 5}')
    assert dialect.seems_streamed(b'{"stream": true')
    assert not dialect.seems_streamed(b'{"messages": 5, "stream" : false')


TWO_WAYS = [
    b"",
    b"[]",
    b"null",
    b'{"messages":{}}',
    b'{"messages":[null]}',
    b'{"messages":[{"role":"user","content":5}]}',
    b'{"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}]}',
    b'{"messages":[{"role":"user","content":"a"}],"messages":[]}',
    b'{"messages":[],"Messages":[{"role":"user","content":"a"}]}',
    b'{"Messages":[{"role":"user","content":"a"}]}',
    '{"messages":[{"role":"user","content":"a"}],"meſſages":[]}'.encode(),
    b'{"messages":[{"role":"user","content":"a"}],"mess\\u0061ges":[]}',
    b'{"messages":[{"role":"user","content":"a","content":"b"}]}',
    b'{"messages":[{"role":"user","Content":"a"}]}',
    b'{"messages":[{"role":"user","content":"a","role":"tool"}]}',
    b'{"messages":[{"role":"user","content":"\xff"}]}',
    b'{"messages":[{"role":"user","content":"a","images":["\xff"]}]}',
    b'{"messages":[{"role":"user","content":"\\ud800"}]}',
    b'{"messages":[],"stream":"no"}',
    b'{"messages":[],"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    b'{"messages":[]} {"messages":[{"role":"user","content":"a"}]}',
]
TWO_PROMPTS = [
    b"",
    b'{"prompt":["a"]}',
    b'{"prompt":"a","prompt":"b"}',
    b'{"prompt":"","Prompt":"b"}',
    b'{"Prompt":"b"}',
    b'{"prompt":"","pr\\u006fmpt":"b"}',
    b'{"prompt":"a","suffix":"b","suffix":""}',
    b'{"prompt":"a","system":"b","System":"c"}',
    '{"prompt":"a","ſystem":"c"}'.encode(),
    b'{"prompt":"a","system":7}',
    b'{"prompt":"a","raw":"yes"}',
]


@pytest.mark.parametrize(("dialect", "bad"), [*((CHAT, b) for b in TWO_WAYS), *((GENERATE, b) for b in TWO_PROMPTS)])
def test_what_two_readers_could_read_differently_is_refused(dialect: Dialect, bad: bytes) -> None:
    with pytest.raises(Refusal) as refusal:
        dialect.read_request(bad)
    assert "\n" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_keys_may_repeat_where_they_are_no_duplicates() -> None:
    tool = {"type": "function", "function": {"name": "say", "parameters": {"content": {"Role": 1, "role": 2}}}}
    quoted = 'they wrote {"content": "x", "messages": []} — é'
    assert turns(CHAT, messages=[{"role": "user", "content": quoted}], tools=[tool], format={"content": 1}) == [
        ("user", quoted)
    ]
    assert turns(GENERATE, prompt='{"prompt": "x"}', options={"system": 1}) == [("user", '{"prompt": "x"}')]


# --- steering


def test_guidance_follows_the_leading_instructions() -> None:
    def roles(*given: str) -> list[str]:
        request = body(messages=[{"role": role, "content": "x"} for role in given])
        steered = json.loads(CHAT.steered(request, "G"))["messages"]
        return [m["role"] + ("*" if m["content"] == "G" else "") for m in steered]

    assert roles("system", "user", "system") == ["system", "system*", "user", "system"]
    assert roles("System", "developer", "user") == ["System", "developer", "system*", "user"]
    assert roles("user") == ["system*", "user"]
    assert roles("assistant") == ["system*", "assistant"]


def test_guidance_does_not_push_the_models_own_instructions_out() -> None:
    """Ollama leaves those in the model's file away when the first message is the system's."""
    messages = [{"role": role, "content": role} for role in ("user", "assistant", "user", "tool")]
    steered = json.loads(CHAT.steered(body(messages=messages), "G"))["messages"]
    assert [m["role"] for m in steered] == ["user", "assistant", "system", "user", "tool"]


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({"prompt": "hi"}, {"system": "G"}),
        ({"prompt": "hi", "system": None, "raw": False}, {"system": "G"}),
        ({"prompt": "hi", "system": "Be kind.", "context": [1]}, {"system": "Be kind.\n\nG"}),
        ({"prompt": "[INST] hi [/INST]", "raw": True}, {"prompt": "G\n\n[INST] hi [/INST]"}),
    ],
)
def test_guidance_in_a_completion_goes_where_ollama_lets_it(given: dict[str, Any], changed: dict[str, Any]) -> None:
    assert json.loads(GENERATE.steered(body(**given), "G")) == {"model": "m", **given, **changed}


def test_steering_leaves_every_other_byte_of_meaning() -> None:
    rest = b'"options": {"temperature": 0.10000000000000000555, "seed": 123456789012345678901234567890}'
    message = b'{"role": "user", "content": "h\\u00e9 \\/", "x": 1e400, "images": ["AA=="]}'
    after = CHAT.steered(b'{"model": "m", "messages": [' + message + b"], " + rest + b"}", "G")
    assert message in after
    assert rest.partition(b": ")[2] in after
    after = GENERATE.steered(b'{"prompt": "h\\u00e9", "context": [1, 2], ' + rest + b"}", "G")
    assert b'"h\\u00e9"' in after
    assert b"[1, 2]" in after
    assert rest.partition(b": ")[2] in after


# --- whole replies


@pytest.mark.parametrize(
    ("members", "pieces"),
    [
        (said("One."), [("content:0", "One.")]),
        (said("One.", thinking="Hm."), [("thinking:0", "Hm."), ("content:0", "One.")]),
        ({"response": "One.", "thinking": "Hm."}, [("thinking:0", "Hm."), ("content:0", "One.")]),
        ({"response": "One.", "context": [1], "thinking": None}, [("content:0", "One.")]),
        ({**said("One.", thinking="A"), "response": "Two.", "thinking": "B"}, [
            ("thinking:0", "AB"), ("content:0", "One.Two.")
        ]),
        (said("One.", new_field="x"), [("content:0", "One.")]),
        ({"message": None, "response": "One."}, [("content:0", "One.")]),
    ],
)  # fmt: skip
def test_everything_a_human_would_read_is_read_wherever_it_is(
    members: dict[str, Any], pieces: list[tuple[str, str]]
) -> None:
    for dialect in (CHAT, GENERATE):
        reply = dialect.read_reply(line(members, done=True))
        assert reply == Reply(tuple(Piece(*piece) for piece in pieces))


def test_tool_calls_are_seen() -> None:
    call = {"function": {"name": "look", "arguments": {"content": "x"}}}
    assert CHAT.read_reply(line(said(tool_calls=[call]))).tools
    assert GENERATE.read_reply(line({"response": "", "tool_calls": [call]})).tools
    assert not CHAT.read_reply(line(said("x", tool_calls=[]))).tools


@pytest.mark.parametrize(
    "bad",
    [
        b"{}",
        b"<html>",
        b'{"error":"model not found"}',
        b'{"error":"busy","response":""}',
        b'{"message":null}',
        b'{"message":"hi"}',
        b'{"response":null}',
        b'{"response":["a"]}',
        b'{"message":{"content":"a","content":""}}',
        b'{"message":{"content":"a"},"message":{}}',
        b'{"message":{"content":"","Content":"a"}}',
        b'{"response":"","Response":"a"}',
        '{"response":"","thin\N{KELVIN SIGN}ing":"a"}'.encode(),
        b'{"response":"","thin\\u006bing":"a","thinking":""}',
        b'{"message":{"content":"a"}}{"message":{"content":"b"}}',
        b'{"response":"a","done":1}',
    ],
)
def test_a_reply_that_cannot_be_read_is_refused(bad: bytes) -> None:
    for dialect in (CHAT, GENERATE):
        with pytest.raises(Refusal):
            dialect.read_reply(bad)


def test_exchanged_text_takes_what_belonged_to_the_old_text_with_it() -> None:
    call = {"function": {"name": "f", "arguments": {}}}
    old = last(said("bad", thinking="Hm", tool_calls=[call]), logprobs=[{"token": "bad"}])
    after = json.loads(CHAT.rewritten(old, {"content:0": "better"}))
    assert after == {
        **{k: v for k, v in json.loads(old).items() if k != "logprobs"},
        **said("better", thinking="Hm", tool_calls=[call]),
    }
    old = last({"response": "bad", "thinking": "worse"}, context=[1, 2], logprobs=[])
    after = json.loads(GENERATE.rewritten(old, {"thinking:0": "Hm"}))
    assert (after["response"], after["thinking"], after["context"]) == ("bad", "Hm", [1, 2])
    assert "logprobs" not in after


@pytest.mark.parametrize("channel", ["content:0", "thinking:0"])
@pytest.mark.parametrize(
    "members",
    [
        {**said("A", thinking="B"), "response": "C", "thinking": "D"},
        {"message": None, "response": "C", "thinking": "D"},
    ],
)
def test_old_text_is_gone_wherever_the_server_put_it(members: dict[str, Any], channel: str) -> None:
    old = line(members)
    before = {piece.channel: piece.text for piece in CHAT.read_reply(old).pieces}
    after = {piece.channel: piece.text for piece in CHAT.read_reply(CHAT.rewritten(old, {channel: "new"})).pieces}
    assert after == {**before, channel: "new"}


# --- streams


def test_a_stream_of_reasoning_text_and_a_tool_call() -> None:
    call = {"function": {"name": "f", "arguments": {"a": 1}}}
    got = frames(
        CHAT,
        line(said(thinking="Hm")),
        line(said(thinking=", so")),
        line(said("Hel")),
        b"\n",
        line(said("lo")),
        line(said(tool_calls=[call])),
        last(),
    )
    assert [f.pieces for f in got if f.pieces] == [
        (Piece("thinking:0", "Hm"),),
        (Piece("thinking:0", ", so"),),
        (Piece("content:0", "Hel"),),
        (Piece("content:0", "lo"),),
    ]
    assert [f.tools for f in got] == [False] * 5 + [True, False]
    assert [f.closes for f in got] == [(), (), ("thinking:0",), (), (), (), ("content:0",)]
    assert [f.end for f in got] == [False] * 6 + [True]


def test_a_completion_streamed() -> None:
    got = frames(
        GENERATE,
        line({"response": "", "thinking": "Hm"}),
        line({"response": "Hi"}),
        last({"response": "!"}, context=[1]),
    )
    assert [f.pieces for f in got] == [
        (Piece("thinking:0", "Hm"),), (Piece("content:0", "Hi"),), (Piece("content:0", "!"),)
    ]  # fmt: skip
    assert [f.closes for f in got] == [(), ("thinking:0",), ("content:0",)]
    assert got[-1].end


def test_reasoning_that_nothing_follows_closes_with_the_reply_and_may_come_twice() -> None:
    assert [f.closes for f in frames(CHAT, line(said(thinking="Hm")), last())] == [(), ("thinking:0", "content:0")]
    again = frames(CHAT, line(said("b", thinking="a")), line(said("c")), line(said(thinking="d")), last(said("e")))
    assert [f.closes for f in again] == [(), ("thinking:0",), (), ("thinking:0", "content:0")]


@both
@pytest.mark.parametrize(
    "ending",
    [
        (last(),),
        (last()[:-1],),
        (last()[:-1] + b"\r\n",),
        (last(), b"\n \r\n\t"),
        (b'{"error":"busy"}\n',),
        (b'{"error":"busy"}',),
        (b'{"model":"m","created_at":"","done":true}\n',),
    ],
)
def test_endings_of_real_servers_are_accepted(dialect: Dialect, ending: tuple[bytes, ...]) -> None:
    stream = (line(said("a")), *ending)
    got = frames(dialect, *stream)
    assert b"".join(f.raw for f in got) == b"".join(stream)
    assert [f.error for f in got if f.end] == [b"error" in ending[0]]


@both
@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"\n",
        line(said("a")),
        line(said("a"))[:-3],
        last() + line(said("late")),
        last() + b"{",
        b'{"error":"busy"}\n' + line(said("late")),
    ],
)
def test_streams_that_must_not_pass_for_complete(dialect: Dialect, stream: bytes) -> None:
    reader = dialect.reader()
    with pytest.raises(Refusal):
        reader.feed(stream)
        reader.close()
    with pytest.raises(Refusal):
        reader.close()


@both
@pytest.mark.parametrize(
    "bad",
    [
        b'"a string"\n',
        b"[1]\n",
        b"data: {}\n",
        b'{"message":{"content":"a"}}{"message":{"content":"b"}}\n',
        b'{"message":{"content":"a","content":"b"}}\n',
        b'{"message":{"content":"a"},"message":{}}\n',
        b'{"message":{},"Message":{"content":"a"}}\n',
        b'{"Message":{"Content":"a"}}\n',
        b'{"message":{"content":{}}}\n',
        b'{"message":{"thinking":["a"]}}\n',
        b'{"message":{"content":"\xff"}}\n',
        b'{"message":{"content":"a"},"x":"\xff"}\n',
        b'{"message":{"content":"\\"","content":""}}\n',
        b'{"message":{"content":"","c\\u006fntent":"b"}}\n',
        b'{"response":"","RESPONSE":"a"}\n',
        '{"response":"","thin\N{KELVIN SIGN}ing":"a"}\n'.encode(),
        b'{"response":"a","tool_calls":[{}],"tool_calls":null}\n',
        b'{"response":"a","done":false,"done":true}\n',
        b'{"response":"a","Error":"busy"}\n',
    ],
)
def test_a_line_that_can_be_read_in_two_ways_is_refused(dialect: Dialect, bad: bytes) -> None:
    with pytest.raises(Refusal):
        dialect.reader().feed(bad)


def test_lines_before_a_bad_one_are_not_lost() -> None:
    reader = CHAT.reader()
    assert len(reader.feed(line(said("a")) + b"[]\n" + line(said("b")))) == 1
    with pytest.raises(Refusal):
        reader.feed(line(said("b")))


# --- writing


def sent(data: bytes) -> list[Any]:
    assert data.endswith(b"\n")
    assert data.isascii()
    return [json.loads(part) for part in data.decode().splitlines()]


COUNTS = {name: 0 for name in ("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration")}
END = {"done": True, "done_reason": "stop", **COUNTS, "eval_count": 0, "eval_duration": 0}


def test_a_stream_of_our_own_from_nothing() -> None:
    top = {"model": "m", "created_at": "1970-01-01T00:00:09Z"}
    writer = CHAT.writer(ASK, reply_id="i", created=9)
    assert sent(writer.say("Hé\u2028llo.\n") + writer.finish()) == [
        {**top, **said("Hé\u2028llo.\n"), "done": False},
        {**top, **said(), **END},
    ]
    writer = GENERATE.writer(ASK, reply_id="i", created=9)
    assert sent(writer.say("Hello.", "content:0") + writer.say("Hm", "thinking:0") + writer.finish()) == [
        {**top, "response": "Hello.", "done": False},
        {**top, "response": "", "thinking": "Hm", "done": False},
        {**top, "response": "", **END, "context": []},
    ]


@both
def test_after_a_cut_the_stream_goes_on_as_the_one_that_began(dialect: Dialect) -> None:
    writer = dialect.writer(ASK, reply_id="i", created=9)
    for frame in frames(dialect, line(said("a")), b"\n", last())[:2]:
        writer.released(frame)
    assert [(part["model"], part["created_at"]) for part in sent(writer.say("b") + writer.finish())] == [
        ("real", AT)
    ] * 2


def test_a_server_that_names_neither_model_nor_time_is_no_hindrance() -> None:
    writer = CHAT.writer(ASK, reply_id="i", created=9)
    for frame in CHAT.reader().feed(b'{"message":{"content":"a"},"model":null}\n'):
        writer.released(frame)
    assert [(part["model"], part["created_at"]) for part in sent(writer.finish())] == [("m", "1970-01-01T00:00:09Z")]


def test_reasoning_of_a_chat_is_written_as_reasoning() -> None:
    written_ = CHAT.writer(ASK, reply_id="i", created=1).say("Hm", "thinking:0")
    assert sent(written_)[0]["message"] == {"role": "assistant", "content": "", "thinking": "Hm"}


@both
def test_nothing_follows_an_end(dialect: Dialect) -> None:
    for end in (last(), last()[:-1], b'{"error":"busy"}\n'):
        writer = dialect.writer(ASK, reply_id="i", created=1)
        for frame in frames(dialect, line(said("a")), end):
            writer.released(frame)
        assert writer.finish() == b""


@both
def test_a_keep_alive_is_an_ordinary_line_that_says_nothing(dialect: Dialect) -> None:
    (frame,) = dialect.reader().feed(dialect.keepalive)
    assert frame == Frame(dialect.keepalive)
    (part,) = sent(dialect.keepalive)
    assert part["done"] is False
    assert isinstance(part["model"], str)
    assert part["created_at"]


@both
def test_a_whole_reply_of_ours_reads_as_what_it_says(dialect: Dialect) -> None:
    reply = dialect.replacement(ASK, "Stay.", reply_id="i", created=9)
    assert dialect.read_reply(reply) == Reply((Piece("content:0", "Stay."),))
    assert json.loads(reply).items() >= {"model": "m", "created_at": "1970-01-01T00:00:09Z", **END}.items()


@both
def test_errors_have_the_apis_shape(dialect: Dialect) -> None:
    assert json.loads(dialect.error(502, "m\n")) == {"error": "m\n"}
    assert dialect.stream_error(502, "m\n") == written({"error": "m\n"}) == b'{"error":"m\\n"}\n'
    (frame,) = frames(dialect, dialect.stream_error(502, "m"))
    assert frame.end
    assert frame.error
