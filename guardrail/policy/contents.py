"""A pack's folder, read once: what is parsed, hashed and held against a signature are the same bytes."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import msgspec

from guardrail.yamlread import Unreadable, read_bytes

SIGNATURE = "signature.json"
_YAML = (".yaml", ".yml")
_TRIES = 5
_Stamp = tuple[int, int, int, int, int]
"""Device, inode, size, and when the bytes and the entry were changed: any other file has another, and so has this one
once it is written to."""


class Contents(msgspec.Struct, frozen=True):
    """A pack's bytes. With ``problems``, one line each, they are not all there and nothing may be made of them."""

    folder: Path
    data: dict[str, bytes] = {}
    """Every ``*.yaml`` by its path in the folder, in order. Of one that is too large, more than may be parsed."""
    signature: bytes | None = None
    problems: tuple[str, ...] = ()

    def manifest(self) -> dict[str, str]:
        """Every file's SHA-256."""
        return {name: hashlib.sha256(data).hexdigest() for name, data in self.data.items()}

    def digest(self) -> bytes:
        """A hash of every byte of the pack, names included."""
        total = hashlib.sha256()
        for name, data in self.data.items():
            total.update(f"{name}\0{len(data)}\0".encode() + data)
        return total.digest()


def read_contents(folder: Path) -> Contents:
    """Read a pack's folder, as it was at one moment: where it is changed meanwhile, it is read again.

    What begins with a dot is left out: it is the machinery of git, editors and mounted ConfigMaps.
    """
    if not folder.is_dir():
        return Contents(folder, problems=(f"{folder}: is no folder; name a pack that is shipped, or a folder",))
    for _ in range(_TRIES):
        problems: list[str] = []
        there = _walk(folder, problems)
        data: dict[str, bytes] = {}
        for name in sorted(there, key=lambda name: name.split("/")):
            try:
                data[name] = read_bytes(folder / name)
            except Unreadable as error:
                problems.append(str(error))
        if _walk(folder, []) == there:
            signature = data.pop(SIGNATURE, None)
            return Contents(folder, data, signature, tuple(problems))
    return Contents(folder, problems=(f"{folder}: is being changed; ask again once all of it is in place",))


def _walk(folder: Path, problems: list[str]) -> dict[str, _Stamp]:
    """The files that are read, by their path in the folder, each with what tells it from any other."""
    found: dict[str, _Stamp] = {}
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            paths = sorted(path for path in here.iterdir() if not path.name.startswith("."))
        except OSError as error:
            problems.append(_unread(here, error))
            continue
        for path in paths:
            try:
                status = path.stat()
                is_link = path.is_symlink()
            except OSError as error:
                problems.append(_unread(path, error))
                continue
            is_folder = stat.S_ISDIR(status.st_mode)
            if what := _wrong(path.name, is_folder, is_link):
                problems.append(f"{_shown(path)}: {what}")
            elif is_folder:
                waiting.append(path)
            elif path.suffix != ".yaml" and path.suffix.lower() in _YAML:
                problems.append(f"{path}:1:1: only *.yaml is read, so this would be ignored; rename it")
            elif path.suffix == ".yaml" or path == folder / SIGNATURE:
                if stat.S_ISREG(status.st_mode):
                    found[path.relative_to(folder).as_posix()] = _stamp(status)
                else:
                    problems.append(f"{path}: is no file; put a file in its place, or remove it")
    return found


def _wrong(name: str, is_folder: bool, is_link: bool) -> str:
    if not name.isprintable():
        return "its name is not all readable; rename it"
    if is_folder and (Path(name).suffix.lower() in _YAML or name == SIGNATURE):
        return "is a folder with a file's name; rename it"
    if is_folder and is_link:
        return "is a link to a folder, which is not followed; link each file, or put the folder itself here"
    return ""


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _unread(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{_shown(path)}: is a link that leads nowhere; put the file in its place, or remove it"
    return f"{_shown(path)}: cannot be read ({(error.strerror or 'error').lower()}); mend or remove it"


def _shown(path: Path) -> str:
    text = str(path)
    return text if text.isprintable() else ascii(text)
