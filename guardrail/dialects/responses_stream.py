"""A streamed reply of OpenAI's Responses API, event by event, to frames."""

from __future__ import annotations

from guardrail.core.model import Refusal
from guardrail.core.ports import Frame, Piece
from guardrail.dialects.responses_events import Said, StreamEvent, read_event
from guardrail.dialects.responses_heard import Heard
from guardrail.dialects.sse import Event, EventReader

DONE = b"[DONE]"


class ResponsesReader(EventReader):
    """``StreamReader`` for responses. Over when a response is completed, incomplete or failed, or an error came.

    The reply proper closes where it first stands whole, so that from there on ours can stand in its place.
    All else closes when something else begins: unfinished reasoning does not hold text back.

    Before the event in which the reply proper stands whole comes a frame without bytes that closes it: its last
    words go out on their own account, whatever the second look at all of them says.
    """

    def __init__(self) -> None:
        super().__init__(self._frame, self._over)
        self._heard = Heard()
        self._open: dict[str, int] = {}  # channels that have begun and not ended, and the items they are in
        self._id = ""
        self._ended = self._failed = False

    def feed(self, data: bytes) -> list[Frame]:
        return [each for frame in super().feed(data) for each in _apart(frame)]

    def close(self) -> list[Frame]:
        return [each for frame in super().close() for each in _apart(frame)]

    def _frame(self, event: Event) -> Frame:
        if not event.data.startswith(b"{"):
            bare = event.data.strip()
            if bare == DONE or not bare:
                return self._bare(event, is_end=bare == DONE)
        read, said = read_event(event)
        if self._ended and not (self._failed and read.has_failed):
            raise Refusal("the stream goes on after its end")
        pieces, whole = self._texts(read, said)
        if not said and len(pieces) == 1 and self._is_more(read, pieces[0]):
            return Frame(event.raw, tuple(pieces))
        if self._ended and pieces:
            raise Refusal("the stream goes on after its end")
        closes = self._close(read, pieces, whole)
        ended, self._ended = self._ended, self._ended or read.is_over
        self._failed = self._failed or read.has_failed
        end = self._ended and not ended
        return Frame(event.raw, tuple(pieces), read.has_call, closes, end, read.has_failed, self._new_id(read))

    def _is_more(self, read: StreamEvent, piece: Piece) -> bool:
        """Nearly all events only go on with the one text that is open."""
        return len(self._open) == 1 and piece.channel in self._open and not read.is_over and not self._ended

    def _bare(self, event: Event, *, is_end: bool) -> Frame:
        """Many servers end every stream of theirs with OpenAI's older terminator; some end this one with it alone."""
        if not is_end or self._ended:
            return Frame(event.raw)
        self._ended = True
        closes, self._open = tuple(self._open), {}
        return Frame(event.raw, closes=closes, end=True)

    def _texts(self, read: StreamEvent, said: Said) -> tuple[list[Piece], set[str]]:
        """What has to be looked at, and the channels that stand whole in the event."""
        added = read.added()
        pieces = [self._heard.add(read.channel, added)] if added else []
        names = [self._heard.name_of(channel, text) for channel, text in said]
        for name, (_, text) in zip(names, said, strict=True):
            pieces += self._heard.told(name, text)
        return pieces, set(names)

    def _close(self, read: StreamEvent, pieces: list[Piece], whole: set[str]) -> tuple[str, ...]:
        begun = {piece.channel for piece in pieces}
        for name in begun:
            self._open.setdefault(name, read.output_index)
        closes = tuple([name for name in self._open if self._is_closed(name, read, begun, whole)])
        for name in closes:
            del self._open[name]
        return closes

    def _is_closed(self, name: str, read: StreamEvent, begun: set[str], whole: set[str]) -> bool:
        if read.is_over or name.startswith("again:"):
            return True
        if read.is_done and (name in whole or (read.item is not None and self._open[name] == read.output_index)):
            return True
        return bool(begun) and name not in begun and not name.startswith("content:")

    def _new_id(self, read: StreamEvent) -> str:
        if self._id or read.response is None or not read.response.id:
            return ""
        self._id = read.response.id
        return self._id

    def _over(self, rest: Event | None) -> bool:
        if rest is not None and rest.data.strip() != DONE:
            raise Refusal("the stream ended in the middle of a frame")
        if rest is None and not self._ended:
            raise Refusal("the stream ended before the reply did")
        return not self._ended


def _apart(frame: Frame) -> tuple[Frame, ...]:
    """A frame, and before it what closes the reply proper where the frame tells it again."""
    if not frame.closes or not any(piece.channel.startswith("again:") for piece in frame.pieces):
        return (frame,)
    own = {piece.channel for piece in frame.pieces}
    closes = tuple([name for name in frame.closes if name.startswith("content:") and name not in own])
    return (Frame(b"", closes=closes), frame) if closes else (frame,)
