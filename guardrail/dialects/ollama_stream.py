"""A streamed reply of Ollama's, line by line, to frames."""

from __future__ import annotations

from guardrail.core.model import Refusal
from guardrail.core.ports import Frame, Piece
from guardrail.dialects.ndjson import Line, LineReader
from guardrail.dialects.ollama_reply import CONTENT, THINKING, Said, read_part

_WHAT = "a line of the stream"


class OllamaReader(LineReader):
    """``StreamReader`` for both paths. Over when a line said ``done``, or an error came.

    Reasoning closes when the text begins, so that unfinished reasoning does not hold text back.
    """

    def __init__(self) -> None:
        super().__init__(self._read_line, self._check_end)
        self._ended = False
        self._is_thinking = False

    def _read_line(self, line: Line) -> Frame:
        if self._ended:
            raise Refusal("the stream goes on after its end")
        said = read_part(line.data, _WHAT)
        failed = bool(said.error)
        self._ended = failed or bool(said.done)
        pieces = said.pieces
        return Frame(line.raw, pieces, said.has_tools, self._closes(said, pieces), self._ended, failed)

    def _closes(self, said: Said, pieces: tuple[Piece, ...]) -> tuple[str, ...]:
        names = {piece.channel for piece in pieces}
        was_thinking = self._is_thinking or THINKING in names
        self._is_thinking = not said.done and (THINKING in names or (was_thinking and CONTENT not in names))
        closing = (THINKING,) if was_thinking and not self._is_thinking else ()
        return (*closing, CONTENT) if said.done else closing

    def _check_end(self) -> None:
        if not self._ended:
            raise Refusal("the stream ended before the reply did")
