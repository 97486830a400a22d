"""Plots as SVG: the ROC curve, calibration, and the table of grades."""

from __future__ import annotations

from html import escape

from guardrail.evaluation.measure import Figures

SIZE, EDGE = 300, 44
INSIDE = SIZE - EDGE - 8


def plots(figures: Figures) -> str:
    """What there is something to draw of."""
    both = figures.overall.sensitivity.of and figures.overall.specificity.of
    return (_roc(figures) + _calibration(figures) if both else "") + _grades(figures)


def _x(share: float) -> float:
    return round(EDGE + share * INSIDE, 1)


def _y(share: float) -> float:
    return round(8 + (1 - share) * INSIDE, 1)


def _plot(title: str, across: str, up: str, inside: str) -> str:
    ticks = "".join(
        f'<text x="{_x(v)}" y="{SIZE - EDGE + 16}" text-anchor="middle">{v:g}</text>'
        f'<text x="{EDGE - 6}" y="{_y(v) + 4}" text-anchor="end">{v:g}</text>'
        for v in (0, 0.5, 1)
    )
    frame = f'<rect x="{EDGE}" y="8" width="{INSIDE}" height="{INSIDE}" fill="none" stroke="var(--line)"/>'
    middle = _y(0.5)
    names = (
        f'<text x="{_x(0.5)}" y="{SIZE - 8}" text-anchor="middle">{escape(across)}</text>'
        f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">{escape(up)}</text>'
    )
    head = f'<svg width="{SIZE}" height="{SIZE}" viewBox="0 0 {SIZE} {SIZE}" role="img"'
    label = escape(title, quote=True)
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'{head} aria-label="{label}">{frame}{ticks}{names}{inside}</svg></figure>'
    )


def _line(a: tuple[float, float], b: tuple[float, float], stroke: str) -> str:
    return f'<line x1="{_x(a[0])}" y1="{_y(a[1])}" x2="{_x(b[0])}" y2="{_y(b[1])}" stroke="{stroke}"/>'


def _dot(x: float, y: float, fill: str) -> str:
    return f'<circle cx="{_x(x)}" cy="{_y(y)}" r="4.5" fill="{fill}"/>'


def _roc(figures: Figures) -> str:
    points = " ".join(f"{_x(a)},{_y(b)}" for a, b in figures.curve)
    curve = f'<polyline points="{points}" fill="none" stroke="var(--bar)" stroke-width="2"/>'
    here = _dot(1 - figures.overall.specificity.share, figures.overall.sensitivity.share, "var(--bad)")
    title = f"ROC, area {figures.area:.3f}; the dot is where it works"
    return _plot(title, "false alarms", "found", _line((0, 0), (1, 1), "var(--line)") + curve + here)


def _calibration(figures: Figures) -> str:
    dots = "".join(
        _line((b.mean, b.danger.low), (b.mean, b.danger.high), "var(--bar)")
        + _dot(b.mean, b.danger.share, "var(--bar)")
        for b in figures.bins
    )
    inside = _line((0, 0), (1, 1), "var(--line)") + dots
    return _plot("Calibration, with 95 % intervals", "score", "share that is so", inside)


def _grades(figures: Figures) -> str:
    if not any(map(any, figures.confusion)):
        return ""
    rows = []
    for grade, row in enumerate(figures.confusion):
        of = sum(row) or 1
        cells = "".join(f'<td class="n hot" style="--w:{100 * count / of:.0f}%">{count}</td>' for count in row)
        rows.append(f"<tr><th>{grade}</th>{cells}</tr>")
    head = "".join(f'<th class="n">{grade}</th>' for grade in range(5))
    caption = "<figcaption>Grade that is so (down) and judged (across)</figcaption>"
    return f"<figure>{caption}<table><tr><th></th>{head}</tr>{''.join(rows)}</table></figure>"
