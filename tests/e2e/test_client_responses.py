"""The real OpenAI client accepts what the dialect of responses writes; and the whole path."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pydantic
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from guardrail.core.ports import Frame
from guardrail.dialects import claiming
from tests.live import Bot, Proxy, chatbot, proxy

STARTED = 10.0
SAFE = "Stay with me.\u2028Who is\x85near you? – 👋"


def event(kind: str, number: int, **members: Any) -> bytes:
    data = json.dumps({"type": kind, "sequence_number": number, **members}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def numbered(*events: tuple[str, dict[str, Any]]) -> list[bytes]:
    return [event(f"response.{kind}", number, **members) for number, (kind, members) in enumerate(events)]


def response(*items: Any, status: str = "completed") -> dict[str, Any]:
    counts = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5, **counts} if items else None
    return {
        "id": "resp_up", "object": "response", "created_at": 5, "status": status, "model": "real", "error": None,
        "incomplete_details": None, "instructions": None, "metadata": {}, "output": list(items), "usage": usage,
        "parallel_tool_calls": True, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
    }  # fmt: skip


def text(said: str) -> dict[str, Any]:
    return {"type": "output_text", "text": said, "annotations": [], "logprobs": []}


def message(*parts: Any, status: str = "completed") -> dict[str, Any]:
    return {"id": "msg_up", "type": "message", "role": "assistant", "status": status, "content": list(parts)}


def message_events(index: int, words: list[str]) -> list[tuple[str, dict[str, Any]]]:
    where, said = {"item_id": "msg_up", "output_index": index, "content_index": 0}, "".join(words)
    return [
        ("output_item.added", {"output_index": index, "item": message(status="in_progress")}),
        ("content_part.added", {**where, "part": text("")}),
        *[("output_text.delta", {**where, "delta": word, "logprobs": []}) for word in words],
        ("output_text.done", {**where, "text": said, "logprobs": []}),
        ("content_part.done", {**where, "part": text(said)}),
        ("output_item.done", {"output_index": index, "item": message(text(said))}),
    ]


THOUGHT = {"id": "rs_up", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]}
CALL = {
    "id": "fc_up",
    "type": "function_call",
    "call_id": "c",
    "name": "look",
    "arguments": "",
    "status": "in_progress",
}
CALLED = {**CALL, "arguments": '{"a":1}', "status": "completed"}
SUMMARY = {"item_id": "rs_up", "output_index": 0, "summary_index": 0}
UPSTREAM = numbered(
    ("created", {"response": response(status="in_progress")}),
    ("in_progress", {"response": response(status="in_progress")}),
    ("output_item.added", {"output_index": 0, "item": {**THOUGHT, "summary": []}}),
    ("reasoning_summary_part.added", {**SUMMARY, "part": {"type": "summary_text", "text": ""}}),
    ("reasoning_summary_text.delta", {**SUMMARY, "delta": "Hm"}),
    ("reasoning_summary_text.done", {**SUMMARY, "text": "Hm"}),
    ("reasoning_summary_part.done", {**SUMMARY, "part": THOUGHT["summary"][0]}),
    ("output_item.done", {"output_index": 0, "item": THOUGHT}),
    *message_events(1, ["Hel", "lo"]),
    ("output_item.added", {"output_index": 2, "item": CALL}),
    ("function_call_arguments.delta", {"item_id": "fc_up", "output_index": 2, "delta": '{"a"'}),
    ("function_call_arguments.delta", {"item_id": "fc_up", "output_index": 2, "delta": ":1}"}),
    ("function_call_arguments.done", {"item_id": "fc_up", "output_index": 2, "arguments": '{"a":1}'}),
    ("output_item.done", {"output_index": 2, "item": CALLED}),
    ("completed", {"response": response(THOUGHT, message(text("Hello")), CALLED)}),
)


async def answer(request: Request) -> Response:
    """A proxy in small. The model's name says what happens: ``whole``, ``error-STATUS``, ``torn-N`` or ``cut-N``."""
    dialect = claiming(request.method, request.url.path)
    assert dialect is not None
    chat = dialect.read_request(await request.body())
    kind, _, number = chat.model.partition("-")
    if kind == "error":
        return Response(dialect.error(int(number), "Not now."), int(number), media_type="application/json")
    if not chat.stream:
        return Response(dialect.replacement(chat, SAFE, reply_id="ours", created=7), media_type="application/json")
    reader, writer = dialect.reader(), dialect.writer(chat, reply_id="ours", created=7)
    released: list[Frame] = [frame for raw in UPSTREAM[: int(number)] for frame in reader.feed(raw)]
    for frame in released:
        writer.released(frame)
    over = any(frame.end for frame in released)
    ours = b"" if over else dialect.keepalive + writer.say(SAFE) + dialect.keepalive + writer.finish()
    if kind == "torn":
        ours = dialect.keepalive + dialect.stream_error(502, "The reply broke off.")
    return Response(b"".join(frame.raw for frame in released) + ours, headers={"content-type": dialect.stream_type})


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    routes = [Route("/v1/responses", answer, methods=["POST"])]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=0, log_level="warning", lifespan="off"))
    started = threading.Event()
    startup = server.startup

    async def started_up(sockets: Any = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = started_up  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    assert started.wait(STARTED)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    server.should_exit = True
    thread.join(STARTED)


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=address, api_key="k", max_retries=0) as client:
        yield client


