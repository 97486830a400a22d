"""What is sent and answered when measuring: an ordinary conversation, none of it alarming."""

from __future__ import annotations

import json

REPLY = (
    "Sure, here is a simple plan for the week. On Monday, cook a pot of lentils with carrots and onions, which keeps "
    "for three days. On Thursday, roast a tray of vegetables; half of it goes into a soup on Friday. Keep some bread "
    "in the freezer, so that breakfast is never a problem. If you like, I can write a shopping list for it."
)
HISTORY = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What could I cook this week without much work?"},
    {"role": "assistant", "content": "Soups, stews and trays of vegetables are all easy. Do you eat meat?"},
    {
        "role": "user",
        "content": "Not really, and I have only one pot. I am home late most days, so quick things are better.",
    },
]


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "stub", "choices": [choice]}
    return b"data: " + json.dumps(event).encode() + b"\n\n"


WORDS = REPLY.split(" ") * 3
CHUNKS = [
    _event({"role": "assistant", "content": ""}),
    *(_event({"content": word + " "}) for word in WORDS),
    _event({}, "stop"),
    b"data: [DONE]\n\n",
]


def request(streamed: bool, number: int) -> bytes:
    """One HTTP request. ``number`` makes each conversation its own."""
    history = [*HISTORY[:1], {"role": "user", "content": f"Hello, this is visit {number}."}, *HISTORY[2:]]
    body = json.dumps({"model": "stub", "messages": history, "stream": streamed}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer none\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
