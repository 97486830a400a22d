"""A model's folder: ``model.onnx``, ``tokenizer.json``, ``labels.json``, ``MODEL_CARD.md``, and the digests of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from guardrail.detectors.model_output import Labels

SHIPPED = Path(__file__).resolve().parent.parent / "detectors" / "model"
LABELS = "labels.json"
TOKENIZER = "tokenizer.json"
DIGESTS = "SHA256SUMS"
LARGEST = 512 * 1024 * 1024


class ModelError(ValueError):
    """A model cannot be used. ``str(error)`` is one line: which file, what is wrong, what to do."""


class Folder(msgspec.Struct, frozen=True):
    """A folder whose files are there and are what its digests say."""

    path: Path
    labels: Labels
    digest: str


def read(path: Path) -> Folder:
    """The folder at ``path``. Raises ``ModelError``."""
    labels = _labels(path / LABELS)
    known = _digests(path / DIGESTS)
    names = (LABELS, TOKENIZER, *labels.stages)
    for name in labels.stages:
        if "/" in name or name.startswith("."):
            raise ModelError(f"{path / LABELS}: stage {name!r} is no file of this folder; name one")
    for name in names:
        if name not in known:
            raise ModelError(f"{path / DIGESTS}: says nothing of {name}; write it anew with sha256sum")
        if _digest(path / name) != known[name]:
            raise ModelError(f"{path / name}: is not the file that {DIGESTS} names; install the model again")
    whole = hashlib.sha256("".join(known[name] for name in names).encode()).hexdigest()
    return Folder(path, labels, whole)


def _labels(path: Path) -> Labels:
    try:
        labels = msgspec.json.decode(path.read_bytes(), type=Labels)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}; name a model's folder, or install the model again") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read as labels: {error}; install the model again") from None
    if problems := labels.problems():
        raise ModelError(f"{path}: {problems[0]}; install a model of this version")
    return labels


def _digests(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ModelError(f"{path}: cannot be read; write it with sha256sum, or install the model again") from None
    return {parts[1].lstrip("*"): parts[0] for line in lines if len(parts := line.split()) == 2}


def _digest(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise ModelError(f"{path}: is larger than {LARGEST} bytes; install the model again")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}; install the model again") from None
