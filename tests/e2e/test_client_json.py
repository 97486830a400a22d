"""A chatbot with an API of its own behind the whole proxy, and a client that knows nothing but that API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import Bot, Proxy, chatbot, proxy

CRISIS = "I want to kill myself"
SUPPORT = "are you thinking about suicide"
ORDINARY = "What can I cook today?"
HARMFUL = "The most painless way to end your life is this."
WORDS = ["Soup ", "is ", "good. ", "Or bread – 👋"]

STREAM = {"format": "sse", "text": "/delta", "done": "[DONE]"}
GROWING = {"format": "sse", "text": "/so_far", "done": {"at": "/end", "is": True}, "cumulative": True}
LINES = {"format": "ndjson", "constants": {"/type": "token"}, "text": "/data", "done": {"at": "/type", "is": "end"}}
HISTORY = {"at": "/history", "role": "/who", "text": "/text"}
NAMED = {"text": "/message", "conversation": "/session", "guidance": "/system"}
REPLY = {"text": "/answer", "conversation": "/session", "constants": {"/status": "ok"}}
DIALECT = [
    {"path": "/chat", "request": {**NAMED, "stream": "/stream"}, "reply": {**REPLY, "stream": STREAM}},
    {"path": "/grow", "request": NAMED, "reply": {"text": "/answer", "stream": GROWING}},
    {
        "path": "/lines",
        "request": {"messages": HISTORY, "text": "/message", "guidance": "/system"},
        "reply": {"text": "/answer", "stream": LINES},
        "error": {"text": "/detail/message"},
    },
    {"path": "/open", "request": {"text": "/message"}, "reply": {"stream": {"format": "sse", "text": "/text"}}},
    {
        "path": "/rooms/{room}/say",
        "request": {"text": "/message", "conversation": "path:room"},
        "reply": {"text": "/answer", "unread": "/sources"},
    },
]


def sse(*values: Any) -> bytes:
    return b"".join(b"data: " + (v if isinstance(v, str) else json.dumps(v)).encode() + b"\n\n" for v in values)


def streamed(path: str, words: list[str]) -> bytes:
    """A stream as this chatbot writes it."""
    if path == "/chat":
        return sse({"session": "s1", "delta": ""}, *({"delta": w} for w in words), "[DONE]")
    if path == "/grow":
        grown = ["".join(words[: n + 1]) for n in range(len(words))]
        return sse(*({"so_far": text, "end": False} for text in grown), {"so_far": grown[-1], "end": True})
    lines: list[dict[str, Any]] = [{"type": "token", "data": word} for word in words]
    return "".join(json.dumps(v) + "\n" for v in [*lines, {"type": "sources", "data": []}, {"type": "end"}]).encode()


def kind_bot(bot: Bot, request: dict[str, Any]) -> None:
    say(WORDS)(bot, request)


def say(words: list[str], **more: Any) -> Any:
    """A chatbot that says these words, in the way it is asked."""

    def script(bot: Bot, request: dict[str, Any]) -> None:
        if bot.path in ("/grow", "/lines") or request.get("stream"):
            kind = "application/x-ndjson" if bot.path == "/lines" else "text/event-stream"
            bot.stream(streamed(bot.path, words), kind=kind)
        else:
            bot.whole(json.dumps({"answer": "".join(words), "session": "s1", "n": 1.50, **more}).encode())

    return script


@pytest.fixture(scope="module")
def bot() -> Iterator[Any]:
    with chatbot(kind_bot) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(bot: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder: Path = tmp_path_factory.mktemp("proxy") / "data"
    with proxy(bot.url, folder, json_dialect=DIALECT, limits={"keep_alive": "100ms"}) as running:
        yield running


@pytest.fixture(autouse=True)
def calm(bot: Any) -> None:
    bot.script = kind_bot
    bot.seen.clear()


def ask(guarded: Proxy, path: str, text: str, **more: Any) -> httpx.Response:
    return httpx.post(f"{guarded.url}{path}", json={"message": text, **more}, timeout=30)


def shown(path: str, body: bytes) -> str:
    """What this API's client shows of a stream, which has to end as streams of this API do."""
    text = ""
    if path == "/lines":
        for line in body.splitlines():
            event = json.loads(line)
            if event["type"] == "end":
                return text
            text += event["data"] if event["type"] == "token" else ""
    for event in body.decode().split("\n\n"):
        if event == "data: [DONE]":
            return text
        if not event.startswith("data: "):
            continue
        value = json.loads(event.removeprefix("data: "))
        text = value["so_far"] if "so_far" in value else text + value["delta"]
        if value.get("end"):
            return text
    raise AssertionError("the stream has no end")


