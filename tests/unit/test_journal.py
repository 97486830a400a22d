"""The journal is what an audit has afterwards: nothing in it may be lost, changed or cut without showing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from guardrail.core.decide import Step, Verdict
from guardrail.core.model import Message, Signal
from guardrail.journal import (
    Journal,
    JournalInUse,
    RecordRefused,
    Report,
    verdict_fields,
    verify,
)
from guardrail.journal.kinds import MAX_SPANS, MAX_TRAIL

KEY = b"k" * 32
NOON = 1_800_000_000.0


def opened(folder: Path, **options: int) -> Journal:
    return Journal.open(folder, KEY, lambda: NOON, **options)


def written(folder: Path, count: int, **options: int) -> None:
    journal = opened(folder, **options)
    for number in range(count):
        journal.append("latch", {"conversation": f"c{number}", "before": 0, "after": 3})
    journal.close()


def segment(folder: Path, number: int = 1) -> Path:
    return folder / "journal" / f"{number:08d}.jsonl"


def lines(folder: Path) -> list[bytes]:
    return segment(folder).read_bytes().splitlines(keepends=True)


def kinds(report: Report) -> list[tuple[str, int, int]]:
    return [(problem.kind, problem.n, problem.count) for problem in report.problems]


def test_records_are_lines_that_anyone_can_read(tmp_path: Path) -> None:
    written(tmp_path, 2)
    first, second = (json.loads(line) for line in lines(tmp_path))
    assert first["n"] == 1 and first["kind"] == "latch" and first["at"] == "2027-01-15T08:00:00.000Z"
    assert second["prev"] == first["mac"] and second["conversation"] == "c1"
    assert segment(tmp_path).stat().st_mode & 0o077 == 0


async def test_what_was_flushed_is_durable_while_the_journal_is_open(
    tmp_path: Path,
) -> None:
    journal = opened(tmp_path)
    journal.append("start", {"version": "1", "mode": "enforce"})
    await journal.flush()
    assert verify(tmp_path, KEY).entries == 1
    assert journal.health.ok and journal.health.waiting == 0
    journal.close()


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("verdict", {"text": "hello"}),
        ("verdict", {"message": "hello"}),
        ("verdict", {"signals": (Message("user", "hello"),)}),
        ("verdict", {"signals": ({"name": "suicide", "text": "hello"},)}),
        ("verdict", {"rule": "a" * 201}),
        ("verdict", {"rule": "two\nlines"}),
        ("verdict", {"mac": "x"}),
        ("case", {"note": "what a person wrote"}),
        ("case", {"summary": "what a person wrote"}),
        ("chat", {"exchange": "x"}),
    ],
)
def test_no_field_can_carry_what_somebody_said(tmp_path: Path, kind: str, fields: dict[str, object]) -> None:
    journal = opened(tmp_path)
    with pytest.raises(RecordRefused) as caught:
        journal.append(kind, fields)
    assert "hello" not in str(caught.value) and "wrote" not in str(caught.value)
    journal.close()
    assert verify(tmp_path, KEY).entries == 0


def verdict(matches: int, length: int = 1) -> Verdict:
    """So many matches, with so many spans and such long words in each."""
    word = "w" * length + "\n" * (length - 1)
    spans = ((0, 4),) * length
    signals = tuple(Signal("suicide", 3, spans=spans, pattern=f"{i}{word}", detail=word) for i in range(matches))
    trail = tuple(Step(word, True, "suicide", 3, s.pattern, s.spans, word) for s in signals)
    return Verdict("inbound", 3, "replace", ("replace",), signals, word, f"base@{word}", word, trail=trail)


def test_a_flood_of_matches_does_not_lose_the_record_of_the_decision(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    for found in (verdict(1), verdict(10_000), verdict(300, 3000)):
        journal.append("verdict", verdict_fields(found, exchange="e", conversation="c", enacted=True))
    journal.close()
    one, many, huge = (json.loads(line) for line in lines(tmp_path))
    assert one["signals"][0]["pattern"] == "0w" and one["trail"][0]["spans"] == [[0, 4]]
    assert "shortened" not in one
    assert len(many["trail"]) == MAX_TRAIL and many["shortened"] is True
    assert huge["severity"] == 3 and len(huge["signals"][0]["spans"]) == MAX_SPANS


def test_one_process_writes_a_folder(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    with pytest.raises(JournalInUse, match=rf"is in use by process {os.getpid()}; stop that one"):
        opened(tmp_path)
    journal.close()
    opened(tmp_path).close()


def test_segments_rotate_and_the_chain_goes_on(tmp_path: Path) -> None:
    written(tmp_path, 2500, segment_bytes=2000)
    written(tmp_path, 5, segment_bytes=2000)
    assert segment(tmp_path, 3).exists()
    report = verify(tmp_path, KEY)
    assert report.ok and report.entries == 2505
    segment(tmp_path, 2).unlink()
    [problem] = verify(tmp_path, KEY).problems
    assert problem.kind == "dropped" and problem.segment == "00000003.jsonl"


def test_an_altered_record_is_named(tmp_path: Path) -> None:
    written(tmp_path, 5)
    segment(tmp_path).write_bytes(segment(tmp_path).read_bytes().replace(b'"c2"', b'"cX"'))
    report = verify(tmp_path, KEY)
    assert not report.ok and kinds(report) == [("altered", 3, 1)]
    assert report.text == "00000001.jsonl:3: record 3 was altered"


def test_a_stranger_s_line_that_is_nested_deeply_is_named_and_stops_no_check_and_no_start(tmp_path: Path) -> None:
    written(tmp_path, 3)
    segment(tmp_path).write_bytes(b"".join(lines(tmp_path)) + b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}\n")
    assert kinds(verify(tmp_path, KEY)) == [("altered", 4, 1)]
    (tmp_path / "journal" / "heads.json").write_bytes(b'{"x":' + b"[" * 5000)
    assert not verify(tmp_path, KEY).ok
    written(tmp_path, 1)


def test_records_taken_out_are_named(tmp_path: Path) -> None:
    written(tmp_path, 6)
    found = lines(tmp_path)
    segment(tmp_path).write_bytes(b"".join(found[:2] + found[4:]))
    report = verify(tmp_path, KEY)
    assert kinds(report) == [("dropped", 3, 2)]
    assert report.text == "00000001.jsonl:3: record 3 to 4 is missing before this line"


def test_records_that_changed_places_are_named(tmp_path: Path) -> None:
    written(tmp_path, 4)
    found = lines(tmp_path)
    segment(tmp_path).write_bytes(found[0] + found[2] + found[1] + found[3])
    assert kinds(verify(tmp_path, KEY)) == [("reordered", 2, 1)]


def test_a_cut_tail_shows_and_still_shows_after_the_next_run(tmp_path: Path) -> None:
    written(tmp_path, 5)
    segment(tmp_path).write_bytes(b"".join(lines(tmp_path)[:3]))
    assert kinds(verify(tmp_path, KEY)) == [("cut", 4, 2)]
    written(tmp_path, 1)
    report = verify(tmp_path, KEY)
    assert kinds(report) == [("dropped", 4, 2)]
    recovered = json.loads(lines(tmp_path)[3])
    assert (recovered["kind"], recovered["n"], recovered["reason"]) == (
        "journal.recovered",
        6,
        "cut",
    )


@pytest.mark.parametrize(
    "forged",
    [None, b'{"n":3,"last":"%s","segment":1,"mac":"%s"}' % (b"0" * 64, b"0" * 64)],
)
def test_a_tail_cut_together_with_the_heads_file_shows_for_good(tmp_path: Path, forged: bytes | None) -> None:
    written(tmp_path, 5)
    segment(tmp_path).write_bytes(b"".join(lines(tmp_path)[:3]))
    heads = tmp_path / "journal" / "heads.json"
    heads.unlink() if forged is None else heads.write_bytes(forged)
    assert not verify(tmp_path, KEY).ok
    written(tmp_path, 1)
    report = verify(tmp_path, KEY)
    assert [(p.kind, p.line) for p in report.problems] == [("cut", 4)]


def test_deleting_every_segment_shows(tmp_path: Path) -> None:
    written(tmp_path, 5)
    segment(tmp_path).unlink()
    assert kinds(verify(tmp_path, KEY)) == [("cut", 1, 5)]
    written(tmp_path, 1)
    assert kinds(verify(tmp_path, KEY)) == [("dropped", 1, 5)]


def test_another_key_vouches_for_nothing(tmp_path: Path) -> None:
    written(tmp_path, 2)
    report = verify(tmp_path, b"x" * 32)
    assert not report.ok and report.entries == 0


def test_an_unfinished_line_is_set_aside_and_recorded(tmp_path: Path) -> None:
    written(tmp_path, 3)
    with segment(tmp_path).open("ab") as file:
        file.write(b'{"n":4,"at":"20')
    assert kinds(verify(tmp_path, KEY)) == [("torn", 4, 1)]
    written(tmp_path, 1)
    report = verify(tmp_path, KEY)
    assert report.ok and report.entries == 5
    assert segment(tmp_path).with_suffix(".torn").read_bytes() == b'{"n":4,"at":"20\n'
    assert json.loads(lines(tmp_path)[3])["bytes"] == 15


def script(text: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


ENDLESS = """
    import asyncio, sys, time
    from pathlib import Path
    from guardrail.journal import Journal
    async def main():
        journal = Journal.open(Path(sys.argv[1]), b"k" * 32, time.time, segment_bytes=20_000)
        n = 0
        while True:
            for _ in range(20):
                n += 1
                journal.append("latch", {"conversation": str(n), "before": 0, "after": 3})
            await journal.flush()
            print(n, flush=True)
    asyncio.run(main())
