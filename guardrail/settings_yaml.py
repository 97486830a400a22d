"""``guardrail.yaml`` as plain data, and where in it each key and value stands.

The C loader reads; only when something is wrong are the positions looked up, by the slower Python one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from guardrail.yamlread import MOST_COLLECTIONS, NOT_A_VALUE, NOT_YAML, is_too_much

Loc = tuple[str | int, ...]
Position = tuple[int, int]

MAX_BYTES = 1024 * 1024


class Unreadable(Exception):
    """The file cannot be read at all. ``str`` is one line ``what; what to do``, ``at`` counts from 1."""

    def __init__(self, what: str, at: Position = (1, 1)) -> None:
        super().__init__(what)
        self.at = at


class Document:
    """One configuration file: its data, and the positions of its keys and values (counted from 1)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text = _text(path)
        self.repeated: list[tuple[str, Position]] = []
        self._keys: dict[Loc, Position] = {}
        self._values: dict[Loc, Position] = {}
        self.data = self._load()

    def _load(self) -> dict[str, object]:
        yaml = YAML(typ="safe", pure=False)
        try:
            try:
                data = yaml.load(self._text)
            except DuplicateKeyError:
                yaml.allow_duplicate_keys = True
                data = yaml.load(self._text)
                self.repeated = list(_repeated(self._root(), set()))
        except YAMLError as error:
            raise _syntax(error) from error
        except NOT_YAML as error:
            raise Unreadable(NOT_A_VALUE) from error
        if data is None:
            return {}
        if not isinstance(data, dict):
            raise Unreadable("not a list of settings; write one `key: value` a line")
        return {str(key): value for key, value in data.items()}

    def key(self, loc: Loc) -> Position:
        """Where a key is written; for what is not in the file, where its nearest parent is."""
        return self._find(loc, self._keys)

    def value(self, loc: Loc) -> Position:
        """Where a value is written."""
        return self._find(loc, self._values)

    def _find(self, loc: Loc, table: dict[Loc, Position]) -> Position:
        if not self._values:
            self._values[()] = (1, 1)
            try:
                root = self._root()
            except NOT_YAML:
                root = None  # the slow loader gives up sooner: then nothing has a place but the file
            if root is not None:
                _index(root, (), self._keys, self._values)
        while loc and loc not in table:
            loc = loc[:-1]
        return table.get(loc, (1, 1))

    def _root(self) -> Node | None:
        root: Node | None = YAML(typ="rt").compose(self._text)
        return root


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise Unreadable("more than 1 MiB; settings are a few lines, check the file's name")
        if is_too_much(raw):
            raise Unreadable(f"more than {MOST_COLLECTIONS} lists and mappings; settings are a few lines")
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise Unreadable(f"cannot be read ({reason}); check its name and permissions") from error


def _syntax(error: YAMLError) -> Unreadable:
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    at = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    return Unreadable("not valid YAML here; check indentation, brackets and quotes on this line and above", at)


def _at(node: Node) -> Position:
    return (node.start_mark.line + 1, node.start_mark.column + 1)


def _pairs(node: MappingNode) -> Iterator[tuple[str, Node, Node]]:
    for key, value in node.value:
        yield (key.value if isinstance(key, ScalarNode) else "", key, value)


def _index(node: Node, loc: Loc, keys: dict[Loc, Position], values: dict[Loc, Position]) -> None:
    values.setdefault(loc, _at(node))
    if len(loc) > 16 or len(values) > MOST_COLLECTIONS:
        return  # no setting is this deep, and an alias may make a file endless
    if isinstance(node, MappingNode):
        for name, key, value in _pairs(node):
            keys.setdefault((*loc, name), _at(key))
            _index(value, (*loc, name), keys, values)
    elif isinstance(node, SequenceNode):
        for place, item in enumerate(node.value):
            keys.setdefault((*loc, place), _at(item))
            _index(item, (*loc, place), keys, values)


def _repeated(node: Node | None, looked_at: set[int]) -> Iterator[tuple[str, Position]]:
    """Every key that its mapping has already had. What aliases stand for is looked at once."""
    if id(node) in looked_at:
        return
    looked_at.add(id(node))
    if isinstance(node, MappingNode):
        seen: set[str] = set()
        for name, key, value in _pairs(node):
            if name in seen:
                yield name, _at(key)
            seen.add(name)
            yield from _repeated(value, looked_at)
    elif isinstance(node, SequenceNode):
        for item in node.value:
            yield from _repeated(item, looked_at)
