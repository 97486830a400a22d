"""One GenerateContentResponse: a whole reply, or a frame of a streamed one. Read, exchanged, or written by us.

Channels are by candidate: ``content:I`` its text, ``thinking:I`` its thoughts, ``aside:I`` other text in its
parts, ``notice:I`` why it ended or the prompt was blocked, ``sources:I`` what it searched for, as people are
shown it, and the passages of the reply that its sources stand for.
"""

from __future__ import annotations

import html
import re
from typing import Any

import msgspec

from guardrail.core.model import Refusal
from guardrail.core.ports import Chat, Piece, Reply
from guardrail.dialects import gemini_parts
from guardrail.dialects.gemini_json import Names, listed, parse, strings, text_of
from guardrail.dialects.gemini_request import MAX_CANDIDATES

FULL_ENDS = ("STOP", "MAX_TOKENS", 1, 2)
"""Finish reasons that do not say that something was withheld; as numbers when a client asks for numbers."""

_RESPONSE = Names("candidates", "promptFeedback", "error")
_CANDIDATE = Names("content", "index", "finishReason", "finishMessage", "groundingMetadata")
_FEEDBACK = Names("blockReason", "blockReasonMessage")
_GROUNDING = Names(
    "searchEntryPoint", "webSearchQueries", "imageSearchQueries", "retrievalQueries", "groundingSupports"
)
_ENTRY = Names("renderedContent")
_SUPPORT = Names("segment")
_SEGMENT = Names("text")
_NO_REASON = ("FINISH_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED", 0, "")
_TAG = re.compile(r"<[^<>]*>")
_WHAT = "the reply"


class Candidate(msgspec.Struct, frozen=True):
    """What is in a response of one candidate. ``is_withheld``: it ended, and not because all was said."""

    index: int
    pieces: tuple[Piece, ...]
    tools: bool
    is_finished: bool
    is_withheld: bool

    def says(self, kind: str) -> bool:
        return any(piece.channel.startswith(kind) for piece in self.pieces)


class Response(msgspec.Struct, frozen=True):
    """``is_blocked``: the prompt was, and nobody will answer it. ``has_failed``: it is an error."""

    candidates: tuple[Candidate, ...]
    notice: tuple[Piece, ...] = ()
    is_blocked: bool = False
    has_failed: bool = False

    @property
    def pieces(self) -> tuple[Piece, ...]:
        return tuple(piece for candidate in self.candidates for piece in candidate.pieces) + self.notice

    @property
    def tools(self) -> bool:
        return any(candidate.tools for candidate in self.candidates)


def read_response(data: bytes, what: str, *, is_whole: bool = False) -> Response:
    """Raises ``Refusal`` for what is not a response. Candidates of a whole one are counted as they stand."""
    members = _RESPONSE.of(parse(data, what), what)
    candidates: list[Candidate] = []
    for position, value in enumerate(listed(members.get("candidates"))):
        given = _CANDIDATE.of(value, what)
        index = _index(position if is_whole else given.get("index", 0), what)
        if any(other.index == index for other in candidates):
            raise Refusal(f"{what} has two candidates of one index")
        candidates.append(_candidate(given, index, what, is_whole=is_whole))
    feedback = _FEEDBACK.of(members["promptFeedback"], what) if "promptFeedback" in members else {}
    notice = text_of(feedback, "blockReasonMessage", what)
    return Response(
        tuple(candidates),
        (Piece("notice:0", notice),) if notice else (),
        is_blocked=feedback.get("blockReason", 0) not in _NO_REASON,
        has_failed="error" in members,
    )


def _index(index: object, what: str) -> int:
    if not isinstance(index, int) or not 0 <= index < MAX_CANDIDATES:
        raise Refusal(f"{what} has a candidate with an impossible index")
    return index


def _candidate(members: dict[str, Any], index: int, what: str, *, is_whole: bool) -> Candidate:
    parts = gemini_parts.read_all(members.get("content"), what)
    found: list[tuple[str, str]] = []
    for part in parts:
        found.append(("thinking" if part.is_thought else "content", part.text))
        found += [("aside", aside) for aside in (part.aside, gemini_parts.file_text(part, what)) if aside]
    # A passage that stands in this very text has been read with it. A stream may have lost the text since.
    text = "".join(part.text for part in parts if not part.is_thought) if is_whole else ""
    found.append(("notice", text_of(members, "finishMessage", what)))
    found += [("sources", source) for source in _sources(members.get("groundingMetadata"), text, what)]
    reason = members.get("finishReason", 0)
    if not isinstance(reason, str | int):
        raise Refusal(f"{what} has an unknown shape")
    return Candidate(
        index,
        tuple(Piece(f"{kind}:{index}", _apart(kind, shown)) for kind, shown in found if shown),
        tools=any(part.calls for part in parts),
        is_finished=reason not in _NO_REASON,
        is_withheld=reason not in _NO_REASON and reason not in FULL_ENDS,
    )


def _apart(kind: str, text: str) -> str:
    """Texts that are no stretches of one text must not read as one."""
    return text if kind in ("content", "thinking") else f"{text}\n"


def _sources(metadata: Any, text: str, what: str) -> list[str]:
    if metadata is None:
        return []
    members = _GROUNDING.of(metadata, what)
    entry = _ENTRY.of(members.pop("searchEntryPoint"), what) if "searchEntryPoint" in members else {}
    shown = html.unescape(_TAG.sub(" ", text_of(entry, "renderedContent", what)))
    passages = []
    for support in listed(members.pop("groundingSupports", None)):
        segment = _SUPPORT.of(support, what).get("segment")
        passage = text_of(_SEGMENT.of(segment, what), "text", what) if segment is not None else ""
        if passage not in text:
            passages.append(passage)
    return [source for source in (*strings(list(members.values())), shown, *passages) if source.strip()]


def read(body: bytes) -> Reply:
    """Raises ``Refusal`` for what is not a response, an error object included.

    Where nothing was said there is an empty text all the same: a place for what may have to be added.
    """
    response = read_response(body, _WHAT, is_whole=True)
    if response.has_failed:
        raise Refusal("the reply is an error")
    pieces = list(response.pieces)
    if not any(candidate.says("content:") for candidate in response.candidates):
        pieces.append(Piece("content:0", ""))
    return Reply(tuple(pieces), response.tools)


NO_USAGE = {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0}


def said(index: int, text: str, *, is_thought: bool = False, is_last: bool = False) -> dict[str, object]:
    """A candidate of our own that says ``text``, and is finished if ``is_last``."""
    part: dict[str, object] = {"text": text, "thought": True} if is_thought else {"text": text}
    end = {"finishReason": "STOP"} if is_last else {}
    return {"content": {"parts": [part], "role": "model"}, **end, "index": index}


def head(model: object, reply_id: object) -> dict[str, object]:
    """What every response says of itself. The model is named in a request's path, so it may not be known."""
    return {"modelVersion": model, "responseId": reply_id} if model else {"responseId": reply_id}


def authored(chat: Chat, text: str, reply_id: str) -> bytes:
    """A response of our own, the same text in every candidate that was asked for."""
    candidates = [said(index, text, is_last=True) for index in range(chat.choices)]
    return msgspec.json.encode({"candidates": candidates, "usageMetadata": NO_USAGE, **head(chat.model, reply_id)})
