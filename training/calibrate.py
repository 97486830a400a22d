"""Where the numbers begin to mean something: edges, set on the calibration split and on nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from guardrail.core.model import CATEGORIES, OUTBOUND_SIGNALS, Direction
from guardrail.detectors.model_output import Reading, script_of
from training.examples import Example
from training.targets import AT

Rows = npt.NDArray[np.float32]
Sentences = list[tuple[list[Rows], Rows]]
"""Of each sentence of a reply: its rows at every stage, read by itself, and the last row in the light of the turns."""
SHRINK = 60
"""As many items' worth of the common edge are mixed into each group's own, so that a small group strays little."""
LOSS = 0.001
"""Of the danger that the last stage finds, what letting the calm go early may lose at most."""
MARGIN = 0.4
"""In so few items the lowest lies higher than the lowest of all there are: the edge is set lower by so many logits."""


def edge(danger: npt.NDArray[Any], calm: npt.NDArray[Any], weight: float = 1.0) -> float:
    """Where missed danger (``weight`` times) and false alarms are equally frequent."""
    places = np.unique(np.concatenate([danger, calm]))
    missed = np.searchsorted(np.sort(danger), places) / max(1, len(danger))
    alarms = 1 - np.searchsorted(np.sort(calm), places) / max(1, len(calm))
    return float(places[int(np.argmin(np.abs(weight * missed - alarms)))])


def scripts(examples: Sequence[Example], rows: Rows) -> dict[str, float]:
    """By script, what is added to the logits of danger so that one edge serves all."""
    column = AT["any_inbound>=2"]
    inbound = [at for at, e in enumerate(examples) if e.direction == "inbound"]
    truth = np.asarray([examples[at].target[column] for at in inbound])
    score = rows[inbound, column]
    names = np.asarray([script_of(examples[at].text) for at in inbound])
    common = edge(score[truth == 1], score[truth == 0])
    found = {}
    for name in sorted(set(names) - {""}):
        mine = names == name
        own = edge(score[mine & (truth == 1)], score[mine & (truth == 0)])
        found[str(name)] = round(float((common - own) * mine.sum() / (mine.sum() + SHRINK)), 3)
    return found


def reading(
    examples: Sequence[Example], rows: Rows, direction: Direction, moved: Mapping[str, float], weight: float
) -> Reading:
    """The edges of one direction. ``weight``: how many false alarms a missed danger is worth."""
    names = CATEGORIES if direction == "inbound" else OUTBOUND_SIGNALS
    mine = [at for at, e in enumerate(examples) if e.direction == direction]
    shift = np.asarray([moved.get(script_of(examples[at].text), 0.0) for at in mine])
    own = np.stack([rows[mine, AT[f"{name}>=2"]] + shift for name in names], axis=1)
    wanted = np.stack([[examples[at].target[AT[f"{name}>=2"]] for at in mine] for name in names], axis=1)
    besides = {}
    for column, name in enumerate(names):
        has = wanted[:, column] == 1
        besides[name] = _most_alike(own[:, column], has)
    top = np.argmax(own - np.asarray([besides[name] for name in names]), axis=1)
    score = rows[mine, AT[f"any_{direction}>=2"]] + shift
    truth = np.asarray([examples[at].target[AT[f"any_{direction}>=2"]] for at in mine])
    common = edge(score[truth == 1], score[truth == 0], weight)
    danger = {}
    for column, name in enumerate(names):
        here = top == column
        both = (here & (truth == 1)).sum() >= 5 and (here & (truth == 0)).sum() >= 5
        alone = edge(score[here & (truth == 1)], score[here & (truth == 0)], weight) if both else common
        danger[name] = round(float((alone * here.sum() + common * SHRINK) / (here.sum() + SHRINK)), 3)
    past = score - np.asarray([danger[names[at]] for at in top])
    fitted = LogisticRegression().fit(past[:, None], truth)
    graded = [np.asarray([examples[at].target[AT[f"any_{direction}>={g}"]] for at in mine]) for g in (1, 3, 4)]
    numbers = [rows[mine, AT[f"any_{direction}>={g}"]] + (shift if g == 1 else 0) for g in (1, 3, 4)]
    inside = truth == 1
    return Reading(
        danger=danger,
        besides={name: round(value, 3) for name, value in besides.items()},
        concern=round(edge(numbers[0][graded[0] == 1], numbers[0][graded[0] == 0]), 3),
        high=round(edge(numbers[1][inside & (graded[1] == 1)], numbers[1][inside & (graded[1] == 0)]), 3),
        # Somebody is woken for imminent: said of what is only grave, it makes people stop looking.
        imminent=round(edge(numbers[2][inside & (graded[2] == 1)], numbers[2][inside & (graded[2] == 0)], 0.4), 3),
        slope=round(float(fitted.coef_[0, 0]), 4),
        offset=round(float(fitted.intercept_[0]), 4),
    )


def gated(
    examples: Sequence[Example], sentences: Sequence[Sentences], moved: Mapping[str, float], edge_: float
) -> list[Rows]:
    """For each stage the row of every reply: of the sentences that are not harmless by themselves the strongest, in the
    last stage as read in the light of the turns, before it as read by themselves, which is when they may be let go."""
    column = AT["any_outbound>=2"]
    width, stages = len(AT), max((len(exits) for of in sentences for exits, _ in of), default=1)
    found = [np.full((len(examples), width), -20.0, np.float32) for _ in range(stages)]
    for at, (example, of) in enumerate(zip(examples, sentences, strict=True)):
        shift = moved.get(script_of(example.text), 0.0)
        for exits, told in of:
            if exits[-1][column] + shift >= edge_:
                for stage, row in enumerate([*exits[:-1], told]):
                    found[stage][at] = np.maximum(found[stage][at], row)
    return found


def _most_alike(score: npt.NDArray[Any], has: npt.NDArray[Any]) -> float:
    """The edge with the best F1: what is named besides the foremost should be there."""
    places = np.unique(score)
    found, named = [((score >= p) & has).sum() for p in places], [(score >= p).sum() for p in places]
    return float(places[int(np.argmax([2 * f / max(1, n + has.sum()) for f, n in zip(found, named, strict=True)]))])


def calm(
    examples: Sequence[Example],
    exits: Sequence[Rows],
    direction: Direction,
    moved: Mapping[str, float],
    found: npt.NDArray[Any],
) -> tuple[float, ...]:
    """After each stage but the last, the logit below which a turn is let go. ``found``: what the last calls danger."""
    mine = np.asarray([e.direction == direction for e in examples]) & found
    shift = np.asarray([moved.get(script_of(e.text), 0.0) for e in examples])
    column = AT[f"any_{direction}>=1"]
    return tuple(round(float(np.quantile((rows[:, column] + shift)[mine], LOSS)) - MARGIN, 3) for rows in exits[:-1])


def minor(examples: Sequence[Example], rows: Rows) -> float:
    """The logit from which "this is a child" is right nineteen times in twenty."""
    known = [at for at, e in enumerate(examples) if not np.isnan(e.target[AT["minor"]])]
    score = rows[known, AT["minor"]]
    truth = np.asarray([examples[at].target[AT["minor"]] for at in known])
    order = np.argsort(-score)
    right = np.cumsum(truth[order]) / np.arange(1, len(order) + 1)
    good = np.nonzero((right >= 0.95) & (np.arange(1, len(order) + 1) >= 20))[0]
    return round(float(score[order][good[-1]]) if len(good) else float(score.max()) + 1, 3)
