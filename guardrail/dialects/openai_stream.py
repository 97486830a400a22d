"""A streamed OpenAI chat completion, event by event, to frames."""

from __future__ import annotations

from typing import Any

import msgspec

from guardrail.core.model import Refusal
from guardrail.core.ports import Frame, Piece
from guardrail.dialects.openai_reply import READ_KEYS, Said, check_index, spoken, thinking
from guardrail.dialects.sse import Event, EventReader
from guardrail.dialects.strict import FrameKeys, decode

DONE = b"[DONE]"
_WHAT = "a frame of the stream"


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    delta: Said | None = None
    message: Said | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    error: Any = None


_chunks = msgspec.json.Decoder(_Chunk)


class OpenAIReader(EventReader):
    """``StreamReader`` for chat completions. Over when ``[DONE]`` came, or all choices have finished.

    Reasoning of a choice closes when its text begins, so that unfinished reasoning does not hold text back.
    """

    def __init__(self) -> None:
        super().__init__(self._frame, self._over)
        self._keys = FrameKeys(READ_KEYS, b"content")
        self._ended = False
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._thinking: set[int] = set()  # choices whose reasoning has begun and not ended
        self._refusing: set[int] = set()

    def _frame(self, event: Event) -> Frame:
        if not event.data.startswith(b"{"):
            bare = event.data.strip()
            if bare == DONE or not bare:
                ended, self._ended = self._ended, self._ended or bare == DONE
                return Frame(event.raw, end=self._ended and not ended)
        if self._ended:
            raise Refusal("the stream goes on after its end")
        chunk = decode(_chunks, event.data, _WHAT)
        choices = chunk.choices or ()
        self._keys.check(event.data, _WHAT)
        self._ended = bool(chunk.error) or event.name == b"error"
        if len(choices) == 1:
            pieces, closes, tools = self._take(choices[0])
        else:
            pieces, closes, tools = [], [], False
            for choice in choices:
                more, closing, calls = self._take(choice)
                pieces += more
                closes += closing
                tools = tools or calls
        return Frame(event.raw, tuple(pieces), tools, tuple(closes), self._ended, error=self._ended)

    def _take(self, choice: _Choice) -> tuple[list[Piece], list[str], bool]:
        index = check_index(choice.index)
        self._seen.add(index)
        pieces: list[Piece] = []
        closes: list[str] = []
        tools = False
        for said in (choice.delta, choice.message):  # a client may show either, so both are read
            if said is not None:
                tools = tools or said.has_tools
                closes += self._say(said, index, pieces)
        if choice.finish_reason:
            closes += self._finish(index)
        return pieces, closes, tools

    def _say(self, said: Said, index: int, pieces: list[Piece]) -> list[str]:
        """Adds what a human would read to ``pieces``; gives what closes with it."""
        closes: list[str] = []
        thought, text = thinking(said), spoken(said)
        if thought:
            self._thinking.add(index)
            pieces.append(Piece(f"thinking:{index}", thought))
        elif text and index in self._thinking:
            self._thinking.discard(index)
            closes.append(f"thinking:{index}")
        if text:
            pieces.append(Piece(f"content:{index}", text))
        if said.refusal:
            self._refusing.add(index)
            pieces.append(Piece(f"refusal:{index}", said.refusal))
        return closes

    def _finish(self, index: int) -> list[str]:
        self._finished.add(index)
        closes = [f"content:{index}"]
        for kind, open_ in (("thinking", self._thinking), ("refusal", self._refusing)):
            if index in open_:
                open_.discard(index)
                closes.append(f"{kind}:{index}")
        return closes

    def _over(self, rest: Event | None) -> bool:
        if rest is not None and (rest.data.strip() != DONE or self._ended):
            raise Refusal("the stream ended in the middle of a frame")
        if rest is None and not self._ended and not (self._seen and self._seen <= self._finished):
            raise Refusal("the stream ended before the reply did")
        return rest is not None
