"""``guardrail eval``: labelled conversations in, and how well danger is told from what only sounds like it."""

from __future__ import annotations

import argparse
import gzip
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import msgspec

from guardrail.cli.common import add_json, add_model, model_of
from guardrail.cli.output import fail, say, say_json
from guardrail.core.model import Direction
from guardrail.evaluation.items import Item, ItemError, Unlabelled, items
from guardrail.evaluation.measure import Compared, Figures, Pair, compare, figures, judge
from guardrail.evaluation.page import page
from guardrail.evaluation.report import compared, lines
from guardrail.guard import Guard

LONGEST = 256 * 1024 * 1024
SHOWN = 5
TIMED = 500
KINDS = (".jsonl", ".csv", ".jsonl.gz", ".csv.gz")


def add_to(commands: Any) -> None:
    command: argparse.ArgumentParser = commands.add_parser(
        "eval", help="measure detection on labelled conversations", description=__doc__
    )
    command.add_argument(
        "data", nargs="+", type=Path, metavar="DATA", help="JSON Lines or CSV (.gz too), or folders of them"
    )
    command.add_argument("--policies", action="append", metavar="PACK", help="pack name or folder; may be repeated")
    add_model(command)
    command.add_argument(
        "--prevalence", type=_share, default=0.01, metavar="SHARE", help="of danger among turns, for PPV (0.01)"
    )
    command.add_argument("--split", metavar="NAME", help="only items of this split (train, calibrate, test)")
    command.add_argument(
        "--html", type=Path, metavar="report.html", help="write a report with plots; it holds the texts"
    )
    command.add_argument("--save", type=Path, metavar="run.json", help="keep what was judged, for --compare; no texts")
    command.add_argument("--compare", type=Path, metavar="OTHER", help="a run that was saved")
    add_json(command)
    command.set_defaults(run=run)


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise ValueError
    return value


class Run(msgspec.Struct):
    """A run as ``--save`` keeps it: severity by item id."""

    policy: str
    severities: dict[str, int]


def run(arguments: argparse.Namespace) -> int:
    try:
        guard = Guard.load(arguments.policies or "base", model=model_of(arguments))
        before = msgspec.json.decode(arguments.compare.read_bytes(), type=Run) if arguments.compare else None
        found, wrong = _read(arguments.data)
    except msgspec.DecodeError:
        return fail(f"{arguments.compare}: is no run that --save has written; write one with guardrail eval --save")
    except OSError as error:
        return fail(f"{error.filename}: {error.strerror}")
    except ValueError as error:
        return fail(str(error).splitlines())
    faults = [str(e) for e in wrong if not isinstance(e, Unlabelled)]
    unlabelled = len(wrong) - len(faults)
    if arguments.split:
        found = [item for item in found if item.split == arguments.split]
    if not found:
        return fail(
            [*faults[:SHOWN], "there is no labelled item to measure on; docs/evidence.md says how lines are labelled"]
        )
    pairs = list(_judge(guard, found, _progress(len(found))))
    reports = list(figures(pairs, arguments.prevalence, _times(guard, found)))
    others = list(compare(pairs, before.severities)) if before else []
    unwritten = []
    if arguments.save:
        kept = Run(guard.policy.name, {item.id: j.severity for item, j in pairs})
        unwritten += _write(arguments.save, msgspec.json.format(msgspec.json.encode(kept)))
    if arguments.html:
        unwritten += _write(arguments.html, _page(arguments.data, guard, reports, pairs, others).encode())
    if arguments.json:
        say_json(
            {
                "policy": guard.policy.name,
                "reports": reports,
                "compared": others,
                "unlabelled": unlabelled,
                "faults": faults,
            }
        )
    else:
        _say(reports, others, unlabelled, arguments.html)
    if unwritten:
        return fail(unwritten)
    if faults:
        fail([*faults[:SHOWN], *([f"and {len(faults) - SHOWN} lines more"] if len(faults) > SHOWN else [])])
    return 1 if faults else 0


