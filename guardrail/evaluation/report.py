"""Figures as lines for a terminal and as Markdown for the docs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from guardrail.core.model import Severity
from guardrail.evaluation.measure import LEAST, Compared, Figures, Tally
from guardrail.evaluation.statistics import Rate

WORDS = {"inbound": ("danger found", "calm left alone"), "outbound": ("harm found", "good left alone")}
MOST_GROUPS = 30


def share(r: Rate) -> str:
    """``0.912 (0.88-0.93)``, or a dash where there was nothing."""
    return f"{r.share:.3f} ({r.low:.2f}-{r.high:.2f})" if r.of else "-"


def lines(figures: Figures) -> Iterator[str]:
    """A report to read in a terminal: the whole, then groups, the worst first."""
    found, alone = WORDS[figures.direction]
    overall = figures.overall
    yield f"{figures.direction}: {figures.items} items, {overall.sensitivity.of} of them {found.split()[0]}"
    yield f"  {found:<17} {share(overall.sensitivity)}   (sensitivity, from {Severity.ELEVATED.name.lower()} up)"
    yield f"  {alone:<17} {share(overall.specificity)}   (specificity)"
    if overall.sensitivity.of and overall.specificity.of:
        yield f"  at {figures.prevalence:.1%} prevalence {figures.predictive:.1%} of alarms are right; {_more(figures)}"
    if figures.failed:
        yield f"  a detector failed on {figures.failed} items"
    for kind, tallies in figures.groups.items():
        yield ""
        yield f"  {kind:<28} {found:<28} {alone}"
        for one in tallies[:MOST_GROUPS]:
            yield f"    {one.name[:26]:<26} {_cell(one.sensitivity):<28} {_cell(one.specificity)}"
    if any(map(any, figures.confusion)):
        yield ""
        yield "  grade so \\ judged   " + "".join(f"{grade:>7}" for grade in range(5))
        for grade, row in enumerate(figures.confusion):
            yield f"  {grade:>17}   " + "".join(f"{count:>7}" for count in row)


def _more(figures: Figures) -> str:
    graded = f"graded within one level {share(figures.within_one)}; " if figures.within_one.of else ""
    return (
        f"{graded}area under ROC {figures.area:.3f}; {figures.p50 / 1000:.2f} ms p50, {figures.p99 / 1000:.2f} ms p99"
    )


def _cell(r: Rate) -> str:
    return f"{share(r)} of {r.of}" if r.of else "-"


def compared(found: Compared) -> str:
    """What another run had, in one line."""
    danger, calm = (words.split()[0] for words in WORDS[found.direction])
    return (
        f"{found.direction}, {found.items} items in both: {danger} found {found.found} more and {found.lost} less "
        f"(p = {found.p_danger:.3f}); {calm} newly alarmed at {found.alarmed}, no longer {found.calmed} "
        f"(p = {found.p_calm:.3f})"
    )


def table(tallies: Sequence[Tally], direction: str, title: str) -> Iterator[str]:
    """A Markdown table, the worst first."""
    found, alone = WORDS[direction]
    yield f"| {title} | {found} | of | {alone} | of |"
    yield "|---|---|---|---|---|"
    for one in tallies:
        few = " (few)" if one.sensitivity.of < LEAST and one.specificity.of < LEAST else ""
        yield (
            f"| {one.name}{few} | {share(one.sensitivity)} | {one.sensitivity.of} "
            f"| {share(one.specificity)} | {one.specificity.of} |"
        )
