"""Google's own client accepts what the dialect writes, whole, cut, waiting, or as an error; and the whole path."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from google import genai
from google.genai import errors, types
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from guardrail.core.ports import Frame
from guardrail.dialects import claiming
from tests.live import Bot, Proxy, chatbot, proxy, until

STARTED = 10.0
SAFE = "Stay with me.\u2028Who is\x85near you? – 👋"
CALL = {"functionCall": {"name": "look", "args": {"a": 1}}}


def said(*parts: Any, **members: Any) -> dict[str, Any]:
    content = {"parts": [{"text": part} if isinstance(part, str) else part for part in parts], "role": "model"}
    head = {"modelVersion": "real", "responseId": "up", "usageMetadata": {"totalTokenCount": 5}}
    return {"candidates": [{"content": content, **members}], **head}


def events(*values: Any) -> list[bytes]:
    return [b"data: " + json.dumps(value).encode() + b"\r\n\r\n" for value in values]


def array(*values: Any) -> list[bytes]:
    """The pieces of an array as it grows, each of which is a frame."""
    elements = [json.dumps(value, indent=2).encode() for value in values]
    return [b"[", elements[0], *(b"\n,\r\n" + element for element in elements[1:]), b"\n]"]


RESPONSES = (
    said({"text": "Hm", "thought": True}),
    said("Hel"),
    said("lo"),
    said(CALL),
    said({"text": "", "thoughtSignature": "c2ln"}, finishReason="MAX_TOKENS"),
)
EVENTS, ARRAY = events(*RESPONSES), array(*RESPONSES)


async def answer(request: Request) -> Response:
    """A proxy in small. The model's name says what happens: ``whole``, ``error-STATUS``, ``torn-N`` or ``cut-N``."""
    dialect = claiming(request.method, request.url.path, request.url.query)
    assert dialect is not None
    assert dialect.name == "gemini"
    chat = dialect.read_request(await request.body())
    kind, _, number = request.url.path.rpartition("/")[2].partition(":")[0].partition("-")
    if kind == "error":
        return Response(dialect.error(int(number), "Not now."), int(number), media_type="application/json")
    if not chat.stream:
        return Response(dialect.replacement(chat, SAFE, reply_id="ours", created=7), media_type="application/json")
    reader, writer = dialect.reader(), dialect.writer(chat, reply_id="ours", created=7)
    upstream = ARRAY if dialect.stream_type == "application/json" else EVENTS
    released: list[Frame] = [frame for raw in upstream[: int(number)] for frame in reader.feed(raw)]
    for frame in released:
        writer.released(frame)
    ours = writer.finish() if _is_over(released) else writer.say(SAFE) + writer.finish()
    if kind == "torn":
        ours = dialect.stream_error(502, "The reply broke off.")
    waiting = dialect.keepalive
    sent = waiting.join([*(frame.raw for frame in released), ours])
    return Response(sent, headers={"content-type": dialect.stream_type})