class Dish(pydantic.BaseModel):
    name: str


def test_a_whole_reply(client: openai.OpenAI) -> None:
    reply = client.responses.create(model="whole", input="hi", previous_response_id="resp_0")
    assert (reply.output_text, reply.status, reply.error) == (SAFE, "completed", None)
    assert (reply.id, reply.created_at) == ("resp_guardrail_ours_after_resp_0", 7)
    assert (reply.model, reply.previous_response_id) == ("whole", "resp_0")
    assert reply.usage is not None
    assert reply.usage.total_tokens == 0
    again = type(reply).model_validate(reply.model_dump())
    assert again.output == reply.output, "every member that the client's own model asks for is there"


@pytest.mark.parametrize("kept", range(len(UPSTREAM) + 1))
def test_a_stream_cut_anywhere(client: openai.OpenAI, kept: int) -> None:
    with client.responses.stream(model=f"cut-{kept}", input="hi") as stream:
        events: list[Any] = list(stream)
        final = stream.get_final_response()
    is_over = kept == len(UPSTREAM)
    got = "".join(["", "Hel", "lo"][: max(0, kept - 9)])
    assert final.output_text == got + ("" if is_over else SAFE)
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == final.output_text
    assert (final.id, final.status) == ("resp_up" if kept else "resp_guardrail_ours", "completed")
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert [item.type for item in final.output] == (
        ["reasoning"] * (kept > 2)
        + ["message"]
        + ["function_call"] * (kept > 15)
        + ["message"] * (14 < kept < len(UPSTREAM))
    )
    calls = [(item.arguments, item.status) for item in final.output if item.type == "function_call"]
    assert calls in (
        [],
        [("", "incomplete")],
        [('{"a"', "incomplete")],
        [('{"a":1}', "incomplete")],
        [('{"a":1}', "completed")],
    )
    assert final.usage is not None
    assert final.usage.total_tokens == (5 if is_over else 0)


def test_every_text_ends_once_and_as_it_was_said(client: openai.OpenAI) -> None:
    for kept in range(len(UPSTREAM)):
        texts: dict[tuple[int, int], str] = {}
        done: list[tuple[int, int]] = []
        for e in client.responses.create(model=f"cut-{kept}", input="hi", stream=True):
            if e.type == "response.output_text.delta":
                where = (e.output_index, e.content_index)
                texts[where] = texts.get(where, "") + e.delta
            elif e.type == "response.output_text.done":
                done.append((e.output_index, e.content_index))
                assert e.text == texts[done[-1]]
        assert sorted(done) == sorted(texts)


def test_the_asynchronous_client_reads_the_same(address: str) -> None:
    async def read() -> list[str]:
        async with openai.AsyncOpenAI(base_url=address, api_key="k", max_retries=0) as client:
            whole = await client.responses.create(model="whole", input="hi")
            async with client.responses.stream(model="cut-11", input="hi") as stream:
                final = await stream.get_final_response()
        return [whole.output_text, final.output_text]

    assert asyncio.run(read()) == [SAFE, "Hel" + SAFE]


