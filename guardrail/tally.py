"""Counting on the hot path: plain dictionaries, read out as Prometheus families when they are scraped.

A ``prometheus_client`` counter takes a lock and 0.9 µs, a histogram 1.9 µs; a calm exchange touches seven.
Not for several threads: the event loop counts and renders.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

Labels = tuple[str, ...]


class Count(Collector):
    """A counter by labels. ``name`` is without ``_total``; ``zeros`` are label values shown from the start."""

    def __init__(
        self,
        name: str,
        help: str,
        labels: Sequence[str],
        zeros: Iterable[Labels],
        registry: CollectorRegistry,
    ) -> None:
        self._name, self._help, self._labels = name, help, tuple(labels)
        self._counts: dict[Labels, int] = dict.fromkeys(zeros, 0)
        registry.register(self)

    def add(self, labels: Labels) -> None:
        self._counts[labels] = self._counts.get(labels, 0) + 1

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(self._name, self._help, labels=self._labels)
        for labels, count in self._counts.items():
            family.add_metric(labels, count)
        yield family


class Spread(Collector):
    """A histogram by at most one label, in seconds. ``bounds`` are upper and inclusive, as Prometheus has it."""

    def __init__(
        self,
        name: str,
        help: str,
        label: str | None,
        values: Sequence[str],
        bounds: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name, self._help, self._label, self._bounds = (
            name,
            help,
            label,
            tuple(bounds),
        )
        self._counts = {value: [0] * (len(bounds) + 1) for value in values}
        self._sums = dict.fromkeys(values, 0.0)
        registry.register(self)

    def observe(self, value: str, seconds: float) -> None:
        self._counts[value][bisect_left(self._bounds, seconds)] += 1
        self._sums[value] += seconds

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(self._name, self._help, labels=[self._label] if self._label else [])
        for value, counts in self._counts.items():
            total, buckets = 0, []
            for bound, count in zip((*map(str, self._bounds), "+Inf"), counts, strict=True):
                total += count
                buckets.append((bound, float(total)))
            family.add_metric([value] if self._label else [], buckets, self._sums[value])
        yield family
