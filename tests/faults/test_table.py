"""docs/faults.md says what the tests hold the product to."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests.faults.table import table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"


def test_the_table_of_faults_is_the_tests() -> None:
    text = PAGE.read_text()
    begin, end = re.search(r"<!-- faults[^>]*-->\n", text), text.index("<!-- /faults -->")
    assert begin is not None
    expected = f"{text[: begin.end()]}{table()}\n{text[end:]}"
    if os.environ.get("REGENERATE"):
        PAGE.write_text(expected)
    assert PAGE.read_text() == expected, "run this test with REGENERATE=1"
