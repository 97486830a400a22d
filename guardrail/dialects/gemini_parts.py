"""A part of a Gemini content: the text in it, whatever kind of part it is.

Kinds are told by which member is there. Text in kinds that are not the reply proper (code and what it
printed, transcripts, kinds that came after this was written) is read as an aside.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from guardrail.core.model import Refusal
from guardrail.dialects.gemini_json import Names, Object, listed, strings, text_of

CONTENT = Names("role", "parts")
"""What is read of a content, the API's name for one turn."""

_PART = Names("text", "thought", "functionCall", "functionResponse", "toolResponse", "inlineData")
_BLOB = Names("mimeType", "data")
_SILENT = frozenset(
    (
        "text",
        "thought",
        "thoughtSignature",
        "functionCall",
        "functionResponse",
        "toolCall",
        "toolResponse",
        "inlineData",
        "fileData",
        "partMetadata",
        "videoMetadata",
        "audioMetadata",
        "documentMetadata",
        "spreadsheetMetadata",
        "speechMetadata",
        "mediaResolution",
        "mediaProcessing",
    )
)
"""Members read by their own rules, and those that say nothing to a human: blobs, calls, their settings."""
_SILENT_FOLDED = frozenset(name.lower() for name in _SILENT)


class Part(msgspec.Struct, frozen=True):
    """``text`` is the turn's own, a thought if ``is_thought``; ``aside`` what else a human would read in it."""

    text: str = ""
    is_thought: bool = False
    aside: str = ""
    calls: bool = False
    """The client is asked to act."""
    result: Any = None
    """What a tool of the client, or of the server, answered."""
    blob: Any = None


def read(value: Any, what: str) -> Part:
    """Raises ``Refusal`` for what is not a part, or can be read in two ways."""
    members = _PART.of(value, what)
    thought = members.get("thought", False)
    if not isinstance(thought, bool):
        raise Refusal(f"{what} has an unknown shape")
    return Part(
        text=text_of(members, "text", what),
        is_thought=thought,
        aside="\n".join(strings(Object(pair for pair in value if not _is_silent(pair[0])))),
        calls="functionCall" in members,
        result=members.get("functionResponse", members.get("toolResponse")),
        blob=members.get("inlineData"),
    )


def read_all(content: Any, what: str) -> list[Part]:
    """The parts of a content, or of none."""
    if content is None:
        return []
    return [read(part, what) for part in listed(CONTENT.of(content, what).get("parts"))]


def _is_silent(key: str) -> bool:
    return key in _SILENT or key.replace("_", "").casefold() in _SILENT_FOLDED


def file_text(part: Part, what: str) -> str:
    """The text of a file of text that lies in the part itself."""
    if part.blob is None:
        return ""
    blob = _BLOB.of(part.blob, what)
    if not text_of(blob, "mimeType", what).strip().lower().startswith("text/"):
        return ""
    try:
        return base64.b64decode(text_of(blob, "data", what), validate=True).decode()
    except (binascii.Error, UnicodeError, ValueError):
        raise Refusal(f"{what} holds a file of text that cannot be read") from None
