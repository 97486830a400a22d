"""A policy tried on a journal: what the journal keeps is replayed, and what it does not keep is said."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from guardrail.cli import main
from guardrail.core.conditions import Around
from guardrail.core.conversation import State
from guardrail.core.model import Direction, Failed, Finding, Found, Signal
from guardrail.core.rules import Policy
from guardrail.core.turn import judge
from guardrail.journal import Journal, verdict_fields
from guardrail.policy import load
from tests.packs import pack, rule

EIGHT = 1_800_000_000.0
"""08:00 in UTC, 17:00 in Tokyo."""
CASE = "action: replace, response: card, help: [suicide_crisis], case: {deadline: 1h}"
SAD = "direction: inbound, signal: acute_distress, severity: 2"
DISTRESS = Signal("acute_distress", 2)
WATCH = rule("direction: inbound, signal: acute_distress")


def weigh(weight: int, severity: int) -> str:
    condition = f"{{direction: inbound, signal: acute_distress, severity: {severity}}}"
    return f"composites:\n  - {{id: c, source: s, when: {condition}, weight: {weight}}}\n"


def record(data: Path, policy: Policy, turns: Sequence[tuple[Sequence[Finding], Around]], **known: Any) -> Path:
    """Turns judged by a policy and journaled, each in a conversation of its own; the segment they are in."""
    journal = Journal.open(data, b"k" * 32, lambda: EIGHT)
    direction: Direction = "inbound"
    for i, (findings, around) in enumerate(turns):
        judged = judge(policy, findings, State(f"c{i}"), direction=direction, now=EIGHT, around=around, **known)
        journal.append("verdict", verdict_fields(judged.verdict, exchange=f"e{i}", conversation=f"c{i}", enacted=True))
    journal.close()
    return data / "journal" / "00000001.jsonl"


def seen(*signals: Signal, around: Around = Around()) -> tuple[Sequence[Finding], Around]:  # noqa: B008
    return (Found("d", signals),), around


def rewritten(path: Path, without: Sequence[str]) -> None:
    """The records as they were before the journal had these fields."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({k: v for k, v in r.items() if k not in without}) + "\n" for r in rows))


def escalated(told: Any) -> list[str]:
    return [m["id"] for m in told["moved"] if m["kind"] == "newly escalated"]


