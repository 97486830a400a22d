"""An operator's own chat API: what a description reads, what it changes, and what it never lets through."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guardrail.core.model import Message, Refusal
from guardrail.core.ports import Chat, Frame, Piece, Reply
from guardrail.dialects import claiming
from guardrail.dialects.json_api import JsonApi
from guardrail.dialects.json_layout import Layout

ASK = Chat((Message("user", "hello"),), stream=True)


def described(*, path: str = "/chat", **entry: Any) -> JsonApi:
    """A dialect as ``guardrail.yaml`` has it."""
    whole = {"path": path, "request": {"text": "/message"}, "reply": {"text": "/answer"}, **entry}
    return JsonApi(Layout.model_validate_json(json.dumps(whole)))


def asking(**request: Any) -> JsonApi:
    return described(request=request)


def streaming(**stream: Any) -> JsonApi:
    return described(reply={"text": "/answer", "stream": {"format": "sse", "text": "/delta", **stream}})


PLAIN = described()


def body(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def turns(api: JsonApi, value: Any) -> list[tuple[str, str]]:
    return [(m.role, m.text) for m in api.read_request(body(value)).messages]


def sse(*values: Any, name: str = "") -> list[bytes]:
    head = f"event: {name}\n".encode() if name else b""
    return [head + b"data: " + (v.encode() if isinstance(v, str) else body(v)) + b"\n\n" for v in values]


def frames(api: JsonApi, *raws: bytes) -> list[Frame]:
    reader = api.reader()
    return [frame for raw in raws for frame in reader.feed(raw)] + reader.close()


def texts(found: list[Frame]) -> list[list[tuple[str, str]]]:
    return [[(p.channel, p.text) for p in frame.pieces] for frame in found]


# --- which requests


@pytest.mark.parametrize("path", ["/chat", "/chat/", "//chat", "/Chat", "/%63hat", "/x/../chat", "/chat;v=1"])
def test_a_described_path_is_found_in_every_spelling(path: str) -> None:
    assert claiming("POST", path, "", (PLAIN,)) is PLAIN


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/chat"), ("POST", "/chat/more"), ("POST", "/v1/chat"), ("POST", "/")]
)
def test_no_other_path_is(method: str, path: str) -> None:
    assert claiming(method, path, "", (PLAIN,)) is None


def test_what_the_operator_says_of_a_path_goes_before_what_we_know() -> None:
    own = described(path="/v1/chat/completions")
    found = claiming("POST", "/v1/chat/completions", "", (PLAIN, own))
    assert found is own
    usual = claiming("POST", "/v1/chat/completions", "", (PLAIN,))
    assert usual is not None and usual.name == "openai-chat"


def test_a_segment_of_the_path_names_the_conversation() -> None:
    api = described(path="/s/{id}/say/{n}", request={"text": "/message", "conversation": "path:id"})
    for path, id in [("/s/Ab-1/say/2", "Ab-1"), ("/S/Ab-1//say/2/", "Ab-1"), ("/s/17/say/2", "17")]:
        here = claiming("POST", path, "", (api,))
        assert here is not None and here.read_request(b'{"message":"hi"}').conversation == id
    assert not api.claims("POST", "/s/say/2", "")


# --- requests


def test_the_persons_new_words() -> None:
    assert turns(PLAIN, {"message": "I want to die", "lang": "en"}) == [("user", "I want to die")]
    assert turns(asking(text="/data/0/text"), {"data": [{"text": "hi"}]}) == [("user", "hi")]
    assert turns(asking(text="/a~1b/m~0n"), {"a/b": {"m~n": "hi"}}) == [("user", "hi")]
    assert turns(asking(text=""), "hi") == [("user", "hi")]


def test_words_in_several_places_are_one_turn() -> None:
    api = asking(text=["/title", "/parts/*/text"])
    assert turns(api, {"title": "Help", "parts": [{"text": "me"}, {"image": "x"}, {"text": "now"}]}) == [
        ("user", "Help\nme\nnow")
    ]
    assert turns(api, {"title": None, "parts": [{"text": "me"}]}) == [("user", "me")]
    either = asking(text=["/content", "/content/*/text"])
    assert turns(either, {"content": "plain"}) == turns(either, {"content": [{"text": "plain"}]}) == [("user", "plain")]


@pytest.mark.parametrize(
    "bad",
    [
        {"msg": "hi"},
        {"message": None},
        {"message": 42},
        {"message": ["hi"]},
        {"message": {"text": "hi"}},
        {"Message": "hi"},
        {"message": "hi", "MESSAGE": "there"},
        [],
        "hi",
    ],
)
def test_a_request_without_the_persons_words_is_not_sent_on(bad: Any) -> None:
    with pytest.raises(Refusal):
        PLAIN.read_request(body(bad))


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"hello",
        b'{"message":"hi"',
        b'{"message":"hi"}{"message":"there"}',
        b'{"message":"\xff"}',
        b'{"message":"hi","x":"\xff"}',
        b'{"message":"hi","message":"there"}',
        b'{"message":"hi","m\\u0065ssage":"there"}',
        b'{"message":"hi","x":[{"a":1,"a":2}]}',
        b'{"message":"hi","x":NaN}',
        b'{"message":"\\ud800"}',
        b'{"message":' + b"[" * 100_000,
    ],
)
def test_what_two_parsers_could_read_differently_is_refused_without_quoting_it(bad: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        PLAIN.read_request(bad)
    assert "\n" not in str(refused.value) and "there" not in str(refused.value)


HISTORY = {"at": "/history", "role": "/who", "text": "/text"}


def test_a_history_with_the_usual_words_for_who_spoke() -> None:
    said = [("developer", "a"), ("Human", "b"), ("BOT", "c"), ("tool", "d"), ("mallory", "e"), ("user", "f")]
    value = {"history": [{"who": who, "text": text} for who, text in said]}
    assert turns(asking(messages=HISTORY), value) == [
        ("system", "a"),
        ("user", "b"),
        ("assistant", "c"),
        ("tool", "d"),
        ("user", "e"),
        ("user", "f"),
    ]


def test_a_history_with_words_or_flags_of_its_own() -> None:
    api = asking(messages={**HISTORY, "user": ["visitor"], "assistant": ["agent smith"]})
    value = {"history": [{"who": "visitor", "text": "a"}, {"who": "Agent Smith", "text": "b"}]}
    assert turns(api, value) == [("user", "a"), ("assistant", "b")]
    flagged = asking(messages={**HISTORY, "role": "/mine", "user": [True], "assistant": [False]})
    value = {"history": [{"mine": True, "text": "a"}, {"mine": False, "text": "b"}, {"text": "c"}]}
    assert turns(flagged, value) == [("user", "a"), ("assistant", "b"), ("user", "c")]


def test_new_words_come_after_the_history_which_need_not_be_there() -> None:
    api = asking(messages=HISTORY, text="/message")
    assert turns(api, {"message": "now", "history": [{"who": "bot", "text": "before"}]}) == [
        ("assistant", "before"),
        ("user", "now"),
    ]
    assert turns(api, {"message": "now"}) == turns(api, {"message": "now", "history": None}) == [("user", "now")]


@pytest.mark.parametrize(
    "history",
    [None, [], {}, "hi", [["hi", "ho"]], ["hi"], [{"who": "user"}], [{"who": "user", "txt": "hi"}],
     [{"who": "user", "text": {"deep": "hi"}}], [{"who": "user", "text": "a", "Text": "b"}]],
)  # fmt: skip
def test_a_history_whose_words_are_not_found_is_refused(history: Any) -> None:
    with pytest.raises(Refusal):
        asking(messages=HISTORY).read_request(body({"history": history}))


def test_a_turn_of_the_bot_may_be_without_words() -> None:
    value = {"history": [{"who": "bot", "call": {}}, {"who": "user", "text": None}]}
    assert turns(asking(messages=HISTORY), value) == [("assistant", ""), ("user", "")]


@pytest.mark.parametrize(
    ("given", "id"),
    [({"id": "s1"}, "s1"), ({"id": 17}, "17"), ({"id": "17"}, '"17"'), ({"id": None}, ""), ({"id": ""}, ""), ({}, "")],
)
def test_the_apis_own_id_of_the_conversation(given: Any, id: str) -> None:
    api = described(request={"text": "/m", "conversation": "/id"}, reply={"text": "/a", "conversation": "/id"})
    chat = api.read_request(body({"m": "hi", **given}))
    assert chat.conversation == id
    ours = json.loads(api.replacement(chat, "Hello.", reply_id="r", created=1))
    assert ours == ({"id": given["id"], "a": "Hello."} if id else {"a": "Hello."})


@pytest.mark.parametrize("id", [True, {}, ["s1"], 1.5])
def test_an_id_that_is_none_is_refused(id: Any) -> None:
    with pytest.raises(Refusal):
        asking(text="/m", conversation="/id").read_request(body({"m": "hi", "id": id}))


STREAM = {"format": "sse", "text": "/d"}


def test_whether_a_stream_is_wanted() -> None:
    asked = described(request={"text": "/m", "stream": "/o/stream"}, reply={"text": "/a", "stream": STREAM})
    wants = [
        asked.read_request(body({"m": "hi", **more})).stream
        for more in ({}, {"o": {"stream": True}}, {"o": {"stream": False}})
    ]
    assert wants == [False, True, False]
    assert asked.seems_streamed(b'{"o":{"stream" : true}, broken') and not asked.seems_streamed(b'{"stream":false')
    with pytest.raises(Refusal):
        asked.read_request(body({"m": "hi", "o": {"stream": "yes"}}))
    always = described(reply={"text": "/a", "stream": STREAM})
    assert always.read_request(b'{"message":"hi"}').stream and always.seems_streamed(b"")
    assert not PLAIN.read_request(b'{"message":"hi","stream":true}').stream and not PLAIN.seems_streamed(
        b'"stream":true'
    )


# --- steering


def test_guidance_is_added_where_it_has_its_place_and_all_else_keeps_its_bytes() -> None:
    api = asking(text="/message", guidance="/options/system")
    given = b'{"n": 1.50, "message": "hi", "x":  {"b" : [ 1,2 ]}}'
    assert api.steered(given, "Be kind.") == (
        b'{"n":1.50,"message":"hi","x":{"b" : [ 1,2 ]},"options":{"system":"Be kind."}}'
    )
    told = b'{"message":"hi","options":{"system":"Be brief.","t":0.10}}'
    assert turns(api, json.loads(told)) == [("system", "Be brief."), ("user", "hi")]
    assert api.steered(told, "Be kind.") == (
        b'{"message":"hi","options":{"system":"Be brief.\\n\\nBe kind.","t":0.10}}'
    )


def test_guidance_as_a_turn_stands_after_the_systems_own() -> None:
    api = asking(messages={**HISTORY, "system": ["Prompt"]}, text="/message", guidance="messages")
    given = {"message": "hi", "history": [{"who": "PROMPT", "text": "a"}, {"who": "user", "text": "b"}]}
    steered = json.loads(api.steered(body(given), "Be kind."))
    assert steered["history"] == [given["history"][0], {"who": "Prompt", "text": "Be kind."}, given["history"][1]]
    assert json.loads(api.steered(b'{"message":"hi"}', "Be kind."))["history"] == [
        {"who": "Prompt", "text": "Be kind."}
    ]


def test_without_a_place_for_guidance_the_request_goes_as_it_is() -> None:
    assert PLAIN.steered(b'{ "message":"hi" }', "Be kind.") == b'{ "message":"hi" }'


@pytest.mark.parametrize("bad", [{"options": "x"}, {"options": {"system": ["x"]}}, {"options": [1]}])
def test_a_request_that_could_not_be_steered_is_refused_before(bad: Any) -> None:
    with pytest.raises(Refusal):
        asking(text="/message", guidance="/options/system").read_request(body({"message": "hi", **bad}))


# --- whole replies


def test_every_string_of_a_reply_is_read_and_what_the_bot_says_comes_last() -> None:
    api = described(reply={"text": ["/answer", "/parts/*/text"], "also": ["/reasoning", "/next/*"], "tools": "/calls"})
    reply = api.read_reply(
        body({
            "id": "r1", "reasoning": "Hm.", "answer": "Soup.", "parts": [{"text": "Or"}, {"n": 1}, {"text": "bread."}],
            "next": ["More?"], "sources": [{"title": "A book"}], "score": 0.5, "calls": [], "session": "s1",
        })
    )  # fmt: skip
    assert [(p.channel, p.text) for p in reply.pieces] == [
        ("also:0", "Hm."),
        ("also:1.0", "More?"),
        ("content:0", "Soup."),
        ("content:1.0", "Or"),
        ("content:1.2", "bread."),
        ("other:0", "r1\n\nA book\n\ns1"),
    ]
    assert not reply.tools


def test_what_is_declared_unread_is_not_read_but_for_what_is_described_in_it() -> None:
    value = {"answer": "Soup.", "echo": {"of": "I want to die"}, "sources": [{"t": "x", "u": "y"}, {"t": "z"}]}
    some = described(reply={"text": "/answer", "unread": ["/echo", "/sources/*/t"]})
    assert [p.text for p in some.read_reply(body(value)).pieces] == ["Soup.", "y"]
    none = described(reply={"text": "/answer", "also": "/sources/0/u", "unread": ""})
    assert [p.text for p in none.read_reply(body(value)).pieces] == ["y", "Soup."]


def test_long_strings_without_a_space_are_data() -> None:
    link, words = "https://x.example/" + "a" * 200, "Take them all. " * 20
    value = {"answer": "Soup.", "image": link, "note": words, "han": "死" * 300}
    assert [p.text for p in PLAIN.read_reply(body(value)).pieces] == ["Soup.", f"{words}\n\n{'死' * 300}"]


@pytest.mark.parametrize(
    "bad",
    [{}, {"answer": None}, {"answer": 1}, {"answer": ["x"]}, {"error": "down"}, {"Answer": "x"},
     {"answer": "x", "ANSWER": "y"}, [], "x", None],
)  # fmt: skip
def test_a_reply_without_text_where_it_is_described_is_never_released(bad: Any) -> None:
    with pytest.raises(Refusal):
        PLAIN.read_reply(body(bad))


def test_a_reply_may_be_without_text_where_it_acts_or_where_that_is_said() -> None:
    acting = described(reply={"text": "/answer", "tools": "/calls"})
    assert acting.read_reply(b'{"calls":[{"name":"look"}]}') == Reply((Piece("other:0", "look"),), True)
    with pytest.raises(Refusal):
        acting.read_reply(b'{"calls":[]}')
    assert described(reply={"text": "/answer", "optional": True}).read_reply(b'{"n":1}') == Reply()
    assert PLAIN.read_reply(b'{"answer":""}') == Reply()


def test_the_id_to_go_on_by_is_told() -> None:
    api = described(reply={"text": "/answer", "conversation": "/session"})
    assert api.read_reply(b'{"answer":"a","session":"s1"}').id == "s1"
    assert api.read_reply(b'{"answer":"a","session":9}').id == "9"
    assert api.read_reply(b'{"answer":"a"}').id == ""


def test_a_rewritten_reply_is_theirs_with_only_the_text_exchanged() -> None:
    api = described(reply={"text": ["/out/*/text", "/answer"], "also": "/why"})
    given = b'{"n": 1.50, "out" : [{"text": "a", "x" : [1, 2]}, {"text": "b"}], "answer": "c", "why": "d"}'
    assert api.rewritten(given, {"content:0.1": "B", "content:1": "C"}) == (
        b'{"n":1.50,"out":[{"text": "a", "x" : [1, 2]},{"text":"B"}],"answer":"C","why":"d"}'
    )
    assert json.loads(api.rewritten(given, {"also:0": "D"}))["why"] == "D"


def test_a_reply_of_ours_is_the_smallest_with_the_text_in_its_place() -> None:
    api = described(reply={"text": ["/choices/*/message/text", "/x"], "constants": {"/status": "ok", "/v/1": 2}})
    assert json.loads(api.replacement(ASK, "Stay – 👋", reply_id="r", created=1)) == {
        "status": "ok",
        "v": [None, 2],
        "choices": [{"message": {"text": "Stay – 👋"}}],
    }
    assert json.loads(described(reply={"text": ""}).replacement(ASK, "Stay.", reply_id="r", created=1)) == "Stay."


def test_an_error_has_the_apis_own_shape() -> None:
    assert json.loads(PLAIN.error(502, "Not now.")) == {"error": "Not now."}
    api = described(error={"text": "/detail/0/msg", "constants": {"/ok": False}})
    assert json.loads(api.error(502, "Not now.")) == {"ok": False, "detail": [{"msg": "Not now."}]}


def test_a_stream_that_is_not_described_matches_no_content_type() -> None:
    assert PLAIN.stream_type not in ("", "text/event-stream", "application/x-ndjson", "application/json")


# --- streams


DELTAS = sse({"delta": "Hel"}, {"delta": "lo.", "n": 1}, "[DONE]")


def test_server_sent_events_to_frames() -> None:
    found = frames(streaming(done="[DONE]"), b": hi\n\n", *DELTAS)
    assert texts(found) == [[], [("content:0", "Hel")], [("content:0", "lo.")], []]
    assert [(f.closes, f.end) for f in found] == [((), False), ((), False), ((), False), (("content:0",), True)]
    assert b"".join(f.raw for f in found) == b": hi\n\n" + b"".join(DELTAS)


def test_json_by_lines_to_frames() -> None:
    api = streaming(format="ndjson", done={"at": "/end", "is": True})
    lines = [b'{"delta":"Hel"}\n', b"\n", b'{"delta":"lo","end":false}\r\n', b'{"end":true}']
    found = frames(api, *lines)
    assert texts(found) == [[("content:0", "Hel")], [], [("content:0", "lo")], []]
    assert [f.end for f in found] == [False, False, False, True]
    assert api.stream_type == "application/x-ndjson" and [f.raw for f in found] == lines


def test_without_a_mark_the_connection_ends_the_stream() -> None:
    found = frames(streaming(), *DELTAS[:2])
    assert (found[-1].raw, found[-1].end, found[-1].closes) == (b"", True, ("content:0",))
    assert b"".join(f.raw for f in found) == b"".join(DELTAS[:2])


@pytest.mark.parametrize(
    ("done", "last"),
    [
        ("[DONE]", sse("[DONE]")[0]),
        ("[DONE]", b"data: [DONE]"),
        ({"event": "end"}, sse({}, name="end")[0]),
        ({"event": "end", "data": "bye"}, sse("bye", name="end")[0]),
        ({"at": "/type", "is": "end"}, sse({"type": "end"})[0]),
        ("/usage", sse({"usage": {"tokens": 3}})[0]),
    ],
)
def test_the_end_in_the_ways_apis_say_it(done: Any, last: bytes) -> None:
    api = streaming(done=done)
    found = frames(api, DELTAS[0], sse({"type": "more", "usage": {}})[0], last)
    assert [f.end for f in found] == [False, False, True]
    with pytest.raises(Refusal):
        frames(api, DELTAS[0])
    with pytest.raises(Refusal):
        frames(api, DELTAS[0], last if last.endswith(b"\n") else last + b"\n\n", DELTAS[1])


@pytest.mark.parametrize(
    "bad", [b"data: hello\n\n", b'data: {"delta":"a","delta":"b"}\n\n', b'data: {"Delta":"a"}\n\n', b"data: {"]
)
def test_an_event_that_cannot_be_read_is_never_released(bad: bytes) -> None:
    with pytest.raises(Refusal):
        frames(streaming(), DELTAS[0], bad)


@pytest.mark.parametrize("done", [None, "[DONE]", {"at": "/type", "is": "end"}])
def test_a_stream_whose_text_is_not_where_it_is_described_does_not_end_well(done: Any) -> None:
    events = sse({"other": "Hello"}, "[DONE]" if done == "[DONE]" else {"type": "end"})
    with pytest.raises(Refusal):
        frames(streaming(done=done), *events)
    optional = described(reply={"text": "/a", "optional": True, "stream": {"format": "sse", "done": done}})
    assert frames(optional, *events)[-1].end


def test_strings_at_no_described_place_are_read_at_once_and_only_once() -> None:
    found = frames(
        streaming(),
        *sse(
            {"id": "r1", "delta": "Hel", "thought": "kill"},
            {"id": "r1", "delta": "lo", "thought": " your"},
            {"id": "r1", "thought": "self"},
        ),
    )
    assert texts(found) == [
        [("content:0", "Hel"), ("other:0", "r1"), ("other:1", "kill")],
        [("content:0", "lo"), ("other:1", " your")],
        [("other:1", "self")],
        [],
    ]
    assert [f.closes for f in found] == [("other:0", "other:1"), ("other:1",), ("other:1",), ("content:0",)]


def test_text_that_is_repeated_longer_and_longer_is_read_as_what_it_grows_by() -> None:
    steps = ["Looking for a good", "Looking for a good soup", "Looking for a good soup now"]
    found = frames(streaming(), DELTAS[0], *sse(*({"status": step} for step in steps)))
    assert [p.text for frame in found[1:] for p in frame.pieces] == ["Looking for a good", " soup", " now"]


def test_a_place_that_is_text_in_some_events_only() -> None:
    api = streaming(text="/data", done={"at": "/type", "is": "end"}, error={"at": "/type", "is": "error"})
    found = frames(
        api,
        *sse({"type": "token", "data": "Hi"}, {"type": "sources", "data": [{"title": "A book"}]}, {"type": "end"}),
    )
    assert texts(found)[:2] == [
        [("content:0", "Hi"), ("other:0", "token")],
        [("other:0", "sources"), ("other:1", "A book")],
    ]


def test_what_is_unfinished_elsewhere_holds_nothing_back() -> None:
    api = described(reply={"text": ["/title", "/delta", "/many/*"], "also": "/why", "stream": {"format": "sse"}})
    found = frames(
        api,
        *sse({"title": "Soup"}, {"why": "Hm"}, {"delta": "a"}, {"delta": "b"}, {"why": "So"}, {"many": ["x"]}),
        *sse({"many": ["x", "y"]}),
    )
    assert [f.closes for f in found] == [
        (), (), ("also:0", "content:0"), (), (), ("also:0", "content:1"), (), ("content:2.0", "content:2.1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (None, sse({"error": "overloaded"})[0]),
        (None, sse({"message": "overloaded"}, name="error")[0]),
        ({"at": "/type", "is": "error"}, sse({"type": "error", "delta": "overloaded"})[0]),
        ({"event": "fail"}, sse({"why": "overloaded"}, name="fail")[0]),
        ("/error/message", sse({"error": {"message": "overloaded"}})[0]),
    ],
)
def test_the_chatbots_own_error_is_known_as_one(error: Any, event: bytes) -> None:
    api = streaming(done="[DONE]", **({"error": error} if error else {}))
    [frame] = frames(api, event)
    assert (frame.error, frame.end) == (True, True)
    assert not frames(api, *sse({"error": None, "delta": "Hi", "type": "x"}), DELTAS[-1])[0].error


def test_tool_calls_and_the_id_to_go_on_by_are_told() -> None:
    reply = {"text": "/a", "tools": "/calls", "conversation": "/session", "stream": {"format": "sse"}}
    found = frames(described(reply=reply), *sse({"session": "s1"}, {"a": "Hi", "calls": []}, {"calls": [{"n": 1}]}))
    assert [f.tools for f in found] == [False, False, True, False]
    assert [f.id for f in found] == ["s1", "", "", ""]


# --- cumulative streams


CUMULATIVE = streaming(cumulative=True, done="/end")


def test_of_a_cumulative_stream_only_the_growth_is_read() -> None:
    found = frames(
        CUMULATIVE, *sse({"delta": "So"}, {"delta": "Soup."}, {"delta": "Soup."}, {"delta": "Soup. Or", "end": True})
    )
    assert texts(found) == [[("grown:0", "So")], [("grown:0", "up.")], [], [("grown:0", " Or")]]
    assert found[-1].closes == ("grown:0", "content:0")


@pytest.mark.parametrize("second", ["So", "", "Sour."])
def test_a_cumulative_stream_that_takes_text_back_is_refused(second: str) -> None:
    first, then = sse({"delta": "Soup."}, {"delta": second})
    reader = CUMULATIVE.reader()
    assert len(reader.feed(first)) == 1
    with pytest.raises(Refusal):
        reader.feed(then)


def test_ours_in_a_cumulative_stream_repeats_what_the_client_has() -> None:
    writer = CUMULATIVE.writer(ASK, reply_id="r", created=1)
    for frame in frames(CUMULATIVE, *sse({"delta": "So"}, {"delta": "Soup.", "end": True}))[:1]:
        writer.released(frame)
    assert writer.say(" Stay.") + writer.finish() == (
        b'data: {"delta":"So Stay."}\n\n' + b'data: {"delta":"So Stay.","end":true}\n\n'
    )


# --- streams of ours


def written(api: JsonApi, chat: Chat = ASK) -> bytes:
    writer = api.writer(chat, reply_id="r", created=1)
    return writer.say("Stay.") + writer.finish()


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ({"done": "[DONE]"}, b'data: {"delta":"Stay."}\n\ndata: [DONE]\n\n'),
        ({}, b'data: {"delta":"Stay."}\n\n'),
        (
            {"event": "token", "done": {"event": "end"}},
            b'event: token\ndata: {"delta":"Stay."}\n\nevent: end\ndata: {}\n\n',
        ),
        (
            {"constants": {"/type": "token"}, "done": {"at": "/type", "is": "end"}},
            b'data: {"type":"token","delta":"Stay."}\n\ndata: {"type":"end","delta":""}\n\n',
        ),
        (
            {"format": "ndjson", "done": {"at": "/end", "is": True}},
            b'{"delta":"Stay."}\n{"delta":"","end":true}\n',
        ),
        ({"text": "/choices/*/d", "done": "[DONE]"}, b'data: {"choices":[{"d":"Stay."}]}\n\ndata: [DONE]\n\n'),
    ],
)
def test_a_stream_of_ours_is_what_the_client_expects(stream: dict[str, Any], expected: bytes) -> None:
    api = streaming(**stream)
    assert written(api) == expected
    found = frames(api, expected)
    assert [f.end for f in found].count(True) == 1
    assert "".join(p.text for f in found for p in f.pieces if p.channel.startswith("content:")) == "Stay."


def test_ours_goes_where_the_bots_words_went_and_names_the_conversation() -> None:
    reply = {
        "text": "/a",
        "conversation": "/sid",
        "stream": {"format": "sse", "text": ["/a", "/b/*"], "done": "[DONE]"},
    }
    api = described(reply=reply)
    writer = api.writer(Chat((), stream=True, conversation="17"), reply_id="r", created=1)
    writer.released(frames(api, *sse({"b": ["x", "y"]}, "[DONE]"))[0])
    assert writer.say("Stay.") == b'data: {"sid":17,"b":[null,"Stay."]}\n\n'
    assert writer.say("Hm", "also:0") == b""


def test_nothing_follows_the_end() -> None:
    api = streaming(done="[DONE]")
    writer = api.writer(ASK, reply_id="r", created=1)
    for frame in frames(api, *DELTAS):
        writer.released(frame)
    assert writer.say("Stay.") + writer.finish() == b""


def test_a_last_line_without_an_end_gets_one_before_ours() -> None:
    api = streaming(format="ndjson")
    writer = api.writer(ASK, reply_id="r", created=1)
    for frame in frames(api, b'{"delta":"Hi"}')[:1]:
        writer.released(frame)
    assert b'{"delta":"Hi"}' + writer.say("Stay.") == b'{"delta":"Hi"}\n{"delta":"Stay."}\n'


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ({}, b'data: {"error":"Not now."}\n\n'),
        ({"event": "token"}, b'event: error\ndata: {"error":"Not now."}\n\n'),
        ({"error": {"event": "fail"}}, b'event: fail\ndata: {"detail":"Not now."}\n\n'),
        ({"error": "/error/message", "format": "ndjson"}, b'{"error":{"message":"Not now."}}\n'),
        (
            {"constants": {"/type": "token"}, "error": {"at": "/type", "is": "error"}},
            b'data: {"type":"error","delta":"Not now."}\n\n',
        ),
    ],
)
def test_an_error_in_a_stream_has_the_apis_own_shape(stream: dict[str, Any], expected: bytes) -> None:
    api = described(
        reply={"text": "/answer", "stream": {"format": "sse", "text": "/delta", **stream}}, error={"text": "/detail"}
    )
    assert api.stream_error(502, "Not now.") == expected
    assert [f.error for f in frames(api, expected)] == [True]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ({}, b": keep-alive\n\n"),
        ({"format": "ndjson", "constants": {"/t": "d"}}, b'{"t":"d","delta":""}\n'),
        ({"format": "ndjson", "cumulative": True}, b" "),
    ],
)
def test_a_sign_of_life_changes_nothing_of_what_is_read(stream: dict[str, Any], expected: bytes) -> None:
    api = streaming(**stream)
    assert api.keepalive == expected
    found = frames(api, api.keepalive, written(api))
    assert "".join(p.text for f in found for p in f.pieces if not p.channel.startswith("other:")) == "Stay."