def _write(path: Path, data: bytes) -> list[str]:
    """Write a file; gives what kept it from being written. The figures are said all the same."""
    try:
        path.write_bytes(data)
    except OSError as error:
        return [f"{path}: cannot be written ({(error.strerror or 'error').lower()})"]
    return []


def _read(paths: Sequence[Path]) -> tuple[list[Item], list[ItemError]]:
    """Every item of files, and of the files in folders; and what was none. Raises ``OSError``, ``ItemError``."""
    found: dict[str, Item] = {}
    wrong: list[ItemError] = []
    for path in paths:
        for file in _files(path):
            for item in items(str(file).removesuffix(".gz"), _text(file), *_of(file)):
                if isinstance(item, ItemError):
                    wrong.append(item)
                else:
                    found.setdefault(item.id, item)
    return list(found.values()), wrong


def _files(path: Path) -> list[Path]:
    """A file, or those of a folder; of a corpus (``inbound``, ``outbound``) its items only, and not who read them."""
    if not path.is_dir():
        return [path]
    roots = [path / name for name in ("inbound", "outbound") if (path / name).is_dir()] or [path]
    return sorted(p for root in roots for p in root.rglob("*") if p.name.endswith(KINDS))


def _text(path: Path) -> str:
    if not path.name.endswith(KINDS):
        raise ItemError(f"{path}: only {', '.join(KINDS)} are read; convert it")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(LONGEST + 1)
        if len(data) > LONGEST:
            raise ItemError(f"{path}: more than {LONGEST // 1024**2} MiB; split it")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ItemError(f"{path}: not UTF-8 at byte {error.start}; convert it") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ItemError(f"{path}: is no whole gzip file; pack it anew") from error


def _of(path: Path) -> tuple[str | None, Direction]:
    """Language and direction of a corpus file: ``inbound/de/suicide.jsonl``."""
    direction = path.parent.parent.name
    if direction == "outbound":
        return path.parent.name, "outbound"
    return (path.parent.name if direction == "inbound" else None), "inbound"


def _judge(guard: Guard, found: Sequence[Item], tick: Callable[[int], None]) -> Iterator[Pair]:
    for at, item in enumerate(found, 1):
        yield item, judge(guard, item)
        tick(at)


def _times(guard: Guard, found: Sequence[Item]) -> list[float]:
    """Microseconds to judge items once more, at most ``TIMED``: the first time everything is still being loaded."""
    times = []
    for item in found[:: max(1, len(found) // TIMED)]:
        begun = perf_counter_ns()
        judge(guard, item)
        times.append((perf_counter_ns() - begun) / 1000)
    return times


def _progress(of: int) -> Callable[[int], None]:
    """A line on standard error that counts up, where somebody is watching."""
    if not sys.stderr.isatty():
        return lambda done: None

    def tick(done: int) -> None:
        if done % 100 == 0 or done == of:
            sys.stderr.write(f"\r{done} of {of}" + ("\n" if done == of else ""))
            sys.stderr.flush()

    return tick


def _say(reports: Sequence[Figures], others: Sequence[Compared], unlabelled: int, html: Path | None) -> None:
    for report in reports:
        for line in lines(report):
            say(line)
        say("")
    for other in others:
        say(compared(other))
    if unlabelled:
        say(f"{unlabelled} lines say nothing about danger and were left out")
    if html:
        say(f"report: {html}")


def _page(
    data: Sequence[Path], guard: Guard, reports: Sequence[Figures], pairs: Sequence[Pair], others: Sequence[Compared]
) -> str:
    of: Mapping[str, list[Pair]] = {r.direction: [p for p in pairs if p[0].direction == r.direction] for r in reports}
    about = [
        f"{', '.join(p.name for p in data)}, judged by the policy {guard.policy.name} with "
        f"{', '.join(d.name for d in guard.detectors)} on {datetime.now(UTC):%Y-%m-%d}.",
        "This page holds the texts of the items: keep it where the data may be kept.",
    ]
    style = (files("guardrail.evaluation") / "page.css").read_text(encoding="utf-8")
    told = [(report, of[report.direction]) for report in reports]
    return page("How well danger is told from what only sounds like it", style, about, told, others)
