"""What the events of a streamed reply of an operator's own chat API mean, as frames.

Channels are those of ``json_reply``, but each place where another string stands is a channel of its own, so
that words in pieces are read as words; it ends with each frame, so that no id holds text back. Where every
event repeats the text so far, nothing can be taken out of it: that text is ``grown:N``, and harm in it ends
the reply.
"""

from __future__ import annotations

from typing import Any

from guardrail.core.model import Refusal
from guardrail.core.ports import Frame, Piece
from guardrail.dialects.json_fields import Mark
from guardrail.dialects.json_layout import Layout
from guardrail.dialects.json_pointer import MAX_FOUND, Place, follow
from guardrail.dialects.json_read import Spot, others, parsed, spots
from guardrail.dialects.json_reply import acts, conversation_in

_LONGER_THAN_A_WORD = 16
"""Code points from which on a string that begins with what stood there before repeats it, and is no next word."""
_WHAT = "an event of the stream"


class Course:
    """What the events of one stream mean, in order; whatever they are written in."""

    def __init__(self, layout: Layout) -> None:
        self._layout, self._stream = layout, layout.stream
        self._spoke = layout.reply.optional
        self._ended = False
        self._open: set[str] = set()
        self._grown: dict[str, str] = {}
        self._others: dict[Place, tuple[str, str]] = {}  # where, to its channel and what stood there last

    def take(self, raw: bytes, name: str, data: bytes) -> Frame:
        """The frame of an event that carries data. Raises ``Refusal``."""
        if self._ended:
            raise Refusal("the stream goes on after its end")
        if self.is_last(name, data):
            return Frame(raw, closes=self._end(failed=False), end=True)
        value = parsed(data, _WHAT)
        pieces = self._said(value)
        tools = acts(value, self._stream.tools, _WHAT)
        self._spoke = self._spoke or tools
        failed = name == "error" or _is_in(self._stream.error, name, value)
        id = conversation_in(value, self._layout.reply.conversation, _WHAT)
        done = self._stream.done is not None and _is_in(self._stream.done, name, value)
        closes = self._closes({piece.channel for piece in pieces})
        if failed or done:
            closes += self._end(failed) + self._places_for_more(pieces)
        return Frame(raw, tuple(pieces), tools, closes, failed or done, failed, id)

    def over(self) -> list[Frame]:
        """The connection has ended. Raises ``Refusal`` when the reply has not."""
        if self._ended:
            return []
        if self._stream.done is not None:
            raise Refusal("the stream ended before the reply did")
        return [Frame(b"", closes=self._end(failed=False), end=True)]

    def is_last(self, name: str, data: bytes) -> bool:
        """Whether an event is the end by its very data."""
        mark = self._stream.done
        if mark is None or mark.data is None or mark.event not in (None, name):
            return False
        return data.strip() == mark.data.encode()

    def _end(self, failed: bool) -> tuple[str, ...]:
        if not (self._spoke or failed):
            raise Refusal("the stream has no text where it is described")
        self._ended = True
        closing = tuple(sorted(self._open))
        self._open.clear()
        return closing

    def _places_for_more(self, pieces: list[Piece]) -> tuple[str, ...]:
        """Where something may be added to a text that the last event of a stream repeats: not behind that event."""
        grown = [piece.channel for piece in pieces if piece.channel.startswith("grown:")]
        return tuple(channel.replace("grown:", "content:") for channel in grown[-1:])

    # --- text

    def _said(self, value: Any) -> list[Piece]:
        contents = spots(value, self._stream.text, _WHAT, lenient=True)
        self._spoke = self._spoke or bool(contents)
        known = {spot.place for spot in contents}
        also = [s for s in spots(value, self._stream.also, _WHAT, lenient=True) if s.place not in known]
        known.update([spot.place for spot in also])
        pieces = self._pieces("also", also)
        pieces += self._pieces("grown" if self._stream.cumulative else "content", contents)
        if len(self._open.union([piece.channel for piece in pieces])) > MAX_FOUND:
            raise Refusal("the stream has too many places with text")
        return [*pieces, *self._rest(value, known)]

    def _pieces(self, kind: str, found: list[Spot]) -> list[Piece]:
        pieces = []
        for spot in found:
            channel = f"{kind}:{spot.number}"
            if text := self._growth(channel, spot.text) if self._stream.cumulative else spot.text:
                pieces.append(Piece(channel, text))
        return pieces

    def _growth(self, channel: str, text: str) -> str:
        before, self._grown[channel] = self._grown.get(channel, ""), text
        if text.startswith(before):
            return text[len(before) :]
        if channel.startswith("grown:"):
            raise Refusal("the stream takes back what it has said")
        return text

    def _rest(self, value: Any, known: set[Place]) -> list[Piece]:
        """Strings at no described place. What only stands there again, such as an id, says nothing new."""
        pieces = []
        for place, text in others(value, known, self._layout.reply.unread):
            channel, last = self._others.get(place, (f"other:{len(self._others)}", ""))
            self._others[place] = (channel, text)
            if text.startswith(last) and (text == last or len(last) >= _LONGER_THAN_A_WORD):
                text = text[len(last) :]
            if text:
                pieces.append(Piece(channel, text))
        if len(self._others) > MAX_FOUND:
            raise Refusal("the stream has too many places with strings")
        return pieces

    def _closes(self, speaking: set[str]) -> tuple[str, ...]:
        """Channels that end here, so that what they leave unfinished holds nothing back.

        Those at no described place end with each frame, ``also`` when something else is said, and what the bot
        says at one place when it goes on at another.
        """
        passing = {name for name in speaking if name.startswith("other:")}
        heard = {_place_of(name) for name in speaking - passing}
        proper = {place for place in heard if not place.startswith("also:")}
        silent = set()
        for name in self._open:
            instead = heard if name.startswith("also:") else proper
            if instead and _place_of(name) not in instead:
                silent.add(name)
        self._open = (self._open | speaking) - silent - passing
        return tuple(sorted(passing | silent))


def _place_of(channel: str) -> str:
    """The channel without the indices of its stars: texts side by side may all go on."""
    return channel.partition(".")[0]


def _is_in(mark: Mark, name: str, value: Any) -> bool:
    if mark.data is not None or mark.event not in (None, name):
        return False
    if mark.at is None:
        return True
    found = [inner for _, inner in follow(value, mark.at, _WHAT)]
    if mark.is_ is None:
        return any(found)
    return any(type(inner) is type(mark.is_) and inner == mark.is_ for inner in found)
