"""``guardrail inspect``: one JSON object a line in, one verdict a line out, in the same order."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter_ns
from typing import Any, BinaryIO, cast

import msgspec

from guardrail.cli.common import add_model, model_of
from guardrail.cli.output import fail
from guardrail.core.decide import Verdict
from guardrail.core.model import Audience, Direction, Refusal
from guardrail.guard import Guard

LONGEST_LINE = 4 * 1024 * 1024
AUDIENCES = ("adult", "minor", "unknown")


def add_to(commands: Any) -> None:
    command: argparse.ArgumentParser = commands.add_parser(
        "inspect", help="judge conversations, one JSON object a line", description=__doc__
    )
    command.add_argument("file", nargs="?", default="-", metavar="FILE.jsonl", help="a file, or - for standard input")
    command.add_argument("--policies", action="append", metavar="PACK", help="pack name or folder; may be repeated")
    add_model(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    try:
        guard = Guard.load(arguments.policies or "base", model=model_of(arguments))
    except ValueError as error:
        return fail(str(error).splitlines())
    if arguments.file == "-":
        return _inspect_all(guard, sys.stdin.buffer)
    try:
        with Path(arguments.file).open("rb") as lines:
            return _inspect_all(guard, lines)
    except OSError as error:
        return fail(f"{arguments.file}: {error.strerror}")


def _inspect_all(guard: Guard, lines: BinaryIO) -> int:
    failed = False
    for line in _lines(lines):
        answer = inspect_line(guard, line)
        failed = failed or "error" in answer
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    sys.stdout.flush()
    return 1 if failed else 0


def _lines(source: BinaryIO) -> Iterator[bytes]:
    while line := source.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            while rest := source.readline(LONGEST_LINE):
                if rest.endswith(b"\n"):
                    break
            yield b""  # an item too long to be read is answered as one that cannot be judged
        elif line.strip():
            yield line


def inspect_line(guard: Guard, line: bytes) -> dict[str, object]:
    """The verdict on one line's last turn as plain data, or ``{"id", "error"}`` when it cannot be judged."""
    item: Any = None
    try:
        item = msgspec.json.decode(line)
        if not isinstance(item, dict):
            raise Refusal("a line must hold a JSON object")
        return _judged(guard, item)
    except msgspec.DecodeError:
        error = "not valid JSON" if line else f"longer than {LONGEST_LINE} bytes"
    except Refusal as refused:
        error = str(refused)
    return {"id": item.get("id") if isinstance(item, dict) else None, "error": error}


def _judged(guard: Guard, item: dict[str, Any]) -> dict[str, object]:
    audience = item.get("audience") or "unknown"
    if audience not in AUDIENCES:
        raise Refusal("audience must be adult, minor or unknown")
    locale = item.get("locale")
    if locale is not None and not isinstance(locale, str):
        raise Refusal("locale must be text, e.g. de-AT")
    direction = item.get("direction")
    if direction not in (None, "inbound", "outbound"):
        raise Refusal("direction must be inbound or outbound")
    begun = perf_counter_ns()
    verdict = guard.inspect(
        _turns(item),
        direction=cast("Direction | None", direction),
        locale=locale,
        audience=cast("Audience", audience),
    )
    return {"id": item.get("id"), **plain(verdict), "latency_us": (perf_counter_ns() - begun) // 1000}


def _turns(item: dict[str, Any]) -> Any:
    if "turns" in item:
        turns = item["turns"]
        if not isinstance(turns, list) or not all(isinstance(t, dict) for t in turns):
            raise Refusal("turns must be a list of objects with role and content")
        return turns
    if isinstance(item.get("text"), str):
        return item["text"]
    raise Refusal("an item needs turns, or text and direction")


def plain(verdict: Verdict) -> dict[str, object]:
    """A verdict as the contract of ``guardrail inspect`` has it."""
    return {
        "direction": verdict.direction,
        "severity": verdict.severity,
        "action": verdict.action,
        "signals": [
            {
                "name": s.name,
                "severity": s.severity,
                "score": s.score,
                "spans": [list(span) for span in s.spans],
                "detector": s.detector,
                "subject": s.subject,
                "frame": s.frame,
                "time": s.time,
                "pattern": s.pattern,
                **({"cssrs": s.cssrs} if s.cssrs else {}),
                **({"detail": s.detail} if s.detail else {}),
            }
            for s in verdict.signals
        ],
        "rule": verdict.rule,
        "policy": verdict.policy,
        **({"failures": [f"{f.detector}: {f.reason}" for f in verdict.failures]} if verdict.failures else {}),
    }
