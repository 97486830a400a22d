"""Where cases wait when the store does not answer: one fsynced file each, drained later under the same id."""

from __future__ import annotations

import contextlib
import os
import urllib.parse
from pathlib import Path

import msgspec

from escalation.case import NewCase
from escalation.store import CaseStore, Refused

_decode = msgspec.json.Decoder(NewCase).decode


class Spool:
    """A folder of waiting cases. Raises ``OSError``. One process a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for draft in folder.glob("*.tmp"):
            # Its writer was killed in the middle: whole, it is a case; torn, draining sets it aside.
            draft.rename(draft.with_suffix(".json"))

    def put(self, new: NewCase) -> None:
        """Returns only when the case is on disk."""
        path = self._folder / f"{urllib.parse.quote(new.id, safe='')}.json"
        draft = path.with_suffix(".tmp")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(msgspec.json.encode(new))
                file.flush()
                os.fsync(descriptor)
        except OSError:
            # Left behind, the next start would take it for a case that was lost, and alarm a human.
            with contextlib.suppress(OSError):
                draft.unlink()
            raise
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
        """Files that no store can take, set aside for a human."""
        return len(list(self._folder.glob("*.bad")))

    def drain(self, store: CaseStore, limit: int = 10) -> int:
        """Put at most ``limit`` of what waits into the store; gives how many, so that 0 means there is no more.

        Raises ``StoreError`` at the first that will not go: what is left stays. A file is removed only when
        the store has its case. One that the disk will not give up stays, and holds up no other.
        """
        done = 0
        for path in self.waiting():
            if done == limit:
                break
            with contextlib.suppress(OSError):
                done += self._drain_one(path, store)
        return done

    @staticmethod
    def _drain_one(path: Path, store: CaseStore) -> int:
        try:
            store.put(_decode(path.read_bytes()))
        except (msgspec.MsgspecError, UnicodeError, Refused):
            path.rename(path.with_suffix(".bad"))
            return 0
        path.unlink()
        return 1
