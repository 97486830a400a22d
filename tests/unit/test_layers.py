"""The layers of docs/architecture.md, read from the source: who may import whom, and what nobody may do."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE_ORDER = (
    "model", "tags", "text", "segments", "conversation", "rules", "conditions", "ports", "gate", "decide", "weigh", "fuse", "unsure",
    "compose", "turn", "events", "reply", "exchange",
)  # fmt: skip
"""A module of the core imports only modules before it."""

CORE_MAY_IMPORT = frozenset(
    (
        "__future__",
        "bisect",
        "collections",
        "dataclasses",
        "enum",
        "functools",
        "itertools",
        "math",
        "msgspec",
        "operator",
    )
    + ("re", "types", "typing", "unicodedata")
)
"""Nothing here can tell the time, make an id, or reach a disk, a socket or another thread."""

PURE = ("dialects", "detectors", "resources", "policy", "evaluation")
EDGE = ("server", "judges", "store", "journal", "metrics", "cli", "logs", "redact", "guard")
HEAVY = frozenset(("torch", "transformers"))
MAY_BE_HEAVY = frozenset(("guardrail/judges/classifier.py",))
"""Loads one when its operator has set up such a judge, and at no other time."""
RAW_TASKS = {"guardrail/server/tasks.py": {"create_task"}, "escalation/desk.py": {"ensure_future"}}
"""Tasks made here are awaited by their maker. ``desk`` shields a commit from whoever stops waiting for it."""

PACKAGES = ("guardrail", "escalation")
SPEAKING = ("guardrail/cli/",)
UNFINISHED = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b")
ONE_MACHINE = re.compile(r"(?<![\w.])/(?:home|root|Users)/[\w.]+")
TRACKER = re.compile(r"\b(?:issue|ticket|fixes|closes|see) #\d+", re.IGNORECASE)
WRITTEN = (*PACKAGES, "policies", "demo", "bench", "corpus", "tools", "docs", "tests")


def sources(*folders: str) -> list[str]:
    return sorted(str(p.relative_to(ROOT)) for folder in folders for p in (ROOT / folder).rglob("*.py"))


@functools.cache
def tree(source: str) -> ast.Module:
    return ast.parse((ROOT / source).read_text(encoding="utf-8"), source)


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Every import wherever it stands, as (line, dotted name); ``from a import b`` gives ``a.b``."""
    here = (source.removesuffix(".py").removesuffix("/__init__") + "/x" * source.endswith("__init__.py")).split("/")
    for node in ast.walk(tree(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(here[: -node.level]) if node.level else ""
            base = ".".join(part for part in (above, node.module or "") if part)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def is_under(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")


def assert_none(found: list[str]) -> None:
    assert not found, "\n" + "\n".join(found)


def test_there_is_something_to_check() -> None:
    assert len(sources("guardrail/core")) > len(CORE_ORDER)
    assert any(name.startswith("guardrail.core.model") for _, name in imports("guardrail/core/decide.py"))


def test_every_module_of_the_core_has_its_place_in_the_order() -> None:
    there = {Path(source).stem for source in sources("guardrail/core")} - {"__init__"}
    assert there == set(CORE_ORDER), "say in CORE_ORDER, and in docs/architecture.md, which modules it may build on"


@pytest.mark.parametrize("module", CORE_ORDER)
def test_the_core_builds_only_on_what_lies_below(module: str) -> None:
    allowed = [f"guardrail.core.{lower}" for lower in CORE_ORDER[: CORE_ORDER.index(module)]]
    source = f"guardrail/core/{module}.py"
    assert_none(
        [
            f"{source}:{line}: imports {name}"
            for line, name in imports(source)
            if name.split(".")[0] not in CORE_MAY_IMPORT and not any(is_under(name, lower) for lower in allowed)
        ]
    )


@pytest.mark.parametrize("package", PURE)
def test_pure_parts_know_nothing_of_the_edge(package: str) -> None:
    found = sources(f"guardrail/{package}")
    assert found
    assert_none(
        [
            f"{source}:{line}: imports {name}"
            for source in found
            for line, name in imports(source)
            if any(is_under(name, f"guardrail.{edge}") for edge in EDGE)
        ]
    )


def test_escalation_is_a_leaf() -> None:
    assert_none(
        [
            f"{s}:{line}: imports {name}"
            for s in sources("escalation")
            for line, name in imports(s)
            if is_under(name, "guardrail")
        ]
    )


def test_nothing_loads_a_training_library() -> None:
    assert_none(
        [
            f"{source}:{line}: imports {name}"
            for source in sources(*WRITTEN)
            for line, name in imports(source)
            if name.split(".")[0] in HEAVY and source not in MAY_BE_HEAVY
        ]
    )


def groups(source: str) -> set[str]:
    """Names bound by ``async with asyncio.TaskGroup() as NAME``: what is begun there is awaited there."""
    return {
        item.optional_vars.id
        for node in ast.walk(tree(source))
        if isinstance(node, ast.AsyncWith)
        for item in node.items
        if isinstance(item.optional_vars, ast.Name) and ast.unparse(item.context_expr) == "asyncio.TaskGroup()"
    }


def test_no_task_is_begun_that_nobody_awaits() -> None:
    found = []
    for source in sources(*PACKAGES):
        for node in ast.walk(tree(source)):
            name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            if name not in ("create_task", "ensure_future") or name in RAW_TASKS.get(source, ()):
                continue
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in groups(source):
                continue
            found.append(f"{source}:{getattr(node, 'lineno', 0)}: {name}; use guardrail.server.tasks")
    assert_none(found)


def test_nobody_waits_in_a_way_that_can_swallow_a_cancellation() -> None:
    """``asyncio.wait_for`` of Python 3.11 loses a cancellation that comes with the result: a stop then never ends."""
    assert_none(
        [
            f"{source}:{node.lineno}: wait_for"
            for source in sources(*PACKAGES)
            for node in ast.walk(tree(source))
            if isinstance(node, ast.Attribute) and node.attr == "wait_for"
        ]
    )


def test_only_commands_print() -> None:
    assert_none(
        [
            f"{source}:{node.lineno}: print"
            for source in sources(*PACKAGES)
            if not source.startswith(SPEAKING)
            for node in ast.walk(tree(source))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        ]
    )


def test_annotations_are_never_evaluated() -> None:
    def is_only_words(module: ast.Module) -> bool:
        return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in module.body)

    assert_none(
        [
            f"{source}: has no from __future__ import annotations"
            for source in sources(*PACKAGES, "demo", "tools")
            if not is_only_words(tree(source)) and all(name != "__future__.annotations" for _, name in imports(source))
        ]
    )


def texts() -> Iterator[Path]:
    for folder in WRITTEN:
        yield from (p for p in (ROOT / folder).rglob("*") if p.suffix in (".py", ".md", ".yaml", ".toml", ".lock"))
    yield from (p for p in ROOT.iterdir() if p.suffix in (".md", ".toml", ".lock") or p.name == "Makefile")


@pytest.mark.parametrize("pattern", [UNFINISHED, ONE_MACHINE, TRACKER], ids=["unfinished", "one machine", "tracker"])
def test_the_repository_speaks_of_the_product_alone(pattern: re.Pattern[str]) -> None:
    """Work left undone, one machine's folders and a tracker's numbers mean nothing to whoever reads this later."""
    assert_none(
        [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
            for path in texts()
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
            if pattern.search(line)
        ]
    )


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    names = {"utils", "util", "helpers", "misc"}
    assert_none([source for source in sources(*WRITTEN) if Path(source).stem in names])
