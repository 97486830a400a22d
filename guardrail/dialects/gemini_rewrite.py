"""A whole Gemini reply with some of its texts exchanged."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from guardrail.dialects import gemini_parts
from guardrail.dialects.gemini_json import drop, given, listed_raw, parse, raw_of, spelling
from guardrail.dialects.gemini_reply import FULL_ENDS
from guardrail.dialects.strict import fields

_WHAT = "the reply"
_ABOUT_TEXT = ("citationMetadata", "groundingMetadata", "groundingAttributions", "logprobsResult", "avgLogprobs")
"""Members of a candidate that point into its text, or were computed of it."""

_Members = dict[str, msgspec.Raw]


def rewritten(body: bytes, texts: Mapping[str, str]) -> bytes:
    """The reply with the texts of these channels exchanged, without what belonged to the old ones."""
    reply: _Members = fields(body, _WHAT)
    candidates = [fields(bytes(raw), _WHAT) for raw in listed_raw(given(reply, "candidates"), _WHAT)]
    if not candidates:
        candidates = [{"index": raw_of(0)}]  # the prompt was blocked, and now it is answered
        drop(reply, "promptFeedback")
    for position, candidate in enumerate(candidates):
        ours = {name.partition(":")[0]: text for name, text in texts.items() if name.endswith(f":{position}")}
        if ours:
            _exchange(candidate, ours)
    reply["candidates"] = raw_of(candidates)
    return msgspec.json.encode(reply)


def _exchange(candidate: _Members, ours: Mapping[str, str]) -> None:
    old = given(candidate, "content")
    content: _Members = fields(bytes(old), _WHAT) if old is not None else {"role": raw_of("model")}
    content["parts"] = raw_of(_parts(listed_raw(given(content, "parts"), _WHAT), dict(ours)))
    candidate["content"] = raw_of(content)
    if "content" in ours:
        drop(candidate, *_ABOUT_TEXT)
        reason = given(candidate, "finishReason")
        if reason is None or msgspec.json.decode(reason) not in FULL_ENDS:
            # Clients show nothing of a reply that was withheld.
            candidate[spelling(candidate, "finishReason")] = raw_of("STOP")
            drop(candidate, "finishMessage")
    if "sources" in ours:
        drop(candidate, "groundingMetadata")
    if "notice" in ours:
        drop(candidate, "finishMessage")


def _parts(raws: list[msgspec.Raw], ours: dict[str, str]) -> list[_Members]:
    """The parts, the first of a kind with the new text of that kind and the others without their old one."""
    kinds = frozenset(ours)
    parts: list[_Members] = []
    for raw in raws:
        members: _Members = fields(bytes(raw), _WHAT)
        part = gemini_parts.read(parse(bytes(raw), _WHAT), _WHAT)
        kind = "thinking" if part.is_thought else "content"
        if "aside" in kinds and (part.aside or part.blob is not None):
            continue
        if "text" in members and not part.calls:
            drop(members, "thoughtSignature")  # it vouched for the old text; a call is not accepted without its own
        if "text" in members and kind in kinds:
            if kind in ours:
                members["text"] = raw_of(ours.pop(kind))
            elif part.calls:
                drop(members, "text", "thought")
            else:
                continue
        parts.append(members)
    if "content" in ours:
        parts.append({"text": raw_of(ours["content"])})
    return parts
