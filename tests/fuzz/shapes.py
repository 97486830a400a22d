"""What each chat API says when all is well: the shapes that a fuzzer starts from, and how streams are framed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from guardrail.core.ports import Dialect
from guardrail.dialects import ALL
from guardrail.dialects.json_api import JsonApi
from guardrail.dialects.json_layout import Layout
from tests.fuzz.supply import Supply, varied


class Shape(NamedTuple):
    """One API. ``framing`` is how its streams are written: ``sse``, ``lines`` or ``array``; ``last`` ends one."""

    dialect: Dialect
    framing: str
    keys: tuple[str, ...]
    requests: tuple[Any, ...]
    replies: tuple[Any, ...]
    events: tuple[Any, ...]
    last: bytes = b""


_USER = {"role": "user", "content": "I want to die"}
_PARTS = [{"type": "text", "text": "I am"}, {"type": "text", "text": "tired"}]
_OPENAI = Shape(
    ALL[0],
    "sse",
    ("choices", "index", "delta", "message", "content", "refusal", "reasoning", "reasoning_content", "text", "thinking",
     "reasoning_details", "audio", "transcript", "tool_calls", "function_call", "messages", "role", "type", "error", "n"),
    ({"messages": [_USER], "model": "m", "stream": True, "n": 2},
     {"messages": [{"role": "system", "content": "Be kind"}, {"role": "user", "content": _PARTS},
                   {"role": "assistant", "content": None, "refusal": "No"}], "response_format": {"type": "json_object"}}),
    ({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi", "refusal": "No", "reasoning": "So"}}]},
     {"choices": [{"index": 0, "message": {"content": [{"text": "Hi", "thinking": [{"text": "So"}], "refusal": "No"}],
                                           "audio": {"transcript": "Ho"}}}, {"index": 1, "message": {"content": "Ha"}}]}),
    ({"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}]},
     {"choices": [{"index": 0, "delta": {"reasoning_content": "So", "tool_calls": [{"index": 0}]}}]},
     {"choices": [{"index": 0, "delta": {"refusal": "No"}, "message": {"content": "Ho"}}], "error": None},
     {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
    b"data: [DONE]\n\n",
)  # fmt: skip
_ANTHROPIC = Shape(
    ALL[1],
    "sse",
    ("type", "index", "content", "content_block", "delta", "message", "text", "thinking", "messages", "system", "role",
     "error", "ping", "partial_json"),
    ({"messages": [_USER], "system": "Be kind", "stream": True, "model": "m"},
     {"messages": [{"role": "user", "content": [*_PARTS, {"type": "tool_result", "content": _PARTS}]}],
      "system": _PARTS, "tool_choice": {"type": "any"}}),
    ({"type": "message", "content": [{"type": "text", "text": "Hi"}, {"type": "thinking", "thinking": "So"},
                                     {"type": "tool_use", "input": {}}]},),
    ({"type": "message_start", "message": {"id": "i", "content": []}},
     {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
     {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
     {"type": "content_block_delta", "index": 1, "delta": {"type": "thinking_delta", "thinking": "So"}},
     {"type": "content_block_stop", "index": 0}, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
     {"type": "ping"}, {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}),
    b'data: {"type":"message_stop"}\n\n',
)  # fmt: skip
_OLLAMA_KEYS = ("message", "content", "thinking", "tool_calls", "response", "done", "error", "messages", "role",
                "prompt", "system", "suffix", "stream", "raw", "context", "format")  # fmt: skip
_CHAT_PARTS = (
    {"model": "m", "message": {"role": "assistant", "content": "Hi", "thinking": "So"}, "done": False},
    {"message": {"content": "Ho", "tool_calls": [{}]}, "response": "Hu", "thinking": "Hm", "done": False},
)
_CHAT = Shape(
    ALL[2], "lines", _OLLAMA_KEYS,
    ({"messages": [{"role": "system", "content": "Be kind"}, _USER], "stream": False, "format": "json"},),
    _CHAT_PARTS, _CHAT_PARTS, b'{"message":{"content":""},"done":true}\n',
)  # fmt: skip
_GENERATE_PARTS = ({"model": "m", "response": "Hi", "thinking": "So", "done": False},)
_GENERATE = Shape(
    ALL[3], "lines", _OLLAMA_KEYS,
    ({"prompt": "I want to die", "system": "Be kind", "stream": True}, {"prompt": "I am", "suffix": "tired", "raw": True}),
    _GENERATE_PARTS, _GENERATE_PARTS, b'{"response":"","done":true}\n',
)  # fmt: skip
_GEMINI_KEYS = ("candidates", "content", "parts", "text", "thought", "index", "finishReason", "finish_reason", "error",
                "finishMessage", "promptFeedback", "blockReason", "groundingMetadata", "contents", "role", "functionCall",
                "systemInstruction", "system_instruction", "inlineData", "inline_data", "mimeType", "data",
                "functionResponse", "executableCode", "code", "generationConfig", "searchEntryPoint")  # fmt: skip
_GEMINI_REQUESTS = (
    {"contents": [{"role": "user", "parts": [{"text": "I want to die"}]}], "systemInstruction": {"parts": {"text": "Be"}}},
    {"contents": [{"role": "model", "parts": [{"text": "Hi"}, {"text": "So", "thought": True}]},
                  {"parts": [{"inlineData": {"mimeType": "text/plain", "data": "SGk="}},
                             {"functionResponse": {"name": "f", "response": {"result": "Ho"}}}, {"text": "x"}]}],
     "generation_config": {"candidate_count": 2, "responseMimeType": "application/json"}},
)  # fmt: skip
_GEMINI_REPLIES = (
    {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "So", "thought": True}, {"text": "Hi"}]},
                     "finishReason": "STOP"}], "responseId": "r"},
    {"candidates": [{"content": {"parts": [{"executableCode": {"code": "Ho"}}, {"functionCall": {"name": "f"}}]},
                     "groundingMetadata": {"webSearchQueries": ["Hu"], "searchEntryPoint": {"renderedContent": "<b>Q</b>"},
                                           "groundingSupports": [{"segment": {"text": "Hm"}}]},
                     "finishMessage": "Why", "finishReason": "SAFETY"}]},
    {"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "No"}},
)  # fmt: skip
_GEMINI_LAST = {"candidates": [{"content": {"parts": [{"text": "!"}]}, "finishReason": "STOP"}]}
_GEMINI = tuple(
    Shape(
        dialect,
        framing,
        _GEMINI_KEYS,
        _GEMINI_REQUESTS,
        _GEMINI_REPLIES,
        _GEMINI_REPLIES,
        f"data: {json.dumps(_GEMINI_LAST)}\n\n".encode() if framing == "sse" else b"",
    )
    for dialect, framing in ((ALL[4], "sse"), (ALL[5], "sse"), (ALL[6], "array"))
)
_MESSAGE = {"type": "message", "id": "i", "role": "assistant",
            "content": [{"type": "output_text", "text": "Hi"}, {"type": "refusal", "refusal": "No"}]}  # fmt: skip
_THOUGHT = {"type": "reasoning", "id": "j", "summary": [{"type": "summary_text", "text": "So"}]}
_RESPONSES = Shape(
    ALL[7],
    "sse",
    ("output", "content", "text", "summary", "refusal", "type", "delta", "item", "part", "response", "output_text",
     "output_index", "content_index", "summary_index", "code", "result", "error", "input", "instructions", "role",
     "previous_response_id", "conversation", "message", "status", "id", "arguments"),
    ({"input": "I want to die", "instructions": "Be kind", "stream": True, "previous_response_id": "r"},
     {"input": [{"role": "user", "content": [{"type": "input_text", "text": "I am"}]}, _MESSAGE, _THOUGHT,
                {"type": "function_call_output", "output": "Ho"}], "conversation": {"id": "c"}}),
    ({"id": "r", "status": "completed", "output": [_THOUGHT, _MESSAGE], "output_text": "Hi"},
     {"id": "r", "output": [{"type": "code_interpreter_call", "code": "Ho", "outputs": [{"logs": "Hu"}]},
                            {"type": "new_kind", "inner": {"text": "Hm"}}, {"type": "function_call", "arguments": "{}"}]}),
    ({"type": "response.created", "response": {"id": "r", "output": []}},
     {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "i", "content": []}},
     {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hi"},
     {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "Hi"},
     {"type": "response.content_part.done", "output_index": 0, "content_index": 0,
      "part": {"type": "output_text", "text": "Hi"}},
     {"type": "response.output_item.done", "output_index": 0, "item": _MESSAGE},
     {"type": "response.reasoning_summary_text.delta", "output_index": 1, "summary_index": 0, "delta": "So"},
     {"type": "response.refusal.delta", "output_index": 0, "content_index": 1, "delta": "No"},
     {"type": "error", "message": "m"}),
    b'data: {"type":"response.completed","response":{"id":"r","output":[]}}\n\n',
)  # fmt: skip
_LAYOUT = {
    "path": "/chat/{id}",
    "request": {
        "messages": {"at": "/turns", "role": "/role", "text": "/content"},
        "stream": "/stream",
        "guidance": "/hint",
    },
    "reply": {"text": ["/answer", "/many/*/text"], "also": "/why", "tools": "/calls"},
}


def _own(framing: str, stream: dict[str, Any], last: bytes) -> Shape:
    entry = {**_LAYOUT, "reply": {**_LAYOUT["reply"], "stream": {"text": ["/delta", "/many/*/text"], **stream}}}  # type: ignore[dict-item]
    return Shape(
        JsonApi(Layout.model_validate_json(json.dumps(entry))),
        framing,
        ("turns", "role", "content", "hint", "stream", "answer", "many", "text", "why", "calls", "delta", "end", "x"),
        ({"turns": [{"role": "user", "content": "I want to die"}, {"role": "assistant", "content": "Hi"}], "stream": True},),
        ({"answer": "Hi", "many": [{"text": "Ho"}, {"text": "Hu"}], "why": "So", "calls": [], "x": {"deep": ["Hm", 1]}},),
        ({"delta": "Hi", "why": "So"}, {"delta": "Hi there"}, {"many": [{"text": "Ho"}], "x": {"deep": "Hm"}}, {"calls": [{}]}),
        last,
    )  # fmt: skip


SHAPES: dict[str, Shape] = {
    "openai-chat": _OPENAI,
    "anthropic": _ANTHROPIC,
    "ollama-chat": _CHAT,
    "ollama-generate": _GENERATE,
    "gemini": _GEMINI[0],
    "gemini-events": _GEMINI[1],
    "gemini-array": _GEMINI[2],
    "responses": _RESPONSES,
    "json-events": _own("sse", {"format": "sse", "done": "[DONE]"}, b"data: [DONE]\n\n"),
    "json-lines": _own("lines", {"format": "ndjson", "cumulative": True, "done": "/end"}, b'{"end":1}\n'),
}

_ENDS = ("\n", "\r\n", "\r")


def body(kinds: Sequence[Any], shape: Shape, data: bytes) -> bytes:
    """A request or reply: the bytes themselves where the first is even, else a shape varied by them."""
    supply = Supply(data)
    if supply.byte() % 2 == 0:
        return supply.rest()
    return varied(supply.pick(kinds), supply, shape.keys).encode("utf-8", "surrogatepass")


def stream(shape: Shape, data: bytes) -> bytes:
    """The same for a stream: events one after another, in every way of ending lines, whole or broken off."""
    supply = Supply(data)
    if supply.byte() % 2 == 0:
        return supply.rest()
    end = supply.pick(_ENDS)
    values = [_event(shape, supply) for _ in range(1 + supply.byte() % 6)]
    match shape.framing:
        case "array":
            whole = f"[{supply.pick((',', ' ,', end + ','))}".replace(",", "", 1) + ",".join(values) + "]" + end
        case "lines":
            whole = "".join(value + end for value in values) + shape.last.decode()
        case _:
            whole = "".join(_framed(value, end, supply) for value in values) + shape.last.decode()
    raw = whole.encode("utf-8", "surrogatepass")
    cut = supply.byte()
    return raw[: len(raw) - cut] if cut else raw


def _event(shape: Shape, supply: Supply) -> str:
    return varied(supply.pick(shape.events), supply, shape.keys)


def _framed(value: str, end: str, supply: Supply) -> str:
    match supply.byte():
        case 1:
            return f"event: error{end}data: {value}{end}{end}"
        case 2:
            return f": wait{end}{end}data:{value}{end}{end}"
        case 3:
            return f"data: {value[: len(value) // 2]}{end}data: {value[len(value) // 2 :]}{end}{end}"
        case 4:
            return f"DATA : {value}{end}{end}"
        case 5:
            return f"{value}{end}{end}"
        case 6:
            return f"\ufeffdata: {value}{end}\n{end}"
        case 7:
            return f"data: [DONE]{end}{end}data: {value}{end}{end}"
        case 8:
            return f"id: 1{end}event: {supply.pick(('ping', 'message_stop', 'response.completed'))}{end}data: {value}{end}{end}"
        case _:
            return f"data: {value}{end}{end}"
