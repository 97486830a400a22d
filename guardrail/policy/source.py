"""A pack's folder, read: every YAML file in it, what each holds, and where everything stands."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from guardrail.policy.vocabulary import FILE_KEYS, nearest, shown
from guardrail.yamlread import Places, Unreadable, read


class PolicyError(ValueError):
    """A policy cannot be used. ``problems`` holds each as ``file:line:col: what is wrong; what to do``."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Source:
    """One file of a pack."""

    def __init__(self, path: Path, tree: dict[Any, Any]) -> None:
        self.path, self.tree = path, tree
        self._places = Places(path)

    def place(self, *at: str | int) -> str:
        return self._places.of(*at)


class Problems(list[str]):
    """What is wrong with the packs so far."""

    def add(self, source: Source, at: Sequence[str | int], what: str) -> None:
        self.append(f"{source.place(*at)}: {what}")


class Pack:
    """A pack's files. ``head`` is its ``pack.yaml``; ``None`` when it has none that can be read."""

    def __init__(self, folder: Path, problems: Problems) -> None:
        self.folder = folder
        self.head: Source | None = None
        self.files: list[Source] = []
        if not folder.is_dir():
            problems.append(f"{folder}: is no folder; name a pack that is shipped, or a folder")
            return
        for path in sorted(folder.rglob("*.yml")):
            problems.append(f"{path}:1:1: only *.yaml is read, so this would be ignored; rename it")
        for path in sorted(folder.rglob("*.yaml")):
            try:
                source = Source(path, read(path))
            except Unreadable as error:
                problems.append(str(error))
                continue
            if path == folder / "pack.yaml":
                self.head = source
            else:
                self._check_keys(source, problems)
                self.files.append(source)
        if self.head is None and not any(str(folder / "pack.yaml") in p for p in problems):
            problems.append(f"{folder / 'pack.yaml'}:1:1: is missing; write one with id, version, owner and sources")

    def _check_keys(self, source: Source, problems: Problems) -> None:
        for key in source.tree:
            if key not in FILE_KEYS:
                problems.add(source, (key,), f"unknown key {shown(key)}; {nearest(key, FILE_KEYS)}")

    def digest(self) -> bytes:
        """A hash of every byte of the pack, names included."""
        total = hashlib.sha256()
        for path in sorted(self.folder.rglob("*.yaml")):
            data = path.read_bytes()
            total.update(f"{path.relative_to(self.folder).as_posix()}\0{len(data)}\0".encode() + data)
        return total.digest()


def find(names: Sequence[str | Path], shipped: Path) -> list[Path]:
    """Folders of packs: a shipped pack by its name, anything else as a path."""
    return [shipped / str(n) if (shipped / str(n) / "pack.yaml").is_file() else Path(n) for n in names]