def test_one_who_wants_json_gets_words_and_no_exception(client: openai.OpenAI) -> None:
    reply = client.responses.parse(model="whole", input="hi", text_format=Dish)
    assert (reply.output_parsed, reply.output_text) == (None, SAFE)
    with client.responses.stream(model="cut-0", input="hi", text_format=Dish) as stream:
        final = stream.get_final_response()
    assert (final.output_parsed, final.output_text) == (None, SAFE)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (429, openai.RateLimitError),
        (502, openai.InternalServerError),
    ],
)
def test_errors_are_the_clients_own(client: openai.OpenAI, status: int, kind: type[openai.APIStatusError]) -> None:
    with pytest.raises(kind) as raised:
        client.responses.create(model=f"error-{status}", input="hi")
    assert "Not now." in raised.value.message
    assert raised.value.type


@pytest.mark.parametrize("kept", [0, 1, 11])
def test_a_stream_that_breaks_off_says_so(client: openai.OpenAI, kept: int) -> None:
    with pytest.raises(openai.APIError, match=r"The reply broke off\."):
        list(client.responses.create(model=f"torn-{kept}", input="hi", stream=True))
    with (
        pytest.raises(openai.APIError, match=r"The reply broke off\."),
        client.responses.stream(model=f"torn-{kept}", input="hi") as stream,
    ):
        stream.get_final_response()


# --- through the whole proxy

ORDINARY = "What can I cook today?"
CRISIS = "I want to kill myself"
WISH = "Sometimes I wish I were dead."
SOUP = ["Soup ", "is good.\n", "Or \x85bread."]
HARM = ["Well. ", "The most painless way to end your life ", "is something. ", "More."]
LIE = ["Soup is good. ", "I am a real human ", "being just like you. ", "Bread too."]


def stream_of(words: list[str]) -> bytes:
    begin, end = response(status="in_progress"), response(message(text("".join(words))))
    return b"".join(
        numbered(("created", {"response": begin}), *message_events(0, words), ("completed", {"response": end}))
    )


def whole_of(words: list[str]) -> bytes:
    return json.dumps(response(message(text("".join(words)))), ensure_ascii=False).encode()


def speaking(words: list[str]) -> Any:
    def script(bot: Bot, request: dict[str, Any]) -> None:
        if request.get("stream") or "stream=true" in bot.path:
            bot.stream(stream_of(words))
        else:
            bot.whole(whole_of(words))

    return script


