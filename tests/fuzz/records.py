"""The laws of what reads our own files again, after a crash or a stranger's hand: journal, waiting cases, secrets."""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path

import msgspec

from escalation.spool import Spool
from escalation.sqlite import SqliteCaseStore
from guardrail.journal import Journal, verify
from guardrail.journal.chain import Key, read_heads
from guardrail.journal.segments import HEADS
from guardrail.secretfile import SecretFileError, load_or_make_secret
from tests.fuzz import files
from tests.fuzz.supply import Supply

KEY = b"k" * 32
COUNT = 4


@functools.cache
def _written() -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal.open(Path(folder), KEY, lambda: 1_800_000_000.0)
        for number in range(COUNT):
            journal.append("latch", {"conversation": f"c{number}", "before": 0, "after": 3})
        journal.close()
        return (Path(folder) / "journal" / "00000001.jsonl").read_bytes(), (
            Path(folder) / "journal" / HEADS
        ).read_bytes()


def _damaged(whole: bytes, supply: Supply) -> bytes:
    """Some bytes taken out, doubled or replaced."""
    for _ in range(1 + supply.byte() % 3):
        at = (supply.byte() * 256 + supply.byte()) % (len(whole) + 1)
        size = supply.byte() % 80
        scrap = supply.pick(
            (b"", whole[at : at + size] * 2, b"\n", b"\xff", b"{}\n", b'{"n":' + b"[" * 1500, b"-", b"9" * 30)
        )
        whole = whole[:at] + scrap + whole[at + size :]
    return whole


def journal(data: bytes) -> None:
    """A journal with anything in it is checked to its end, and opened again; only an untouched one is said to be so."""
    records, heads = _written()
    supply = Supply(data)
    match supply.byte() % 4:
        case 0:
            found, signed = records + supply.rest(), heads
        case 1:
            found, signed = _damaged(records, supply), heads
        case 2:
            found, signed = records, _damaged(heads, supply)
        case _:
            found, signed = supply.rest(), heads
    folder = files.folder() / "run"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "journal").mkdir(parents=True)
    (folder / "journal" / "00000001.jsonl").write_bytes(found)
    (folder / "journal" / HEADS).write_bytes(signed)
    report = verify(folder, KEY)
    same = found == records and _means_the_same(signed, heads)
    assert report.ok == same, "only an untouched journal is said to be so"
    assert report.entries >= COUNT or not found.startswith(records), "every genuine record is counted"
    Journal.open(folder, KEY, lambda: 1_800_000_001.0).close()
    again = verify(folder, KEY)
    assert again.ok or not same, "a journal that was whole is whole after a restart"


def _means_the_same(signed: bytes, heads: bytes) -> bool:
    return read_heads(Key(KEY), signed) == read_heads(Key(KEY), heads)


def spooled(data: bytes) -> None:
    """A waiting case goes to the store, or is set aside: nothing stays for ever in the way."""
    folder = files.folder() / "spool"
    shutil.rmtree(folder, ignore_errors=True)
    spool = Spool(folder)
    (folder / "a.json").write_bytes(data)
    spool.drain(_store())
    assert not spool.waiting(), "nothing stays in the way"


@functools.cache
def _store() -> SqliteCaseStore:
    return SqliteCaseStore(files.folder() / "cases.db")


def secret(data: bytes) -> None:
    """A secret file is used or refused; and its content is in no message."""
    folder = files.folder() / "secret"
    folder.mkdir(exist_ok=True)
    (folder / "key").write_bytes(data)
    (folder / "key").chmod(0o600)
    try:
        found = load_or_make_secret(folder, "key")
    except SecretFileError as error:
        assert "\n" not in str(error)
        return
    assert found in data, "a secret is what is in its file"


SPOOL_SEED = msgspec.json.encode(
    {"id": "k", "conversation": "c", "severity": 3, "category": "suicide", "opened_at": 1.0, "deadline": 2.0}
)
