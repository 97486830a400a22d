"""The chat APIs that are measured: what a client sends, and what a chatbot answers, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bench.sample import SYSTEM, Turn
from bench.wire import Json, Wire, data, event


def _messages(turns: Sequence[Turn], streamed: bool) -> Json:
    said = [{"role": role, "content": text} for role, text in turns]
    return {"model": "stub", "messages": [{"role": "system", "content": SYSTEM}, *said], "stream": streamed}


# --- OpenAI, chat completions


def _chat_whole(text: str) -> Json:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "stub"}
    return {**head, "choices": [choice], "usage": usage}


def _chat_stream(pieces: Sequence[str]) -> list[bytes]:
    def chunk(delta: Json, finish: str | None = None) -> bytes:
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "stub"}
        return data({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    said = [chunk({"content": piece}) for piece in pieces]
    return [chunk({"role": "assistant", "content": ""}), *said, chunk({}, "stop"), b"data: [DONE]\n\n"]


# --- OpenAI, responses


def _responses_body(turns: Sequence[Turn], streamed: bool) -> Json:
    said = [{"role": role, "content": text} for role, text in turns]
    return {"model": "stub", "instructions": SYSTEM, "input": said, "stream": streamed, "store": False}


def _response(items: list[Json], status: str = "completed") -> Json:
    head = {"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "stub", "error": None}
    return {**head, "output": items, "usage": None}


def _message(text: str, status: str = "completed") -> Json:
    parts = [{"type": "output_text", "text": text, "annotations": []}] if text else []
    return {"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": parts}


def _responses_stream(pieces: Sequence[str]) -> list[bytes]:
    where, whole = {"item_id": "msg_1", "output_index": 0, "content_index": 0}, _message("".join(pieces))
    part: Json = {"type": "output_text", "text": "", "annotations": []}
    steps: list[tuple[str, Json]] = [
        ("created", {"response": _response([], "in_progress")}),
        ("output_item.added", {"output_index": 0, "item": _message("", "in_progress")}),
        ("content_part.added", {**where, "part": part}),
        *[("output_text.delta", {**where, "delta": piece, "logprobs": []}) for piece in pieces],
        ("output_text.done", {**where, "text": "".join(pieces), "logprobs": []}),
        ("content_part.done", {**where, "part": {**part, "text": "".join(pieces)}}),
        ("output_item.done", {"output_index": 0, "item": whole}),
        ("completed", {"response": _response([whole])}),
    ]
    return [event(f"response.{kind}", **members, sequence_number=at) for at, (kind, members) in enumerate(steps)]


# --- Anthropic, messages


def _anthropic_body(turns: Sequence[Turn], streamed: bool) -> Json:
    said = [{"role": role, "content": text} for role, text in turns]
    return {"model": "stub", "max_tokens": 1000, "system": SYSTEM, "messages": said, "stream": streamed}


def _anthropic_whole(text: str | None) -> Json:
    content = [] if text is None else [{"type": "text", "text": text}]
    head: Json = {"id": "msg_1", "type": "message", "role": "assistant", "model": "stub", "content": content}
    ended = {"stop_reason": None if text is None else "end_turn", "stop_sequence": None}
    return {**head, **ended, "usage": {"input_tokens": 1, "output_tokens": 1}}


def _anthropic_stream(pieces: Sequence[str]) -> list[bytes]:
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    return [
        event("message_start", message=_anthropic_whole(None)),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *[event("content_block_delta", index=0, delta={"type": "text_delta", "text": p}) for p in pieces],
        event("content_block_stop", index=0),
        event("message_delta", delta=ended, usage={"output_tokens": 5}),
        event("message_stop"),
    ]


# --- Ollama


def _ollama_whole(text: str, done: bool = True) -> Json:
    said: Json = {"model": "stub", "created_at": "2026-01-02T03:04:05.1Z"}
    said |= {"message": {"role": "assistant", "content": text}, "done": done}
    return {**said, "done_reason": "stop", "eval_count": 3} if done else said


def _ollama_stream(pieces: Sequence[str]) -> list[bytes]:
    lines = [*(_ollama_whole(piece, done=False) for piece in pieces), _ollama_whole("")]
    return [json.dumps(line).encode() + b"\n" for line in lines]


# --- Gemini


def _gemini_body(turns: Sequence[Turn], streamed: bool) -> Json:
    roles = {"user": "user", "assistant": "model"}
    said = [{"role": roles[role], "parts": [{"text": text}]} for role, text in turns]
    return {"systemInstruction": {"parts": [{"text": SYSTEM}]}, "contents": said}


def _gemini_whole(text: str, finish: str | None = "STOP") -> Json:
    candidate: Json = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    return {"candidates": [{**candidate, **({"finishReason": finish} if finish else {})}], "modelVersion": "stub"}


def _gemini_stream(pieces: Sequence[str]) -> list[bytes]:
    last = len(pieces) - 1
    return [data(_gemini_whole(p, "STOP" if at == last else None), "\r\n\r\n") for at, p in enumerate(pieces)]


# --- an API of the operator's own

OWN = {
    "path": "/chat",
    "request": {
        "messages": {"at": "/history", "role": "/who", "text": "/text"},
        "text": "/message",
        "stream": "/stream",
        "guidance": "/system",
    },
    "reply": {"text": "/answer", "stream": {"format": "sse", "text": "/delta", "done": "[DONE]"}},
}
"""Its entry under ``json_dialect``."""


def _own_body(turns: Sequence[Turn], streamed: bool) -> Json:
    said = [{"who": role, "text": text} for role, text in turns[:-1]]
    return {"system": SYSTEM, "history": said, "message": turns[-1][1], "stream": streamed}


def _own_stream(pieces: Sequence[str]) -> list[bytes]:
    return [*(data({"delta": piece}) for piece in pieces), b"data: [DONE]\n\n"]


_GEMINI = "/v1beta/models/stub:generateContent", "/v1beta/models/stub:streamGenerateContent?alt=sse"
WIRES = {
    wire.name: wire
    for wire in (
        Wire("openai-chat", ("/v1/chat/completions",) * 2, _messages, _chat_whole, _chat_stream),
        Wire(
            "openai-responses", ("/v1/responses",) * 2, _responses_body, lambda t: _response([_message(t)]),
            _responses_stream,
        ),
        Wire("anthropic-messages", ("/v1/messages",) * 2, _anthropic_body, _anthropic_whole, _anthropic_stream),
        Wire(
            "ollama-chat", ("/api/chat",) * 2, _messages, _ollama_whole, _ollama_stream, "application/x-ndjson",
            b'"created_at"',
        ),
        Wire("gemini", _GEMINI, _gemini_body, _gemini_whole, _gemini_stream),
        Wire("json", ("/chat",) * 2, _own_body, lambda text: {"answer": text}, _own_stream),
    )
}  # fmt: skip
OPENAI = WIRES["openai-chat"]
