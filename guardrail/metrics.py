"""What is measured. Labels are closed vocabularies: no text, no ids, nothing a person wrote or is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from guardrail.core.decide import Verdict
from guardrail.core.model import ACTIONS, Direction, Failed
from guardrail.tally import Count, Spread

DIALECTS = ("openai-chat", "anthropic-messages", "none")
OUTCOMES = ("answered", "passed", "refused", "torn", "client_gone", "upstream_failed")
STATES = ("open", "notified", "acknowledged", "claimed", "resolved", "expired")
UPSTREAM_ERRORS = ("refused", "timeout", "torn", "oversized", "unreadable", "status", "overloaded")
REASONS = ("raised", "deadline", "absent", "invalid")
DIRECTIONS: tuple[Direction, ...] = ("inbound", "outbound")
OTHER = "other"

Notified = Literal["sent", "retried", "failed", "dead"]
NOTIFIED: tuple[Notified, ...] = ("sent", "retried", "failed", "dead")

_FAST = (
    0.00005,
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    1.0,
)
_SLOW = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_HUMAN = (
    15.0,
    60.0,
    120.0,
    300.0,
    600.0,
    900.0,
    1800.0,
    3600.0,
    4 * 3600.0,
    24 * 3600.0,
)


class Metrics:
    """All measures of one process, in a registry of its own. Times are in seconds. For one event loop."""

    def __init__(self, version: str, policy: str = "") -> None:
        own = self._registry = CollectorRegistry()
        self._exchanges = Count(
            "guardrail_exchanges",
            "Chat exchanges by how they ended.",
            ("dialect", "outcome"),
            [(d, o) for d in DIALECTS for o in OUTCOMES],
            own,
        )
        self._verdicts = Count(
            "guardrail_verdicts",
            "Judged turns by what was decided.",
            ("direction", "action", "category", "severity"),
            [(d, a, "none", "0") for d in DIRECTIONS for a in ACTIONS],
            own,
        )
        self._inspection = Spread(
            "guardrail_inspection_seconds",
            "Time to inspect once.",
            "direction",
            DIRECTIONS,
            _FAST,
            own,
        )
        self._added = Spread(
            "guardrail_added_latency_seconds",
            "Time an exchange took beyond the chatbot's.",
            None,
            ("",),
            _FAST,
            own,
        )
        self._hold = Spread(
            "guardrail_hold_seconds",
            "Time streamed text was held back.",
            None,
            ("",),
            _SLOW,
            own,
        )
        self._detectors = Counter(
            "guardrail_detector_failures",
            "Looks that a detector did not finish.",
            ("detector", "reason"),
            registry=own,
        )
        self._upstream = Counter(
            "guardrail_upstream_errors",
            "Failures of the chatbot behind us.",
            ("kind",),
            registry=own,
        )
        for kind in UPSTREAM_ERRORS:
            self._upstream.labels(kind)
        self._unknown = Counter(
            "guardrail_unknown_dialect",
            "Requests to paths of no known chat API: uninspected, or blocked.",
            registry=own,
        )
        self._escalation(own)
        self._journal = Gauge(
            "guardrail_journal_healthy",
            "1 while the journal takes every record.",
            registry=own,
        )
        build = Gauge(
            "guardrail_build_info",
            "Version and policy in force.",
            ("version", "policy"),
            registry=own,
        )
        self._build = build
        self.policy(version, policy)
        self._reloads = Counter(
            "guardrail_policy_reloads_total",
            "Times a policy was to be put in force, by whether it was, and times a trial was refused.",
            ("result",),
            registry=own,
        )
        for result in ("in_force", "refused", "trial_refused"):
            self._reloads.labels(result)
        self._differed = Counter(
            "guardrail_trial_differences_total",
            "Turns on which the policy on trial would have done something else.",
            ("direction",),
            registry=own,
        )

    def policy(self, version: str, policy: str) -> None:
        """This policy is in force."""
        self._build.clear()
        self._build.labels(version, policy).set(1)

    def reloaded(self, result: str) -> None:
        """``in_force``, ``refused`` or ``trial_refused``."""
        self._reloads.labels(result).inc()

    def differed(self, direction: str) -> None:
        self._differed.labels(direction).inc()

    def _escalation(self, own: CollectorRegistry) -> None:
        self._cases = Gauge("guardrail_cases", "Cases by state.", ("state",), registry=own)
        for state in STATES:
            self._cases.labels(state)
        self._opened = Counter(
            "guardrail_cases_opened",
            "Cases opened.",
            ("category", "severity"),
            registry=own,
        )
        self._acknowledge = Histogram(
            "guardrail_case_acknowledge_seconds",
            "Time until a human acknowledged a case.",
            buckets=_HUMAN,
            registry=own,
        )
        self._notifications = Counter(
            "guardrail_notifications",
            "Attempts to tell a human.",
            ("channel", "outcome"),
            registry=own,
        )
        self._dead = Gauge(
            "guardrail_dead_letters",
            "Notifications given up, waiting for a person.",
            registry=own,
        )
        self._spooled = Gauge("guardrail_spooled_cases", "Cases not in the store yet.", registry=own)
        self._oldest = Gauge(
            "guardrail_oldest_unanswered_case_seconds",
            "Age of the oldest case that nobody acknowledged; 0 when there is none.",
            registry=own,
        )

    # --- the hot path

    def exchange(self, dialect: str, outcome: str) -> None:
        """An exchange ended. A word outside the vocabularies is counted as ``other``."""
        self._exchanges.add(
            (
                dialect if dialect in DIALECTS else OTHER,
                outcome if outcome in OUTCOMES else OTHER,
            )
        )

    def verdict(self, verdict: Verdict) -> None:
        """A turn was judged; failed detectors in it are counted too."""
        self._verdicts.add(
            (
                verdict.direction,
                verdict.action,
                verdict.category or "none",
                str(verdict.severity),
            )
        )
        for failed in verdict.failures:
            self.detector_failed(failed)

    def inspection(self, direction: Direction, seconds: float) -> None:
        self._inspection.observe(direction, seconds)

    def added_latency(self, seconds: float) -> None:
        self._added.observe("", seconds)

    def hold(self, seconds: float) -> None:
        self._hold.observe("", seconds)

    # --- failures

    def detector_failed(self, failed: Failed) -> None:
        self._detectors.labels(failed.detector, failed.reason).inc()

    def upstream_error(self, kind: str) -> None:
        self._upstream.labels(kind if kind in UPSTREAM_ERRORS else OTHER).inc()

    def unknown_dialect(self) -> None:
        self._unknown.inc()

    def journal_healthy(self, healthy: bool) -> None:
        self._journal.set(1 if healthy else 0)

    # --- cases

    def case_opened(self, category: str, severity: int) -> None:
        self._opened.labels(category, str(severity)).inc()

    def case_acknowledged(self, seconds: float) -> None:
        """``seconds`` from opening to acknowledgement."""
        self._acknowledge.observe(seconds)

    def notification(self, channel: str, outcome: Notified) -> None:
        """``channel`` is a name from the settings."""
        self._notifications.labels(channel, outcome).inc()

    def channels(self, names: tuple[str, ...]) -> None:
        """Show every configured channel from the start, so that one that never delivers is seen at 0."""
        for name in names:
            for outcome in NOTIFIED:
                self._notifications.labels(name, outcome)

    def cases(self, by_state: Mapping[str, int], oldest_unanswered: float = 0.0) -> None:
        """The store's own count by state; states it does not name have none."""
        for state in STATES:
            self._cases.labels(state).set(by_state.get(state, 0))
        self._oldest.set(oldest_unanswered)

    def backlog(self, dead_letters: int, spooled: int) -> None:
        self._dead.set(dead_letters)
        self._spooled.set(spooled)

    def render(self) -> bytes:
        """Everything in Prometheus' text format, version 0.0.4."""
        return generate_latest(self._registry)
