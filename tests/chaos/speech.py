"""The four APIs, as their clients and servers speak them: requests, replies whole and streamed, and the words in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tests.wire import anthropic_stream, openai_reply, openai_stream

Turns = Sequence[tuple[str, str]]
"""(role, text), from the first on."""

SSE = "text/event-stream"


class Speech(msgspec.Struct, frozen=True):
    """One API. ``whole`` and ``stream`` make a reply of its words and id, ``told`` finds the words in one JSON value,
    ``over`` is in the last frame of a stream that was not cut."""

    path: str
    request: Callable[[Turns, bool, str], dict[str, Any]]
    whole: Callable[[Sequence[str], str], bytes]
    stream: Callable[[Sequence[str], str], bytes]
    told: Callable[[dict[str, Any]], str]
    over: bytes
    stream_type: str = SSE


def said(speech: Speech, raw: bytes) -> str:
    """The words a client would show of what has come so far; a frame that is cut off shows none."""
    return "".join(speech.told(value) for value in values(raw))


def values(raw: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects of a body or a stream, one a line."""
    for line in raw.split(b"\n"):
        try:
            value = json.loads(line.removeprefix(b"data: "))
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def id_of(raw: bytes) -> str:
    """The id the API gave its reply: the next request may follow it."""
    for value in values(raw):
        if found := value.get("response", value).get("id"):
            return str(found)
    return ""


def _messages(turns: Turns) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in turns]


# --- OpenAI, chat completions


def _chat(turns: Turns, stream: bool, follows: str) -> dict[str, Any]:
    return {"model": "m", "stream": stream, "messages": _messages(turns)}


def _chat_told(value: dict[str, Any]) -> str:
    parts = [choice.get("delta") or choice.get("message") or {} for choice in value.get("choices", ())]
    return "".join(part.get("content") or "" for part in parts)


# --- Anthropic, messages


def _anthropic(turns: Turns, stream: bool, follows: str) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 99, "stream": stream, "messages": _messages(turns)}


def _anthropic_whole(words: Sequence[str], id: str) -> bytes:
    content = [{"type": "text", "text": "".join(words)}]
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": id, "type": "message", "role": "assistant", "model": "m", "content": content}
    return json.dumps({**message, "stop_reason": "end_turn", "stop_sequence": None, "usage": usage}).encode()


def _anthropic_told(value: dict[str, Any]) -> str:
    begun = value.get("content_block", {}).get("text") or ""
    whole = "".join(part.get("text", "") for part in value.get("content", ()))
    return whole + begun + (value.get("delta", {}).get("text") or "")


# --- Ollama


def _ollama_lines(words: Sequence[str], id: str) -> bytes:
    parts = [{"message": {"role": "assistant", "content": word}, "done": False} for word in words]
    parts.append({"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"})
    head = {"model": "m", "created_at": "2026-01-02T03:04:05Z"}
    return b"".join(json.dumps({**head, **part}, separators=(",", ":")).encode() + b"\n" for part in parts)


def _ollama_whole(words: Sequence[str], id: str) -> bytes:
    message = {"role": "assistant", "content": "".join(words)}
    head = {"model": "m", "created_at": "2026-01-02T03:04:05Z"}
    return json.dumps({**head, "message": message, "done": True, "done_reason": "stop"}).encode()


def _ollama_told(value: dict[str, Any]) -> str:
    return str(value.get("message", {}).get("content") or "")


# --- OpenAI, responses


def _responses(turns: Turns, stream: bool, follows: str) -> dict[str, Any]:
    """Where the API keeps the history, only the last turn goes out, and the id of the reply it follows."""
    asked: dict[str, Any] = {"model": "m", "stream": stream, "input": _messages(turns)}
    return {**asked, "input": turns[-1][1], "previous_response_id": follows} if follows else asked


def _responses_value(words: Sequence[str], id: str, status: str = "completed") -> dict[str, Any]:
    part = {"type": "output_text", "text": "".join(words), "annotations": [], "logprobs": []}
    item = {"id": f"msg_{id}", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    return {
        "id": id, "object": "response", "created_at": 5, "status": status, "model": "m", "error": None, "output": [item] if words else [],
        "incomplete_details": None, "instructions": None, "metadata": {}, "parallel_tool_calls": True, "usage": None,
    }  # fmt: skip


def _responses_whole(words: Sequence[str], id: str) -> bytes:
    return json.dumps(_responses_value(words, id)).encode()


def _responses_stream(words: Sequence[str], id: str) -> bytes:
    whole = _responses_value(words, id)
    item = whole["output"][0]
    part = item["content"][0]
    where = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    events: list[tuple[str, dict[str, Any]]] = [
        ("created", {"response": _responses_value((), id, "in_progress")}),
        ("output_item.added", {"output_index": 0, "item": {**item, "status": "in_progress", "content": []}}),
        ("content_part.added", {**where, "part": {**part, "text": ""}}),
        *[("output_text.delta", {**where, "delta": word, "logprobs": []}) for word in words],
        ("output_text.done", {**where, "text": part["text"], "logprobs": []}),
        ("content_part.done", {**where, "part": part}),
        ("output_item.done", {"output_index": 0, "item": item}),
        ("completed", {"response": whole}),
    ]
    return b"".join(_event(kind, number, members) for number, (kind, members) in enumerate(events))


def _event(kind: str, number: int, members: dict[str, Any]) -> bytes:
    data = json.dumps({"type": f"response.{kind}", "sequence_number": number, **members}, separators=(",", ":"))
    return f"event: response.{kind}\ndata: {data}\n\n".encode()


def _responses_told(value: dict[str, Any]) -> str:
    if value.get("type") == "response.output_text.delta":
        return str(value["delta"])
    return "".join(part.get("text", "") for item in value.get("output", ()) for part in item.get("content", ()))


SPEECHES: Mapping[str, Speech] = {
    "openai-chat": Speech(
        "/v1/chat/completions", _chat, lambda words, id: openai_reply("".join(words)), lambda words, id: openai_stream(words),
        _chat_told, b"data: [DONE]",
    ),
    "anthropic-messages": Speech(
        "/v1/messages", _anthropic, _anthropic_whole, lambda words, id: anthropic_stream(words),
        _anthropic_told, b"event: message_stop",
    ),
    "ollama-chat": Speech(
        "/api/chat", _chat, _ollama_whole, _ollama_lines, _ollama_told, b'"done":true', "application/x-ndjson"
    ),
    "openai-responses": Speech(
        "/v1/responses", _responses, _responses_whole, _responses_stream, _responses_told, b"event: response.completed"
    ),
}  # fmt: skip
