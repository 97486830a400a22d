"""Every input that once failed, and every one that the fuzzer begins with, keeps the laws of its reader."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.fuzz import files
from tests.fuzz.readers import READERS
from tests.fuzz.report import signature
from tests.fuzz.seeds import seeds

FINDS = Path(__file__).resolve().parents[1] / "fuzz" / "finds"
SLOW = {"file.policy": 12, "text.redacted": 12}
"""Of these only so many seeds are tried here, at even distances; the fuzzer tries them all."""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "folder", lambda: tmp_path)


@pytest.mark.parametrize("name", READERS)
def test_what_the_fuzzer_begins_with_keeps_the_laws(name: str) -> None:
    first = seeds(name)
    failed = {}
    for data in first[:: max(1, len(first) // SLOW.get(name, len(first)))]:
        try:
            READERS[name].check(data)
        except Exception as error:
            failed[signature(error)] = data
    assert not failed


@pytest.mark.parametrize("path", sorted(FINDS.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_once_failed_keeps_the_laws(path: Path) -> None:
    READERS[path.parent.name].check(path.read_bytes())


def test_every_find_belongs_to_a_reader_and_is_named_by_its_bytes() -> None:
    for path in FINDS.glob("*/*"):
        assert path.parent.name in READERS and path.stat().st_size <= 2048
        assert path.name.rpartition("-")[2] == hashlib.sha256(path.read_bytes()).hexdigest()[:8], path.name