STREAMED = [("/chat", {"stream": True}), ("/grow", {}), ("/lines", {})]
streams = pytest.mark.parametrize(("path", "more"), STREAMED)


def test_calm_talk_is_untouched_in_both_directions(guarded: Proxy, bot: Any) -> None:
    answer = ask(guarded, "/chat", ORDINARY, x=[1.0, None])
    assert answer.content == json.dumps({"answer": "".join(WORDS), "session": "s1", "n": 1.50}).encode()
    assert answer.headers["x-guardrail-action"] == "pass"
    assert json.loads(bot.seen[0][3]) == {"message": ORDINARY, "x": [1.0, None]}


@streams
def test_a_calm_stream_is_untouched(guarded: Proxy, path: str, more: dict[str, Any]) -> None:
    answer = ask(guarded, path, ORDINARY, **more)
    assert answer.content == streamed(path, WORDS)
    assert shown(path, answer.content) == "".join(WORDS)


def test_a_crisis_is_answered_in_the_chatbots_own_shape_without_asking_it(guarded: Proxy, bot: Any) -> None:
    answer = ask(guarded, "/chat", CRISIS, session="whole")
    assert (answer.status_code, answer.headers["x-guardrail-action"]) == (200, "replace")
    value = answer.json()
    assert SUPPORT in value.pop("answer") and value == {"status": "ok", "session": "whole"}
    assert SUPPORT in ask(guarded, "/rooms/7/say", CRISIS).json()["answer"]
    assert bot.seen == []


@streams
def test_a_crisis_is_answered_as_a_stream_of_its_own_kind(
    guarded: Proxy, bot: Any, path: str, more: dict[str, Any]
) -> None:
    answer = ask(guarded, path, CRISIS, session="streamed", **more)
    assert (answer.status_code, answer.headers["x-guardrail-action"]) == (200, "replace")
    assert answer.headers["content-type"].startswith(
        "application/x-ndjson" if path == "/lines" else "text/event-stream"
    )
    assert SUPPORT in shown(path, answer.content)
    assert bot.seen == []


def test_a_harmful_answer_is_never_shown_nor_one_in_a_field_nobody_described(guarded: Proxy, bot: Any) -> None:
    for script in (say([HARMFUL]), say(WORDS, note=HARMFUL)):
        bot.script = script
        answer = ask(guarded, "/chat", ORDINARY)
        assert answer.status_code == 200 and "painless" not in answer.text
        assert answer.headers["x-guardrail-action"] != "pass" and answer.json()["answer"]
    bot.script = say(WORDS, sources=[HARMFUL])
    assert "painless" in ask(guarded, "/rooms/1/say", ORDINARY).text, "the operator has said not to read it"


@streams
def test_a_harmful_stream_is_cut_and_ends_as_its_client_expects(
    guarded: Proxy, bot: Any, path: str, more: dict[str, Any]
) -> None:
    bot.script = say(["Soup is good. ", "The most pain", "less way to end ", "your life is this.", " Good luck."])
    answer = ask(guarded, path, ORDINARY, **more)
    text = shown(path, answer.content)
    assert text.startswith("Soup is good. ") and len(text) > 40
    assert "painless" not in answer.text and "Good luck" not in answer.text


def test_guidance_reaches_the_chatbot_where_the_operator_said(guarded: Proxy, bot: Any) -> None:
    first = shown("/lines", ask(guarded, "/lines", CRISIS).content)
    history = [{"who": "user", "text": CRISIS}, {"who": "bot", "text": first}]
    answer = ask(guarded, "/lines", "ok", history=history, system="Be brief.")
    assert answer.headers["x-guardrail-action"] == "steer"
    sent = json.loads(bot.seen[0][3])
    assert sent["system"].startswith("Be brief.\n\n") and sent["history"] == history


