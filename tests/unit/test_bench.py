"""The measurements still measure: each runs for a moment, and says what it found. No figure is asserted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import conversations, history, proxy, streams
from bench.all import BEGIN, END, PARTS, written
from bench.dialects import OPENAI, OWN, WIRES
from bench.processes import chatbot, guardrail, pass_through
from bench.sample import REPLY, WORDS, long_history, turns
from bench.table import Row, at_least, at_most, markdown
from guardrail.dialects import claiming
from guardrail.dialects.json_api import JsonApi
from guardrail.dialects.json_layout import Layout

WORST = 0.1
"""Seconds of ``keep_alive``: the least there is."""


def test_measurements_run_to_their_end(tmp_path: Path) -> None:
    """Against one proxy and one chatbot, because the start of each is most of the time."""
    with (
        chatbot(pause=2.5 * WORST) as upstream,
        pass_through(upstream) as bare,
        guardrail(upstream, str(tmp_path), limits={"keep_alive": f"{WORST}s"}) as ours,
    ):
        servers = {"pass-through": bare, "guardrail": ours}
        told = [proxy.row(OPENAI, False, proxy.rounds(servers, OPENAI, False, 0.1, 1))]
        told += conversations.hold(ours, 20)
        told += history.compare(servers, 2, 1, (2, 4))
        told += streams.listen(ours, 10, WORST)
    assert conversations.kept(str(tmp_path)) == 30, "20 with a wish to die, and 10 in care"
    assert all(row.what and row.measured for row in told)
    assert next(row for row in told if row.what.startswith("streams whose")).good


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_measured_is_what_the_proxy_reads_under_that_name(name: str, streamed: bool) -> None:
    """A request that passed through unread would make the proxy look fast."""
    wire = WIRES[name]
    path, _, query = wire.paths[streamed].partition("?")
    dialect = claiming("POST", path, query, (JsonApi(Layout.model_validate(OWN)),))
    assert dialect is not None and dialect.name == name
    chat = dialect.read_request(wire.request(turns(1), streamed).partition(b"\r\n\r\n")[2])
    assert [(m.role, m.text) for m in chat.messages if m.role != "system"] == turns(1)
    assert chat.stream == streamed
    if streamed:
        reader = dialect.reader()
        frames = [frame for raw in wire.stream(WORDS) for frame in reader.feed(raw)] + reader.close()
        assert "".join(WORDS) in "".join(piece.text for frame in frames for piece in frame.pieces)
        assert b"".join(wire.stream(WORDS)).count(wire.mark) == len(wire.stream(WORDS))
    else:
        assert REPLY in [piece.text for piece in dialect.read_reply(json.dumps(wire.whole(REPLY)).encode()).pieces]


@pytest.mark.parametrize("length", [10, 100, 999])
def test_a_long_history_is_as_long_as_it_says_and_the_person_speaks_last(length: int) -> None:
    said = long_history(1, length)
    assert len(said) == length and said[-1][0] == "user"


def test_a_missed_target_is_told() -> None:
    assert at_least("a", 0.59, 0.6).good is False and at_most("b", 0.59, 0.6).good is True
    assert "| a | 0.59 | ≥ 0.6 | missed |" in markdown([at_least("a", 0.59, 0.6), Row("c", "1")])


def test_tables_are_written_between_the_marks_and_nowhere_else() -> None:
    text = f"before\n{BEGIN}old\n{END}\nafter\n"
    assert written(text, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(ValueError, match="substring"):
        written("no marks", "new")


def test_the_document_has_a_place_for_the_tables_and_names_each_measurement() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md").read_text()
    assert written(text, "new").count("new") >= 1
    assert all(f"bench.{part}" in text for part in PARTS)
