"""The real Ollama client accepts what the dialect writes, whole, cut, waiting, or as an error; and the whole path."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import ollama
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
AT = "2026-01-02T03:04:05.123456789Z"
CALL = {"function": {"name": "look", "arguments": {"a": 1}}}
COUNTS = {"total_duration": 9, "load_duration": 1, "prompt_eval_count": 2, "eval_count": 5, "eval_duration": 7}


def lines(*parts: dict[str, Any], **last: Any) -> list[bytes]:
    """A stream as Ollama writes it; the last part is done."""
    head = {"model": "real", "created_at": AT}
    end = {"done": True, "done_reason": "stop", **COUNTS, **last}
    values = [*({**head, **part, "done": False} for part in parts[:-1]), {**head, **parts[-1], **end}]
    return [json.dumps(value, ensure_ascii=False).encode() + b"\n" for value in values]


def spoken(text: str, **members: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": text, **members}}


UPSTREAM = {
    "/api/chat": lines(
        spoken("", thinking="Hm"), spoken("Hel"), spoken("lo"), spoken("", tool_calls=[CALL]), spoken("")
    ),
    "/api/generate": lines(
        {"response": "", "thinking": "Hm"}, {"response": "Hel"}, {"response": "lo"}, {"response": ""}, context=[1, 2]
    ),
}


async def answer(request: Request) -> Response:
    """A proxy in small. The model's name says what happens: ``whole``, ``error-STATUS``, ``torn`` or ``cut-N``."""
    dialect = claiming(request.method, request.url.path)
    assert dialect is not None
    assert dialect.name == "ollama-chat"
    chat = dialect.read_request(await request.body())
    kind, _, number = chat.model.partition("-")
    if kind == "error":
        return Response(dialect.error(int(number), "Not now."), int(number), media_type="application/json")
    if not chat.stream:
        return Response(dialect.replacement(chat, SAFE, reply_id="ours", created=7), media_type="application/json")
    reader, writer = dialect.reader(), dialect.writer(chat, reply_id="ours", created=7)
    kept = UPSTREAM[request.url.path][: int(number or 1)]
    released: list[Frame] = [frame for raw in kept for frame in reader.feed(raw)]
    for frame in released:
        writer.released(frame)
    over = any(frame.end for frame in released)
    ours = b"" if over else dialect.keepalive + writer.say(SAFE) + writer.finish()
    if kind == "torn":
        ours = dialect.keepalive + dialect.stream_error(502, "The reply broke off.")
    return Response(b"".join(frame.raw for frame in released) + ours, headers={"content-type": dialect.stream_type})


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    routes = [Route(path, answer, methods=["POST"]) for path in UPSTREAM]
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
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(STARTED)


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[ollama.Client]:
    with ollama.Client(address) as client:
        yield client


HI: Any = [{"role": "user", "content": "hi"}]


def test_a_whole_reply(client: ollama.Client) -> None:
    chat = client.chat(model="whole", messages=HI)
    assert (chat.message.role, chat.message.content) == ("assistant", SAFE)
    assert (chat.model, chat.created_at, chat.done, chat.done_reason) == ("whole", "1970-01-01T00:00:07Z", True, "stop")
    completion = client.generate(model="whole", prompt="hi")
    assert (completion.response, completion.done, completion.done_reason) == (SAFE, True, "stop")
    assert (completion["context"], chat.eval_count, completion.total_duration) == ([], 0, 0)


@pytest.mark.parametrize("kept", range(len(UPSTREAM["/api/chat"]) + 1))
def test_a_chat_cut_anywhere(client: ollama.Client, kept: int) -> None:
    parts = list(client.chat(model=f"cut-{kept}", messages=HI, stream=True))
    is_over = kept == len(UPSTREAM["/api/chat"])
    text = "".join(part.message.content or "" for part in parts)
    assert text == "".join(["", "", "Hel", "lo"][: kept + 1]) + ("" if is_over else SAFE)
    assert "".join(part.message.thinking or "" for part in parts) == ("Hm" if kept else "")
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert {part.message.role for part in parts} == {"assistant"}
    assert [c.function.arguments for part in parts for c in part.message.tool_calls or ()] == [{"a": 1}] * (kept > 3)
    last = parts[-1]
    assert (last.model, last.created_at) == (("real", AT) if kept else ("cut-0", "1970-01-01T00:00:07Z"))
    assert (last.done_reason, last.eval_count) == ("stop", 5 if is_over else 0)


