"""Request paths in one spelling, so that an unusual one cannot slip past the part that reads it.

Servers differ in what they accept: doubled slashes, dot segments, upper case, percent-encoding, path
parameters. A path counts as a dialect's when *some* common server would take it for that; claiming one
too many only means that its body is read.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

_DECODINGS = 4
"""How often a path is percent-decoded: an upstream behind another proxy may decode more than once."""

_UNUSUAL = re.compile(r"[^a-z0-9/_.-]|//|/\.")
_SLASHES = re.compile(r"[/\\]+")
_PARAMETERS = re.compile(r";[^/]*")


def normalised(path: str) -> str:
    """``path`` (no query) decoded, in lower case, without doubled or trailing slashes and dot segments."""
    if _UNUSUAL.search(path):
        path = _plain(path)
    return path.rstrip("/") or "/"


def _plain(path: str) -> str:
    for _ in range(_DECODINGS):
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    path = _PARAMETERS.sub("", re.split("[?#]", path, maxsplit=1)[0])
    kept: list[str] = []
    for segment in _SLASHES.split("".join(c for c in path if c.isprintable()).casefold()):
        segment = segment.strip()
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept)
