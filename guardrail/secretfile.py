"""Secrets this installation makes for itself: one file each, readable by its owner alone, made exactly once."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

MIN_BYTES = 16
MAX_BYTES = 4096


class SecretFileError(Exception):
    """A secret file is there and cannot be used. ``str`` is one line ``what; what to do`` without the secret."""


def load_or_make_secret(folder: Path, name: str) -> bytes:
    """The secret in ``folder/name``, made (43 ASCII characters, 256 bits) when there is none.

    Whoever starts at the same moment gets the same secret: it is written whole and durable under a name of
    its own, and then linked to its place, which succeeds once. A file that is damaged or that everybody may
    read is an error and never replaced: a new key would forget every conversation. Raises ``SecretFileError``.
    """
    path = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = _read(path)
        if found is None:
            _make(path)
            found = _read(path)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise SecretFileError(f"{path}: cannot be used ({reason}); check the folder's permissions") from error
    if found is None:
        raise SecretFileError(f"{path}: was removed as it was made; start again")
    return found


def _read(path: Path) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        # The group may read: volumes mounted for a pod's group are changed so by the cluster.
        if os.fstat(descriptor).st_mode & stat.S_IRWXO:
            raise SecretFileError(f"{path}: everybody on this machine can read it; chmod 600, or delete it and start")
        value = file.read(MAX_BYTES).strip()
    if len(value) < MIN_BYTES:
        raise SecretFileError(f"{path}: holds fewer than {MIN_BYTES} characters; restore it, or delete it and start")
    return value


def _make(path: Path) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(secrets.token_urlsafe(32).encode() + b"\n")
            file.flush()
            os.fsync(descriptor)
        try:
            os.link(draft, path)
        except FileExistsError:
            return  # another process made it first: that one counts
    finally:
        draft.unlink()
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
