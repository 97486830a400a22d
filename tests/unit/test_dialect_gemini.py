"""Gemini's generated content: what is read, what is changed, and what must stay as it was."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from guardrail.core.model import Message, Refusal
from guardrail.core.ports import Chat, Dialect, Frame, Piece
from guardrail.dialects.gemini import Gemini, GeminiArray
from guardrail.dialects.sse import MAX_FRAME

WHOLE, EVENTS, ARRAY = Gemini("whole"), Gemini("events"), GeminiArray()
FORMS: tuple[Dialect, ...] = (WHOLE, EVENTS, ARRAY)
ASK = Chat((Message("user", "hello"),), stream=True)
MODEL = "/v1beta/models/gemini-x"
END = b"\r\n\r\n"


def body(*contents: Any, **members: Any) -> bytes:
    return json.dumps({"contents": contents or [{"role": "user", "parts": [{"text": "hi"}]}], **members}).encode()


def turn(role: str, *parts: Any) -> dict[str, Any]:
    return {"role": role, "parts": [{"text": p} if isinstance(p, str) else p for p in parts]}


def turns(*contents: Any, **members: Any) -> list[tuple[str, str]]:
    return [(m.role, m.text) for m in WHOLE.read_request(body(*contents, **members)).messages]


def candidate(*parts: Any, **members: Any) -> dict[str, Any]:
    return {"content": turn("model", *parts), **members}


def response(*candidates: Any, **members: Any) -> dict[str, Any]:
    return {"candidates": list(candidates), **members}


def reply(*candidates: Any, **members: Any) -> bytes:
    return json.dumps(response(*candidates, **members)).encode()


def event(value: Any, end: bytes = END) -> bytes:
    return b"data: " + json.dumps(value).encode() + end


def pieces(*candidates: Any, **members: Any) -> list[tuple[str, str]]:
    return [(p.channel, p.text) for p in WHOLE.read_reply(reply(*candidates, **members)).pieces]


def frames(dialect: Dialect, *raws: bytes) -> list[Frame]:
    reader = dialect.reader()
    return [frame for raw in raws for frame in reader.feed(raw)] + reader.close()


def streamed(*values: Any) -> list[Frame]:
    return frames(EVENTS, *[event(value) for value in values])


def sent(data: bytes) -> list[Any]:
    return [json.loads(line.removeprefix(b"data: ")) for line in data.split(END) if line]


# --- paths


@pytest.mark.parametrize(
    ("path", "query", "form"),
    [
        (f"{MODEL}:generateContent", "", WHOLE),
        (f"{MODEL}:generateContent", "key=k&$alt=json%3Benum-encoding%3Dint", WHOLE),
        ("/v1/models/gemini-x:generateContent", "", WHOLE),
        ("/v1beta/tunedModels/mine:generateContent", "", WHOLE),
        ("/v1/projects/p/locations/l/publishers/google/models/X:generateContent", "", WHOLE),
        ("/v1/projects/p/locations/l/endpoints/7:generateContent", "", WHOLE),
        (f"{MODEL}%3AgenerateContent", "", WHOLE),
        (f"{MODEL}:GENERATECONTENT/", "", WHOLE),
        ("/v1beta//models/x/../gemini-x:generateContent", "", WHOLE),
        (f"{MODEL}:streamGenerateContent", "alt=sse", EVENTS),
        (f"{MODEL}:streamGenerateContent", "key=k&alt=SSE", EVENTS),
        (f"{MODEL}:streamGenerateContent", "%24alt=sse%3Benum-encoding%3Dint", EVENTS),
        (f"{MODEL}:streamGenerateContent", "alt=sse?a=b", EVENTS),
        (f"{MODEL}:generateContent", "alt=sse", EVENTS),
        ("/v1/projects/p/locations/l/publishers/google/models/X:streamGenerateContent", "alt=sse", EVENTS),
        (f"{MODEL}:streamGenerateContent", "", ARRAY),
        (f"{MODEL}:streamGenerateContent", "alt=json", ARRAY),
        (f"{MODEL}:streamGenerateContent", "alternative=sse", ARRAY),
        (f"{MODEL}:countTokens", "", None),
        (f"{MODEL}:embedContent", "", None),
        (f"{MODEL}:batchGenerateContent", "", None),
        (f"{MODEL}:generateContent/operations/7", "", None),
        (MODEL, "", None),
    ],
)  # fmt: skip
def test_path_and_query_tell_the_forms_apart(path: str, query: str, form: Dialect | None) -> None:
    assert [dialect for dialect in FORMS if dialect.claims("POST", path, query)] == ([form] if form else [])
    assert not any(dialect.claims("OPTIONS", path, query) for dialect in FORMS)


def test_the_path_tells_whether_a_stream_is_wanted_whatever_the_body_says() -> None:
    for dialect, stream in ((WHOLE, False), (EVENTS, True), (ARRAY, True)):
        assert dialect.read_request(body(stream=not stream)).stream is stream
        assert dialect.seems_streamed(b'{"stream": true') is stream


# --- requests


def test_a_conversation_with_tools_pictures_thoughts_and_code() -> None:
    assert turns(
        turn("user", "What is this?", {"inlineData": {"mimeType": "image/png", "data": "AA"}}, "Tell me."),
        turn("model", {"text": "Hm.", "thought": True}, "I will ", {"functionCall": {"name": "look", "args": {"a": "b"}}}),
        turn("function", {"functionResponse": {"name": "look", "response": {"output": "a cat", "more": ["x"]}}}),
        turn("model", {"executableCode": {"language": "PYTHON", "code": "1"}}, "It is", " a cat."),
        turn("user", {"functionResponse": {"name": "look", "response": {"output": "a dog"}}}, "And now?"),
        turn("user", {"executableCode": {"code": "print('mine')"}}, {"newKind": {"caption": "yours"}}),
        systemInstruction={"parts": [{"text": "Be kind."}, {"text": "Be brief."}]},
    ) == [
        ("system", "Be kind.\nBe brief."),
        ("user", "What is this?\nTell me."),
        ("assistant", "I will "),
        ("tool", "a cat\nx"),
        ("assistant", "It is a cat."),
        ("tool", "a dog"),
        ("user", "And now?"),
        ("user", "print('mine')\nyours"),
    ]  # fmt: skip


def test_a_streamed_reply_that_clients_send_back_in_pieces_is_one_turn() -> None:
    assert turns(
        turn("user", "a"), turn("model", "Hel"), turn("model", "lo"), turn("model", ""), turn("user", "b")
    ) == [
        ("user", "a"),
        ("assistant", "Hello"),
        ("user", "b"),
    ]


def test_one_content_and_one_part_need_no_brackets_and_no_role() -> None:
    assert turns({"parts": {"text": "hi"}}) == [("user", "hi")]
    request = {"contents": {"parts": {"text": "hi"}}, "system_instruction": {"parts": {"text": "S"}}}
    assert WHOLE.read_request(json.dumps(request).encode()).messages == (Message("system", "S"), Message("user", "hi"))


def test_words_under_an_unknown_role_are_read_as_the_persons() -> None:
    assert turns(turn("human", "hi"), turn("USER", "there"), turn("assistant", "you")) == [
        ("user", "hi"),
        ("user", "there"),
        ("user", "you"),
    ]
    assert turns(turn("user", {"text": "hidden", "thought": True})) == [("user", "hidden")]


@pytest.mark.parametrize("key", ["system_instruction", "systemInstruction"])
def test_both_spellings_of_a_member_are_read(key: str) -> None:
    assert turns(turn("user", "hi"), **{key: {"parts": [{"text": "S"}]}}) == [("system", "S"), ("user", "hi")]
    answer = {"response": {"output": "a"}}
    assert turns(turn("user", {"function_response": answer}), turn("user", {"functionResponse": answer})) == [
        ("tool", "a"),
        ("tool", "a"),
    ]


@pytest.mark.parametrize(
    ("config", "structured", "choices"),
    [
        ({}, False, 1),
        ({"responseMimeType": "text/plain"}, False, 1),
        ({"responseMimeType": "application/json"}, True, 1),
        ({"response_mime_type": "text/x.enum"}, True, 1),
        ({"responseSchema": {"type": "OBJECT"}}, True, 1),
        ({"_responseJsonSchema": {"type": "object"}}, True, 1),
        ({"responseFormat": [{"text": {"mimeType": "APPLICATION_JSON"}}]}, True, 1),
        ({"responseFormat": [{"image": {"aspectRatio": "1:1"}}]}, False, 1),
        ({"candidateCount": 3}, False, 3),
        ({"candidate_count": "2", "candidateCount": 1}, False, 2),
        ({"candidateCount": None, "responseSchema": None}, False, 1),
        (None, False, 1),
    ],
)
def test_settings_that_decide_how_the_reply_is_read(config: Any, structured: bool, choices: int) -> None:
    read = WHOLE.read_request(body(generationConfig=config, model="models/m"))
    assert (read.structured, read.choices, read.model) == (structured, choices, "models/m")


HI = '"contents":[{"parts":[{"text":"a"}]}]'


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "[]",
        "{}",
        '{"contents":[]}',
        '{"contents":null}',
        '{"contents":"hi"}',
        '{"contents":["hi"]}',
        '{"contents":[{"parts":["hi"]}]}',
        '{"contents":[{"parts":[{"text":5}]}]}',
        '{"contents":[{"role":5,"parts":[{"text":"a"}]}]}',
        '{"contents":[{"parts":[{"functionResponse":"a"}]}]}',
        '{HI,"systemInstruction":"S"}',
        '{HI,"contents":[]}',
        '{HI,"Contents":[]}',
        '{HI,"c\\u006fntents":[]}',
        '{HI,"systemInstruction":{},"system_instruction":{}}',
        '{HI,"SystemInstruction":{}}',
        '{HI,"system_Instruction":{}}',
        '{"contents":[{"parts":[{"text":"a"}],"parts":[]}]}',
        '{"contents":[{"role":"model","role":"user","parts":[{"text":"a"}]}]}',
        '{"contents":[{"parts":[{"text":"a","text":"b"}]}]}',
        '{"contents":[{"parts":[{"text":"a","Text":"b"}]}]}',
        '{"contents":[{"parts":[{"text":"a","te_xt":"b"}]}]}',
        '{"contents":[{"partſ":[{"text":"a"}],"parts":[]}]}',
        '{"contents":[{"parts":[{"functionResponse":{},"function_response":{}}]}]}',
        '{"contents":[{"parts":[{"text":"\\ud800"}]}]}',
        '{"contents":[{"parts":[{"text":"\\udc00 low"}]}]}',
        '{HI,"x":NaN}',
        '{HI} {}',
        '{HI,"generationConfig":[]}',
        '{HI,"generationConfig":{"candidateCount":1000}}',
        '{HI,"generationConfig":{"candidateCount":"many"}}',
        '{HI,"generationConfig":{"candidateCount":1e400}}',
        '{HI,"x":' + "[" * 200_000 + "]" * 200_000 + "}",
    ],
)  # fmt: skip
def test_what_two_readers_could_read_differently_is_refused(bad: str) -> None:
    with pytest.raises(Refusal) as refusal:
        WHOLE.read_request(bad.replace("HI", HI).encode())
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("bad", [b'{"contents":[{"parts":[{"text":"\xff"}]}]}', f"{{{HI}}}".encode("utf-16")])
def test_what_is_not_utf8_is_refused(bad: bytes) -> None:
    with pytest.raises(Refusal):
        WHOLE.read_request(bad)


def test_a_refusal_quotes_no_message_text() -> None:
    with pytest.raises(Refusal) as refusal:
        WHOLE.read_request(b'{"contents":[{"parts":[{"text":"secret","text":"secret"}]}],"secret":1}')
    assert "secret" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_keys_may_repeat_where_they_are_no_duplicates() -> None:
    parameters = {"parts": {"Text": 1, "text": 2}, "contents": {"role": 3, "Role": 4}}
    tools = [{"functionDeclarations": [{"name": "say", "parameters": parameters}]}]
    call = {"functionCall": {"name": "say", "args": {"text": "a", "Text": "b"}}}
    assert turns(turn("user", "hi"), turn("model", call), tools=tools) == [("user", "hi"), ("assistant", "")]


# --- steering


@pytest.mark.parametrize("key", ["systemInstruction", "system_instruction"])
@pytest.mark.parametrize("parts", [[{"text": "S"}], {"text": "S"}])
def test_guidance_is_the_last_part_of_the_instruction_that_is_there(key: str, parts: Any) -> None:
    after = json.loads(WHOLE.steered(body(**{key: {"role": "user", "parts": parts}}), "G"))
    assert after[key] == {"role": "user", "parts": [{"text": "S"}, {"text": "G"}]}
    assert {"systemInstruction", "system_instruction"} & set(after) == {key}


@pytest.mark.parametrize("instruction", [{}, {"systemInstruction": None}, {"systemInstruction": {}}])
def test_guidance_is_an_instruction_where_there_is_none(instruction: dict[str, Any]) -> None:
    after = json.loads(WHOLE.steered(body(**instruction), "G"))
    assert after["systemInstruction"] == {"parts": [{"text": "G"}]}


def test_with_cached_content_guidance_is_said_since_another_instruction_is_not_accepted() -> None:
    for key in ("cachedContent", "cached_content"):
        after = json.loads(WHOLE.steered(body(turn("user", "hi"), **{key: "cachedContents/1"}), "G"))
        assert after == {"contents": [turn("user", "G"), turn("user", "hi")], key: "cachedContents/1"}


def test_steering_leaves_every_other_byte_of_meaning() -> None:
    before = (
        b'{"generationConfig": {"temperature": 0.10000000000000000555, "seed": 123456789012345678901234567890},'
        b' "contents": [{"parts": [{"text": "h\\u00e9 \\/", "x": 1e400}], "role" : "user"}], "extra": {"a": [1.0]}}'
    )
    after = WHOLE.steered(before, "G")
    for kept in (b"0.10000000000000000555", b"123456789012345678901234567890", b'"extra":{"a": [1.0]}'):
        assert kept in after
    assert b'[{"parts": [{"text": "h\\u00e9 \\/", "x": 1e400}], "role" : "user"}]' in after
    assert WHOLE.read_request(before).messages == WHOLE.read_request(after).messages[1:]


# --- whole replies


def test_everything_a_human_would_read_is_read() -> None:
    search = {
        "searchEntryPoint": {"renderedContent": "<style>a{}</style><a href='x'>what &amp; how</a>", "sdkBlob": "AA"},
        "webSearchQueries": ["what & how"],
        "groundingChunks": [{"web": {"uri": "u", "title": "Somebody's title"}}],
        "groundingSupports": [{"segment": {"text": "Out."}}, {"segment": {"text": "Elsewhere."}}, {}],
    }
    assert pieces(
        candidate({"text": "Hm.", "thought": True}, "Out.", " And on.", groundingMetadata=search),
        candidate(
            {"executableCode": {"code": "print(1)"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
            {"inlineData": {"mimeType": "image/png", "data": "AA"}, "thoughtSignature": "c2ln"},
            {"inlineData": {"mimeType": "text/plain", "data": base64.b64encode("Grüße".encode()).decode()}},
            {"inlineData": {"mimeType": "audio/pcm", "data": "AA"}, "audioTranscription": {"text": "Spoken."}},
            {"toolCall": {"toolType": "X", "args": {"a": "b"}}},
            {"newKind": {"caption": ["One", {"deep": "two", "data": "AA"}]}},
            {"new_words": "three"},
            finishMessage="It was too long.",
        ),
        promptFeedback={"blockReasonMessage": "Not that."},
    ) == [
        ("thinking:0", "Hm."),
        ("content:0", "Out."),
        ("content:0", " And on."),
        ("sources:0", "what & how\n"),
        ("sources:0", " a{}  what & how \n"),
        ("sources:0", "Elsewhere.\n"),
        ("aside:1", "print(1)\n"),
        ("aside:1", "OUTCOME_OK\n1\n"),
        ("aside:1", "Grüße\n"),
        ("aside:1", "Spoken.\n"),
        ("aside:1", "One\ntwo\n"),
        ("aside:1", "three\n"),
        ("notice:1", "It was too long.\n"),
        ("notice:0", "Not that."),
    ]  # fmt: skip


def test_only_calls_that_the_client_must_answer_count_as_tools() -> None:
    assert WHOLE.read_reply(reply(candidate({"functionCall": {"name": "f"}}))).tools
    assert WHOLE.read_reply(reply(candidate({"function_call": {"name": "f"}}))).tools
    assert not WHOLE.read_reply(reply(candidate({"toolCall": {"toolType": "X"}}, {"functionCall": None}))).tools


@pytest.mark.parametrize(
    "bad",
    [
        '{"error":{"code":500,"message":"m","status":"INTERNAL"}}',
        '[{"candidates":[]}]',
        '{"candidates":["a"]}',
        '{"candidates":[{"content":"a"}]}',
        '{"candidates":[{"content":{"parts":["a"]}}]}',
        '{"candidates":[{"content":{"parts":[{"text":["a"]}]}}]}',
        '{"candidates":[{"content":{"parts":[{"thought":"a"}]}}]}',
        '{"candidates":[{"content":{"parts":[{"text":"a","text":"b"}]}}]}',
        '{"candidates":[{"content":{"parts":[{"text":"a","TEXT":"b"}]}}]}',
        '{"candidates":[{"content":{"parts":[{"text":"a"}]},"content":null}]}',
        '{"candidates":[{"content":{"parts":[{"text":"a"}]}}],"Candidates":[]}',
        '{"candidates":[{"finishMessage":"a","finish_message":"b"}]}',
        '{"candidates":[{"finishReason":["STOP"]}]}',
        '{"candidates":[{"groundingMetadata":{"searchEntryPoint":"a"}}]}',
        '{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"text/html","data":"???"}}]}}]}',
        '{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"text/html","data":"/w=="}}]}}]}',
        "<html>",
    ],
)
def test_a_reply_that_cannot_be_read_is_refused(bad: str) -> None:
    with pytest.raises(Refusal):
        WHOLE.read_reply(bad.encode())


def test_exchanged_text_takes_what_belonged_to_the_old_text_with_it() -> None:
    about = {
        "groundingMetadata": {"groundingSupports": [{"segment": {"text": "bad"}}]},
        "citation_metadata": {"citations": [{"endIndex": 3}]},
        "logprobsResult": {"chosenCandidates": [{"token": "bad"}]},
        "avgLogprobs": -1.0,
    }
    call = {"functionCall": {"name": "f"}, "thoughtSignature": "kept"}
    before = response(
        candidate({"text": "b", "thoughtSignature": "s"}, {"text": "Hm.", "thought": True}, call, "ad", finishReason="STOP", index=0, **about),
        candidate({"text": "good", "thoughtSignature": "s"}, index=1, **about),
        usageMetadata={"totalTokenCount": 9},
    )  # fmt: skip
    after = json.loads(WHOLE.rewritten(json.dumps(before).encode(), {"content:0": "better"}))
    assert after["candidates"][0] == candidate(
        "better", {"text": "Hm.", "thought": True}, call, finishReason="STOP", index=0
    )
    assert after["candidates"][1] == before["candidates"][1]
    assert after["usageMetadata"] == {"totalTokenCount": 9}


@pytest.mark.parametrize("kind", ["content", "thinking"])
def test_old_text_is_gone_wherever_the_server_put_it(kind: str) -> None:
    parts = [
        {"text": "A", "thought": True},
        {"text": "B"},
        {"text": "C", "thought": True},
        {"text": "D", "functionCall": {"name": "f"}},
        {"text": "E", "functionCall": {"name": "g"}, "thought": True},
        {"text": "F"},
    ]
    data = reply(candidate(*parts))
    before = {piece.text: piece.channel for piece in WHOLE.read_reply(data).pieces}
    after = WHOLE.read_reply(WHOLE.rewritten(data, {f"{kind}:0": "new"}))
    assert [p for p in after.pieces if p.channel == f"{kind}:0"] == [Piece(f"{kind}:0", "new")]
    assert {p.text for p in after.pieces} - {"new"} == {t for t, channel in before.items() if channel != f"{kind}:0"}
    assert after.tools


@pytest.mark.parametrize(
    "silent",
    [
        {"promptFeedback": {"blockReason": "SAFETY"}},
        {"candidates": [], "prompt_feedback": {"block_reason": "OTHER", "block_reason_message": "No."}},
        {"candidates": [{"finishReason": "SAFETY", "index": 0, "finishMessage": "No."}]},
        {"candidates": [{"finish_reason": "PROHIBITED_CONTENT", "content": {}}]},
    ],
)
def test_there_is_a_place_for_help_where_the_upstream_said_nothing(silent: dict[str, Any]) -> None:
    data = json.dumps(silent).encode()
    assert Piece("content:0", "") in WHOLE.read_reply(data).pieces
    after = json.loads(WHOLE.rewritten(data, {"content:0": "Help."}))
    (only,) = after["candidates"]
    assert only["content"]["parts"] == [{"text": "Help."}]
    assert only.get("finishReason", only.get("finish_reason")) == "STOP"  # clients hide what was withheld
    assert not {"promptFeedback", "prompt_feedback"} & set(after)


# --- streams


def test_a_stream_of_thoughts_text_and_a_tool_call() -> None:
    got = streamed(
        response(candidate({"text": "Hm", "thought": True}), responseId="r"),
        response(candidate("Hel")),
        response(candidate("lo", groundingMetadata={"webSearchQueries": ["q"]})),
        response(candidate({"functionCall": {"name": "f", "args": {}}})),
        response(candidate({"text": "", "thoughtSignature": "s"}, finishReason="STOP")),
        {"usageMetadata": {"totalTokenCount": 3}},
    )
    assert [f.pieces for f in got if f.pieces] == [
        (Piece("thinking:0", "Hm"),),
        (Piece("content:0", "Hel"),),
        (Piece("content:0", "lo"), Piece("sources:0", "q\n")),
    ]
    assert [f.tools for f in got] == [False, False, False, True, False, False]
    assert [f.closes for f in got if f.closes] == [("thinking:0",), ("sources:0",), ("content:0",)]
    assert not any(f.end or f.error for f in got)


def test_candidates_close_one_by_one() -> None:
    both = response(candidate("a", finishReason="MAX_TOKENS"), candidate({"text": "t", "thought": True}, index=1))
    got = streamed(both, response(candidate(index=1, finishReason=1)))
    assert got[0].pieces == (Piece("content:0", "a"), Piece("thinking:1", "t"))
    assert [f.closes for f in got] == [("content:0",), ("content:1", "thinking:1")]


def test_passages_of_sources_are_read_since_the_text_itself_may_have_been_taken_out() -> None:
    support = {"groundingSupports": [{"segment": {"text": "Hello"}}]}
    last = streamed(response(candidate("Hello")), response(candidate(finishReason="STOP", groundingMetadata=support)))[
        -1
    ]
    assert last.pieces == (Piece("sources:0", "Hello\n"),)


@pytest.mark.parametrize(
    "ending",
    [
        event(response(candidate("b", finishReason="STOP"))),
        event(response(candidate("b", finishReason="STOP")), b"\n\n"),
        event(response(candidate("b", finishReason="STOP")), b"\r\r"),
        event(response(candidate("b", finishReason="STOP")), b""),
        event(response(candidate("b", finishReason="STOP"))) + event({"usageMetadata": {}}),
        event(response(candidate("b", finishReason="STOP"))) + b"data: [DONE]\n\n",
        event(response(candidate("b", finishReason="STOP"))) + b": bye",
        event(response(candidate("b", finish_reason="SAFETY"))),
        event({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}),
        b'{\n  "error": {\n    "code": 503,\n    "message": "busy"\n  }\n}\n\n',
        b'{"error": {"code": 503}}',
    ],
)
def test_endings_of_real_servers_are_accepted(ending: bytes) -> None:
    stream = event(response(candidate("a"))) + ending
    assert b"".join(f.raw for f in frames(EVENTS, stream)) == stream


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        END,
        event(response(candidate("a"))),
        event(response(candidate("a", finishReason="FINISH_REASON_UNSPECIFIED"))),
        event(response(candidate("a", finishReason="STOP"), candidate("b", index=1))),
        event(response(candidate("a", finishReason="STOP"))) + b'data: {"candidates": [',
        event({"error": {"message": "m"}}) + event(response(candidate("late"))),
    ],
)
def test_streams_that_must_not_pass_for_complete(stream: bytes) -> None:
    reader = EVENTS.reader()
    with pytest.raises(Refusal):
        reader.feed(stream)
        reader.close()
    with pytest.raises(Refusal):
        reader.close()


RESPONSE = b'{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}'


@pytest.mark.parametrize(
    "frame",
    [
        event("a string"),
        event([response(candidate("a"))]),
        b"data: [DONE] and more\n\n",
        b"data: " + RESPONSE + b"\ndata: " + RESPONSE + b"\n\n",
        b"data: " + RESPONSE + b"\n" + RESPONSE + b"\n\n",
        b"data: " + RESPONSE + b"\r" + RESPONSE + b"\n\n",
        RESPONSE + b"\n" + RESPONSE + b"\n\n",
        b"Some text.\n\n",
        event(response(candidate("a"), candidate("b"))),
        event(response(candidate("a", index=500))),
        event(response(candidate("a", index=-1))),
        event(response(candidate("a", index="0"))),
        b'data: {"candidates":[{"content":{"parts":[{"text":"a","text":"b"}]}}]}\n\n',
        b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}],"candidates":[]}\n\n',
        b'data: {"candidates":[{"content":{"parts":[{"text":"\\"","TEXT":""}]}}]}\n\n',
        b'data: {"candidates":[{"content":{"parts":[{"text":"\xff"}]}}]}\n\n',
        b'data: {"candidates":[{"index":0,"Index":1,"content":{"parts":[{"text":"a"}]}}]}\n\n',
    ],
)
def test_a_frame_that_can_be_read_in_two_ways_is_refused(frame: bytes) -> None:
    with pytest.raises(Refusal):
        EVENTS.reader().feed(frame)


def test_what_clients_read_outside_of_any_field_is_read() -> None:
    (frame,) = EVENTS.reader().feed(RESPONSE + END)
    assert frame.pieces == (Piece("content:0", "a"),)


def test_frames_before_a_bad_one_are_not_lost() -> None:
    for dialect, good in ((EVENTS, event(response(candidate("a")))), (ARRAY, b"[" + RESPONSE)):
        reader = dialect.reader()
        assert [f.pieces for f in reader.feed(good + b", 5 \n\n") if f.pieces] == [(Piece("content:0", "a"),)]
        with pytest.raises(Refusal):
            reader.feed(good)


@pytest.mark.parametrize(
    ("values", "errors"),
    [
        ([{"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}], [True]),
        ([response({"finishReason": "SAFETY"})], [True]),
        ([response({"finishReason": "MALFORMED_FUNCTION_CALL", "content": {}})], [True]),
        ([response(candidate({"text": "Hm", "thought": True})), response({"finishReason": "OTHER"})], [False, True]),
        ([response(candidate("Hello")), response({"finishReason": "SAFETY"})], [False, False]),
        ([response(candidate({"functionCall": {"name": "f"}}, finishReason="OTHER"))], [False]),
        ([response({"finishReason": "STOP"})], [False]),
    ],
)
def test_a_reply_that_was_withheld_whole_counts_as_the_upstreams_failure(values: Any, errors: list[bool]) -> None:
    got = streamed(*values)
    assert [f.error for f in got] == errors
    assert b"".join(f.raw for f in got) == b"".join(event(value) for value in values)


def test_the_upstreams_error_ends_a_stream() -> None:
    error = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
    assert [(f.error, f.end) for f in streamed(response(candidate("a")), error)] == [(False, False), (True, True)]
    got = frames(ARRAY, json.dumps([response(candidate("a")), error]).encode())
    assert [(f.error, f.end) for f in got] == [(False, False), (False, False), (True, False), (False, True)]


# --- arrays


def test_an_array_is_read_element_by_element() -> None:
    values = [response(candidate('Hel "}]{[\\')), response(candidate("lo", finishReason="STOP")), {"usageMetadata": {}}]
    data = ("\n[" + "\n,\r\n".join(json.dumps(value, indent=1) for value in values) + "\n]\n").encode()
    got = frames(ARRAY, data)
    assert b"".join(f.raw for f in got) == data
    assert [f.pieces for f in got if f.pieces] == [(Piece("content:0", 'Hel "}]{[\\'),), (Piece("content:0", "lo"),)]
    assert [f.closes for f in got if f.closes] == [("content:0",)]
    assert [f.end for f in got] == [False, False, False, False, True, False]


def test_the_bracket_is_a_frame_so_that_white_space_may_follow_it_while_a_client_waits() -> None:
    assert [f.raw for f in ARRAY.reader().feed(b' [ {"candi')] == [b" ["]


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"[",
        b'[{"candidates":[]}',
        b'[{"candidates":[]},',
        b'[{"candidates":[]},]',
        b'[,{"candidates":[]}]',
        b'[{"candidates":[]} {"candidates":[]}]',
        b'[[{"candidates":[]}]]',
        b'["a"]',
        b"[5]",
        RESPONSE,
        b"data: " + RESPONSE + b"\n\n",
        b"[" + RESPONSE + b"] []",
        b"\xef\xbb\xbf[]",
        b'[{"candidates":[}]',
        b'[{"candidates":[{"content":{"parts":[{"text":"a","text":"b"}]}}]}]',
        b'[{"error":{}},' + RESPONSE + b"]",
    ],
)
def test_what_is_no_array_of_responses_is_refused(stream: bytes) -> None:
    reader = ARRAY.reader()
    with pytest.raises(Refusal):
        reader.feed(stream)
        reader.close()
    with pytest.raises(Refusal):
        reader.close()


@pytest.mark.parametrize("opening", [b"data: ", b"[", b'[{"x":"'])
def test_no_frame_may_grow_without_end(opening: bytes) -> None:
    reader = (EVENTS if opening.startswith(b"d") else ARRAY).reader()
    reader.feed(opening)
    with pytest.raises(Refusal):
        for _ in range(MAX_FRAME // 1000 + 2):
            reader.feed(b" " * 1000)


# --- writing


def test_a_whole_reply_of_our_own() -> None:
    said = json.loads(WHOLE.replacement(Chat(ASK.messages, choices=2, model="m"), "Hi.", reply_id="id1", created=9))
    assert said == {
        "candidates": [candidate("Hi.", finishReason="STOP", index=index) for index in (0, 1)],
        "usageMetadata": {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0},
        "modelVersion": "m",
        "responseId": "id1",
    }
    assert "modelVersion" not in json.loads(WHOLE.replacement(ASK, "Hi.", reply_id="i", created=9))


def test_a_stream_of_our_own_from_nothing() -> None:
    for dialect in (EVENTS, ARRAY):
        writer = dialect.writer(Chat(ASK.messages, choices=2), reply_id="id1", created=9)
        data = writer.say("Hello.") + writer.finish()
        first, last = sent(data) if dialect is EVENTS else json.loads(data)
        assert first == response(candidate("Hello.", index=0), candidate("Hello.", index=1), responseId="id1")
        assert [(c["index"], c["finishReason"]) for c in last["candidates"]] == [(0, "STOP"), (1, "STOP")]
        assert last["usageMetadata"]["totalTokenCount"] == 0


def test_after_a_cut_the_stream_goes_on_as_the_one_that_began() -> None:
    upstream = response(candidate("a"), modelVersion="real", responseId="up", usageMetadata={"totalTokenCount": 3})
    for dialect in (EVENTS, ARRAY):
        writer = dialect.writer(ASK, reply_id="id1", created=9)
        raw = event(upstream) if dialect is EVENTS else json.dumps([upstream])[:-1].encode()
        for frame in dialect.reader().feed(raw):
            writer.released(frame)
        data = raw + writer.say("b", "content:0") + writer.say("c", "thinking:0") + writer.finish()
        _, text, thought, last = sent(data) if dialect is EVENTS else json.loads(data)
        assert text == response(candidate("b", index=0), modelVersion="real", responseId="up")
        assert thought["candidates"][0]["content"]["parts"] == [{"text": "c", "thought": True}]
        assert last["usageMetadata"] == {"totalTokenCount": 3}


def test_only_candidates_that_have_not_finished_are_spoken_for() -> None:
    writer = EVENTS.writer(Chat(ASK.messages, choices=2), reply_id="i", created=1)
    for frame in EVENTS.reader().feed(event(response(candidate("a", finishReason="STOP"), candidate("b", index=1)))):
        writer.released(frame)
    said = sent(writer.say("c") + writer.finish())
    assert [c["index"] for r in said for c in r["candidates"]] == [1, 1]


def test_nothing_follows_an_end() -> None:
    done = response(candidate("a", finishReason="STOP"))
    for dialect, data in ((EVENTS, event(done)), (EVENTS, event({"error": {}})), (ARRAY, json.dumps([done]).encode())):
        writer = dialect.writer(ASK, reply_id="i", created=1)
        for frame in frames(dialect, data):
            writer.released(frame)
        assert writer.finish() == b""


def test_an_array_that_failed_is_closed_and_nothing_more() -> None:
    writer = ARRAY.writer(ASK, reply_id="i", created=1)
    for frame in ARRAY.reader().feed(b'[{"error":{}}'):
        writer.released(frame)
    assert writer.finish() == b"]"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_our_events_end_as_the_upstreams_do(end: bytes) -> None:
    writer = EVENTS.writer(ASK, reply_id="i", created=1)
    for frame in frames(EVENTS, event(response(candidate("a")), end * 2) + event({"error": {}}, end * 2))[:1]:
        writer.released(frame)
    assert writer.say("b").endswith(end * 2)
    assert not writer.say("b").endswith(end * 3)


def test_a_last_line_without_an_end_does_not_swallow_ours() -> None:
    writer = EVENTS.writer(Chat(ASK.messages, choices=2), reply_id="i", created=1)
    for frame in frames(EVENTS, event(response(candidate("a", finishReason="STOP"))) + b": bye"):
        writer.released(frame)
    assert writer.say("b").startswith(END + b"data: ")


def test_text_of_a_lost_part_is_not_said_as_something_else() -> None:
    writer = EVENTS.writer(ASK, reply_id="i", created=1)
    assert writer.say("print(1)", "aside:0") + writer.say("query", "sources:0") + writer.say("why", "notice:0") == b""


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (413, "INVALID_ARGUMENT"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (502, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
    ],
)
def test_errors_have_the_apis_shape(status: int, kind: str) -> None:
    error = {"error": {"code": status, "message": "m", "status": kind}}
    assert json.loads(WHOLE.error(status, "m")) == error
    assert json.loads(ARRAY.error(status, "m")) == [error]
    assert json.loads(EVENTS.stream_error(status, "m")) == error
    assert json.loads(b"[{}" + ARRAY.stream_error(status, "m")) == [{}, error]
