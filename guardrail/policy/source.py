"""A pack's folder, read: every YAML file in it, what each holds, and where everything stands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from guardrail.policy.contents import read_contents
from guardrail.policy.vocabulary import FILE_KEYS, nearest, shown
from guardrail.yamlread import Places, Unreadable, parse

LEXICON = "lexicon/"


class PolicyError(ValueError):
    """A policy cannot be used. ``problems`` holds each as ``file:line:col: what is wrong; what to do``."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Source:
    """One file of a pack."""

    def __init__(self, path: Path, data: bytes) -> None:
        """Raises ``Unreadable``."""
        self.path, self.tree = path, parse(path, data)
        self._places = Places(path, data)

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
        self.contents = read_contents(folder)
        self.head: Source | None = None
        self.files: list[Source] = []
        self.lexicon: list[tuple[Path, bytes]] = []
        """Files of the pack's own lexicon: words its detectors listen for besides the shipped ones."""
        problems.extend(self.contents.problems)
        for name, data in self.contents.data.items():
            if name.startswith(LEXICON):
                self.lexicon.append((folder / name, data))
                continue
            try:
                source = Source(folder / name, data)
            except Unreadable as error:
                problems.append(str(error))
                continue
            if name == "pack.yaml":
                self.head = source
            else:
                self._check_keys(source, problems)
                self.files.append(source)
        missing = folder / "pack.yaml"
        if self.head is None and not any(p.startswith((f"{missing}:", f"{folder}: ")) for p in problems):
            problems.append(f"{missing}:1:1: is missing; write one with id, version, owner and sources")

    def _check_keys(self, source: Source, problems: Problems) -> None:
        for key in source.tree:
            if key not in FILE_KEYS:
                problems.add(source, (key,), f"unknown key {shown(key)}; {nearest(key, FILE_KEYS)}")


def find(names: Sequence[str | Path], shipped: Path) -> list[Path]:
    """Folders of packs: a shipped pack by its name, anything else as a path."""
    return [shipped / str(n) if (shipped / str(n) / "pack.yaml").is_file() else Path(n) for n in names]
