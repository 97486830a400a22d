"""Paths of an operator's chat API, which may hold names: ``/sessions/{id}/messages``."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from guardrail.dialects.paths import normalised

_NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_OURS = "guardrail"


class Template(msgspec.Struct, frozen=True):
    """A path. ``parts`` has for every segment its normalised text, or ``None`` where any may stand."""

    text: str
    parts: tuple[str | None, ...]
    names: tuple[str, ...]
    """The name of every segment, empty where it has none."""

    def match(self, path: str) -> Mapping[str, str] | None:
        """The named segments of ``path`` as they are spelt in it, or ``None`` when it is another path."""
        segments = _segments(normalised(path))
        if len(segments) != len(self.parts):
            return None
        if any(part not in (None, segment) for part, segment in zip(self.parts, segments, strict=True)):
            return None
        spelt = _segments(path)
        given = spelt if len(spelt) == len(segments) else segments
        return {name: segment for name, segment in zip(self.names, given, strict=False) if name}


def template(text: object) -> Template:
    """Raises ``ValueError`` (``what is wrong; what to do``) for what is no path, or one of our own."""
    if not isinstance(text, str) or not text.startswith("/") or re.search(r"[?#\s]", text):
        raise ValueError("not a path; write one such as /chat or /sessions/{id}/messages, without host or query")
    segments = _segments(text)
    names = [match[1] if (match := _NAME.fullmatch(segment)) else "" for segment in segments]
    if any(not name and set("{}*") & set(segment) for name, segment in zip(names, segments, strict=True)):
        raise ValueError("not a usable path; what varies is a whole segment in braces, such as /sessions/{id}/messages")
    if len({name for name in names if name}) != len([name for name in names if name]):
        raise ValueError("a name twice in one path; name each segment differently")
    literals = [normalised("/" + segment)[1:] for segment in segments]
    parts = tuple(None if name else literal for name, literal in zip(names, literals, strict=True))
    if "" in parts:
        raise ValueError("a path with dots or nothing between two slashes; write it plainly")
    if parts and parts[0] == _OURS:
        raise ValueError("a path under /guardrail/, where our own endpoints are; name the chatbot's path")
    return Template(text, parts, tuple(names))


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]
