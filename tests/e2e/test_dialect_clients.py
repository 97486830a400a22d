"""The real OpenAI and Anthropic clients accept what the dialects write, whole, cut, or as an error."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from guardrail.core.ports import Frame
from guardrail.dialects import claiming

STARTED = 10.0
SAFE = "Stay with me. Who is near you? – 👋"


def sse(*values: Any) -> list[bytes]:
    """Events as the two APIs write them: with a name where the value has a type."""
    return [
        (f"event: {v['type']}\n" if "type" in v else "").encode() + b"data: " + json.dumps(v).encode() + b"\n\n"
        for v in values
    ]


def openai_chunk(delta: dict[str, Any], index: int = 0, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"id": "up", "object": "chat.completion.chunk", "created": 5, "model": "real", "choices": [choice]}


CALL = {"index": 0, "id": "t", "type": "function", "function": {"name": "look", "arguments": '{"a"'}}
OPENAI = [
    *sse(
        openai_chunk({"role": "assistant", "content": ""}),
        openai_chunk({"content": "Hel"}),
        openai_chunk({"content": "lo"}),
        openai_chunk({"tool_calls": [CALL]}),
        openai_chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
        openai_chunk({}, finish="tool_calls"),
        {**openai_chunk({}), "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}},
    ),
    b"data: [DONE]\n\n",
]

START = {
    "id": "up",
    "type": "message",
    "role": "assistant",
    "model": "real",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 1},
}
ANTHROPIC = sse(
    {"type": "message_start", "message": START},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}},
    },
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"a"'}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ":1}"}},
    {"type": "content_block_stop", "index": 2},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 9},
    },
    {"type": "message_stop"},
)


async def answer(request: Request) -> Response:
    """A proxy in small. The model's name says what happens: ``whole``, ``error-STATUS``, or ``cut-N``."""
    dialect = claiming(request.method, request.url.path)
    assert dialect is not None
    chat = dialect.read_request(await request.body())
    kind, _, number = chat.model.partition("-")
    if kind == "error":
        return Response(dialect.error(int(number), "Not now."), int(number), media_type="application/json")
    if kind == "whole":
        return Response(dialect.replacement(chat, SAFE, reply_id="ours", created=7), media_type="application/json")
    upstream = OPENAI if dialect.name == "openai-chat" else ANTHROPIC
    reader, writer = dialect.reader(), dialect.writer(chat, reply_id="ours", created=7)
    released: list[Frame] = [frame for raw in upstream[: int(number)] for frame in reader.feed(raw)]
    for frame in released:
        writer.released(frame)
    over = any(frame.end for frame in released)
    ours = b"" if over else dialect.keepalive + writer.say(SAFE) + writer.finish()
    return Response(b"".join(frame.raw for frame in released) + ours, headers={"content-type": dialect.stream_type})


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    routes = [Route(path, answer, methods=["POST"]) for path in ("/v1/chat/completions", "/v1/messages")]
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
def ours(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def theirs(address: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=address, api_key="k", max_retries=0) as client:
        yield client


HI: Any = [{"role": "user", "content": "hi"}]


def test_openai_gets_a_whole_reply_in_every_choice(ours: openai.OpenAI) -> None:
    reply = ours.chat.completions.create(model="whole", messages=HI, n=2)
    assert [(c.message.role, c.message.content, c.finish_reason) for c in reply.choices] == [
        ("assistant", SAFE, "stop")
    ] * 2
    assert (reply.id, reply.created, reply.model) == ("ours", 7, "whole")
    assert reply.usage is not None
    assert reply.usage.total_tokens == 0


def test_anthropic_gets_a_whole_reply(theirs: anthropic.Anthropic) -> None:
    reply = theirs.messages.create(model="whole", messages=HI, max_tokens=9)
    assert [block.text for block in reply.content if block.type == "text"] == [SAFE]
    assert (reply.id, reply.role, reply.stop_reason, reply.usage.output_tokens) == ("ours", "assistant", "end_turn", 0)


@pytest.mark.parametrize("kept", range(len(OPENAI) + 1))
def test_openai_reads_a_stream_cut_anywhere(ours: openai.OpenAI, kept: int) -> None:
    with ours.chat.completions.stream(
        model=f"cut-{kept}", messages=HI, stream_options={"include_usage": True}
    ) as stream:
        final = stream.get_final_completion()
    choice = final.choices[0]
    said = "".join(["", "Hel", "lo"][:kept])
    is_finished = kept > OPENAI.index(sse(openai_chunk({}, finish="tool_calls"))[0])
    assert choice.message.content == said + ("" if is_finished else SAFE)
    assert choice.message.role == "assistant"
    assert choice.finish_reason == ("tool_calls" if is_finished else "stop")
    assert (final.id, final.model) == (("up", "real") if kept else ("ours", "cut-0"))
    assert final.usage is not None
    assert final.usage.total_tokens == (5 if kept >= len(OPENAI) - 1 else 0)


def test_openai_reads_every_choice_of_a_stream_of_ours(ours: openai.OpenAI) -> None:
    texts = {0: "", 1: "", 2: ""}
    finished = []
    for chunk in ours.chat.completions.create(model="cut-1", messages=HI, n=3, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            finished += [choice.index] if choice.finish_reason == "stop" else []
    assert texts == {0: SAFE, 1: SAFE, 2: SAFE}
    assert finished == [0, 1, 2]


@pytest.mark.parametrize("kept", range(len(ANTHROPIC) + 1))
def test_anthropic_reads_a_stream_cut_anywhere(theirs: anthropic.Anthropic, kept: int) -> None:
    with theirs.messages.stream(model=f"cut-{kept}", messages=HI, max_tokens=9) as stream:
        final = stream.get_final_message()
    texts = [block.text for block in final.content if block.type == "text"]
    is_over = kept == len(ANTHROPIC)
    assert (texts[-1] == SAFE) is not is_over
    assert ("Hello" in texts) is (kept > 5)
    assert final.stop_reason == ("tool_use" if kept > 11 else "end_turn")
    assert final.id == ("up" if kept else "ours")
    if kept > 9:
        assert [block.input for block in final.content if block.type == "tool_use"] == [{"a": 1}]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (429, openai.RateLimitError),
        (502, openai.InternalServerError),
    ],
)
def test_openai_raises_the_right_error(ours: openai.OpenAI, status: int, kind: type[openai.APIStatusError]) -> None:
    with pytest.raises(kind) as raised:
        ours.chat.completions.create(model=f"error-{status}", messages=HI)
    assert "Not now." in raised.value.message
    assert raised.value.type


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (429, anthropic.RateLimitError),
        (502, anthropic.InternalServerError),
    ],
)
def test_anthropic_raises_the_right_error(
    theirs: anthropic.Anthropic, status: int, kind: type[anthropic.APIStatusError]
) -> None:
    with pytest.raises(kind) as raised:
        theirs.messages.create(model=f"error-{status}", messages=HI, max_tokens=9)
    assert "Not now." in str(raised.value)
