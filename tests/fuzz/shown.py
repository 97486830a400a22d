"""What a client of each API would show of a reply or an event, read as clients read: without any check at all.

Of a key given twice some parsers keep the first value and some the last, and some take keys in any case. What any
of them would show has to be among what is inspected; so everything is read in all three ways.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

Read = Callable[[Any], Iterator[Any]]


def readings(data: bytes) -> list[Any]:
    """JSON as different parsers have it; none where it is none."""
    try:
        text = data.decode("utf-8-sig")
        return [
            json.loads(text, object_pairs_hook=keep, parse_int=_any_number, parse_float=_any_number) for keep in _KEEP
        ]
    except (ValueError, RecursionError):
        return []


def _any_number(digits: str) -> int:
    return 0  # which one is never shown, and Python reads none of many digits


def _first(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))


def _any_case(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key.casefold(): value for key, value in pairs} | dict(pairs)


_KEEP: tuple[Callable[[list[tuple[str, Any]]], dict[str, Any]], ...] = (dict, _first, _any_case)


def texts(read: Read, data: bytes) -> set[str]:
    """Every text that somebody would be shown of ``data``."""
    return {text for value in readings(data) for text in read(value) if isinstance(text, str) and text}


def at(value: Any, *path: str) -> Iterator[Any]:
    """The values at a path of keys; ``*`` goes into every element of a list."""
    if not path:
        yield value
    elif path[0] == "*":
        for inner in value if isinstance(value, list) else ():
            yield from at(inner, *path[1:])
    elif isinstance(value, dict) and path[0] in value:
        yield from at(value[path[0]], *path[1:])


def _all(*paths: str) -> Read:
    split = [path.split(".") for path in paths]

    def read(value: Any) -> Iterator[Any]:
        for path in split:
            yield from at(value, *path)

    return read


def _said_by_openai(holder: str) -> tuple[str, ...]:
    inner = ("content", "content.*.text", "content.*.refusal", "content.*.thinking", "refusal", "reasoning",
             "reasoning_content", "audio.transcript")  # fmt: skip
    return tuple(f"choices.*.{holder}.{path}" for path in inner)


def every_string(value: Any) -> Iterator[str]:
    """Strings wherever they stand, keys left out."""
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, str):
            yield inner
        elif isinstance(inner, dict):
            waiting += inner.values()
        elif isinstance(inner, list):
            waiting += inner


_OLLAMA = _all("message.content", "message.thinking", "response", "thinking")
_GEMINI = _all("candidates.*.content.parts.*.text", "candidates.*.finishMessage", "candidates.*.finish_message")
_RESPONSES_REPLY = _all("output.*.content.*.text", "output.*.content.*.refusal", "output.*.summary.*.text",
                        "output.*.code", "output_text")  # fmt: skip


def _of_responses(value: Any) -> Iterator[Any]:
    yield from _all("text", "refusal", "part.text", "part.refusal", "item.content.*.text", "item.content.*.refusal",
                    "item.summary.*.text", "response.output.*.content.*.text")(value)  # fmt: skip
    kind = value.get("type") if isinstance(value, dict) else None
    if kind in ("response.output_text.delta", "response.refusal.delta", "response.reasoning_summary_text.delta"):
        yield from at(value, "delta")


def _asked_of_gemini(value: Any) -> Iterator[Any]:
    """All but the bot's own thoughts, by which no conversation is known."""
    yield from at(value, "systemInstruction", "parts", "*", "text")
    for content in at(value, "contents", "*"):
        if isinstance(content, dict) and str(content.get("role", "")).strip().lower() != "model":
            yield from at(content, "parts", "*", "text")


def _asked_of_responses(value: Any) -> Iterator[Any]:
    """The same: a thought that is sent back is nobody's turn."""
    yield from _all("input", "instructions")(value)
    for item in at(value, "input", "*"):
        if isinstance(item, dict) and (item.get("role") is not None or item.get("type") != "reasoning"):
            yield from _all("content", "content.*.text")(item)


REPLIES: dict[str, Read] = {
    "openai-chat": _all(*_said_by_openai("message")),
    "anthropic": _all("content.*.text", "content.*.thinking"),
    "ollama-chat": _OLLAMA,
    "ollama-generate": _OLLAMA,
    "gemini": _GEMINI,
    "gemini-events": _GEMINI,
    "gemini-array": _GEMINI,
    "responses": _RESPONSES_REPLY,
}
EVENTS: dict[str, Read] = {
    **REPLIES,
    "openai-chat": _all(*_said_by_openai("delta"), *_said_by_openai("message")),
    "anthropic": _all("delta.text", "delta.thinking", "content_block.text", "content_block.thinking",
                      "message.content.*.text", "message.content.*.thinking"),
    "responses": _of_responses,
}  # fmt: skip
REQUESTS: dict[str, Read] = {
    "openai-chat": _all("messages.*.content", "messages.*.content.*", "messages.*.content.*.text"),
    "anthropic": _all("messages.*.content", "messages.*.content.*.text", "system", "system.*.text"),
    "ollama-chat": _all("messages.*.content"),
    "ollama-generate": _all("prompt", "system"),
    "gemini": _asked_of_gemini,
    "responses": _asked_of_responses,
    "json-events": _all("turns.*.content"),
    "json-lines": _all("turns.*.content"),
}


def events(framing: str, raw: bytes) -> Iterator[bytes]:
    """The data that a client takes out of the bytes of some frames."""
    match framing:
        case "lines":
            yield from raw.split(b"\n")
        case "array":
            yield raw.strip(b" \t\r\n,[")
        case _:
            yield from _sse(raw)


def _sse(raw: bytes) -> Iterator[bytes]:
    """Server-sent events as the standard reads them."""
    data: list[bytes] = []
    for line in raw.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif not line and data:
            yield b"\n".join(data)
            data = []