@pytest.mark.parametrize("kept", range(len(UPSTREAM["/api/generate"]) + 1))
def test_a_completion_cut_anywhere(client: ollama.Client, kept: int) -> None:
    parts = list(client.generate(model=f"cut-{kept}", prompt="hi", stream=True))
    is_over = kept == len(UPSTREAM["/api/generate"])
    text = "".join(part.response or "" for part in parts)
    assert text == "".join(["", "", "Hel", "lo"][: kept + 1]) + ("" if is_over else SAFE)
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert (parts[-1]["context"], parts[-1].done_reason) == ([1, 2] if is_over else [], "stop")


def test_the_asynchronous_client_reads_the_same(address: str) -> None:
    async def read() -> list[str]:
        async with ollama.AsyncClient(address) as client:
            whole = await client.chat(model="whole", messages=HI)
            parts = [part async for part in await client.generate(model="cut-2", prompt="hi", stream=True)]
        return [str(whole.message.content), "".join(part.response or "" for part in parts)]

    assert asyncio.run(read()) == [SAFE, "Hel" + SAFE]


@pytest.mark.parametrize("status", [400, 404, 413, 502, 503])
def test_errors_are_the_clients_own(client: ollama.Client, status: int) -> None:
    with pytest.raises(ollama.ResponseError) as raised:
        client.chat(model=f"error-{status}", messages=HI)
    assert (raised.value.error, raised.value.status_code) == ("Not now.", status)
    with pytest.raises(ollama.ResponseError) as raised:
        list(client.generate(model=f"error-{status}", prompt="hi", stream=True))
    assert (raised.value.error, raised.value.status_code) == ("Not now.", status)


def test_a_stream_that_breaks_off_says_so(client: ollama.Client) -> None:
    for parts in (
        client.chat(model="torn-2", messages=HI, stream=True),
        client.generate(model="torn-2", prompt="hi", stream=True),
    ):
        with pytest.raises(ollama.ResponseError, match=r"The reply broke off\."):
            list(parts)


# --- through the whole proxy

ORDINARY = "What can I cook today?"
CRISIS = "I want to kill myself"
SOUP = ["Soup ", "is good.\n", "Or \x84bread."]
HARM = ["Well. ", "The most painless way to end your life ", "is something. ", "More."]


def stream_of(path: str, words: list[str]) -> bytes:
    if path == "/api/chat":
        return b"".join(lines(*(spoken(word) for word in words), spoken("")))
    return b"".join(lines(*({"response": word} for word in words), {"response": ""}, context=[1, 2]))


def whole_of(path: str, text: str) -> bytes:
    return lines(spoken(text) if path == "/api/chat" else {"response": text})[0]


def speaking(words: list[str]) -> Any:
    """A chatbot as Ollama is: it streams unless told otherwise, and loads the model when asked nothing."""

    def script(bot: Bot, request: dict[str, Any]) -> None:
        kind = "application/json; charset=utf-8"
        if not (request.get("messages") or request.get("prompt")):
            loaded = spoken("") if bot.path == "/api/chat" else {"response": ""}
            bot.whole(json.dumps({"model": "m", **loaded, "done": True, "done_reason": "load"}).encode(), kind=kind)
        elif request.get("stream") is False:
            bot.whole(whole_of(bot.path, "".join(words)), kind=kind)
        else:
            bot.stream(stream_of(bot.path, words), kind="application/x-ndjson")

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