@pytest.fixture(scope="module")
def bot() -> Iterator[Any]:
    with chatbot(speaking(SOUP)) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(bot: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy(bot.url, tmp_path_factory.mktemp("proxy") / "data") as running:
        yield running


@pytest.fixture(autouse=True)
def calm(bot: Any) -> None:
    bot.script = speaking(SOUP)
    bot.seen.clear()


@pytest.fixture
def person(guarded: Proxy) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{guarded.url}/v1", api_key="k", max_retries=0) as client:
        yield client


def ask(guarded: Proxy, said: str, **members: Any) -> httpx.Response:
    return httpx.post(f"{guarded.url}/v1/responses", json={"model": "m", "input": said, **members}, timeout=30)


def test_calm_replies_pass_byte_for_byte(guarded: Proxy, bot: Any) -> None:
    assert ask(guarded, ORDINARY, stream=True).content == stream_of(SOUP)
    assert ask(guarded, ORDINARY).content == whole_of(SOUP)
    stored = f"{guarded.url}/v1/responses/resp_up"
    assert httpx.get(stored).content == whole_of(SOUP)
    assert httpx.get(stored, params={"stream": "true"}).content == stream_of(SOUP)
    assert [(method, path) for method, path, *_ in bot.seen][2:] == [
        ("GET", "/v1/responses/resp_up"),
        ("GET", "/v1/responses/resp_up?stream=true"),
    ]


def test_a_crisis_is_answered_in_the_clients_own_shape_without_the_bot(person: openai.OpenAI, bot: Any) -> None:
    whole = person.responses.create(model="m", input=CRISIS)
    with person.responses.stream(model="m", input=[{"role": "user", "content": CRISIS}]) as stream:
        final = stream.get_final_response()
    for reply in (whole, final):
        assert "thinking about suicide" in reply.output_text and "I'm an AI" in reply.output_text
        assert (reply.status, reply.id[:5]) == ("completed", "resp_")
    assert bot.seen == []


def test_a_reply_that_gives_methods_ends_there(guarded: Proxy, bot: Any) -> None:
    bot.script = speaking(HARM)
    for members in ({"stream": True}, {"stream": False}):
        answered = ask(guarded, ORDINARY, **members)
        assert answered.status_code == 200
        assert "painless" not in answered.text and "Are you safe right now?" in answered.text
    stored = httpx.get(f"{guarded.url}/v1/responses/resp_up")
    assert stored.status_code == 200
    assert "painless" not in stored.text, "what was cut may not be fetched as it was"


def test_a_sentence_taken_out_comes_back_in_none_of_the_repetitions(
    guarded: Proxy, person: openai.OpenAI, bot: Any
) -> None:
    bot.script = speaking(LIE)
    assert "real human" not in ask(guarded, ORDINARY, stream=True).text
    with person.responses.stream(model="m", input=ORDINARY) as stream:
        said = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert final.output_text == said
    assert said.startswith("Soup is good. ") and said.endswith("Bread too.")
    assert said.count("I'm an AI") == 1
    assert "real human" not in ask(guarded, ORDINARY).text


def test_guidance_reaches_the_model_after_the_bridge(bot: Any, person: openai.OpenAI) -> None:
    headers = {"x-guardrail-conversation": "kitchen"}
    assert "suicide" in person.responses.create(model="m", input=CRISIS, extra_headers=headers).output_text
    person.responses.create(
        model="m", input="I don't know who to call.", instructions="Be kind.", store=False, extra_headers=headers
    )
    sent = json.loads(bot.seen[0][3])
    assert sent["instructions"].startswith("Be kind.\n\n") and "in danger" in sent["instructions"]
    assert (sent["input"], sent["store"]) == ("I don't know who to call.", False)


def test_a_reply_in_the_background_is_refused_with_its_reason(person: openai.OpenAI, bot: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="background"):
        person.responses.create(model="m", input=ORDINARY, background=True)
    assert bot.seen == []


def test_help_that_is_added_stands_in_every_repetition(guarded: Proxy, person: openai.OpenAI) -> None:
    with person.responses.stream(model="m", input=WISH) as stream:
        said = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert final.output_text == said
    assert said.startswith("".join(SOUP) + "\n\n") and len(said) > len("".join(SOUP)) + 20
    assert person.responses.create(model="m", input=WISH).output_text == said
    told = ask(guarded, WISH, stream=True).text
    assert 'is good.\\nOr \x85bread."' not in told, "no event tells the reply without it"


def test_nobody_in_a_crisis_gets_the_bots_error(person: openai.OpenAI, bot: Any) -> None:
    headers = {"x-guardrail-conversation": "cellar"}
    person.responses.create(model="m", input=CRISIS, extra_headers=headers)
    begun = b"".join(UPSTREAM[:10])
    for last in (event("error", 10, message="busy"), numbered(("failed", {"response": response(status="failed")}))[0]):
        bot.script = lambda b, r, last=last: b.stream(begun + last)
        with person.responses.stream(model="m", input="Are you there?", extra_headers=headers) as stream:
            final = stream.get_final_response()
        assert final.status == "completed"
        assert "112" in final.output_text


def test_a_waiting_client_is_kept(bot: Any, tmp_path: Path) -> None:
    with proxy(bot.url, tmp_path / "data", limits={"keep_alive": "100ms"}) as patient:
        bot.script = lambda b, r: b.stream(stream_of(["One ", "two ", "three."]), size=800, pause=0.3)
        headers = {"x-guardrail-conversation": "hall"}
        httpx.post(f"{patient.url}/v1/responses", json={"model": "m", "input": CRISIS}, headers=headers, timeout=30)
        later = {"model": "m", "input": "Are you there?", "stream": True}
        raw = httpx.post(f"{patient.url}/v1/responses", json=later, headers=headers, timeout=30)
    assert b"\n\n: keep-alive\n\n" in raw.content or raw.content.startswith(b": keep-alive\n\n")
    assert "three." in raw.text
