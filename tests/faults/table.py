"""The fault matrix as docs/faults.md shows it, from what the tests hold the product to."""

from __future__ import annotations

from tests.faults.designed import SITUATIONS, Designed, Situation, Which, designed, meetings
from tests.faults.faults import faults

STARTS_AND_SIGNALS = (
    ("detector: absent", "the proxy does not start, and says which one in a line: its operator counts on it"),
    (
        "store: corrupt at the start",
        "set aside, never deleted; everybody is answered; health is red until a human has seen to it",
    ),
    ("SIGTERM in the middle of a reply", "the reply is finished first"),
    (
        "SIGTERM, and the reply takes longer than `limits.shutdown`",
        "calm: the API's error; latched: a reply of ours with help; whole or in the stream, with its end",
    ),
    ("SIGKILL in the middle of a reply", "the client can tell that it was cut; the restarted proxy is still in care"),
    ("SIGKILL right after a crisis was answered", "the case is kept, and a human is told after the restart"),
)


def _reply(row: Designed) -> str:
    return row.whole if row.whole == row.streamed else f"{row.whole}; streamed: {row.streamed}"


def _case(row: Designed) -> str:
    return " or ".join(sorted(row.cases, reverse=True))


def _cells(which: tuple[Which, ...]) -> str:
    cells = [_reply(designed(which, situation)) for situation in SITUATIONS]
    crisis = designed(which, "in crisis")
    return " | ".join([*cells, _case(crisis), crisis.told])


def _name(which: tuple[Which, ...]) -> str:
    return " + ".join(f"{family}: {name}" for family, name in which) or "none"


def _pairs(situation: Situation) -> list[str]:
    lines = []
    for pair in meetings(situation):
        row = designed(pair, situation)
        case = f"; case in the {_case(row)}; a human is told {row.told}" if situation == "in crisis" else ""
        lines.append(f"| {_name(pair)} | {_reply(row)}{case} |")
    return lines


def table() -> str:
    """The tables, in Markdown."""
    every: list[tuple[Which, ...]] = [(), *((which,) for which in faults())]
    lines = [
        "| fault | calm | latched | in crisis | the case is in the | a human is told |",
        "| --- | --- | --- | --- | --- | --- |",
        *(f"| {_name(which)} | {_cells(which)} |" for which in every),
        "",
        "| at the start, and by signals | what happens |",
        "| --- | --- |",
        *(f"| {name} | {what} |" for name, what in STARTS_AND_SIGNALS),
    ]
    for situation in SITUATIONS:
        rows = _pairs(situation)
        lines += ["", f"<details><summary>Two at once, {situation}: {len(rows)} pairs</summary>", ""]
        lines += ["| faults | what the person gets |", "| --- | --- |", *rows, "", "</details>"]
    return "\n".join(lines)
