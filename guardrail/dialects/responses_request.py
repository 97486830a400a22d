"""A request of OpenAI's Responses API: who says what in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from guardrail.core.model import Message, Refusal, Role
from guardrail.core.ports import Chat
from guardrail.dialects.responses_items import TEXT_KEYS, deep_text, text_in
from guardrail.dialects.responses_kinds import WORDLESS, is_known, is_of_the_bot, kind_of
from guardrail.dialects.responses_reply import missed_since
from guardrail.dialects.strict import Keys, decode, elements

_ROLES: Mapping[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
}


class _Named(msgspec.Struct, gc=False):
    id: str


class _Format(msgspec.Struct, gc=False):
    type: str | None = None


class _Text(msgspec.Struct, gc=False):
    format: _Format | None = None


class _Prompt(msgspec.Struct, gc=False):
    variables: msgspec.Raw = msgspec.Raw(b"null")


class _Request(msgspec.Struct, gc=False):
    input: msgspec.Raw | UnsetType = UNSET
    instructions: str | UnsetType | None = UNSET
    prompt: _Prompt | UnsetType | None = UNSET
    previous_response_id: str | UnsetType | None = UNSET
    conversation: str | _Named | UnsetType | None = UNSET
    background: bool | UnsetType | None = UNSET
    model: str | None = None
    stream: bool | None = None
    text: _Text | None = None


_requests = msgspec.json.Decoder(_Request)
_inputs: msgspec.json.Decoder[str | list[dict[str, Any]] | None] = msgspec.json.Decoder(
    str | list[dict[str, Any]] | None
)
_ROOT = ("input", "instructions", "prompt", "previous_response_id", "conversation", "background")
_OF_ITEMS = frozenset((*TEXT_KEYS, "role", "type"))
_item_keys = re.compile(rb'"(?:' + "|".join(sorted(_OF_ITEMS)).encode() + rb')"\s*:')
_keys = Keys(*_ROOT, *_OF_ITEMS, "variables")
WHAT = "the request"


def read(body: bytes) -> Chat:
    """Raises ``Refusal`` for what is not a request, and for one whose reply could not be looked at."""
    request = decode(_requests, body, WHAT)
    given = b"null" if request.input is UNSET else bytes(request.input)
    items = decode(_inputs, given, WHAT)
    _check_keys(body, request, given, items)
    if request.background:
        raise Refusal("a reply in the background would be fetched unseen: ask for it without background")
    turns = _head(request)
    for message in [Message("user", items)] if isinstance(items, str) else _turns(items or [], given):
        _add(turns, message)
    follows, conversation = request.previous_response_id or "", request.conversation or ""
    if not turns and not follows and not conversation and not request.prompt:
        raise Refusal("the request has no input")
    return Chat(
        messages=tuple(turns),
        stream=bool(request.stream),
        structured=_is_structured(request),
        model=request.model or "",
        conversation=conversation.id if isinstance(conversation, _Named) else conversation,
        follows=follows,
        missed_since=missed_since(follows),
    )


def _head(request: _Request) -> list[Message]:
    """What stands before the input: the instructions, and what the person's words are put into."""
    turns = [Message("system", request.instructions)] if request.instructions else []
    if request.prompt and (words := _filled_in(request.prompt.variables)):
        turns.append(Message("user", words))
    return turns


def _filled_in(variables: msgspec.Raw) -> str:
    """What a stored prompt is filled in with. Their names are anybody's, so none may be given twice."""
    try:
        value = json.loads(bytes(variables), object_pairs_hook=_once, parse_int=str, parse_float=str)
    except RecursionError:
        raise Refusal(f"{WHAT} is nested too deeply") from None
    return text_in(list(value.values()), "\n") if isinstance(value, dict) else ""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Refusal(f"{WHAT} gives a variable twice")
    return members


def _turns(items: list[dict[str, Any]], given: bytes) -> Iterator[Message]:
    """The items as turns, but for those in which nobody speaks."""
    raws = None
    for at, item in enumerate(items):
        message: Message | None
        content = item.get("content")
        if isinstance(content, str) and len(item) == 2 and "role" in item:
            message = Message(_role(item), content)  # as nearly all are
        elif isinstance(content, (bool, int, float)):
            raise Refusal(f"{WHAT} has an unknown shape: the content of an item is a number")
        elif is_known(item):
            message = _turn(item)
        else:
            raws = raws or elements(given, WHAT)
            text = deep_text(bytes(raws[at]))
            message = Message(_role(item), text) if text or "role" in item else None
        if message is not None:
            yield message


def _role(item: dict[str, Any]) -> Role:
    """A role we do not know is read as the person's: then it is looked at, whatever the upstream makes of it."""
    role = item["role"] if isinstance(item.get("role"), str) else ""
    return _ROLES.get(role) or _ROLES.get(role.strip().lower(), "user")


def _turn(item: dict[str, Any]) -> Message | None:
    kind = kind_of(item)
    if item.get("role") is not None:
        role = _role(item)
        # A reply of ours is remembered with its parts joined; whoever sends it back must be recognised.
        return Message(role, text_in(item, "" if role == "assistant" else "\n"))
    if is_of_the_bot(kind):
        return Message("assistant", "")  # what a call brought is not the bot's words, nor what it thought
    if kind.endswith("_output"):
        return Message("tool", text_in(item, "\n"))
    return None if kind in WORDLESS else Message("user", text_in(item, "\n"))


def _add(turns: list[Message], message: Message) -> None:
    """A reply may be many items (thoughts, calls, messages), and is one turn."""
    if message.role == "assistant" and turns and turns[-1].role == "assistant":
        message = Message("assistant", turns.pop().text + message.text)
    turns.append(message)


def _is_structured(request: _Request) -> bool:
    form = request.text.format if request.text is not None else None
    return form is not None and (form.type or "text") != "text"


def _check_keys(body: bytes, request: _Request, given: bytes, items: str | list[dict[str, Any]] | None) -> None:
    """Raises ``Refusal`` for a doubled key. Counting tells almost always that there is none."""
    counts = [(f'"{name}"'.encode(), int(getattr(request, name) is not UNSET)) for name in _ROOT]
    _keys.check(body, counts, WHAT)
    if isinstance(items, list) and len(_item_keys.findall(given.lower())) != _tally(items):
        _keys.check_exactly(body, WHAT)


def _tally(value: Any) -> int:
    """How many members a value has under the keys of items, at any depth."""
    if isinstance(value, list):
        return sum(map(_tally, value))
    if not isinstance(value, dict):
        return 0
    return sum(
        (key in _OF_ITEMS) + (_tally(inner) if isinstance(inner, (dict, list)) else 0) for key, inner in value.items()
    )