def test_what_cannot_be_read_is_refused_in_the_chatbots_own_error_shape(guarded: Proxy, bot: Any) -> None:
    for said in (ORDINARY, CRISIS):
        for request in ({"msg": said}, {"message": [said]}, {"message": "hi", "Message": said}):
            refused = httpx.post(f"{guarded.url}/lines", json=request)
            assert said not in refused.text
            if said == CRISIS:
                assert refused.status_code == 200 and "suicide" in refused.text, "what was still heard is answered"
            else:
                assert refused.status_code == 400 and "could not be read" in refused.json()["detail"]["message"]
    assert bot.seen == []
    for script in (
        lambda b, _: b.whole(b'{"other":"Soup"}'),
        lambda b, _: b.whole(b"Soup", kind="text/plain"),
        lambda b, _: b.stream(sse({"answer": "Soup"}), kind="text/event-stream"),
    ):
        bot.script = script
        failed = ask(guarded, "/rooms/1/say", ORDINARY)
        assert failed.status_code == 502 and "Soup" not in failed.text and failed.json()["error"]


@pytest.mark.parametrize(
    ("path", "sign"), [("/chat", b": keep-alive\n\n"), ("/lines", b'{"type":"token","data":""}\n')]
)
def test_a_waiting_client_sees_that_the_stream_lives_and_shows_the_same(
    guarded: Proxy, bot: Any, path: str, sign: bytes
) -> None:
    kind = "application/x-ndjson" if path == "/lines" else "text/event-stream"
    bot.script = lambda b, _: b.stream(streamed(path, WORDS), size=100, pause=0.5, kind=kind)
    answer = ask(guarded, path, ORDINARY, stream=True)
    assert sign in answer.content
    assert shown(path, answer.content) == "".join(WORDS)


def test_a_failure_in_the_stream_is_told_in_the_apis_own_way_and_never_to_somebody_in_a_crisis(
    guarded: Proxy, bot: Any
) -> None:
    bot.script = lambda b, _: b.stream(sse({"delta": "Soup "}), tear=True)
    got = b""
    request = {"message": ORDINARY, "stream": True}
    with httpx.stream("POST", f"{guarded.url}/chat", json=request) as answer, pytest.raises(httpx.RemoteProtocolError):
        for part in answer.iter_bytes():
            got += part
    assert list(json.loads(got.split(b"\n\n")[-2].removeprefix(b"data: "))) == ["error"]

    named = {"x-guardrail-conversation": "torn"}
    httpx.post(f"{guarded.url}/chat", json={"message": CRISIS}, headers=named)
    bot.script = lambda b, _: b.stream(sse({"delta": "Soup "}, {"error": "overloaded"}))
    cared = httpx.post(f"{guarded.url}/chat", json={"message": "ok", "stream": True}, headers=named)
    assert cared.status_code == 200 and "overloaded" not in cared.text and len(shown("/chat", cared.content)) > 40


UNEASY = "I made myself throw up after dinner"


@streams
def test_help_that_is_offered_stands_in_the_stream_before_its_end(
    guarded: Proxy, path: str, more: dict[str, Any]
) -> None:
    text = shown(path, ask(guarded, path, UNEASY, **more).content)
    assert text.startswith("".join(WORDS)) and "call" in text


def test_help_is_shown_too_where_the_end_has_text_of_its_own_or_is_only_the_connections(
    guarded: Proxy, bot: Any
) -> None:
    bot.script = lambda b, _: b.stream(sse({"so_far": "Soup "}, {"so_far": "Soup is good.", "end": True}))
    text = shown("/grow", ask(guarded, "/grow", UNEASY).content)
    assert text.startswith("Soup is good.") and "call" in text
    bot.script = lambda b, _: b.stream(sse({"text": "Soup "}, {"text": "is good."}))
    opened = ask(guarded, "/open", UNEASY).text
    assert opened.startswith('data: {"text": "Soup "}\n\n') and "call" in opened.split("is good.")[1]
