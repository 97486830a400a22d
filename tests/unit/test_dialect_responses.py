"""OpenAI's Responses API: what is read, what is changed, and what must stay as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guardrail.core.model import Message, Refusal
from guardrail.core.ports import Chat, Frame, Piece, Reply
from guardrail.dialects import claiming
from guardrail.dialects.responses import OpenAIResponses, StoredResponses
from guardrail.dialects.sse import MAX_FRAME

found = claiming("POST", "/v1/responses")
assert found is not None
dialect = found
ASK = Chat((Message("user", "hello"),), stream=True, model="m")


def body(**members: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hi", **members}).encode()


def turns(*items: dict[str, Any]) -> list[tuple[str, str]]:
    return [(m.role, m.text) for m in dialect.read_request(body(input=items)).messages]


def text(said: str, **members: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": said, "annotations": [], **members}


def message(*parts: dict[str, Any], item_id: str = "msg_1", status: str = "completed") -> dict[str, Any]:
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": list(parts)}


def response(*items: dict[str, Any], **members: Any) -> dict[str, Any]:
    head = {"id": "resp_1", "object": "response", "created_at": 5, "status": "completed", "model": "real"}
    return {**head, "error": None, "output": list(items), "usage": None, **members}


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def delta(said: str, kind: str = "output_text", **members: Any) -> bytes:
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    return event(f"response.{kind}.delta", **{**where, "delta": said, **members})


def frames(*raws: bytes) -> list[Frame]:
    reader = dialect.reader()
    return [frame for raw in raws for frame in reader.feed(raw)] + reader.close()


def sent(data: bytes) -> list[Any]:
    return [json.loads(event_.partition("data: ")[2]) for event_ in data.decode().split("\n\n") if event_]


def stream(*words: str, item_id: str = "msg_1") -> list[bytes]:
    """One message, as the API streams it, with every repetition."""
    said, where = "".join(words), {"item_id": item_id, "output_index": 0, "content_index": 0}
    whole = message(text(said), item_id=item_id)
    raw = [
        ("response.created", {"response": response(status="in_progress")}),
        ("response.in_progress", {"response": response(status="in_progress")}),
        ("response.output_item.added", {"output_index": 0, "item": message(item_id=item_id, status="in_progress")}),
        ("response.content_part.added", {**where, "part": text("")}),
        *[("response.output_text.delta", {**where, "delta": word, "logprobs": []}) for word in words],
        ("response.output_text.done", {**where, "text": said, "logprobs": []}),
        ("response.content_part.done", {**where, "part": text(said)}),
        ("response.output_item.done", {"output_index": 0, "item": whole}),
        ("response.completed", {"response": response(whole, usage={"total_tokens": 3})}),
    ]
    return [event(kind, **members, sequence_number=at) for at, (kind, members) in enumerate(raw)]


# --- paths


@pytest.mark.parametrize(
    ("method", "path", "query", "kind"),
    [
        ("POST", "/v1/responses", "", OpenAIResponses),
        ("post", "/openai/v1//Responses/", "api-version=preview", OpenAIResponses),
        ("GET", "/v1/responses/resp_1", "include=x", StoredResponses),
        ("GET", "/v1/responses/resp_1", "starting_after=4&stream=true", StoredResponses),
        ("POST", "/v1/responses/resp_1/cancel", "", StoredResponses),
    ],
)
def test_paths_that_are_read(method: str, path: str, query: str, kind: type) -> None:
    claimed = claiming(method, path, query)
    assert type(claimed) is kind
    assert claimed.name == "openai-responses"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/responses"),
        ("DELETE", "/v1/responses/resp_1"),
        ("GET", "/v1/responses/resp_1/input_items"),
        ("POST", "/v1/responses/compact"),
        ("POST", "/v1/responses/input_tokens"),
    ],
)
def test_paths_on_which_the_bot_tells_nothing_new_are_left_alone(method: str, path: str) -> None:
    assert claiming(method, path) is None


# --- requests


def test_a_text_alone_is_the_persons() -> None:
    read = dialect.read_request(body(instructions="Be kind."))
    assert read.messages == (Message("system", "Be kind."), Message("user", "hi"))


def test_a_conversation_with_tools_pictures_thoughts_and_references() -> None:
    assert turns(
        {"role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": "data:,", "detail": "auto"},
            {"type": "input_file", "file_id": "file_1"},
            {"type": "input_text", "text": "Tell me."},
        ]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}]},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": [
            text("Let me "), text("look."),
        ]},
        {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "a cat"},
        {"type": "custom_tool_call_output", "call_id": "d", "output": [{"type": "input_text", "text": "a dog"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"type": "item_reference", "id": "msg_0"},
        {"id": "msg_0"},
        {"role": "user", "content": "Why?"},
    ) == [
        ("system", "Be brief."),
        ("user", "What is this?\nTell me."),
        ("assistant", "Let me look."),
        ("tool", "a cat"),
        ("tool", "a dog"),
        ("assistant", "No."),
        ("user", "Why?"),
    ]  # fmt: skip


def test_a_call_without_words_is_a_turn_so_that_what_came_before_is_not_judged_again() -> None:
    assert turns(
        {"role": "user", "content": "Look."},
        {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "a cat"},
    ) == [("user", "Look."), ("assistant", ""), ("tool", "a cat")]


@pytest.mark.parametrize(
    "item",
    [
        {"role": "human", "content": "help"},
        {"role": "USER", "content": "help"},
        {"role": 5, "content": "help"},
        {"type": "message", "content": "help"},
        {"type": "voice_note", "transcript": "help"},
        {"type": "voice_note", "role": "user", "data": {"inner": [{"Text": "help"}]}},
        {"role": "user", "content": [{"type": "input_note", "note": {"text": "help"}}]},
        {"role": "user", "content": {"type": "input_text", "text": "help"}},
        {"type": "mcp_approval_response", "approval_request_id": "a", "approve": False, "reason": "help"},
    ],
)
def test_words_of_a_kind_or_role_we_do_not_know_are_read_as_the_persons(item: dict[str, Any]) -> None:
    assert turns(item) == [("user", "help")]


def test_what_a_stored_prompt_is_filled_in_with_is_the_persons() -> None:
    variables = {"Question": "help", "other": {"type": "input_text", "text": "me"}, "n": {"type": "input_image"}}
    read = dialect.read_request(json.dumps({"prompt": {"id": "pmpt_1", "variables": variables}}).encode())
    assert read.messages == (Message("user", "help\nme"),)
    with pytest.raises(Refusal):
        dialect.read_request(b'{"prompt":{"id":"p","variables":{"Q":"help","Q":"hi"}}}')


def test_what_a_request_goes_on_from_is_told() -> None:
    read = dialect.read_request(body(previous_response_id="resp_0", stream=True))
    assert (read.follows, read.stream, read.conversation, read.choices) == ("resp_0", True, "", 1)
    assert dialect.read_request(body(conversation="conv_1")).conversation == "conv_1"
    assert dialect.read_request(body(conversation={"id": "conv_1"})).conversation == "conv_1"
    assert dialect.read_request(b'{"previous_response_id":"resp_0","input":[]}').messages == ()


@pytest.mark.parametrize(
    ("form", "structured"),
    [
        ({"type": "json_object"}, True),
        ({"type": "json_schema", "name": "x", "schema": {}}, True),
        ({"type": "text"}, False),
        (None, False),
    ],
)
def test_json_output_is_known_so_that_nothing_is_appended_to_it(form: Any, structured: bool) -> None:
    assert dialect.read_request(body(text={"format": form, "verbosity": "low"})).structured is structured


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"[]",
        b"{}",
        b'{"input":null}',
        b'{"input":[]}',
        b'{"input":5}',
        b'{"input":["a"]}',
        b'{"input":[{"role":"user","content":5}]}',
        b'{"input":"a","input":"b"}',
        b'{"input":"a","Input":"b"}',
        b'{"input":"a","inpu\\u0074":"b"}',
        b'{"input":"a","instructions":"b","instructions":"c"}',
        b'{"input":"a","background":false,"background":true}',
        b'{"input":[{"role":"user","content":"a","content":"b"}]}',
        b'{"input":[{"role":"user","content":"a","Content":"b"}]}',
        b'{"input":[{"role":"user","content":"a","role":"assistant"}]}',
        b'{"input":[{"type":"reasoning","text":"a","type":"message"}]}',
        b'{"input":[{"role":"user","content":[{"type":"input_text","text":"a","text":"b"}]}]}',
        b'{"input":[{"role":"user","content":[{"type":"input_text","text":"a","te\\u0078t":"b"}]}]}',
        b'{"input":"\xff"}',
        b'{"input":"a","user":"\xff"}',
        b'{"input":"\\ud800"}',
        b'{"input":"a","stream":"yes"}',
        b'{"input":"a","x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"input":[{"role":"user","x":' + b"[" * 200_000 + b"]" * 200_000 + b"}]}",
        b'{"input":"a"} {}',
        '{"input":"a"}'.encode("utf-16"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(bad: bytes) -> None:
    with pytest.raises(Refusal) as refusal:
        dialect.read_request(bad)
    assert "\n" not in str(refusal.value)


def test_a_reply_that_would_be_fetched_past_us_is_refused_with_its_reason() -> None:
    with pytest.raises(Refusal, match="background"):
        dialect.read_request(body(background=True))
    assert dialect.read_request(body(background=False, store=True, metadata={"a": "b"})).messages


def test_a_refusal_quotes_no_message_text() -> None:
    with pytest.raises(Refusal) as refusal:
        dialect.read_request(body(input="secret", model={"secret": 1}))
    assert "secret" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_keys_may_repeat_where_they_are_no_duplicates() -> None:
    parameters = {"content": {"text": 1, "role": 2}, "Text": {"Role": 3, "role": 4}, "input": {"background": 5}}
    tools = [{"type": "function", "name": "say", "parameters": parameters}]
    items = [{"role": "user", "content": 'they wrote {"content": "x", "input": []} — é'}]
    read = dialect.read_request(body(input=items, tools=tools, text={"format": {"type": "text"}}))
    assert read.messages == (Message("user", items[0]["content"]),)


def test_whether_an_unreadable_request_wanted_a_stream() -> None:
    assert dialect.seems_streamed(b'{"stream": true, "input": 5}')
    assert not dialect.seems_streamed(b'{"input": 5}')


# --- steering and going on


def test_guidance_joins_the_instructions() -> None:
    assert json.loads(dialect.steered(body(), "G"))["instructions"] == "G"
    assert json.loads(dialect.steered(body(instructions="Be kind."), "G"))["instructions"] == "Be kind.\n\nG"
    assert json.loads(dialect.steered(body(instructions=None), "G"))["instructions"] == "G"


def test_guidance_does_not_displace_the_instructions_stored_with_a_prompt() -> None:
    after = json.loads(dialect.steered(body(prompt={"id": "pmpt_1"}), "G"))
    assert "instructions" not in after
    assert after["input"] == [{"role": "developer", "content": "G"}, {"role": "user", "content": "hi"}]


def test_steering_leaves_every_other_byte_of_meaning() -> None:
    before = (
        b'{"model": "m", "temperature": 0.10000000000000000555, "seed": 123456789012345678901234567890,'
        b' "input": [{"role": "user", "content": "h\\u00e9 \\/", "x": 1e400, "name" : "n"}], "extra": {"a": [1.0]}}'
    )
    after = dialect.steered(before, "G")
    for kept in (b"0.10000000000000000555", b"123456789012345678901234567890", b'"extra":{"a": [1.0]}'):
        assert kept in after
    assert b'[{"role": "user", "content": "h\\u00e9 \\/", "x": 1e400, "name" : "n"}]' in after


def test_a_request_that_went_on_from_ours_brings_what_the_upstream_never_heard() -> None:
    said = (Message("user", "a"), Message("assistant", "b"), Message("system", "c"), Message("tool", "d"))
    before = body(previous_response_id="resp_ours", store=True)
    after = json.loads(dialect.resumed(before, "resp_0", said))
    assert (after["previous_response_id"], after["store"]) == ("resp_0", True)
    assert [(item["role"], item["content"]) for item in after["input"]] == [
        ("user", "a"),
        ("assistant", "b"),
        ("developer", "c"),
        ("developer", "d"),
        ("user", "hi"),
    ]
    first = json.loads(
        dialect.resumed(body(previous_response_id="x", input=[{"role": "user", "content": "y"}]), "", ())
    )
    assert "previous_response_id" not in first
    assert first["input"] == [{"role": "user", "content": "y"}]


# --- whole replies

CODE = {
    "id": "ci_1", "type": "code_interpreter_call", "code": "print(1)", "container_id": "c",
    "outputs": [{"type": "logs", "logs": "1"}, {"type": "image", "url": "https://x"}],
}  # fmt: skip


def whole(*items: dict[str, Any], **members: Any) -> bytes:
    return json.dumps(response(*items, **members)).encode()


def test_everything_a_human_would_read_is_read() -> None:
    reply = dialect.read_reply(
        whole(
            {"id": "rs_1", "type": "reasoning", "encrypted_content": "xyz", "summary": [
                {"type": "summary_text", "text": "Short."},
            ], "content": [{"type": "reasoning_text", "text": "Long."}]},
            message(text("One."), {"type": "refusal", "refusal": "No."}),
            {"id": "ws_1", "type": "web_search_call", "action": {"type": "search", "query": "cats"}},
            CODE,
            {"id": "mcp_1", "type": "mcp_call", "arguments": '{"a":1}', "output": "42", "error": {"message": "late"}},
            {"id": "ig_1", "type": "image_generation_call", "result": "AAAA", "revised_prompt": "A cat."},
            {"id": "fs_1", "type": "file_search_call", "queries": ["q"], "results": [{"text": "Found.", "score": 1.0}]},
            message(text("Two.")),
        )
    )  # fmt: skip
    assert reply == Reply(
        (
            Piece("thinking:0.0", "Long."),
            Piece("thinking:0.s0", "Short."),
            Piece("content:1.0", "One."),
            Piece("refusal:1.1", "No."),
            Piece("other:2.action", "cats"),
            Piece("other:3.code", "print(1)"),
            Piece("other:3.outputs", "1"),
            Piece("other:4.output", "42"),
            Piece("other:4.error", "late"),
            Piece("other:5.revised_prompt", "A cat."),
            Piece("other:6.results", "Found."),
            Piece("other:6.queries", "q"),
            Piece("content:7.0", "Two."),
        ),
        id="resp_1",
    )


@pytest.mark.parametrize(
    ("item", "channel"),
    [
        ({"type": "video_call", "scene": {"caption": {"text": "Hi."}}}, "other:0.unknown"),
        ({"type": "message", "content": [{"type": "output_song", "verses": [{"TEXT": "Hi."}]}]}, "other:0.unknown"),
        ({"type": "message", "content": [{"type": "output_audio", "transcript": "Hi."}]}, "content:0.0"),
        ({"type": "message", "content": "Hi."}, "content:0.0"),
    ],
)
def test_text_of_kinds_we_do_not_know_is_read(item: dict[str, Any], channel: str) -> None:
    assert Piece(channel, "Hi.") in dialect.read_reply(whole(item)).pieces


def test_all_text_in_one_is_read_where_it_says_something_else() -> None:
    assert dialect.read_reply(whole(message(text("Hi.")), output_text="Hi.")).pieces == (Piece("content:0.0", "Hi."),)
    other = dialect.read_reply(whole(message(text("Hi.")), output_text="Ho.")).pieces
    assert other == (Piece("content:0.0", "Hi."), Piece("again:output_text", "Ho."))


@pytest.mark.parametrize(
    ("item", "acts"),
    [
        ({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}, True),
        ({"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"}, True),
        ({"type": "computer_call", "call_id": "c"}, True),
        ({"type": "mcp_approval_request", "name": "f", "arguments": "{}"}, True),
        ({"type": "new_call"}, True),
        ({"type": "web_search_call", "action": {}}, False),
        (CODE, False),
        (message(text("x")), False),
    ],
)
def test_calls_that_ask_the_client_to_act_are_seen(item: dict[str, Any], acts: bool) -> None:
    assert dialect.read_reply(whole(item)).tools is acts


@pytest.mark.parametrize(
    "bad",
    [
        b'{"error":{"message":"m"}}',
        b'{"output":null}',
        b'{"output":["a"]}',
        b'{"output":[{"type":"message","content":[{"type":"output_text","text":"a","text":"b"}]}]}',
        b'{"output":[{"type":"message","content":[],"Content":[{"type":"output_text","text":"a"}]}]}',
        b'{"output":[],"output":[{"type":"message"}]}',
        json.dumps(response(status="failed", error={"code": "server_error", "message": "m"})).encode(),
        json.dumps(response(status="queued")).encode(),
        json.dumps(response(status="in_progress")).encode(),
        b"<html>",
    ],
)
def test_a_reply_that_cannot_be_read_or_is_none_is_refused(bad: bytes) -> None:
    with pytest.raises(Refusal):
        dialect.read_reply(bad)


def test_exchanged_text_takes_what_belonged_to_the_old_text_with_it() -> None:
    cited = text("bad", annotations=[{"type": "url_citation"}], logprobs=[{"token": "bad"}], x=1)
    before = response(message(cited, text("kept", annotations=[2])), message(text("good")), extra={"a": 1})
    before["output_text"] = "badkeptgood"
    after = json.loads(dialect.rewritten(json.dumps(before).encode(), {"content:0.0": "better"}))
    exchanged = {"type": "output_text", "text": "better", "annotations": [], "logprobs": [], "x": 1}
    assert after["output"][0]["content"] == [exchanged, text("kept", annotations=[2])]
    assert after["output"][1] == before["output"][1]
    assert after["output_text"] == "betterkeptgood"
    assert after["extra"] == {"a": 1}


def test_old_text_is_gone_wherever_the_server_put_it() -> None:
    before = whole(
        {"type": "reasoning", "encrypted_content": "E", "summary": [{"type": "summary_text", "text": "A"}],
         "content": [{"type": "reasoning_text", "text": "B"}]},
        message({"type": "output_audio", "text": "C", "transcript": "D", "refusal": "F"}),
        {"type": "message", "content": "G"},
        CODE,
        {"type": "mcp_call", "output": "H"},
    )  # fmt: skip
    for piece in dialect.read_reply(before).pieces:
        if piece.channel == "other:0.unknown":
            continue
        after = dialect.rewritten(before, {piece.channel: "new"})
        assert piece.text not in [p.text for p in dialect.read_reply(after).pieces if p.channel != "other:0.unknown"]
    assert b"encrypted" not in dialect.rewritten(before, {"thinking:0.s0": "new"})


def test_a_reply_of_our_own_is_a_whole_response() -> None:
    reply = json.loads(dialect.replacement(ASK, "Stay.", reply_id="ab12", created=9))
    assert (reply["id"], reply["object"], reply["status"], reply["created_at"]) == (
        "resp_guardrail_ab12",
        "response",
        "completed",
        9,
    )
    assert (reply["model"], reply["error"], reply["usage"]["total_tokens"]) == ("m", None, 0)
    assert [(item["role"], item["content"][0]["text"]) for item in reply["output"]] == [("assistant", "Stay.")]
    taken = json.loads(dialect.replacement(ASK, "Stay.", reply_id="resp_guardrail_ab12", created=9))
    assert taken["id"] == "resp_guardrail_ab12"


# --- streams


def test_every_repetition_of_a_text_is_known_for_what_it_is() -> None:
    got = frames(*stream("Hel", "lo"))
    assert [f.pieces for f in got if f.pieces] == [
        (Piece("content:0.0", "Hel"),),
        (Piece("content:0.0", "lo"),),
        (Piece("again:0:content:0.0", "Hello"),),  # looked at once more: a sentence may have been taken out
    ]
    # Its last words are let go before: what comes of the second look is not theirs.
    assert [(f.raw[:1], f.closes) for f in got if f.closes] == [
        (b"", ("content:0.0",)),
        (b"e", ("content:0.0", "again:0:content:0.0")),
    ]
    assert [f.end for f in got] == [False] * (len(got) - 1) + [True]
    assert [f.id for f in got if f.id] == ["resp_1"]


@pytest.mark.parametrize(
    ("kind", "where", "channel"),
    [
        ("output_text", {"output_index": 2, "content_index": 1}, "content:2.1"),
        ("refusal", {"output_index": 2, "content_index": 1}, "refusal:2.1"),
        ("reasoning_text", {"output_index": 2, "content_index": 1}, "thinking:2.1"),
        ("reasoning_summary_text", {"output_index": 2, "summary_index": 3}, "thinking:2.s3"),
        ("code_interpreter_call_code", {"output_index": 2}, "other:2.code"),
        ("audio.transcript", {}, "other:0.response.audio.transcript"),
        ("reasoning", {"output_index": 2}, "other:2.response.reasoning"),
    ],
)
def test_text_is_read_in_every_kind_of_delta(kind: str, where: dict[str, int], channel: str) -> None:
    raw = event(f"response.{kind}.delta", delta="Hi", item_id="i", **where)
    assert dialect.reader().feed(raw)[0].pieces[0] == Piece(channel, "Hi")


def test_what_the_end_tells_beyond_the_deltas_is_looked_at() -> None:
    said = [delta("Hel"), event("response.output_text.done", output_index=0, content_index=0, text="Hello")]
    pieces = [f.pieces for raw in [said] for f in dialect.reader().feed(b"".join(raw))]
    assert pieces[1] == (Piece("content:0.0", "lo"), Piece("again:0:content:0.0", "Hello"))
    changed = frames(delta("Hello"), event("response.completed", response=response(message(text("Goodbye")))))
    assert changed[-1].pieces == (Piece("again:0:content:0.0", "Goodbye"),)
    alone = frames(event("response.completed", response=response(message(text("Hello")))))
    assert alone[0].pieces == (Piece("content:0.0", "Hello"),)
    thought = event("response.reasoning_text.delta", output_index=0, content_index=0, delta="Hm")
    other = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Oh"}]}
    assert frames(thought, event("response.completed", response=response(other)))[1].pieces == (
        Piece("again:0:thinking:0.0", "Oh"),
    )


def test_servers_that_count_items_differently_at_the_end_repeat_themselves_too() -> None:
    got = frames(
        delta("Hello", output_index=1, content_index=1),
        event("response.output_item.done", output_index=1, item=message(text("Hello"))),
        event("response.completed", response=response(message(text("Hello"), item_id="another"))),
    )
    assert [p.channel for f in got for p in f.pieces] == ["content:1.1", "again:0:content:1.1"]


def test_a_text_told_in_ever_new_ways_is_refused() -> None:
    reader = dialect.reader()
    with pytest.raises(Refusal):
        for at in range(9):
            reader.feed(event("response.output_text.done", output_index=0, content_index=0, text=f"{at} times"))


def test_thoughts_close_when_something_else_begins_and_hold_nothing_back() -> None:
    got = frames(
        event("response.reasoning_summary_text.delta", output_index=0, summary_index=0, delta="Hm"),
        event("response.reasoning_summary_text.delta", output_index=0, summary_index=1, delta="Oh"),
        delta("Hi", output_index=1),
        event("response.completed", response=response()),
    )
    assert [f.closes for f in got] == [(), ("thinking:0.s0",), ("thinking:0.s1",), ("content:1.0",)]


def test_calls_are_marked_and_their_arguments_left_alone() -> None:
    call = {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "f", "arguments": ""}
    got = frames(
        event("response.output_item.added", output_index=0, item=call),
        event("response.function_call_arguments.delta", output_index=0, item_id="fc_1", delta="{}"),
        event("response.function_call_arguments.done", output_index=0, item_id="fc_1", arguments="{}"),
        event("response.mcp_call_arguments.delta", output_index=1, item_id="m", delta="{}"),
        event("response.web_search_call.searching", output_index=2, item_id="w"),
        event("response.completed", response=response({**call, "arguments": "{}"})),
    )
    assert [f.tools for f in got] == [True, True, True, False, False, True]
    assert not [f for f in got if f.pieces]


@pytest.mark.parametrize(
    "ending",
    [
        (event("response.completed", response=response()),),
        (event("response.completed", response=response()), b"data: [DONE]\n\n", b": bye\n\n"),
        (event("response.completed", response=response()), b"data: [DONE]"),
        (event("response.incomplete", response=response(status="incomplete")),),
        (event("response.failed", response=response(error={"message": "m"})),),
        (event("error", code="server_error", message="busy"),),
        (event("error", error={"message": "busy"}), event("response.failed", response=response(message(text("a"))))),
        (b'event: error\ndata: {"message": "busy"}\n\n',),
        (b"data: [DONE]\n\n",),
    ],
)
def test_endings_of_real_servers_are_accepted(ending: tuple[bytes, ...]) -> None:
    raws = (delta("a"), event("response.output_text.done", output_index=0, content_index=0, text="a"), *ending)
    got = frames(*raws)
    assert b"".join(f.raw for f in got) == b"".join(raws)
    assert sum(f.end for f in got) == 1


def test_the_upstreams_failure_is_told_from_its_words() -> None:
    busy, failed = event("error", message="busy"), event("response.failed", response=response(error={"message": "m"}))
    assert [f.error for f in frames(delta("a"), busy, failed)] == [False, True, True]
    assert not frames(event("response.incomplete", response=response()))[0].error


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        delta("a"),
        b"".join(stream("a")[:-1]),
        b"".join(stream("a")) + delta("late"),
        b"".join(stream("a")) + event("response.failed", response=response()),
        event("error", message="m") + delta("late"),
        event("error", message="m") + event("response.failed", response=response(message(text("late")))),
        b"data: [DONE]\n\n" + event("response.completed", response=response()),
    ],
)
def test_streams_that_must_not_pass_for_complete(raw: bytes) -> None:
    reader = dialect.reader()
    with pytest.raises(Refusal):
        reader.feed(raw)
        reader.close()
    with pytest.raises(Refusal):
        reader.close()


@pytest.mark.parametrize(
    "data",
    [
        b'"a string"',
        b"[1]",
        b"[DONE] and more",
        b'{"delta":"a"}',
        b'{"choices":[{"index":0,"delta":{"content":"a"}}]}',
        b'{"type":"response.output_text.delta","delta":"a","delta":"b"}',
        b'{"type":"response.output_text.delta","delta":"a","Delta":"b"}',
        b'{"type":"response.output_text.delta","delta":"a","d\\u0065lta":"b"}',
        b'{"type":"response.output_text.delta","delta":"a","type":"response.audio.delta"}',
        b'{"type":"response.output_text.delta","delta":"a","output_index":0,"output_index":1}',
        b'{"type":"response.output_text.delta","delta":"a","output_index":-1}',
        b'{"type":"response.output_text.delta","delta":"a","content_index":1000000}',
        b'{"type":"response.output_text.done","text":"a","text":"b"}',
        b'{"type":"response.content_part.done","part":{"type":"output_text","text":"a","text":"b"}}',
        b'{"type":"response.content_part.done","part":{"type":"output_text","text":"a"},"part":{}}',
        b'{"type":"response.completed","response":{"output":[{"type":"message","content":[],"content":[]}]}}',
        b'{"type":"response.completed","response":{"output":[],"output":[]}}',
        b'{"type":"response.completed","response":{"output":["a"]}}',
        b'{"type":"response.output_text.delta","delta":"\xff"}',
        b'{"type":"a"}\ndata: {"type":"b"}',
        b'{"type":"a","x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"type":"a","x":"' + b"y" * MAX_FRAME + b'"}',
    ],
)
def test_a_frame_that_can_be_read_in_two_ways_is_refused(data: bytes) -> None:
    with pytest.raises(Refusal):
        dialect.reader().feed(b"data: " + data + b"\n\n")


def test_text_in_events_we_do_not_know_is_read_even_twice_in_one() -> None:
    raw = b'data: {"type":"response.caption.shown","box":{"Text":"One","text":"Two"},"size":3}\n\n'
    assert dialect.reader().feed(raw)[0].pieces == (Piece("other:0.response.caption.shown", "One\nTwo"),)


def test_frames_before_a_bad_one_are_not_lost() -> None:
    reader = dialect.reader()
    assert len(reader.feed(delta("a") + b"data: [1]\n\n")) == 1
    with pytest.raises(Refusal):
        reader.feed(delta("b"))


# --- writing


def test_a_stream_of_our_own_from_nothing() -> None:
    writer = dialect.writer(ASK, reply_id="ab12", created=9)
    events = sent(writer.say("Hello.") + writer.finish())
    assert [e["type"].removeprefix("response.") for e in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [e["sequence_number"] for e in events] == list(range(9))
    last = events[-1]["response"]
    assert (last["id"], last["model"], last["created_at"], last["status"]) == (
        "resp_guardrail_ab12",
        "m",
        9,
        "completed",
    )
    assert last["output"] == [events[-2]["item"]]
    assert last["output"][0]["content"][0]["text"] == events[-4]["text"] == "Hello."
    assert last["usage"]["total_tokens"] == 0


@pytest.mark.parametrize("kept", range(4, 9))
def test_after_a_cut_everything_told_again_is_what_the_person_got(kept: int) -> None:
    writer = dialect.writer(ASK, reply_id="ab12", created=9)
    for frame in [frame for frame in frames(*stream("Hel", "lo")) if frame.raw][:kept]:
        writer.released(frame)
    events = sent(writer.say("Stay.") + writer.finish())
    last = events[-1]["response"]
    assert (last["id"], last["model"], last["created_at"], last["status"]) == ("resp_1", "real", 5, "completed")
    assert [e["sequence_number"] for e in events] == list(range(kept, kept + len(events)))
    said = "".join(part["text"] for item in last["output"] for part in item["content"])
    assert said == "Hello"[: 3 * (kept - 4) if kept < 6 else 5] + "Stay."


def test_a_sentence_taken_out_is_nowhere_told_again() -> None:
    writer = dialect.writer(ASK, reply_id="ab12", created=9)
    got = frames(*stream("Good. ", "Bad. "))
    for frame in got[:5]:
        writer.released(frame)
    ours = writer.say("Better. ", "content:0.0")
    ours += writer.say("Good. Bad. ", "again:0:content:0.0") + writer.say("\n\nBetter.") + writer.finish()
    assert b"Bad" not in ours
    events = sent(ours)
    assert [e["delta"] for e in events if e["type"].endswith(".delta")] == ["Better. "]
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "Good. Better. "


def test_thoughts_end_before_ours_begins_and_are_never_put_into_anothers_mouth() -> None:
    thought = {"id": "rs_1", "type": "reasoning", "summary": []}
    writer = dialect.writer(ASK, reply_id="ab12", created=9)
    where = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
    for raw in (
        event("response.created", response=response(status="in_progress")),
        event("response.output_item.added", output_index=0, item=thought),
        event("response.reasoning_summary_part.added", **where, part={"type": "summary_text", "text": ""}),
        event("response.reasoning_summary_text.delta", **where, delta="Hm"),
    ):
        writer.released(dialect.reader().feed(raw)[0])
    assert writer.say("Oh", "thinking:5.0") == b""
    events = sent(writer.say("Stay.") + writer.finish())
    assert [e["type"].removeprefix("response.") for e in events[:4]] == [
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
    ]
    assert events[2]["item"]["summary"] == [{"type": "summary_text", "text": "Hm"}]
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["reasoning", "message"]


def test_a_call_that_was_broken_off_says_so() -> None:
    call = {
        "id": "fc_1",
        "type": "function_call",
        "call_id": "c",
        "name": "f",
        "arguments": "",
        "status": "in_progress",
    }
    writer = dialect.writer(ASK, reply_id="ab12", created=9)
    for raw in (
        event("response.created", response=response(status="in_progress")),
        event("response.output_item.added", output_index=0, item=call),
        event("response.function_call_arguments.delta", output_index=0, item_id="fc_1", delta='{"a"'),
    ):
        writer.released(dialect.reader().feed(raw)[0])
    output = sent(writer.say("Stay.") + writer.finish())[-1]["response"]["output"]
    assert output[0] == {**call, "arguments": '{"a"', "status": "incomplete"}
    assert output[1]["content"][0]["text"] == "Stay."


def test_nothing_follows_a_terminator() -> None:
    writer = dialect.writer(ASK, reply_id="i", created=1)
    for frame in frames(*stream("a"), b"data: [DONE]\n\n"):
        writer.released(frame)
    assert writer.finish() == b""


def test_an_answer_of_ours_to_one_who_wants_json_is_no_json_to_be_parsed() -> None:
    chat = Chat(ASK.messages, stream=True, structured=True)
    writer = dialect.writer(chat, reply_id="i", created=1)
    whole_reply = json.loads(dialect.replacement(chat, "Stay.", reply_id="i", created=1))
    streamed = sent(writer.say("Stay.") + writer.finish())[-1]["response"]
    assert whole_reply["output"][0]["phase"] == streamed["output"][0]["phase"] == "commentary"


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "invalid_request_error"), (429, "rate_limit_error"), (502, "server_error")]
)
def test_errors_have_the_apis_shape(status: int, kind: str) -> None:
    error = {"message": "m", "type": kind, "param": None, "code": None}
    assert json.loads(dialect.error(status, "m")) == {"error": error}
    last = dialect.stream_error(status, "m")
    assert (sent(last)[0]["type"], sent(last)[0]["message"], sent(last)[0]["error"]) == ("error", "m", error)
    assert dialect.reader().feed(last)[0].error


# --- responses that the server has kept


def test_a_stored_response_is_read_like_a_fresh_one() -> None:
    stored = claiming("GET", "/v1/responses/resp_1", "")
    streamed = claiming("GET", "/v1/responses/resp_1", "stream=true")
    assert stored is not None and streamed is not None
    assert stored.read_request(b"") == Chat(())
    assert (streamed.read_request(b"").stream, streamed.seems_streamed(b"")) == (True, True)
    assert stored.steered(b"", "G") == stored.resumed(b"", "", ()) == b""
    assert stored.read_reply(whole(message(text("Hi.")))).pieces == (Piece("content:0.0", "Hi."),)
    waiting = stored.read_reply(whole(status="in_progress"))
    assert waiting == Reply(id="resp_1")
