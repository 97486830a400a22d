"""Country files and an operator's verifications, read. Lazily: a proxy needs a country when it needs it."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from guardrail.resources.model import File, Resource, Retired, Verification, different
from guardrail.yamlread import Places, Unreadable, read

T = TypeVar("T")


def countries(folder: Path) -> list[str]:
    """Codes of the countries there are files for, ``INT`` left out."""
    return sorted(path.stem for path in folder.glob("??.yaml"))


def load_country(folder: Path, code: str, overlay: Path | None = None) -> tuple[Resource, ...]:
    """A country's resources, with an operator's verification applied. No file: none. Raises ``Unreadable``."""
    path = folder / f"{code}.yaml"
    if not path.is_file():
        return ()
    file = _converted(path, File)
    if file.country != code:
        raise Unreadable(f"{Places(path).of('country')}: the file is named {code}; write country: {code}")
    found = tuple(msgspec.structs.replace(r, country=code) for r in file.resources)
    word = load_verification(overlay, code) if overlay is not None else None
    if word is None:
        return found
    return tuple(_verified(r, word) if r.status == "active" and r.verified_on <= word.verified_on else r for r in found)


def _verified(resource: Resource, word: Verification) -> Resource:
    """Only for a line that has not changed since: facts gathered later are not what the two people dialled."""
    interval = resource.next_review - resource.verified_on
    return msgspec.structs.replace(
        resource, verified_on=word.verified_on, verified_by=word.verified_by, next_review=word.verified_on + interval
    )


def load_retired(folder: Path) -> tuple[Retired, ...]:
    """The retired list. Raises ``Unreadable``."""
    path = folder / "retired.yaml"
    return tuple(msgspec.convert(read(path).get("retired", []), tuple[Retired, ...]))


def load_verification(overlay: Path, code: str) -> Verification | None:
    """What an operator has verified for a country. Raises ``Unreadable``."""
    path = overlay / f"{code}.yaml"
    return _converted(path, Verification) if path.is_file() else None


def save_verification(overlay: Path, word: Verification) -> Path:
    """Write it, whole or not at all. Raises ``OSError``, and ``ValueError`` for fewer than two people."""
    if len(different(word.verified_by)) < 2:
        raise ValueError("two different people must have checked")
    overlay.mkdir(parents=True, exist_ok=True)
    path = overlay / f"{word.country}.yaml"
    draft = path.with_suffix(".tmp")
    names = ", ".join(msgspec.json.encode(name).decode() for name in word.verified_by)
    text = f'country: "{word.country}"\nverified_by: [{names}]\nverified_on: {word.verified_on.isoformat()}\n'
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return path


def _converted(path: Path, kind: type[T]) -> T:
    tree = read(path)
    try:
        return msgspec.convert(tree, kind, strict=True, dec_hook=_date)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        raise Unreadable(f"{Places(path).of(*_steps(where))}: {what}; correct it") from error


def _date(kind: type[Any], value: Any) -> Any:
    if kind is datetime.date and isinstance(value, str):
        return datetime.date.fromisoformat(value)
    raise NotImplementedError


def _steps(where: str) -> list[str | int]:
    """msgspec's ``.resources[3].kind`` as the steps into the file."""
    steps: list[str | int] = []
    for part in where.rstrip("`").replace("]", "").replace("[", ".").split("."):
        if part and part != "...":
            steps.append(int(part) if part.isdigit() else part)
    return steps
