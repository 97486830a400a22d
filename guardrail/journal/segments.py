"""The journal on disk: numbered segments, the heads file, the lock, and getting up again after a crash.

Blocking; the writer's thread calls it. A batch is durable when ``write`` returns, and not begun when it
raises: what a failed write left behind is cut off before the next try.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from guardrail.journal.chain import Head, Key, read, read_heads, write_heads
from guardrail.journal.recovery import Fields, Recovered, recover

HEADS = "heads.json"
LOCK = "lock"
SEGMENT_BYTES = 64 * 1024 * 1024
LOCK_WAIT = 0.3
"""Seconds. A check of the journal holds the lock for an instant; a second process holds it for good."""


class JournalInUse(Exception):
    """Another process writes this data folder. ``str`` is one line ``what; what to do``."""


def name_of(number: int) -> str:
    return f"{number:08d}.jsonl"


def segments_of(folder: Path) -> list[tuple[int, Path]]:
    """The segments in ``folder/journal`` by number."""
    found = (folder / "journal").glob("[0-9]" * 8 + ".jsonl")
    return sorted((int(path.stem), path) for path in found)


def lock(folder: Path) -> BinaryIO:
    """The folder's lock, held until the file is closed or its process dies. Raises ``JournalInUse``."""
    file = (folder / LOCK).open("a+b")
    until = time.monotonic() + LOCK_WAIT
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < until:
                time.sleep(0.02)
                continue
            file.seek(0)
            who = file.read(20).decode("ascii", "replace").strip() or "another"
            file.close()
            raise JournalInUse(
                f"{folder.parent}: is in use by process {who}; stop that one, or give this one a data folder of its own"
            ) from None
        file.truncate(0)
        file.write(b"%d\n" % os.getpid())
        file.flush()
        return file


class Segments:
    """The open journal of one data folder. ``head`` is the last durable record."""

    def __init__(self, folder: Path, key: Key, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder / "journal"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._key, self._limit = key, segment_bytes
        self._lock = lock(self._folder)
        self._file: int | None = None
        try:
            found = self._recover()
        except BaseException:
            self._lock.close()
            raise
        self.head: Head = found.head
        self.recovered: tuple[Fields, ...] = found.records
        self._number, self._end = found.segment, found.end

    def _recover(self) -> Recovered:
        found = segments_of(self._folder.parent)
        try:
            heads = read_heads(self._key, (self._folder / HEADS).read_bytes())
            reason = "heads_forged"
        except FileNotFoundError:
            heads, reason = None, "heads_missing"
        recovered = recover(found, heads, reason, lambda line: read(self._key, line))
        if not found and heads is None:
            self._write_heads(recovered.head, recovered.segment)
        return recovered

    def write(self, lines: Sequence[bytes], head: Head) -> None:
        """Append the lines and make them durable. Raises ``OSError``, and then nothing counts as written."""
        data = b"".join(lines)
        try:
            self._append(data)
            self._write_heads(head, self._number)
        except OSError:
            self._drop_file()
            raise
        self._end += len(data)
        self.head = head

    def _append(self, data: bytes) -> None:
        if self._end and self._end + len(data) > self._limit:
            self._drop_file()
            self._number, self._end = self._number + 1, 0
        if self._file is None:
            self._file = self._open()
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        os.fsync(self._file)

    def _open(self) -> int:
        path = self._folder / name_of(self._number)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(file, self._end)
            _sync_folder(self._folder)
        except OSError:
            os.close(file)
            raise
        return file

    def _write_heads(self, head: Head, segment: int) -> None:
        draft = self._folder / (HEADS + ".new")
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, write_heads(self._key, head, segment))
            os.fsync(file)
        finally:
            os.close(file)
        draft.replace(self._folder / HEADS)

    def _drop_file(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)

    def close(self) -> None:
        try:
            self._drop_file()
        finally:
            self._lock.close()


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
