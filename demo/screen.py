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
        for one, other in zip_longest(_wrapped(left[0], width), _wrapped(right[0], width), fillvalue=""):
            self._row(self.paint(one.ljust(width), "red"), self.paint(other, "green"))
        for one, other in zip_longest(_wrapped(left[1], width), _wrapped(right[1], width), fillvalue=""):
            self._row(one.ljust(width), other)

    def _row(self, one: str, other: str) -> None:
        print((one + self.paint(_GAP, "dim") + other).rstrip(), flush=True)


def _wrapped(text: str, width: int) -> list[str]:
    return [line for paragraph in text.splitlines() for line in textwrap.wrap(paragraph, width) or [""]]