@pytest.fixture
def tried(capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    def run(after: Path, before: Path, on: Path, *more: str) -> Any:
        assert main(["policy", "simulate", str(after), "--against", str(before), "--on", str(on), *more]) == 0
        told = capsys.readouterr().out
        return json.loads(told) if "--json" in more else told

    yield run


def test_what_composites_have_moved_is_weighed_once(tmp_path: Path, tried: Any) -> None:
    """A turn of grade 1 counts as 2. Replayed from 2 it would count as 3, and no rule would answer it."""
    twice = weigh(1, 1).replace("severity: 1", "severity: '<=2'")
    before = pack(tmp_path / "a", rules=rule(SAD, CASE), composites=twice)
    after = pack(tmp_path / "b", rules=rule(SAD, CASE), composites=twice)
    record(tmp_path / "data", load([before]), [seen(Signal("acute_distress", 1))])
    told = tried(after, before, tmp_path / "data", "--json")
    assert (told["turns"], told["escalated_before"]["count"], told["escalated_after"]["count"]) == (1, 1, 1)
    assert told["weighed"] == 0 and told["warnings"] == []
    without = pack(tmp_path / "c", rules=rule(SAD, CASE))
    assert tried(without, before, tmp_path / "data", "--json")["newly_missed"]["count"] == 1, "the composite is gone"


def test_records_without_the_grade_before_composites_are_counted_aloud(tmp_path: Path, tried: Any) -> None:
    before = pack(tmp_path / "a", rules=rule(SAD, CASE), composites=weigh(1, 1))
    path = record(tmp_path / "data", load([before]), [seen(DISTRESS), seen(Signal("acute_distress", 1))])
    rewritten(path, ("grades",))
    assert "WARNING: 2 of 2 turns were recorded before" in tried(before, before, tmp_path / "data")
    assert tried(before, before, tmp_path / "data", "--json")["weighed"] == 2


def test_the_time_of_day_is_the_operators(tmp_path: Path, tried: Any, capsys: pytest.CaptureFixture[str]) -> None:
    calm = pack(tmp_path / "a", rules=WATCH)
    late = pack(tmp_path / "b", rules=rule(f"{SAD}, between: '16:00..18:00'", CASE))
    path = record(tmp_path / "data", load([calm]), [seen(DISTRESS)])
    for on in (tmp_path / "data", path):  # a folder, or a piece of its journal
        told = tried(late, calm, on, "--timezone", "Asia/Tokyo", "--json")
        assert (told["newly_escalated"]["count"], told["warnings"]) == (1, [])
    assert tried(late, calm, tmp_path / "data", "--json")["newly_escalated"]["count"] == 0
    config = tmp_path / "guardrail.yaml"
    config.write_text("upstream: http://127.0.0.1:9000\ntimezone: Asia/Tokyo\n")
    told = tried(late, calm, tmp_path / "data", "--config", str(config))
    assert "times of day in Asia/Tokyo" in told and "newly escalated: e0" in told
    where = ["--on", str(tmp_path / "data"), "--against", str(calm)]
    assert main(["policy", "simulate", str(late), *where, "--timezone", "Tokio"]) == 2
    assert "--timezone Tokio: not a time zone" in capsys.readouterr().err


def test_choices_are_replayed_and_cues_by_their_absence(tmp_path: Path, tried: Any) -> None:
    calm = pack(tmp_path / "a", rules=WATCH)
    asks = pack(
        tmp_path / "b",
        rules=rule(f"{SAD}, prefers: text-only", CASE, id="chosen")
        + rule(f"{SAD}, cue: {{voice.arousal: '>=0.8'}}", CASE, id="loud").removeprefix("rules:\n"),
    )
    around = [Around(), Around(prefers=("text-only",)), Around(cues=(("voice.arousal", 0.9),))]
    path = record(tmp_path / "data", load([calm]), [seen(DISTRESS, around=one) for one in around])
    assert "0.9" not in path.read_text(), "readings of a person's voice are not kept"
    told = tried(asks, calm, tmp_path / "data", "--json")
    assert escalated(told) == ["e1 inbound"]
    assert told["unjudged"] == [{"rule": "loud", "what": "the cue voice.arousal", "exchanges": 1}]
    rewritten(path, ("cues", "prefers"))
    told = tried(asks, calm, tmp_path / "data", "--json")
    assert {(u["rule"], u["exchanges"]) for u in told["unjudged"]} == {("chosen", 3), ("loud", 3)}
    said = tried(asks, calm, tmp_path / "data")
    assert "WARNING: chosen could not be judged in 3 exchanges: what the person had chosen was not recorded" in said


def test_a_rule_that_would_not_fire_anyway_is_not_called_unjudged(tmp_path: Path, tried: Any) -> None:
    calm = pack(tmp_path / "a", rules=WATCH)
    asks = pack(
        tmp_path / "b",
        rules=rule("direction: inbound, signal: acute_distress, severity: 3, prefers: text-only", CASE, id="graver")
        + rule(SAD, CASE, id="excepted", more="    unless: [{time: now}, {prefers: x}]\n").removeprefix("rules:\n")
        + rule(SAD, CASE, id="hangs", more="    unless: {prefers: x}\n").removeprefix("rules:\n"),
        composites=weigh(1, 1).replace("severity: 1", "severity: 1, prefers: y"),
    )
    path = record(tmp_path / "data", load([calm]), [seen(DISTRESS)])
    rewritten(path, ("prefers",))
    assert [u["rule"] for u in tried(asks, calm, tmp_path / "data", "--json")["unjudged"]] == ["c", "hangs"]


def test_a_failed_detector_is_replayed_as_failed(tmp_path: Path, tried: Any) -> None:
    before = pack(tmp_path / "a")
    after = pack(tmp_path / "b")
    failures = (after / "failures.yaml").read_text()
    (after / "failures.yaml").write_text(
        failures.replace("{action: steer, steer: watch}", "{action: replace, response: unread}")
    )
    record(tmp_path / "data", load([before]), [((Failed("d", "raised"),), Around())])
    record(tmp_path / "store", load([before]), [seen(DISTRESS)], store_failed=True)
    for data in ("data", "store"):
        assert tried(after, before, tmp_path / data, "--json")["newly_escalated"]["count"] == 1, data


ODD = [
    b"\xff\xfe\n",
    b"[]\n",
    b"[" * 5000 + b"\n",
    b'{"kind":"verdict"}\n',
    b'{"kind":"verdict","exchange":"e","conversation":"c","at":"yesterday","direction":"inbound"}\n',
    b'{"kind":"verdict","exchange":"e","conversation":"c","at":"2027-01-15T08:00:00","direction":"inbound"}\n',
    b'{"kind":"verdict","exchange":"e","conversation":"c","at":"9999-12-31T23:59:00Z","direction":"inbound"}\n',
    b'{"kind":"verdict","exchange":"e","conversation":"c","at":"2027-01-15T08:00:00Z","direction":"sideways"}\n',
    b'{"kind":"verdict","exchange":"e","conversation":"c","at":"2027-01-15T08:00:00Z","direction":"inbound",'
    b'"signals":[{"name":"suicide","severity":9}]}\n',
    b'{"kind":"verdict","exchange":"e","conversation":"c","at":"2027-01-15T08:00:00Z","direction":"inbound",'
    b'"signals":[{"name":"suicide","severity":"grave"}]}\n',
]


def test_what_cannot_be_read_in_a_journal_is_counted_and_named_and_the_rest_is_read(tmp_path: Path, tried: Any) -> None:
    policy = pack(tmp_path / "p", rules=rule(SAD, CASE))
    path = record(tmp_path / "data", load([policy]), [seen(DISTRESS), seen(DISTRESS)])
    first, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"".join(ODD) + b'{"kind":"latch"}\n' + last + first[:100])
    for on in (tmp_path / "data", path):
        told = tried(policy, policy, on, "--timezone", "Asia/Tokyo", "--json")
        assert told["turns"] == 2 and told["escalated_after"]["count"] == 2
        assert told["unreadable"] == len(ODD) + 1
        assert told["unreadable_at"][0] == f"{path}:2" and len(told["unreadable_at"]) == 5
    said = tried(policy, policy, tmp_path / "data", "--timezone", "Asia/Tokyo")
    assert f"WARNING: 11 lines could not be read and are left out: {path}:2, " in said and "and 6 more" in said


def test_conversations_in_a_file_may_say_what_surrounded_them(tmp_path: Path, tried: Any) -> None:
    calm = pack(tmp_path / "a", rules=WATCH)
    late = pack(tmp_path / "b", rules=rule("direction: inbound, signal: acute_distress, between: '22:00..06:00'", CASE))
    row = {"text": "I'm having a panic attack right now."}
    rows = [row, {**row, "at": "2027-01-15T23:00:00"}, {**row, "at": "2027-01-15T23:00:00+09:00"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({**r, "id": f"r{i}"}) + "\n" for i, r in enumerate(rows)))
    told = tried(late, calm, tmp_path / "rows.jsonl", "--json")
    assert escalated(told) == ["r1 turn 1"]
    assert told["unjudged"] == [{"rule": "r", "what": "the time of day", "exchanges": 1}]


def test_what_holds_no_turns_is_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(pack(tmp_path / "p"))
    (tmp_path / "other.jsonl").write_text('{"prompt": "I want to die"}\n')
    for on in (tmp_path / "none.jsonl", tmp_path, tmp_path / "other.jsonl"):
        assert main(["policy", "simulate", folder, "--against", folder, "--on", os.fspath(on)]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
