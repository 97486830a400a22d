"""Shares with intervals, and the curves: plain arithmetic on counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from math import comb, sqrt

import msgspec

Z = 1.959964
"""Of a 95 % interval."""


class Rate(msgspec.Struct, frozen=True):
    """``count`` of ``of``, and the 95 % interval of the share (Wilson, 1927)."""

    count: int
    of: int
    share: float
    low: float
    high: float


def rate(count: int, of: int) -> Rate:
    """A share with its Wilson interval; of nothing, anything is possible."""
    if not of:
        return Rate(count, 0, 0.0, 0.0, 1.0)
    p = count / of
    middle = p + Z * Z / (2 * of)
    spread = Z * sqrt(p * (1 - p) / of + Z * Z / (4 * of * of))
    scale = 1 + Z * Z / of
    return Rate(count, of, p, max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale))


def predictive_value(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Of those alarmed at, the share in danger where ``prevalence`` of all turns are (Bayes)."""
    true, false = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    return true / (true + false) if true + false else 0.0


def roc(scored: Iterable[tuple[float, bool]]) -> tuple[list[tuple[float, float]], float]:
    """The curve (false-alarm share, sensitivity) from the strictest threshold to none, and the area under it.

    The area is 0.5 where one of the two kinds is missing: nothing is known then.
    """
    ordered = sorted(scored, key=lambda pair: -pair[0])
    positives = sum(is_so for _, is_so in ordered)
    negatives = len(ordered) - positives
    if not positives or not negatives:
        return [(0.0, 0.0), (1.0, 1.0)], 0.5
    curve = [(0.0, 0.0)]
    hits = alarms = 0
    area = 0.0
    for _, tied in groupby(ordered, key=lambda pair: pair[0]):
        group = [is_so for _, is_so in tied]
        up, right = sum(group), len(group) - sum(group)
        area += right * (hits + up / 2)
        hits, alarms = hits + up, alarms + right
        curve.append((alarms / negatives, hits / positives))
    return curve, area / (positives * negatives)


class Bin(msgspec.Struct, frozen=True):
    """Of a calibration plot: items whose scores lie between ``low`` and ``high``, their mean score, and how many of
    them are in danger."""

    low: float
    high: float
    mean: float
    danger: Rate


def calibration(scored: Sequence[tuple[float, bool]], bins: int = 10) -> list[Bin]:
    """Bins of equal width that hold anything."""
    found = []
    for at in range(bins):
        low, high = at / bins, (at + 1) / bins
        inside = [(s, is_so) for s, is_so in scored if low <= s < high or (at == bins - 1 and s == 1.0)]
        if inside:
            mean = sum(s for s, _ in inside) / len(inside)
            found.append(Bin(low, high, mean, rate(sum(is_so for _, is_so in inside), len(inside))))
    return found


def sign_test(better: int, worse: int) -> float:
    """Two-sided probability of a split at least so uneven if both were equal (exact McNemar)."""
    of = better + worse
    if not of:
        return 1.0
    tail: float = sum(comb(of, k) for k in range(min(better, worse) + 1)) / 2**of
    return min(1.0, 2 * tail)


def kappa(pairs: Sequence[tuple[int, int]], levels: int = 5) -> float:
    """Cohen's weighted kappa (quadratic) of two readers' grades; 1 where they never differ, 0 where chance would do."""
    if not pairs:
        return 1.0
    total = len(pairs)
    first = [sum(a == level for a, _ in pairs) / total for level in range(levels)]
    second = [sum(b == level for _, b in pairs) / total for level in range(levels)]
    seen = sum((a - b) ** 2 for a, b in pairs) / total
    chance = sum(first[a] * second[b] * (a - b) ** 2 for a in range(levels) for b in range(levels))
    return 1 - seen / chance if chance else 1.0


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of them lie; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
