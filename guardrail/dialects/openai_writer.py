"""Chunks of our own in a streamed OpenAI chat completion, so that it ends well formed wherever it is cut."""

from __future__ import annotations

from typing import Any

import msgspec

from guardrail.core.ports import Chat, Frame
from guardrail.dialects.openai_reply import NO_USAGE
from guardrail.dialects.openai_stream import DONE
from guardrail.dialects.sse import parse
from guardrail.dialects.strict import decode


class _Delta(msgspec.Struct, gc=False):
    role: Any = None
    reasoning: Any = None


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, gc=False):
    id: Any = None
    created: msgspec.Raw = msgspec.Raw(b"null")
    model: Any = None
    choices: list[_Choice] | None = None
    usage: Any = None


_chunks = msgspec.json.Decoder(_Chunk)
_FIELDS = {"content": "content", "refusal": "refusal", "thinking": "reasoning_content"}
_TERMINATOR = b"data: " + DONE + b"\n\n"
_LINE_ENDS = (b"\n", b"\r")


class OpenAIWriter:
    """``StreamWriter`` for chat completions. Chunks take id, model and time from what was released."""

    def __init__(self, chat: Chat, reply_id: str, created: int) -> None:
        self._id: object = reply_id
        self._created: object = created
        self._model: object = chat.model
        self._is_ours = True  # the head is our own until a chunk of the upstream was released
        self._wants_usage = chat.include_usage
        self._choices = set(range(chat.choices))
        self._known: set[str] = set()  # channels whose frames can tell nothing new
        self._begun: set[int] = set()
        self._finished: set[int] = set()
        self._thinking_field = _FIELDS["thinking"]
        self._gap = b""  # what a last line without an end needs before anything can follow it
        self._ended = False

    def released(self, frame: Frame) -> None:
        self._ended = self._ended or frame.end
        if frame.pieces and not frame.closes and all(p.channel in self._known for p in frame.pieces):
            return
        self._gap = b"" if frame.raw.endswith(_LINE_ENDS) else b"\n\n"
        event = parse(frame.raw)
        if not event.data.lstrip().startswith(b"{"):
            return
        chunk = decode(_chunks, event.data, "a frame of the stream")
        self._take_head(chunk)
        if chunk.usage and not chunk.choices:
            self._wants_usage = False
        for choice in chunk.choices or ():
            self._take(choice)
        self._known.update(p.channel for p in frame.pieces)

    def _take_head(self, chunk: _Chunk) -> None:
        if self._is_ours and chunk.choices:
            self._is_ours = False
            self._id = chunk.id or self._id
            self._model = chunk.model or self._model
            if bytes(chunk.created) != b"null":
                self._created = chunk.created

    def _take(self, choice: _Choice) -> None:
        self._choices.add(choice.index)
        if choice.delta is not None:
            if choice.delta.role:
                self._begun.add(choice.index)
            if choice.delta.reasoning:
                self._thinking_field = "reasoning"
        if choice.finish_reason:
            self._finished.add(choice.index)

    def say(self, text: str, channel: str | None = None) -> bytes:
        if channel is None:
            return b"".join(self._delta(index, {"content": text}) for index in sorted(self._choices - self._finished))
        kind, _, index = channel.partition(":")
        field = self._thinking_field if kind == "thinking" else _FIELDS[kind]
        return self._delta(int(index), {field: text})

    def _delta(self, index: int, delta: dict[str, str]) -> bytes:
        self._choices.add(index)
        begun = b"" if index in self._begun else self._role(index)
        return begun + self._choice(index, delta)

    def _role(self, index: int) -> bytes:
        self._begun.add(index)
        return self._choice(index, {"role": "assistant", "content": ""})

    def _choice(self, index: int, delta: dict[str, str], finish: str | None = None) -> bytes:
        return self._chunk([{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}])

    def _chunk(self, choices: list[dict[str, object]], **more: object) -> bytes:
        chunk = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
            "choices": choices,
            **more,
        }
        gap, self._gap = self._gap, b""
        return gap + b"data: " + msgspec.json.encode(chunk) + b"\n\n"

    def finish(self) -> bytes:
        if self._ended:
            return b""
        out = []
        for index in sorted(self._choices - self._finished):
            if index not in self._begun:
                out.append(self._role(index))
            out.append(self._choice(index, {}, "stop"))
        if self._wants_usage:
            out.append(self._chunk([], usage=NO_USAGE))
        return b"".join([*out, self._gap, _TERMINATOR])
