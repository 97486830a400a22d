"""A request for generated content: its turns read, and guidance added to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from guardrail.core.model import Message, Refusal, Role
from guardrail.core.ports import Chat
from guardrail.dialects import gemini_parts
from guardrail.dialects.gemini_json import (
    Names,
    Object,
    given,
    listed,
    listed_raw,
    parse,
    raw_of,
    spelling,
    strings,
    text_of,
)
from guardrail.dialects.gemini_parts import CONTENT, Part
from guardrail.dialects.strict import fields

MAX_CANDIDATES = 128
"""More than the API makes (8), and a bound on what is remembered of a stream."""

_ROLES: Mapping[str, Role] = {
    "user": "user",
    "model": "assistant",
    "system": "system",
    "function": "tool",
    "tool": "tool",
}
_REQUEST = Names("contents", "systemInstruction", "generationConfig", "model")
_LABELS = frozenset(("id", "name", "toolType", "tool_type", "scheduling"))  # of a tool's answer
_COUNT = "candidatecount"
_SCHEMAS = frozenset(("responseschema", "responsejsonschema"))
_FORMATS = frozenset(("responsemimetype", "responseformat"))
_WHAT = "the request"


def read(body: bytes, *, stream: bool) -> Chat:
    """Raises ``Refusal`` for what is not such a request. Whether it asks for a stream is not in its body."""
    request = _REQUEST.of(parse(body, _WHAT), _WHAT)
    contents = listed(request.get("contents"))
    if not contents:
        raise Refusal("the request has no contents")
    system = "\n".join(_texts(gemini_parts.read_all(request.get("systemInstruction"), _WHAT)))
    config = _flat(request.get("generationConfig"))
    return Chat(
        messages=(*([Message("system", system)] if system else ()), *_messages(contents)),
        stream=stream,
        structured=_is_structured(config),
        choices=_choices(config),
        model=text_of(request, "model", _WHAT),
    )


def _messages(contents: list[Any]) -> list[Message]:
    """The turns in order. Clients keep a streamed reply as one content a frame: together they are one turn."""
    messages: list[Message] = []
    for content in contents:
        for turn in _turns(content):
            if turn.role == "assistant" and messages and messages[-1].role == "assistant":
                turn = Message("assistant", messages.pop().text + turn.text)
            messages.append(turn)
    return messages


def _turns(content: Any) -> list[Message]:
    """A content as turns. What a tool answered lies inside of the person's content, and is not their words."""
    # A role we do not know is read as the person's: then it is looked at, whatever the upstream makes of it.
    given_role = text_of(CONTENT.of(content, _WHAT), "role", _WHAT)
    role: Role = _ROLES.get(given_role.strip().lower(), "user")
    parts = gemini_parts.read_all(content, _WHAT)
    if role == "assistant":
        # As a reply is read: without its thoughts and asides, so that a conversation is known by what was said.
        return [Message(role, "".join(part.text for part in parts if not part.is_thought))]
    turns: list[Message] = []
    own: list[Part] = []
    for part in parts:
        own.append(part)
        if part.result is not None:
            turns += _own(role, own)
            turns.append(Message("tool", _answered(part.result)))
            own = []
    return turns + (_own(role, own) or ([] if turns else [Message(role, "")]))


def _answered(result: Any) -> str:
    if not isinstance(result, Object):
        raise Refusal("the request has an unknown shape")
    return "\n".join(strings([inner for key, inner in result if key not in _LABELS]))


def _own(role: Role, parts: list[Part]) -> list[Message]:
    texts = _texts(parts)
    return [Message(role, "\n".join(texts))] if texts else []


def _texts(parts: list[Part]) -> list[str]:
    return [text for part in parts for text in (part.text, part.aside) if text]


def _flat(config: Any) -> list[tuple[str, Any]]:
    """A generation config's members, names without case. No text hides in it: the stricter of two is taken."""
    if config is None:
        return []
    if not isinstance(config, Object):
        raise Refusal("the request has an unknown shape")
    return [(key.replace("_", "").casefold(), value) for key, value in config if value is not None]


def _choices(config: list[tuple[str, Any]]) -> int:
    choices = 1
    for name, value in config:
        if name == _COUNT:
            try:
                choices = max(choices, int(value))
            except (TypeError, ValueError, OverflowError):
                raise Refusal("candidateCount is not a number") from None
    if choices > MAX_CANDIDATES:
        raise Refusal(f"candidateCount is more than {MAX_CANDIDATES}")
    return choices


def _is_structured(config: list[tuple[str, Any]]) -> bool:
    for name, value in config:
        if name in _SCHEMAS:
            return True
        if name in _FORMATS and any("json" in text.lower() or "enum" in text.lower() for text in strings(value)):
            return True
    return False


def steered(body: bytes, guidance: str) -> bytes:
    """The guidance as the last part of the system's instruction. With cached content, which has brought its
    own, the API refuses another one: then it is the first thing that is said."""
    request = fields(body, _WHAT)
    guide = raw_of({"text": guidance})
    if given(request, "cachedContent") is not None:
        contents = listed_raw(given(request, "contents"), _WHAT)
        request[spelling(request, "contents")] = raw_of([{"role": "user", "parts": [guide]}, *contents])
    else:
        instruction = given(request, "systemInstruction")
        content: dict[str, msgspec.Raw] = fields(bytes(instruction), _WHAT) if instruction is not None else {}
        content["parts"] = raw_of([*listed_raw(given(content, "parts"), _WHAT), guide])
        request[spelling(request, "systemInstruction")] = raw_of(content)
    return msgspec.json.encode(request)
