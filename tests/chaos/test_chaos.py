"""A short play in bad weather. ``make chaos`` is the long one."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.driver import Play


async def test_what_was_decided_arrives_and_nothing_barred_gets_out_whatever_is_killed(tmp_path: Path) -> None:
    play = Play(seed=286, count=40, kills=2, folder=tmp_path)
    tables = await play.run(progress=False)
    assert play.ledger.broken == [], tables
    assert len(play.ledger.decided) >= sum(scene.in_crisis for scene in play.scenes), "everybody in crisis was answered"
    assert play.script.counts["lie"] and play.script.counts["harm"], "the chatbot said what is barred"
    assert play.ledger.checks > 2, "the proxy was begun again"
