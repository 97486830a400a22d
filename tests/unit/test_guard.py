"""The library and ``guardrail inspect``: the same verdicts without a proxy."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

import pytest

from guardrail import Guard
from guardrail.cli.inspecting import inspect_line
from guardrail.core.model import Context, Message, Refusal, Signal


@pytest.fixture(scope="module")
def guard() -> Guard:
    return Guard.load("base")


def test_the_last_turn_is_judged_and_earlier_ones_inform() -> None:
    """By words alone: the model reads "ok" after such a turn in its light."""
    guard = Guard.load("base", model=None)
    verdict = guard.inspect(
        [
            {"role": "user", "content": "I want to kill myself"},
            {"role": "assistant", "content": "…"},
            {"role": "user", "content": "ok"},
        ]
    )
    assert verdict.severity == 0 and verdict.action == "steer"
    assert guard.inspect("What can I cook?", direction="inbound").action == "pass"
    assert guard.inspect([Message("assistant", "I am a real person.")]).action == "rewrite"


def test_parts_and_developer_turns_are_read(guard: Guard) -> None:
    turns = [
        {"role": "developer", "content": "be kind"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "I want to kill myself"}, {"type": "image_url", "image_url": {}}],
        },
    ]
    assert guard.inspect(turns).severity == 3


@pytest.mark.parametrize(
    ("messages", "options"),
    [
        ([], {}),
        ("text", {}),
        ([{"role": "user", "content": "x"}], {"direction": "outbound"}),
        ([{"content": "x"}], {}),
        ([{"role": "tool", "content": "x"}], {}),
        ([{"role": "user", "content": 3}], {}),
    ],
)
def test_what_cannot_be_judged_is_refused(guard: Guard, messages: object, options: dict[str, str]) -> None:
    with pytest.raises(Refusal):
        guard.inspect(messages, **options)  # type: ignore[arg-type]


class Hanging:
    name = "hanging"
    directions = frozenset(("inbound", "outbound"))
    deadline = 0.05
    blocking = True
    required = True

    def look(self, text: str, context: Context) -> Sequence[Signal]:
        import time

        time.sleep(1)
        return ()


class Lying(Hanging):
    name = "lying"
    blocking = False

    def look(self, text: str, context: Context) -> Sequence[Signal]:
        return [Signal("suicide", 9, 0.5, ((0, 10_000),))]


@pytest.mark.parametrize(("detector", "reason"), [(Hanging(), "deadline"), (Lying(), "invalid")])
def test_a_failing_detector_is_a_verdict_and_never_a_pass(detector: Hanging, reason: str) -> None:
    guard = Guard.load("base", detectors=[detector])
    verdict = guard.inspect("hello", direction="outbound")
    assert (verdict.action, verdict.rule) == ("replace", "on_failure.detector")
    assert [f.reason for f in verdict.failures] == [reason]
    assert guard.inspect("hello", direction="inbound").action == "steer"
    assert guard.inspect("I want to kill myself", direction="inbound").severity == 3, "what the others saw still counts"


def test_an_optional_detector_that_fails_is_on_record_and_changes_nothing() -> None:
    optional = Lying()
    optional.required = False
    verdict = Guard.load("base", detectors=[optional]).inspect("hello", direction="outbound")
    assert verdict.action == "pass" and [f.detector for f in verdict.failures] == ["lying"]


def test_inspect_gives_one_line_a_line_in_order_and_its_exit_code() -> None:
    items = [
        {"id": 1, "turns": [{"role": "user", "content": "Ich will nicht mehr leben 🙃"}], "locale": "de"},
        {"id": "b", "text": "I'm a licensed therapist.", "direction": "outbound"},
        {"id": 3, "turns": []},
        {"id": 4, "turns": [{"role": "user", "content": "soup?"}], "audience": "nobody"},
    ]
    lines = "\n".join([*(json.dumps(i, ensure_ascii=False) for i in items), "not json", "[]"]) + "\n"
    command = [sys.executable, "-m", "guardrail.cli", "inspect", "-"]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60)
    out = [json.loads(line) for line in done.stdout.splitlines()]
    assert [o["id"] for o in out] == [1, "b", 3, 4, None, None] and done.returncode == 1
    assert [("error" in o) for o in out] == [False, False, True, True, True, True]
    first = out[0]
    text = items[0]["turns"][0]["content"]  # type: ignore[index]
    assert (first["direction"], first["severity"], first["action"], first["policy"]) == (
        "inbound",
        2,
        "steer",
        "base@1",
    )
    assert [text[a:b] for s in first["signals"] for a, b in s["spans"]] == ["Ich will nicht mehr leben"]
    assert isinstance(first["latency_us"], int) and first["rule"] == "suicide.elevated"
    assert out[1]["severity"] == 2 and out[1]["direction"] == "outbound"


def test_a_line_that_is_too_long_is_one_error_and_no_more(guard: Guard) -> None:
    assert inspect_line(guard, b"")["error"]


def test_hostile_text_always_gets_a_verdict(guard: Guard) -> None:
    for text in (
        "x" * 100_000,
        "🙃",
        "\u202e" * 5000,
        "I want to die " * 5000,
        "а" * 50_000,
        "a.b." * 20_000,
        "!1!" * 30_000,
        "\ud800",
    ):
        assert guard.inspect(text, direction="inbound").failures == (), text[:20]