def _is_over(frames: list[Frame]) -> bool:
    return any(frame.end or b"MAX_TOKENS" in frame.raw for frame in frames)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    app = Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    started = threading.Event()
    startup = server.startup

    async def started_up(sockets: Any = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = started_up  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    assert started.wait(STARTED)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(STARTED)


def client_of(url: str, **options: Any) -> genai.Client:
    return genai.Client(api_key="k", http_options=types.HttpOptions(base_url=url), **options)


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[genai.Client]:
    with client_of(address) as made:
        yield made


def text_of(chunks: list[types.GenerateContentResponse]) -> str:
    return "".join(chunk.text or "" for chunk in chunks)


def finish_of(chunk: types.GenerateContentResponse) -> str:
    assert chunk.candidates and chunk.candidates[0].finish_reason
    return chunk.candidates[0].finish_reason.value


# --- what we write


def test_a_whole_reply_in_every_candidate(client: genai.Client) -> None:
    config = types.GenerateContentConfig(candidate_count=2, system_instruction="Be kind.")
    reply = client.models.generate_content(model="whole", contents="hi", config=config)
    assert reply.candidates is not None
    contents = [c.content for c in reply.candidates if c.content]
    assert [(c.role, [p.text for p in c.parts or ()]) for c in contents] == [("model", [SAFE])] * 2
    assert (finish_of(reply), reply.response_id) == ("STOP", "ours")
    assert reply.usage_metadata and reply.usage_metadata.total_token_count == 0


def test_the_vertex_paths_of_the_same_client(address: str) -> None:
    with client_of(address, vertexai=True) as client:
        assert client.models.generate_content(model="whole", contents="hi").text == SAFE
        assert SAFE in text_of(list(client.models.generate_content_stream(model="cut-1", contents="hi")))


@pytest.mark.parametrize("kept", range(len(EVENTS) + 1))
def test_a_stream_cut_anywhere(client: genai.Client, kept: int) -> None:
    chunks = list(client.models.generate_content_stream(model=f"cut-{kept}", contents="hi"))
    is_over = kept == len(EVENTS)
    assert text_of(chunks).strip() == "".join(["", "", "Hel", "lo"][: kept + 1]) + ("" if is_over else SAFE)
    assert [finish_of(c) for c in chunks if c.candidates and c.candidates[0].finish_reason] == [
        "MAX_TOKENS" if is_over else "STOP"
    ]
    assert {c.response_id for c in chunks} == {"up" if kept else "ours"}
    assert chunks[-1].usage_metadata and chunks[-1].usage_metadata.total_token_count == (5 if kept else 0)
    thoughts = [p.text for c in chunks for p in c.parts or () if p.thought]
    assert thoughts == ["Hm"] * (kept > 0)


@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")  # in the client's own code
def test_the_async_client_reads_the_same(address: str) -> None:
    async def read() -> list[types.GenerateContentResponse]:
        async with client_of(address).aio as aio:
            return [c async for c in await aio.models.generate_content_stream(model="cut-2", contents="hi")]

    assert text_of(asyncio.run(read())).strip() == "Hel" + SAFE


@pytest.mark.parametrize("kept", [0, 2, len(EVENTS)])
def test_a_chat_remembers_the_turn_and_tells_it_as_one(client: genai.Client, kept: int) -> None:
    chat = client.chats.create(model=f"cut-{kept}")
    text = text_of(list(chat.send_message_stream("hi"))).strip()
    assert [content.role for content in chat.get_history(curated=True)][:2] == ["user", "model"]
    sent = [content.model_dump(mode="json", exclude_none=True) for content in chat.get_history(curated=True)]
    assert not any(part.get("text") == "" for content in sent for part in content["parts"] if kept < len(EVENTS))
    dialect = claiming("POST", "/v1beta/models/m:generateContent")
    assert dialect is not None
    messages = dialect.read_request(json.dumps({"contents": sent}).encode()).messages
    assert [(m.role, m.text.strip()) for m in messages] == [("user", "hi"), ("assistant", text)]


@pytest.mark.parametrize(
    ("status", "kind", "name"),
    [
        (400, errors.ClientError, "INVALID_ARGUMENT"),
        (429, errors.ClientError, "RESOURCE_EXHAUSTED"),
        (502, errors.ServerError, "UNAVAILABLE"),
    ],
)
def test_the_right_error_is_raised(client: genai.Client, status: int, kind: type[errors.APIError], name: str) -> None:
    def streamed(**request: Any) -> object:
        return list(client.models.generate_content_stream(**request))

    for ask in (client.models.generate_content, streamed):
        with pytest.raises(kind) as raised:
            ask(model=f"error-{status}", contents="hi")
        assert (raised.value.code, raised.value.status, raised.value.message) == (status, name, "Not now.")


@pytest.mark.parametrize("kept", [0, 2])
def test_a_stream_that_cannot_go_on_raises(client: genai.Client, kept: int) -> None:
    chunks = client.models.generate_content_stream(model=f"torn-{kept}", contents="hi")
    text = ""
    with pytest.raises(errors.ServerError) as raised:
        for chunk in chunks:
            text += chunk.text or ""
    assert (raised.value.code, raised.value.message) == (502, "The reply broke off.")
    assert text == ("Hel" if kept else "")


@pytest.mark.parametrize("kept", range(len(ARRAY) + 1))
def test_an_array_cut_anywhere_is_an_array(address: str, kept: int) -> None:
    response = httpx.post(f"{address}/v1/models/cut-{kept}:streamGenerateContent", json={"contents": HI})
    assert response.headers["content-type"] == "application/json"
    chunks = [types.GenerateContentResponse.model_validate(value) for value in response.json()]
    is_over = kept >= len(ARRAY) - 1
    assert text_of(chunks).strip() == "".join(["", "", "", "Hel", "lo"][: kept + 1]) + ("" if is_over else SAFE)
    assert finish_of(chunks[-1]) == ("MAX_TOKENS" if is_over else "STOP")


# --- the whole path

HI = [{"role": "user", "parts": [{"text": "What can I cook today?"}]}]
CRISIS = "I want to kill myself"
STREAM, WHOLE = "/v1beta/models/m:streamGenerateContent", "/v1beta/models/m:generateContent"
CALM = [said("Soup is good. "), said("Or bread."), said("", finishReason="STOP")]
HARM = [said(t) for t in ("Well. ", "The most painless way to end your life ", "is something. ")] + CALM[1:]


def script_of(values: list[Any]) -> Any:
    """A chatbot that says these in the form it is asked for."""

    def script(bot: Bot, _: dict[str, Any]) -> None:
        if "alt=sse" in bot.path:
            bot.stream(b"".join(events(*values)))
        elif ":stream" in bot.path:
            bot.stream(b"".join(array(*values)), kind="application/json; charset=UTF-8")
        else:
            parts = [part for value in values for part in value["candidates"][0]["content"]["parts"]]
            bot.whole(json.dumps(said(*parts, finishReason="STOP"), indent=2).encode())

    return script


@pytest.fixture(scope="module")
def bot() -> Iterator[Any]:
    with chatbot(script_of(CALM)) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(bot: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy(bot.url, tmp_path_factory.mktemp("gemini") / "data") as running:
        yield running


@pytest.fixture(autouse=True)
def calm(bot: Any) -> None:
    bot.script = script_of(CALM)
    bot.seen.clear()


PATHS = (f"{STREAM}?alt=sse", STREAM, WHOLE)


def ask(guarded: Proxy, path: str, text: str) -> httpx.Response:
    contents = [{"role": "user", "parts": [{"text": text}]}]
    return httpx.post(guarded.url + path, json={"contents": contents}, timeout=30)


def said_in(response: httpx.Response) -> str:
    """The text of a reply in any of the three forms."""
    kind = response.headers["content-type"].partition(";")[0]
    if kind == "text/event-stream":
        values = [json.loads(line[6:]) for line in response.text.splitlines() if line]
    else:
        values = response.json() if isinstance(response.json(), list) else [response.json()]
    return text_of([types.GenerateContentResponse.model_validate(value) for value in values])


@pytest.mark.parametrize("path", PATHS)
def test_a_calm_reply_passes_byte_for_byte(guarded: Proxy, bot: Any, path: str) -> None:
    answer = ask(guarded, path, "What can I cook today?")
    assert said_in(answer) == "Soup is good. Or bread."
    assert answer.content == httpx.post(bot.url + path, json={"contents": HI}).content
    assert bot.seen[0][1] == path


@pytest.mark.parametrize("path", PATHS)
def test_a_crisis_is_answered_in_the_form_that_was_asked_for(guarded: Proxy, bot: Any, path: str) -> None:
    answer = ask(guarded, path, CRISIS)
    assert answer.status_code == 200
    assert answer.headers["x-guardrail-action"] == "replace"
    assert "I'm an AI" in said_in(answer)
    assert bot.seen == []


@pytest.mark.parametrize("path", PATHS)
def test_a_reply_that_gives_methods_ends_there(guarded: Proxy, bot: Any, path: str) -> None:
    bot.script = script_of(HARM)
    answer = ask(guarded, path, "What can I cook today?")
    assert answer.status_code == 200
    assert "painless" not in answer.text
    assert "Are you safe right now?" in said_in(answer)


@pytest.mark.parametrize("path", PATHS)
def test_what_cannot_be_read_is_told_in_the_apis_own_shape(guarded: Proxy, bot: Any, path: str) -> None:
    answer = httpx.post(guarded.url + path, content=b'{"contents": []}')
    assert answer.status_code == 400
    error = answer.json()[0] if isinstance(answer.json(), list) else answer.json()
    assert error["error"]["status"] == "INVALID_ARGUMENT"
    assert bot.seen == []


def exchanges(guarded: Proxy) -> list[tuple[str, str]]:
    """Conversation and action of every exchange that is in the journal yet."""
    entries = [json.loads(line) for line in guarded.journal().splitlines()]
    return [(entry["conversation"], entry["action"]) for entry in entries if entry["kind"] == "exchange"]


def test_a_chat_goes_on_in_the_same_conversation_steered(guarded: Proxy, bot: Any) -> None:
    with client_of(guarded.url) as client:
        chat = client.chats.create(model="m", config=types.GenerateContentConfig(system_instruction="Be kind."))
        first = text_of(list(chat.send_message_stream("I want to kill myself, number 3")))
        assert "I'm an AI" in first
        assert bot.seen == []
        second = text_of(list(chat.send_message_stream("I don't know who to call.")))
        assert second.startswith("Soup is good.")
    sent = json.loads(bot.seen[-1][3])
    own, guidance = (part["text"] for part in sent["systemInstruction"]["parts"])
    assert own == "Be kind."
    assert "in danger" in guidance
    until(lambda: [action for _, action in exchanges(guarded)][-2:] == ["replace", "steer"])
    (first_id, _), (second_id, _) = exchanges(guarded)[-2:]
    assert first_id == second_id


@pytest.mark.parametrize(
    "withheld",
    [
        b'data: {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "responseId": "up"}\r\n\r\n',
        b'data: {"candidates": [{"finishReason": "SAFETY", "index": 0}], "responseId": "up"}\r\n\r\n',
        b'{\n  "error": {\n    "code": 503,\n    "message": "busy",\n    "status": "UNAVAILABLE"\n  }\n}\r\n\r\n',
    ],
)
def test_nobody_in_a_crisis_is_left_without_a_word(guarded: Proxy, bot: Any, withheld: bytes) -> None:
    bot.script = lambda b, r: b.stream(withheld)
    calm = ask(guarded, PATHS[0], "What can I cook today?")
    assert calm.content == withheld
    with client_of(guarded.url) as client:
        chat = client.chats.create(model="m")
        list(chat.send_message_stream("I want to kill myself, number 4"))
        assert "something on my side is not working" in text_of(list(chat.send_message_stream("are you there?")))


def test_a_stream_that_breaks_off_raises_in_the_real_client(guarded: Proxy, bot: Any) -> None:
    bot.script = lambda b, r: b.stream(b"".join(events(*CALM[:1])), tear=True)
    with client_of(guarded.url) as client, pytest.raises(errors.ServerError):
        list(client.models.generate_content_stream(model="m", contents="What can I cook today?"))
