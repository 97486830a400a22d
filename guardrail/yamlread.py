"""Reading YAML that people write: fast when it is good, and with the place of every error when it is not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from _ruamel_yaml import CParser
from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, StreamEndEvent

Path_ = Sequence[str | int]


NOT_YAML = (YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError)
"""What the loader raises: most of them for a scalar that is not what its form or its tag says, such as a 13th month."""
NOT_A_VALUE = "something is not the date, number or tag it looks like, or nested too deeply; put it in quotes"
LARGEST = 4 * 1024**2
"""Bytes of one file."""
LARGEST_NUMBER = 2**63 - 1
MOST_COLLECTIONS = 20_000
"""Lists and mappings in one file: far beyond any real one. The C loader does not survive 50,000 in one another."""


class Unreadable(ValueError):
    """The file is no YAML mapping. ``str(error)`` is ``file:line:col: what; what to do``."""


def read(path: Path) -> dict[Any, Any]:
    """A file's mapping, by the C loader (YAML 1.2: ``NO`` is a country). Raises ``Unreadable``."""
    return parse(path, read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """A file's bytes; of one that is too large, just enough to tell. Raises ``Unreadable``."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise Unreadable(f"{path}: cannot be read ({(error.strerror or 'error').lower()})") from error


def parse(path: Path, data: bytes) -> dict[Any, Any]:
    """As ``read``, of bytes that were read already; ``path`` is for messages. Raises ``Unreadable``."""
    if len(data) > LARGEST:
        raise Unreadable(f"{path}:1:1: larger than {LARGEST // 1024**2} MiB; split the file")
    if is_too_much(data):
        raise Unreadable(f"{path}:1:1: more than {MOST_COLLECTIONS} lists and mappings; split the file")
    try:
        found = _shortcut(data)
        value = _loader().load(data) if not found else {}
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
        raise Unreadable(f"{path}:{place}: not valid YAML ({error.problem}); correct it") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise Unreadable(f"{path}:1:1: not valid YAML ({type(error).__name__}); save it as UTF-8 text") from error
    except NOT_YAML as error:
        raise Unreadable(f"{path}:1:1: not valid YAML: {NOT_A_VALUE}") from error
    if found:
        raise Unreadable(f"{path}:{found}")
    if value is None:
        raise Unreadable(f"{path}:1:1: the file is empty; write a mapping, or remove it")
    if not isinstance(value, dict):
        raise Unreadable(f"{path}:1:1: the file holds no mapping; begin it with a key")
    return value


_MARKS = re.compile(rb"(?:^|[\s\[{,:-])[&*!]", re.MULTILINE)
"""Where an anchor, an alias or a tag could begin; most are only words in quotes."""


def _shortcut(data: bytes) -> str:
    """Where a file uses what can blow it up, or run code, and what to write instead; empty where it does not.

    Read as events, before anything is built: an alias of an alias of a list is a bomb only once it is built.
    """
    if _MARKS.search(data) is None:
        return ""
    parser = CParser(BytesIO(data))
    while (event := parser.get_event()) is not None and not isinstance(event, StreamEndEvent):
        place = f"{event.start_mark.line + 1}:{event.start_mark.column + 1}"
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            return f"{place}: anchors and aliases (& and *) are not read; write it out, or quote the text"
        if getattr(event, "tag", None):
            return f"{place}: tags (!) are not read; take it out, or quote the text"
    return ""


def is_too_much(data: bytes) -> bool:
    """Whether a file may hold more than ``MOST_COLLECTIONS`` lists and mappings, one in another or side by side."""
    return sum(map(data.count, (b"[", b"{", b"- ", b"-\t", b"? ", b"?\t"))) > MOST_COLLECTIONS


class _Constructor(SafeConstructor):
    """Refuses whole numbers no computer word holds: as text or as a float they are an error somewhere else."""

    def construct_yaml_int(self, node: Any) -> int:
        try:
            value: int = super().construct_yaml_int(node)
        except ValueError:
            value = LARGEST_NUMBER + 1
        if abs(value) > LARGEST_NUMBER:
            raise ConstructorError(None, None, "a number too large to be meant", node.start_mark)
        return value


_Constructor.add_constructor("tag:yaml.org,2002:int", _Constructor.construct_yaml_int)


def _loader() -> YAML:
    loader = YAML(typ="safe", pure=False)
    loader.Constructor = _Constructor
    return loader


class Places:
    """Where things are in a file. Looked for only when there is something to say: it is slow.

    ``data``: the file's bytes, where they are at hand; otherwise it is read again.
    """

    def __init__(self, path: Path, data: bytes | None = None) -> None:
        self._path, self._data = path, data
        self._root: Any = None

    def of(self, *at: str | int) -> str:
        """``file:line:col`` of a value, or of the nearest thing around it that has a place."""
        if self._root is None:
            try:
                data = self._data if self._data is not None else read_bytes(self._path)
                self._root = YAML(typ="rt").load(data)
            except NOT_YAML:
                self._root = {}  # the slow loader gives up sooner: then nothing has a place but the file
        node: Any = self._root
        line, column = 0, 0
        for step in at:
            try:
                marks: Any = node.lc
                line, column = marks.key(step) if isinstance(node, dict) else marks.item(step)
                node = node[step]
            except (AttributeError, KeyError, IndexError, TypeError):
                break
        return f"{self._path}:{line + 1}:{column + 1}"
