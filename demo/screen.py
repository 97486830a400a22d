"""Two columns in a terminal, wrapped to its width; plain where the output is no terminal or NO_COLOR is set."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from itertools import zip_longest

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_GAP = " | "


class Screen:
    """Prints to standard output. ``width`` is in characters, from 60 to 140."""

    def __init__(self) -> None:
        self.width = min(140, max(60, shutil.get_terminal_size((100, 24)).columns))
        self._coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def paint(self, text: str, colour: str) -> str:
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self._coloured and text.strip() else text

    def say(self, text: str = "", colour: str | None = None, indent: str = "") -> None:
        """Print wrapped text; an empty line when there is none."""
        for line in _wrapped(text, self.width - len(indent)) or [""]:
            print(indent + (self.paint(line, colour) if colour else line), flush=True)

    def raw(self, text: str) -> None:
        """Print something to be copied, unwrapped."""
        print(text, flush=True)

    def beside(self, left: tuple[str, str], right: tuple[str, str]) -> None:
        """Two texts side by side, each a heading and a body."""
        width = (self.width - len(_GAP)) // 2
        heads = [
            [(line, "red") for line in _wrapped(left[0], width)],
            [(line, "green") for line in _wrapped(right[0], width)],
        ]
        rows = list(zip_longest(*heads, fillvalue=("", "dim")))
        bodies = [[(line, "") for line in _wrapped(body, width)] for body in (left[1], right[1])]
        rows += list(zip_longest(*bodies, fillvalue=("", "")))
        for (one, its), (other, others) in rows:
            print(
                (self._cell(one, its, width) + self.paint(_GAP, "dim") + self._cell(other, others, 0)).rstrip(),
                flush=True,
            )

    def _cell(self, text: str, colour: str, width: int) -> str:
        padded = text.ljust(width)
        return self.paint(padded, colour) if colour else padded


def _wrapped(text: str, width: int) -> list[str]:
    return [line for paragraph in text.splitlines() for line in textwrap.wrap(paragraph, width) or [""]]
