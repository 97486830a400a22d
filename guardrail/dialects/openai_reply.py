"""A whole OpenAI chat completion: its texts read, exchanged, or written by us."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from guardrail.core.model import Refusal
from guardrail.core.ports import Chat, Piece, Reply
from guardrail.dialects.strict import Keys, decode, elements, fields

MAX_INDEX = 127
"""The highest index of a choice: the API allows 128 of them."""


class Part(msgspec.Struct, gc=False):
    """An element of a content list. Mistral puts reasoning there, as a list of its own."""

    text: str | None = None
    thinking: str | list[Part] | None = None
    refusal: str | None = None


class _Anything(msgspec.Struct, gc=False):
    pass


class Audio(msgspec.Struct, gc=False):
    transcript: str | None = None


class Detail(msgspec.Struct, gc=False):
    text: str | None = None
    summary: str | None = None


class Said(msgspec.Struct, gc=False):
    """A message, or a delta of one: everything in it that a human would read, and whether it calls tools."""

    content: str | list[Part] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Detail] | None = None
    audio: Audio | None = None
    tool_calls: list[_Anything] | None = None
    function_call: _Anything | None = None
    role: str | None = None

    @property
    def has_tools(self) -> bool:
        return bool(self.tool_calls) or self.function_call is not None


class _Choice(msgspec.Struct, gc=False):
    message: Said
    index: int | None = None


class _Completion(msgspec.Struct, gc=False):
    choices: list[_Choice]


_completions = msgspec.json.Decoder(_Completion)
_said = msgspec.json.Decoder(Said)
READ_KEYS = Keys(
    "choices",
    "index",
    "delta",
    "message",
    "content",
    "refusal",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "audio",
    "transcript",
    "text",
    "thinking",
    "tool_calls",
    "function_call",
)
"""Keys of a reply, whole or streamed, that decide what is inspected."""
_WHAT = "the reply"
_REASONING = ("reasoning_content", "reasoning")


def thinking(said: Said) -> str:
    """Reasoning text. Servers that give it under several names give the same text."""
    shown = said.reasoning_content or ""
    if said.reasoning and said.reasoning != shown:
        shown += said.reasoning
    if not shown and said.reasoning_details:
        shown = "".join(d.text or d.summary or "" for d in said.reasoning_details)
    if isinstance(said.content, list):
        shown += "".join(_thought(part) for part in said.content)
    return shown


def _thought(part: Part) -> str:
    if isinstance(part.thinking, list):
        return "".join((inner.text or "") + _thought(inner) for inner in part.thinking)
    return part.thinking or ""


def _joined(parts: list[Part]) -> str:
    return "".join((part.text or "") + (part.refusal or "") for part in parts)


def spoken(said: Said) -> str:
    """The reply proper: text, text parts, and the transcript of audio."""
    content = said.content
    text = _joined(content) if isinstance(content, list) else content or ""
    return text + said.audio.transcript if said.audio is not None and said.audio.transcript else text


def check_index(index: int) -> int:
    if not 0 <= index <= MAX_INDEX:
        raise Refusal("a choice has an impossible index")
    return index


def read(body: bytes) -> Reply:
    """Raises ``Refusal`` for what is not a completion, an error object included."""
    completion = decode(_completions, body, _WHAT)
    READ_KEYS.check_once(body, _WHAT)
    pieces: list[Piece] = []
    tools = False
    for position, choice in enumerate(completion.choices):
        index = check_index(position if choice.index is None else choice.index)
        said = choice.message
        tools = tools or said.has_tools
        for kind, text in (("thinking", thinking(said)), ("content", spoken(said)), ("refusal", said.refusal)):
            if text:
                pieces.append(Piece(f"{kind}:{index}", text))
    return Reply(tuple(pieces), tools)


def rewritten(body: bytes, texts: Mapping[str, str]) -> bytes:
    """The reply with the texts of these channels exchanged, without what belonged to the old ones."""
    reply = fields(body, _WHAT)
    choices = [fields(bytes(raw), _WHAT) for raw in elements(bytes(reply["choices"]), _WHAT)]
    for position, choice in enumerate(choices):
        index = _index(choice, position)
        ours = {
            kind: texts[f"{kind}:{index}"] for kind in ("content", "refusal", "thinking") if f"{kind}:{index}" in texts
        }
        if ours:
            _exchange(choice, ours)
    reply["choices"] = _raw(choices)
    return msgspec.json.encode(reply)


def _index(choice: Mapping[str, msgspec.Raw], position: int) -> int:
    given = msgspec.json.decode(choice["index"], type=int | None) if "index" in choice else None
    return position if given is None else given


def _exchange(choice: dict[str, msgspec.Raw], ours: Mapping[str, str]) -> None:
    message = fields(bytes(choice["message"]), _WHAT)
    if "logprobs" in choice:
        choice["logprobs"] = _raw(None)
    if "content" not in ours and "thinking" in ours and "content" in message:
        # Reasoning may lie inside of the text, as a part of it: what stays is the text alone.
        said = decode(_said, bytes(choice["message"]), _WHAT)
        if isinstance(said.content, list):
            message["content"] = _raw(_joined(said.content))
    if "content" in ours:
        message["content"] = _raw(ours["content"])
        message.pop("audio", None)
        message.pop("annotations", None)  # they point into the old text
    if "refusal" in ours:
        message["refusal"] = _raw(ours["refusal"])
    if "thinking" in ours:
        names = [name for name in _REASONING if name in message] or ["reasoning_content"]
        message.update(dict.fromkeys(names, _raw(ours["thinking"])))
        message.pop("reasoning_details", None)
    choice["message"] = _raw(message)


def authored(chat: Chat, text: str, reply_id: str, created: int) -> bytes:
    """A completion of our own, the same text in every choice that was asked for."""
    choice = {
        "message": {"role": "assistant", "content": text, "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
    }
    return msgspec.json.encode(
        {
            "id": reply_id,
            "object": "chat.completion",
            "created": created,
            "model": chat.model,
            "choices": [{"index": index, **choice} for index in range(chat.choices)],
            "usage": NO_USAGE,
        }
    )


NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
