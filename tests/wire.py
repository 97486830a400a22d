"""What the two chat APIs send, built by hand from their public references, and read back simply."""

from __future__ import annotations

import json
from collections.abc import Sequence


def openai_stream(words: Sequence[str], *, usage: bool = False, done: bool = True) -> bytes:
    def chunk(delta: dict[str, object], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        event = {"id": "chatcmpl-9", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [choice]}
        return f"data: {json.dumps(event, ensure_ascii=False)}\n\n"

    parts = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": w}) for w in words), chunk({}, "stop")]
    if usage:
        counts = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
        event = {
            "id": "chatcmpl-9",
            "object": "chat.completion.chunk",
            "created": 7,
            "model": "m",
            "choices": [],
            "usage": counts,
        }
        parts.append(f"data: {json.dumps(event)}\n\n")
    if done:
        parts.append("data: [DONE]\n\n")
    return "".join(parts).encode()


def anthropic_stream(words: Sequence[str]) -> bytes:
    def event(kind: str, **data: object) -> str:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **data}, ensure_ascii=False)}\n\n"

    message = {
        "id": "msg_9", "type": "message", "role": "assistant", "content": [], "model": "m", "stop_reason": None,
        "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip
    parts = [
        event("message_start", message=message),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(event("content_block_delta", index=0, delta={"type": "text_delta", "text": w}) for w in words),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 5}),
        event("message_stop"),
    ]
    return "".join(parts).encode()


def openai_reply(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    reply = {
        "id": "chatcmpl-9",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }
    return json.dumps(reply, ensure_ascii=False).encode()


def said(body: bytes) -> str:
    """All text a client would show from a stream of either API."""
    out = []
    for line in body.decode().splitlines():
        if not line.startswith("data: {"):
            continue
        data = json.loads(line[6:])
        for choice in data.get("choices", ()):
            out.append(choice.get("delta", {}).get("content") or "")
        out.append(data.get("delta", {}).get("text") or "")
    return "".join(out)


def said_whole(body: bytes) -> str:
    return str(json.loads(body)["choices"][0]["message"]["content"])
