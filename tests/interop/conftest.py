"""Skips what is not on this machine, and prints at the end what was tried and how it went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.components import missing, version

RESULTS: dict[str, Counter[str]] = {}
REASONS: dict[str, str] = {}


@pytest.fixture(autouse=True, scope="module")
def component(request: pytest.FixtureRequest) -> None:
    """Every module names the ``COMPONENT`` it is about."""
    if why := missing(request.module.COMPONENT):
        REASONS[request.module.COMPONENT] = why
        pytest.skip(why)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("interop")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome: Any = yield
    report = outcome.get_result()
    if report.when == "call" or report.outcome != "passed":
        name = getattr(getattr(item, "module", None), "COMPONENT", "")
        RESULTS.setdefault(name, Counter())[report.outcome] += 1


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not RESULTS:
        return
    terminalreporter.section("others' software")
    terminalreporter.line("| component | version | passed | failed | skipped |")
    terminalreporter.line("| --- | --- | --- | --- | --- |")
    for name, count in sorted(RESULTS.items()):
        skipped = f"{count['skipped']}: {REASONS[name]}" if name in REASONS else count["skipped"]
        line = f"| {name} | {version(name)} | {count['passed']} | {count['failed']} | {skipped} |"
        terminalreporter.line(line)
