"""What the documents say is so."""

from __future__ import annotations

import os
import re
from pathlib import Path

from guardrail.core.exchange import TABLE

DOCS = Path(__file__).resolve().parents[2] / "docs"


def states() -> str:
    """The exchange's states as a diagram, from the table it runs by."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, event), step in TABLE.items():
        for to in step.to:
            if to != state:
                arrows.setdefault((state, to), []).append(event.__name__)
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> new"]
    lines += [f"    {a} --> {b}: {', '.join(events)}" for (a, b), events in arrows.items()]
    return "\n".join([*lines, "    done --> [*]", "```"])


def test_the_diagram_of_states_is_the_tables() -> None:
    path = DOCS / "architecture.md"
    text = path.read_text()
    begin, end = re.search(r"<!-- states[^>]*-->\n", text), text.index("<!-- /states -->")
    assert begin is not None
    expected = f"{text[: begin.end()]}{states()}\n{text[end:]}"
    if os.environ.get("REGENERATE"):
        path.write_text(expected)
    assert path.read_text() == expected, "run this test with REGENERATE=1"


def test_the_pictures_are_of_what_the_commands_say() -> None:
    from tools.pictures import PICTURES, pictures

    made = pictures()
    if os.environ.get("REGENERATE"):
        for name, text in made.items():
            (PICTURES / name).write_text(text)
    assert {path.name for path in PICTURES.glob("*.svg")} == set(made)
    wrong = [name for name, text in made.items() if (PICTURES / name).read_text() != text]
    assert not wrong, "run this test with REGENERATE=1"


def test_every_link_between_documents_leads_somewhere() -> None:
    for path in [*DOCS.glob("*.md"), *DOCS.parent.glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