"""


def test_nothing_that_was_flushed_is_lost_by_kill_9(tmp_path: Path) -> None:
    flushed = 0
    for _ in range(3):
        process = script(ENDLESS, tmp_path)
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(30)]
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout.read().splitlines() if line]
        process.wait()
        process.stdout.close()
        flushed += told[-1]
        opened(tmp_path).close()
        report = verify(tmp_path, KEY)
        assert report.ok, report.text
        assert report.entries >= flushed


FULL_DISK = """
    import asyncio, resource, sys, time
    from pathlib import Path
    from guardrail.journal import Journal, JournalError
    async def until(condition):
        while not condition():
            await asyncio.sleep(0.01)
    async def main():
        journal = Journal.open(Path(sys.argv[1]), b"k" * 32, time.time, bound=300)
        append = lambda n: journal.append("latch", {"conversation": str(n), "before": 0, "after": 3})
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        for n in range(100):
            append(n)
        try:
            await journal.flush(0.3)
        except JournalError as error:
            print("refused", error)
        assert not journal.health.ok
        print("red", journal.health.waiting)
        for n in range(100, 500):
            append(n)
        print("lost", journal.health.lost)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await journal.flush()
        await until(lambda: journal.health.ok)
        print("green", journal.health.waiting, journal.health.lost)
        journal.close()
    asyncio.run(main())
