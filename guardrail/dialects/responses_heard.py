"""What a stream has said so far, so that a text it tells again is known for what it is.

The Responses API tells every text up to five times: in deltas, in the event that ends it, in its part, in
its item, and in the response. What is new in these is read as any other text. What the deltas said already
has been looked at; only the reply proper is looked at a second time, once, where it first stands whole:
there a sentence that was taken out of the deltas would come back.
"""

from __future__ import annotations

from guardrail.core.model import Refusal
from guardrail.core.ports import Piece
from guardrail.dialects.responses_items import MAX_INDEX
from guardrail.dialects.sse import MAX_FRAME

LONGEST = 2 * MAX_FRAME
"""Code points of a stream's texts, the second look counted: its last event tells them all, and is a frame."""
_VERSIONS = 4
"""In how many ways one text may be told. Servers trim white space; more than that is no retelling."""


class Heard:
    """The texts of one stream, by channel. Holds ``LONGEST`` code points at most."""

    def __init__(self) -> None:
        self._parts: dict[str, list[str]] = {}
        self._size = 0

    def add(self, channel: str, text: str) -> Piece:
        """More of a channel's text. Raises ``Refusal`` when it is too much."""
        parts = self._parts.get(channel)
        if parts is None:
            parts = self._parts[channel] = []
        parts.append(text)
        self._size += len(text)
        if self._size > LONGEST or len(self._parts) > 2 * MAX_INDEX:
            raise Refusal("the reply is longer than is read")
        return Piece(channel, text)

    def told(self, channel: str, text: str) -> list[Piece]:
        """What has to be looked at in a text that stands whole in an event. Raises ``Refusal`` as ``add`` does."""
        new = self._new(channel, text)
        pieces = [self.add(channel, new)] if new else []
        if new is None or (channel.startswith("content:") and new != text):
            pieces += self._again(channel, text)
        return pieces

    def _again(self, channel: str, text: str) -> list[Piece]:
        for version in range(_VERSIONS):
            name = f"again:{version}:{channel}"
            new = self._new(name, text)
            if new is not None:
                return [self.add(name, new)] if new else []
        raise Refusal("the stream tells one text in too many ways")

    def name_of(self, channel: str, text: str) -> str:
        """The channel under which this text was said: not every server counts alike in all its events."""
        if channel in self._parts:
            return channel
        kind = channel.partition(":")[0] + ":"
        return next((name for name in self._parts if name.startswith(kind) and self._said(name) == text), channel)

    def _new(self, channel: str, text: str) -> str | None:
        """What the text adds to its channel; ``None``: it is another text."""
        said = self._said(channel)
        if text.startswith(said):
            return text[len(said) :]
        return "" if said.startswith(text) else None

    def _said(self, channel: str) -> str:
        parts = self._parts.get(channel)
        if parts is None:
            return ""
        if len(parts) > 1:
            parts[:] = ["".join(parts)]
        return parts[0]
