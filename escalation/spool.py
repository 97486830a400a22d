"""Where cases wait when the store does not answer: one fsynced file each, drained later under the same id."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from escalation.case import NewCase
from escalation.store import CaseStore

_decode = msgspec.json.Decoder(NewCase).decode


class Spool:
    """A folder of waiting cases. ``put`` returns only when the case is on disk; raises ``OSError``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, new: NewCase) -> None:
        path = self._folder / f"{new.id}.json"
        draft = path.with_suffix(".tmp")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(msgspec.json.encode(new))
            file.flush()
            os.fsync(descriptor)
        draft.rename(path)
        self._sync()

    def _sync(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def waiting(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"))

    def unreadable(self) -> int:
        """Files that could not be read and were set aside for a human."""
        return len(list(self._folder.glob("*.bad")))

    def drain(self, store: CaseStore) -> int:
        """Put what waits into the store; gives how many. Raises ``StoreError`` at the first that will not go:
        what is left stays."""
        done = 0
        for path in self.waiting():
            try:
                new = _decode(path.read_bytes())
            except (msgspec.ValidationError, msgspec.DecodeError):
                path.rename(path.with_suffix(".bad"))
                continue
            store.put(new)
            path.unlink()
            done += 1
        return done