"""


def test_a_full_disk_is_told_retried_and_what_did_not_fit_in_memory_is_on_record(
    tmp_path: Path,
) -> None:
    process = script(FULL_DISK, tmp_path)
    out, _ = process.communicate(timeout=60)
    assert [line.split(":")[0] for line in out.splitlines()[-4:]] == [
        "refused the journal is not durable",
        "red 100",
        "lost 100",
        "green 0 100",
    ]
    report = verify(tmp_path, KEY)
    assert report.ok and report.entries == 401
    records = [json.loads(line) for line in lines(tmp_path)]
    assert [int(r["conversation"]) for r in records if r["kind"] == "latch"] == list(range(400))
    assert [(r["reason"], r["count"]) for r in records if r["kind"] == "failure"] == [("overflow", 100)]


def test_a_record_after_closing_is_counted_as_lost(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.close()
    journal.append("stop", {"pid": 1})
    assert journal.health.lost == 1 and not journal.health.ok


async def test_appending_never_waits_for_the_disk(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    writer = segment(tmp_path)
    os.mkfifo(writer)  # opening it for writing blocks until somebody reads: a disk that hangs
    for number in range(100):
        journal.append("latch", {"conversation": str(number), "before": 0, "after": 3})
    assert journal.health.waiting == 100
    reader = os.open(writer, os.O_RDONLY | os.O_NONBLOCK)
    deadline = time.monotonic() + 10
    while journal.health.ok and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    os.close(reader)
    writer.unlink()
    await journal.flush()
    journal.close()
    assert verify(tmp_path, KEY).entries == 100
