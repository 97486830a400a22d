"""A whole reply of OpenAI's Responses API: its texts read, exchanged, or written by us."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from guardrail.core.model import Refusal
from guardrail.core.ports import Chat, Piece, Reply
from guardrail.dialects.responses_items import TEXT_KEYS, channels, deep_text, listed, part_channels
from guardrail.dialects.responses_kinds import is_call, is_known, kind_of
from guardrail.dialects.strict import Keys, decode, elements, fields


class _Response(msgspec.Struct, gc=False):
    output: msgspec.Raw
    id: str | None = None
    status: str | None = None
    error: Any = None
    output_text: str | None = None


_responses = msgspec.json.Decoder(_Response)
_items = msgspec.json.Decoder(dict[str, Any])
_outputs = msgspec.json.Decoder(list[Any])
READ_NAMES = (
    *TEXT_KEYS,
    "type",
    "delta",
    "item",
    "part",
    "response",
    "output_text",
    "output_index",
    "content_index",
    "summary_index",
)
READ_KEYS = Keys(*READ_NAMES)
"""Keys of a reply, whole or streamed, that decide what is inspected."""
_OPEN_OR_FAILED = frozenset(("queued", "in_progress", "failed", "cancelled"))
_WHAT = "the reply"
_ALL_TEXT = "again:output_text"
"""The channel of a member that some servers add to a reply: all its text in one."""


def read(body: bytes, *, finished: bool = True) -> Reply:
    """Raises ``Refusal`` for what is not a response, and where it must be ``finished`` for one that failed too."""
    response = decode(_responses, body, _WHAT)
    READ_KEYS.check_exactly(body, _WHAT)
    if finished and (response.error or response.status in _OPEN_OR_FAILED):
        raise Refusal("the reply failed, or is not finished")
    output = decode(_outputs, bytes(response.output), _WHAT)
    said = said_in(output)
    if not all(map(is_known, output)):
        said["other:0.unknown"] = deep_text(bytes(response.output))
    if response.output_text and response.output_text != contents(said):
        said[_ALL_TEXT] = response.output_text
    pieces = [Piece(name, text) for name, text in said.items() if text]
    return Reply(tuple(pieces), any(map(is_call, output)), response.id or "")


def contents(said: Mapping[str, str]) -> str:
    """The reply proper, of all texts by channel."""
    return "".join([text for name, text in said.items() if name.startswith("content:")])


def said_in(output: list[Any]) -> dict[str, str]:
    """The texts of all output items, by channel."""
    said: dict[str, str] = {}
    for index, item in enumerate(output):
        said.update(channels(item, index))
    return said


def rewritten(body: bytes, texts: Mapping[str, str]) -> bytes:
    """The response with the texts of these channels exchanged, without what belonged to the old ones."""
    response = fields(body, _WHAT)
    items = elements(bytes(response["output"]), _WHAT)
    response["output"] = _raw([_with(raw, index, texts) for index, raw in enumerate(items)])
    if "output_text" in response:
        said = said_in(msgspec.json.decode(response["output"]))
        response["output_text"] = _raw(texts.get(_ALL_TEXT, contents(said)))
    return msgspec.json.encode(response)


def _with(raw: msgspec.Raw, index: int, texts: Mapping[str, str]) -> object:
    """An item with the texts that are its own; the very same bytes when none is."""
    item = decode(_items, bytes(raw), _WHAT)
    if not texts.keys() & channels(item, index).keys():
        return raw
    members: dict[str, object] = {**fields(bytes(raw), _WHAT)}
    members.pop("encrypted_content", None)  # what was thought, in the server's own writing
    if "content" in members:
        thought = kind_of(item) == "reasoning"
        members["content"] = _parts(item["content"], lambda part, at: part_channels(part, index, at, thought), texts)
    if "summary" in members:
        members["summary"] = _parts(item["summary"], lambda _, at: {f"thinking:{index}.s{at}": ""}, texts)
    for key in TEXT_KEYS:
        if f"other:{index}.{key}" in texts:
            text = texts[f"other:{index}.{key}"]
            members[key] = text if isinstance(item[key], str) else [] if isinstance(item[key], list) else None
    return members


def _parts(value: Any, names: Callable[[Any, int], Mapping[str, str]], texts: Mapping[str, str]) -> object:
    parts = [_part(part, names(part, at), texts) for at, part in enumerate(listed(value))]
    return parts if isinstance(value, list) else parts[0]


def _part(part: Any, names: Mapping[str, str], texts: Mapping[str, str]) -> object:
    """A part with its text exchanged; what pointed into the old text goes with it."""
    ours = [name for name in names if name in texts]
    if not ours:
        return part
    if not isinstance(part, dict):
        return texts[ours[0]]
    changed = {key: value for key, value in part.items() if key not in TEXT_KEYS or key == "refusal"}
    for name in names:
        kind = name.partition(":")[0]
        if name in texts or names[name]:
            changed["refusal" if kind == "refusal" else "text"] = texts.get(name, names[name])
    return {**changed, **{key: [] for key in ("annotations", "logprobs") if part.get(key)}}


def authored(chat: Chat, text: str, reply_id: str, created: int) -> bytes:
    """A response of our own."""
    response = head(chat, reply_id, created)
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    item = {**message(chat, item_id(reply_id, 0)), "status": "completed", "content": [part]}
    return msgspec.json.encode({**response, "status": "completed", "output": [item], "usage": NO_USAGE})


def head(chat: Chat, reply_id: str, created: int) -> dict[str, object]:
    """A response of our own in which nothing has been said yet."""
    return {
        "id": response_id(reply_id, chat.follows),
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": chat.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": chat.follows or None,
        "reasoning": {"effort": None, "summary": None},
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
    }


def message(chat: Chat, own_id: str) -> dict[str, object]:
    """A message of our own without its text. To one who asked for JSON it is no answer to be parsed."""
    begun: dict[str, object] = {
        "id": own_id,
        "type": "message",
        "status": "in_progress",
        "role": "assistant",
        "content": [],
    }
    return {**begun, "phase": "commentary"} if chat.structured else begun


_OURS, _AFTER = "resp_guardrail_", "_after_"
_LONGEST_ID = 256


def response_id(reply_id: str, follows: str = "") -> str:
    """An id for a response of our own. It holds the upstream's last one, which the next request must go on from
    whatever became of us meanwhile: ours the upstream has never heard of."""
    if reply_id.startswith("resp_"):
        return reply_id
    since = missed_since(follows)
    before = follows if since is None else since
    return f"{_OURS}{reply_id}{_AFTER}{before}" if before and len(before) <= _LONGEST_ID else f"{_OURS}{reply_id}"


def missed_since(response: str) -> str | None:
    """The upstream's last response before one of ours (empty: there was none); ``None``: it is none of ours."""
    return response.partition(_AFTER)[2] if response.startswith(_OURS) else None


def item_id(reply_id: str, index: int) -> str:
    return f"msg_{reply_id.removeprefix('resp_')}_{index}"


NO_USAGE = {
    "input_tokens": 0,
    "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
