"""A request to an operator's own chat API: the conversation in it, and guidance added to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from guardrail.core.model import Message, Refusal, Role
from guardrail.core.ports import Chat
from guardrail.dialects.json_fields import word
from guardrail.dialects.json_layout import Layout
from guardrail.dialects.json_layout_request import Messages
from guardrail.dialects.json_pointer import Pointer, built, can_hold, changed, follow, shown
from guardrail.dialects.json_read import parsed, spots
from guardrail.dialects.strict import decode

_texts: msgspec.json.Decoder[str | None] = msgspec.json.Decoder(str | None)
_lists: msgspec.json.Decoder[list[msgspec.Raw] | None] = msgspec.json.Decoder(list[msgspec.Raw] | None)
_WHAT = "the request"
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_LIKE_JSON = re.compile(rf'{_NUMBER.pattern}|".*', re.DOTALL)


def id_of(value: object) -> str:
    """An id as the core keeps it, which shows whether it was text or a number. Empty: there is none."""
    if isinstance(value, str) and not _LIKE_JSON.fullmatch(value):
        return value
    is_id = isinstance(value, str | int) and not isinstance(value, bool)
    return msgspec.json.encode(value).decode() if is_id else ""


def as_given(id: str) -> object:
    """The id as the API wrote it."""
    return msgspec.json.decode(id) if _LIKE_JSON.fullmatch(id) else id


def _id_in_path(segment: str) -> str:
    """An id as it stands in a path, where numbers look like text."""
    return segment if _NUMBER.fullmatch(segment) else id_of(segment)


def read(layout: Layout, body: bytes, named: str = "") -> Chat:
    """``named`` is the conversation's id where the path has it. Raises ``Refusal``."""
    value = parsed(body, _WHAT)
    request = layout.request
    turns: list[Message] = []
    if isinstance(request.guidance, tuple):
        turns += _given(value, request.guidance)
    if request.messages is not None:
        turns += _history(value, request.messages, is_needed=not request.text)
    if request.text:
        turns.append(Message("user", _words(value, request.text)))
    conversation = _id_in_path(named) or _conversation(layout, value)
    return Chat(tuple(turns), stream=_is_asked(layout, value), conversation=conversation)


def _words(value: Any, pointers: Sequence[Pointer]) -> str:
    found = spots(value, pointers, _WHAT)
    if not found:
        raise Refusal(f"the request has no text at {shown(pointers[0])}")
    return "\n".join([spot.text for spot in found])


def _given(value: Any, pointer: Pointer) -> list[Message]:
    """What the client itself tells the bot, where guidance goes."""
    if not can_hold(value, pointer):
        raise Refusal(f"the request has something else than text at {shown(pointer)}")
    return [Message("system", spot.text) for spot in spots(value, (pointer,), _WHAT) if spot.text]


def _history(value: Any, messages: Messages, *, is_needed: bool) -> list[Message]:
    turns = _turns(value, messages.at)
    if is_needed and not turns:
        raise Refusal(f"the request has no messages at {shown(messages.at)}")
    return [_turn(turn, messages) for turn in turns]


def _turns(value: Any, at: Pointer) -> list[Any]:
    found = next((inner for _, inner in follow(value, at, _WHAT)), None)
    if found is None and can_hold(value, at):
        return []
    if not isinstance(found, list):
        raise Refusal(f"the request has no list of messages at {shown(at)}")
    return found


def _turn(turn: Any, messages: Messages) -> Message:
    # A role we do not know is read as the person's: then it is looked at, whatever the upstream makes of it.
    said = next((inner for _, inner in follow(turn, messages.role, _WHAT)), "")
    role: Role = messages.roles.get(word(said), "user")
    found = spots(turn, messages.text, _WHAT)
    if not found and role == "user" and not any(follow(turn, pointer, _WHAT) for pointer in messages.text):
        raise Refusal(f"a message has no text at {shown(messages.text[0])}")
    return Message(role, "\n".join([spot.text for spot in found]))


def _conversation(layout: Layout, value: Any) -> str:
    at = layout.request.conversation
    if not isinstance(at, tuple):
        return ""
    found = next((inner for _, inner in follow(value, at, _WHAT)), None)
    id = id_of(found)
    if found is not None and found != "" and not id:
        raise Refusal(f"the request has no id at {shown(at)}")
    return id


def _is_asked(layout: Layout, value: Any) -> bool:
    asked = layout.asked
    if isinstance(asked, str):
        return asked == "always"
    found = next((inner for _, inner in follow(value, asked, _WHAT)), None)
    if not isinstance(found, bool | None):
        raise Refusal(f"the request has neither true nor false at {shown(asked)}")
    return bool(found)


def seems_streamed(layout: Layout, body: bytes) -> bool:
    """Whether an unreadable request most likely asked for a stream."""
    if isinstance(layout.asked, str):
        return layout.asked == "always"
    key = re.escape(msgspec.json.encode(layout.asked[-1]))
    return re.search(key + rb"\s*:\s*true", body) is not None


def steered(layout: Layout, body: bytes, guidance: str) -> bytes:
    """The request with guidance for the bot, where it has a place for it."""
    at, messages = layout.request.guidance, layout.request.messages
    if isinstance(at, tuple):
        return changed(body, at, lambda raw: _added(raw, guidance), _WHAT)
    if at is None or messages is None:
        return body
    return changed(body, messages.at, lambda raw: _inserted(raw, messages, guidance), _WHAT)


def _added(raw: bytes, guidance: str) -> str:
    given = decode(_texts, raw, _WHAT)
    return f"{given}\n\n{guidance}" if given else guidance


def _inserted(raw: bytes, messages: Messages, guidance: str) -> list[object]:
    """The turns with guidance after those of the system that they begin with."""
    turns = decode(_lists, raw, _WHAT) or []
    at = 0
    while at < len(turns) and _turn(msgspec.json.decode(turns[at]), messages).role == "system":
        at += 1
    guide = built([(messages.role, messages.system[0]), (messages.text[0], guidance)])
    return [*turns[:at], guide, *turns[at:]]
