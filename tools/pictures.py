"""Pictures of the command line for the clinician's guide: the real output of each command, as an SVG.

``python tools/pictures.py`` writes them anew; a test holds them to what the commands say.
"""

from __future__ import annotations

import contextlib
import io
import sys
from html import escape
from pathlib import Path
from unicodedata import east_asian_width

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
WIDTH = 108
LETTER, LINE, EDGE = 7.8, 19, 18
CLINIC = "docs/examples/clinic"
COMMANDS = {
    "lint": ["lint", "base", CLINIC],
    "test": ["test", "base", CLINIC],
    "explain": ["explain", "base", CLINIC, "--vignette", "exam-night"],
    "why-not": ["explain", "base", CLINIC, "--vignette", "exam-noon"],
    "diff": ["diff", "base", f"base,{CLINIC}"],
    "simulate": ["simulate", "base", CLINIC, "--against", "base", "--on", "docs/examples/recorded.jsonl"],
}


def output(arguments: list[str]) -> str:
    """What ``guardrail policy`` says, run from the root."""
    from guardrail.cli import main

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.chdir(ROOT):
        main(["policy", *arguments])
    return said.getvalue().replace(f"{ROOT}/", "")


def picture(command: str, text: str) -> str:
    """A terminal with a command and its output."""
    lines = [f"$ {command}"]
    for line in text.rstrip("\n").split("\n"):
        lines += _wrapped(line)
    height = EDGE * 2 + LINE * len(lines)
    width = round(EDGE * 2 + LETTER * WIDTH)
    rows = [
        f'<text x="{EDGE}" y="{EDGE + LINE * n + 13}"{_style(n, line)}>{escape(line)}</text>'
        for n, line in enumerate(lines)
        if line
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{escape(command, quote=True)}">'
    )
    font = "font-family: ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace; font-size: 13px"
    style = f"<style>text {{ {font}; fill: #d7dde5; white-space: pre }} .c {{ fill: #8fd18f; font-weight: bold }}"
    more = ".h { fill: #f2c14e } .w { fill: #f08a7a; font-weight: bold }</style>"
    back = f'<rect width="{width}" height="{height}" rx="8" fill="#1d2430"/>'
    return "\n".join([head, style + " " + more, back, *rows, "</svg>"]) + "\n"


def _style(n: int, line: str) -> str:
    if n == 0:
        return ' class="c"'
    if "MILDER" in line or line.startswith(("error", "failed")) or "newly missed:" in line:
        return ' class="w"'
    return ' class="h"' if line.startswith(("Seen", "What happens", "Rules", "rule ", "\u27e6")) else ""


def _wrapped(line: str) -> list[str]:
    """A line broken at words, the rest indented under its beginning."""
    if _width(line) <= WIDTH:
        return [line]
    margin = line[: len(line) - len(line.lstrip())]
    indent = f"{margin}    "
    found, now = [], ""
    for word in (margin + line.split()[0], *line.split()[1:]):
        if now.strip() and _width(f"{now} {word}") > WIDTH:
            found.append(now)
            now = indent + word
        else:
            now = f"{now} {word}" if now else word
    return [*found, now]


def _width(text: str) -> int:
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def pictures() -> dict[str, str]:
    """Each picture by its file's name."""
    return {
        f"{name}.svg": picture(f"guardrail policy {' '.join(arguments)}", output(arguments))
        for name, arguments in COMMANDS.items()
    }


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PICTURES.mkdir(exist_ok=True)
    for name, text in pictures().items():
        (PICTURES / name).write_text(text)
        print(PICTURES / name)
