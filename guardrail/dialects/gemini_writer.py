"""Responses of our own in a streamed Gemini reply, so that it ends well formed wherever it is cut."""

from __future__ import annotations

import json

import msgspec

from guardrail.core.ports import Chat, Frame
from guardrail.dialects.gemini_array import BETWEEN
from guardrail.dialects.gemini_json import given
from guardrail.dialects.gemini_reply import NO_USAGE, Response, head, read_response, said
from guardrail.dialects.gemini_stream import WHAT, data_of
from guardrail.dialects.sse import parse
from guardrail.dialects.strict import fields

CRLF = b"\r\n"
"""How Google's servers end lines. Clients were seen to miss the end of an event where two ways are mixed."""

_LAST_TEXT = "\n"
"""What a frame says that only finishes: clients forget a turn in which one says nothing, or send the empty
text back to an API that does not accept it."""


class GeminiWriter:
    """``StreamWriter`` for server-sent events. Responses take id, model and usage from what was released."""

    def __init__(self, chat: Chat, reply_id: str) -> None:
        self._head = head(chat.model, reply_id)
        self._is_ours = True  # the head is our own until a response of the upstream was released
        self._usage: object = NO_USAGE
        self._candidates = set(range(chat.choices))
        self._finished: set[int] = set()
        self._line_end = CRLF
        self._gap = b""  # what a last line without an end needs before anything can follow it
        self._has_ended = False

    def released(self, frame: Frame) -> None:
        self._has_ended = self._has_ended or frame.end
        data = self._data_of(frame)
        if data.lstrip().startswith(b"{"):
            self._take_head(data)
            self._take(read_response(data, WHAT))

    def _data_of(self, frame: Frame) -> bytes:
        raw = frame.raw
        self._line_end = next((end for end in (CRLF, b"\n", b"\r") if raw.endswith(end)), self._line_end)
        self._gap = b"" if raw.endswith(self._line_end * 2) or not raw.strip() else self._line_end * 2
        return data_of(parse(raw))

    def _take_head(self, data: bytes) -> None:
        members = fields(data, WHAT)
        self._usage = _value(given(members, "usageMetadata")) or self._usage
        if self._is_ours and "candidates" in members:
            self._is_ours = False
            model, reply_id = _value(given(members, "modelVersion")), _value(given(members, "responseId"))
            self._head = head(model or self._head.get("modelVersion"), reply_id or self._head["responseId"])

    def _take(self, response: Response) -> None:
        for candidate in response.candidates:
            self._candidates.add(candidate.index)
            if candidate.is_finished:
                self._finished.add(candidate.index)

    def say(self, text: str, channel: str | None = None) -> bytes:
        if channel is None:
            return self._response([said(index, text) for index in self._unfinished()])
        kind, _, index = channel.partition(":")
        if kind not in ("content", "thinking"):
            return b""  # it was part of something that is lost: code, a file, a search
        self._candidates.add(int(index))
        return self._response([said(int(index), text, is_thought=kind == "thinking")])

    def finish(self) -> bytes:
        if self._has_ended:
            return b""
        last = [said(index, _LAST_TEXT, is_last=True) for index in self._unfinished()]
        return self._response(last, usageMetadata=self._usage) if last else b""

    def _unfinished(self) -> list[int]:
        return sorted(self._candidates - self._finished)

    def _response(self, candidates: list[dict[str, object]], **more: object) -> bytes:
        # One response for all of them: clients that look at the first candidate of each never see another's.
        response = {"candidates": candidates, **more, **self._head}
        # In ASCII: some clients also split at the line ends that only Unicode knows.
        return self._written(json.dumps(response, separators=(",", ":")).encode())

    def _written(self, response: bytes) -> bytes:
        gap, self._gap = self._gap, b""
        return gap + b"data: " + response + self._line_end * 2


def _value(raw: msgspec.Raw | None) -> object:
    return None if raw is None else json.loads(bytes(raw))


class GeminiArrayWriter(GeminiWriter):
    """The same for an array that grows."""

    def __init__(self, chat: Chat, reply_id: str) -> None:
        super().__init__(chat, reply_id)
        self._before = b"["  # what the next element needs before it
        self._has_failed = False

    def _data_of(self, frame: Frame) -> bytes:
        data = frame.raw.lstrip(BETWEEN)
        self._before = b",\n" if data else b""
        return data

    def _take(self, response: Response) -> None:
        super()._take(response)
        self._has_failed = self._has_failed or response.has_failed

    def finish(self) -> bytes:
        if self._has_ended:
            return b""
        last = b"" if self._has_failed else super().finish()
        return last + (b"[" if self._before == b"[" else b"") + b"]"

    def _written(self, response: bytes) -> bytes:
        before, self._before = self._before, b",\n"
        return before + response
