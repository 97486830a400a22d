"""Holds a reply's frames until their text is inspected: received >= inspected >= released.

Text is cut into clauses, and what is judged is always the reply so far up to the end of a clause (its last
``WINDOW`` characters). Where the cuts lie depends on the text and the order of frames alone, never on how
the bytes arrived, so neither does any verdict. How risky the conversation is decides only how long frames
wait: to the end of their clause, of their sentence, or of the whole reply.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

import msgspec

from guardrail.core.conversation import Granularity
from guardrail.core.model import Refusal
from guardrail.core.ports import Frame
from guardrail.core.segments import boundaries

HINT = re.compile(r"[.!?…;:,\n。！？；：、，\"'”’»)\]*_」』）]")
"""What may end a clause, or go on ending it."""
WINDOW = 2000
"""Code points of the reply so far that are judged at each cut; also the longest clause."""


class Look(msgspec.Struct, frozen=True):
    """A stretch of one channel to be looked at. ``cuts`` are offsets into ``text``, ascending.

    ``base`` is the offset of ``text`` in its channel. At each cut the text before it is judged, at most
    ``reach`` code points of it (0: all). ``within``: those of the cuts at which a sentence goes on.
    """

    channel: str
    text: str
    base: int
    cuts: tuple[int, ...]
    reach: int = WINDOW
    within: frozenset[int] = frozenset()

    def window(self, cut: int) -> tuple[int, str]:
        """What is judged at a cut: its offset in the channel, and the text."""
        start = max(0, cut - self.reach) if self.reach else 0
        return self.base + start, self.text[start:cut]


class Drop(msgspec.Struct, frozen=True):
    """A stretch of a channel that may not be released, and what is said in its place."""

    start: int
    end: int
    instead: str = ""


class Held(msgspec.Struct, frozen=True):
    """A frame and where its pieces lie: (channel, start, end), ``start == end`` where a channel closes."""

    frame: Frame
    places: tuple[tuple[str, int, int], ...]


class _Channel:
    """One channel's text. All offsets count from the channel's first code point."""

    __slots__ = (
        "base",
        "cut",
        "dropping",
        "drops",
        "ended",
        "floor",
        "hinted",
        "inspected",
        "received",
        "sentence",
        "sentences",
        "tail",
    )

    def __init__(self) -> None:
        self.tail = ""
        self.base = 0
        self.received = 0
        self.cut = 0  # the last boundary found
        self.inspected = 0
        self.floor = 0  # judged text starts no earlier: what lies before was dropped
        self.sentence = 0  # where the sentence being inspected began
        self.sentences: deque[int] = deque()  # ends of sentences found and not yet inspected
        self.dropping = False  # the sentence that harmed has not ended yet
        self.ended = False
        self.hinted = False  # what came last may end a clause, depending on what comes next
        self.drops: list[Drop] = []

    def add(self, text: str) -> bool:
        """Take text; whether it may have ended a clause. Nearly every word of a stream has not."""
        self.tail += text
        self.received += len(text)
        hinted, self.hinted = self.hinted, HINT.search(text) is not None
        return hinted or self.hinted or self.received - self.cut > WINDOW

    def new_cuts(self) -> list[int]:
        start = self.cut - self.base
        if start >= len(self.tail):
            return []
        found = boundaries(self.tail, start, "clause", self.ended, WINDOW)
        if found:
            ends = boundaries(self.tail, start, "sentence", self.ended, WINDOW)
            self.sentences.extend(self.base + end for end in ends)
            self.cut = self.base + found[-1]
        return [self.base + end for end in found]

    def trim(self) -> None:
        """Forget text that no window reaches any more."""
        keep = max(self.floor, self.inspected - WINDOW)
        if keep - self.base > WINDOW:
            self.tail = self.tail[keep - self.base :]
            self.base = keep


class Gate:
    """The gate of one reply. ``limit`` bounds the held text, in code points over all channels."""

    def __init__(self, grain: Granularity, limit: int) -> None:
        self._grain = grain
        self._limit = limit
        self._channels: dict[str, _Channel] = {}
        self._held: deque[Held] = deque()
        self._waiting: list[tuple[str, int]] = []  # cuts found, not yet due under this grain
        self._due: list[tuple[str, int]] = []  # cuts to be judged, in the order their text arrived
        self._amount = 0
        self._ended = False
        self.is_whole = True
        """Nothing has been dropped."""

    def offer(self, frame: Frame) -> None:
        """Take a frame. Raises ``Refusal`` when more text is held than may be."""
        places = []
        touched: list[str] = []
        for piece in frame.pieces:
            channel = self._channels.get(piece.channel)
            if channel is None:
                channel = self._channels[piece.channel] = _Channel()
            start = channel.received
            if channel.add(piece.text):
                touched.append(piece.channel)
            self._amount += channel.received - start
            places.append((piece.channel, start, channel.received))
        for name in frame.closes:
            if (closing := self._channels.get(name)) is not None:
                closing.ended = True
                places.append((name, closing.received, closing.received))
                touched.append(name)
        self._held.append(Held(frame, tuple(places)))
        if touched:
            self._find(touched)
        if frame.end:
            self.finish()
        if self._amount > self._limit:
            raise Refusal(f"a reply held more than {self._limit} characters back")

    def finish(self) -> None:
        """No frame comes after this: everything received is due."""
        self._ended = True
        self._due += self._waiting
        self._waiting = []
        for channel in self._channels.values():
            channel.ended = True
        self._find(list(self._channels))

    def _find(self, names: list[str]) -> None:
        for name in names:
            channel = self._channels[name]
            cuts = channel.new_cuts()
            if not cuts:
                continue
            if channel.dropping:
                cuts = self._swallow(channel, cuts)
            if self._grain == "clause" or self._ended:
                self._due += [(name, cut) for cut in cuts]
            else:
                self._waiting += [(name, cut) for cut in cuts]
                if self._grain == "sentence" and channel.sentences:
                    self._ripen(name, channel.sentences[-1])

    def _ripen(self, name: str, end: int) -> None:
        self._due += [(n, cut) for n, cut in self._waiting if n == name and cut <= end]
        self._waiting = [(n, cut) for n, cut in self._waiting if not (n == name and cut <= end)]

    def looks(self) -> tuple[Look, ...]:
        """What has to be looked at now, one stretch a channel; empty when nothing is due."""
        cuts: dict[str, list[int]] = {}
        for name, cut in self._due:
            cuts.setdefault(name, []).append(cut)
        found = []
        for name, ends in cuts.items():
            channel = self._channels[name]
            base = max(channel.floor, channel.base, min(channel.inspected, ends[0]) - WINDOW)
            text = channel.tail[base - channel.base : ends[-1] - channel.base]
            within = frozenset(end - base for end in ends if end not in channel.sentences)
            found.append(Look(name, text, base, tuple(end - base for end in ends), within=within))
        return tuple(found)

    def due(self) -> Iterator[tuple[str, int]]:
        """Cuts to be settled, in order: (channel, offset). Settle each by ``clear`` or ``drop``."""
        while self._due:
            yield self._due[0]

    def clear(self, name: str, cut: int) -> None:
        """The reply up to this cut may go."""
        channel = self._channels[name]
        self._due.remove((name, cut))
        self._advance(channel, cut)

    def clear_all(self) -> None:
        """Everything that is due may go."""
        for name, cut in self._due:
            self._advance(self._channels[name], cut)
        self._due = []

    def _advance(self, channel: _Channel, cut: int) -> None:
        channel.inspected = cut
        while channel.sentences and channel.sentences[0] <= cut:
            channel.sentence = channel.sentences.popleft()
        channel.trim()

    def drop(self, name: str, cut: int, instead: str = "") -> None:
        """What this cut completed may not go, nor the rest of its sentence.

        Where clauses go one by one, what of the sentence went before has gone; otherwise the whole
        sentence is taken out. Later text is judged without the dropped one.
        """
        channel = self._channels[name]
        start = channel.inspected if self._grain == "clause" else max(channel.sentence, channel.floor)
        # Without the sentence's end in sight, every clause found so far is part of it, and so is what comes.
        end = channel.sentences[0] if channel.sentences else channel.cut
        channel.dropping = not channel.sentences and not channel.ended
        channel.drops.append(Drop(start, end, instead))
        self.is_whole = False
        self._due = [(n, c) for n, c in self._due if n != name or c > end]
        self._waiting = [(n, c) for n, c in self._waiting if n != name or c > end]
        channel.floor = end
        self._advance(channel, end)

    def _swallow(self, channel: _Channel, cuts: list[int]) -> list[int]:
        """Drop on to the end of the sentence that harmed; the cuts that remain."""
        end = channel.sentences[0] if channel.sentences else cuts[-1]
        channel.dropping = not channel.sentences and not channel.ended
        last = channel.drops.pop()
        channel.drops.append(Drop(last.start, end, last.instead))
        channel.floor = end
        self._advance(channel, end)
        return [cut for cut in cuts if cut > end]

    def free(self) -> Iterator[Held]:
        """Frames that may be released now, in order, each handed out once."""
        if self._grain == "whole" and not (self._ended and not self._due):
            return
        channels = self._channels
        while self._held:
            held = self._held[0]
            for name, _, end in held.places:
                if end > channels[name].inspected:
                    return
            self._held.popleft()
            for _, start, end in held.places:
                self._amount -= end - start
            yield held

    def kept(self, name: str, start: int, end: int, text: str) -> str | None:
        """``text``, which is ``[start, end)`` of the channel, without what was dropped; ``None``: all of it stays."""
        drops = [d for d in self._channels[name].drops if d.start < end and d.end > start]
        if not drops:
            return None
        out, at = [], start
        for d in drops:
            out.append(text[at - start : max(at, d.start) - start])
            if start <= d.start:
                out.append(d.instead)
            at = max(at, min(d.end, end))
        out.append(text[at - start :])
        return "".join(out)

    @property
    def is_holding(self) -> bool:
        return bool(self._held)