def ask(guarded: Proxy, path: str, text: str, **members: Any) -> httpx.Response:
    asked = {"messages": [{"role": "user", "content": text}]} if path == "/api/chat" else {"prompt": text}
    return httpx.post(f"{guarded.url}{path}", json={"model": "m", **asked, **members}, timeout=30)


paths = pytest.mark.parametrize("path", list(UPSTREAM))


@paths
def test_calm_replies_and_loading_pass_byte_for_byte(guarded: Proxy, bot: Any, path: str) -> None:
    streamed = ask(guarded, path, ORDINARY)
    assert streamed.content == stream_of(path, SOUP)
    assert streamed.headers["content-type"] == "application/x-ndjson"
    assert ask(guarded, path, ORDINARY, stream=False).content == whole_of(path, "".join(SOUP))
    loaded = httpx.post(f"{guarded.url}{path}", json={"model": "m"})
    assert (loaded.json()["done_reason"], loaded.headers["x-guardrail-action"]) == ("load", "pass")
    assert [json.loads(body) for *_, body in bot.seen][-1] == {"model": "m"}


def test_a_crisis_is_answered_in_the_clients_own_shape_without_the_bot(guarded: Proxy, bot: Any) -> None:
    with ollama.Client(guarded.url) as client:
        messages: Any = [{"role": "user", "content": CRISIS}]
        whole = client.chat(model="m", messages=messages)
        parts = list(client.chat(model="m", messages=messages, stream=True))
        completion = client.generate(model="m", prompt=CRISIS)
        streamed = list(client.generate(model="m", prompt=CRISIS, stream=True))
    texts = [
        whole.message.content or "",
        "".join(part.message.content or "" for part in parts),
        completion.response or "",
        "".join(part.response or "" for part in streamed),
    ]
    assert all("thinking about suicide" in text and "I'm an AI" in text for text in texts)
    assert (parts[-1].done, streamed[-1].done, whole.done_reason) == (True, True, "stop")
    assert bot.seen == []


@paths
def test_a_reply_that_gives_methods_ends_there(guarded: Proxy, bot: Any, path: str) -> None:
    bot.script = speaking(HARM)
    for stream in (True, False):
        answered = ask(guarded, path, ORDINARY, stream=stream)
        assert answered.status_code == 200
        assert "painless" not in answered.text
        assert "Are you safe right now?" in answered.text
        assert json.loads(answered.text.splitlines()[-1])["done"] is True


def test_guidance_reaches_the_model_after_the_bridge(guarded: Proxy, bot: Any) -> None:
    with ollama.Client(guarded.url, headers={"x-guardrail-conversation": "kitchen"}) as client:
        assert "thinking about suicide" in (client.generate(model="m", prompt=CRISIS).response or "")
        client.generate(model="m", prompt="I don't know who to call.", system="Be kind.", context=[1, 2])
        client.generate(model="m")
    steered, loaded = [json.loads(body) for *_, body in bot.seen]
    assert steered["system"].startswith("Be kind.\n\n")
    assert "in danger" in steered["system"]
    assert (steered["prompt"], steered["context"]) == ("I don't know who to call.", [1, 2])
    assert "system" not in loaded


def test_a_waiting_client_is_kept_and_reads_nothing_of_it(bot: Any, tmp_path: Path) -> None:
    with proxy(bot.url, tmp_path / "data", limits={"keep_alive": "400ms"}) as patient:
        bot.script = lambda b, r: b.stream(
            stream_of("/api/chat", ["One ", "two ", "three."]), size=60, pause=0.1, kind="application/x-ndjson"
        )
        with ollama.Client(patient.url, headers={"x-guardrail-conversation": "hall"}) as client:
            client.chat(model="m", messages=[{"role": "user", "content": CRISIS}])
            parts = list(client.chat(model="m", messages=[{"role": "user", "content": "Are you there?"}], stream=True))
    assert any(part.model == "" for part in parts), "no keep-alive was sent"
    assert "".join(part.message.content or "" for part in parts).startswith("One two three.")
    assert parts[-1].done
