"""The report as one page without anything from elsewhere: plots are SVG, and what was missed stands there to be read.

It shows the texts of the items. The page is for whoever has the data already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from guardrail.evaluation.items import Item
from guardrail.evaluation.measure import LEAST, Compared, Figures, Judged, Pair, Tally, false_alarms, misses
from guardrail.evaluation.plots import plots
from guardrail.evaluation.report import WORDS, compared, share
from guardrail.evaluation.statistics import Rate

MOST_TEXTS = 200

Report = tuple[Figures, Sequence[Pair]]
"""The figures of a direction, and the items behind them."""


def page(title: str, style: str, about: Sequence[str], reports: Sequence[Report], others: Sequence[Compared]) -> str:
    """``about``: lines on what was judged, by what, when. ``style``: CSS."""
    body = [f"<h1>{escape(title)}</h1>", *(f"<p>{escape(line)}</p>" for line in about)]
    body += [f"<p><b>Beside the other run:</b> {escape(compared(other))}</p>" for other in others]
    for figures, pairs in reports:
        body += _direction(figures, pairs)
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style>"
    )
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>\n'


def _direction(figures: Figures, pairs: Sequence[Pair]) -> Iterator[str]:
    found, alone = WORDS[figures.direction]
    yield f"<h2>{figures.direction.capitalize()}: {figures.items} items</h2>"
    yield f'<div class="big">{"".join(_headline(figures, found, alone))}</div>'
    if figures.failed:
        yield f"<p><b>A detector failed on {figures.failed} items.</b></p>"
    yield f'<div class="plots">{plots(figures)}</div>'
    for kind, tallies in figures.groups.items():
        yield from _table(kind, tallies, found, alone)
    yield f'<p class="few">Groups with fewer than {LEAST} items of either kind are grey and come last.</p>'
    what, calm = found.split()[0], alone.split()[0]
    yield from _texts(f"Missed: {what} nobody was alarmed at", misses(pairs))
    yield from _texts(f"False alarms: {calm} that was taken for {what}", false_alarms(pairs))


def _headline(figures: Figures, found: str, alone: str) -> Iterator[str]:
    overall = figures.overall
    for r, what in (
        (overall.sensitivity, f"{found} (sensitivity)"),
        (overall.specificity, f"{alone} (specificity)"),
        (figures.within_one, "graded within one level"),
    ):
        if r.of:
            yield _big(f"{r.share:.3f}", f"{what}, 95 % {r.low:.3f} to {r.high:.3f}")
    if overall.sensitivity.of and overall.specificity.of:
        yield _big(f"{figures.predictive:.1%}", f"of alarms are right where {figures.prevalence:.1%} of turns are")
    yield _big(f"{figures.p50 / 1000:.2f} ms", f"median time ({figures.p99 / 1000:.2f} ms p99)")


def _big(value: str, what: str) -> str:
    return f"<div><b>{value}</b><span>{escape(what)}</span></div>"


def _cells(r: Rate) -> str:
    return f'<td>{share(r)}</td><td class="n">{r.of}</td>'


def _table(kind: str, tallies: Sequence[Tally], found: str, alone: str) -> Iterator[str]:
    yield f"<h3>By {escape(kind)}, worst first</h3><table><tr><th>{escape(kind)}</th>"
    yield f'<th>{found}</th><th class="n">of</th><th>{alone}</th><th class="n">of</th></tr>'
    for one in tallies:
        few = ' class="few"' if one.worst > 1 else ""
        yield f"<tr{few}><td>{escape(one.name)}</td>{_cells(one.sensitivity)}{_cells(one.specificity)}</tr>"
    yield "</table>"


def _texts(title: str, pairs: Sequence[Pair]) -> Iterator[str]:
    more = f" (the first {MOST_TEXTS})" if len(pairs) > MOST_TEXTS else ""
    yield f"<details><summary>{escape(title)}: {len(pairs)}{more}</summary><table>"
    yield "<tr><th>where</th><th>what was said</th><th>is</th><th>judged</th></tr>"
    for item, judged in pairs[:MOST_TEXTS]:
        yield f"<tr><td>{escape(item.place)}</td><td>{_turns(item)}</td><td>{escape(_so(item))}</td>"
        yield f"<td>{escape(_said(judged))}</td></tr>"
    yield "</table></details>"


def _turns(item: Item) -> str:
    shown = []
    for turn in item.turns:
        text = escape(turn.text)
        for span in item.spans if turn is item.turns[-1] else ():
            text = text.replace(escape(span), f"<mark>{escape(span)}</mark>")
        shown.append(f'<p dir="auto" class="turn{" bot" if turn.role == "assistant" else ""}">{text}</p>')
    return "".join(shown)


def _so(item: Item) -> str:
    if item.grades:
        return ", ".join(f"{name} {grade}" for name, grade in item.grades.items())
    return "danger" if item.danger else f"calm, near {item.near}" if item.near else "calm"


def _said(judged: Judged) -> str:
    grades = ", ".join(f"{name} {grade}" for name, grade in judged.grades.items())
    return f"{judged.action}; {grades or 'nothing'}"
