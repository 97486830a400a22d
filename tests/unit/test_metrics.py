"""What an operator is paged by: it must be there from the start, count rightly, and name nobody."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from guardrail.core.decide import Verdict
from guardrail.core.model import Failed
from guardrail.metrics import Metrics


def samples(metrics: Metrics) -> dict[str, float]:
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def verdict(action: str, severity: int, category: str = "", failures: tuple[Failed, ...] = ()) -> Verdict:
    return Verdict(
        "inbound",
        severity,
        action,
        (action,),
        (),
        "r",
        "base@1",
        "0",
        category=category,
        failures=failures,  # type: ignore[arg-type]
    )


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("0.1.0", "base@1")


def test_what_alerts_watch_is_there_before_anything_happens(metrics: Metrics) -> None:
    found = samples(metrics)
    for name in (
        "guardrail_exchanges_total{dialect=openai-chat,outcome=answered}",
        "guardrail_verdicts_total{action=replace,category=none,direction=outbound,severity=0}",
        "guardrail_inspection_seconds_count{direction=inbound}",
        "guardrail_added_latency_seconds_count",
        "guardrail_hold_seconds_count",
        "guardrail_cases{state=open}",
        "guardrail_case_acknowledge_seconds_count",
        "guardrail_upstream_errors_total{kind=timeout}",
        "guardrail_dead_letters",
        "guardrail_spooled_cases",
        "guardrail_unknown_dialect_total",
        "guardrail_journal_healthy",
        "guardrail_oldest_unanswered_case_seconds",
    ):
        assert found[name] == 0, name
    assert found["guardrail_build_info{policy=base@1,version=0.1.0}"] == 1


def test_verdicts_are_counted_with_the_detectors_that_failed(metrics: Metrics) -> None:
    metrics.verdict(verdict("replace", 4, "suicide"))
    metrics.verdict(verdict("replace", 4, "suicide"))
    metrics.verdict(verdict("steer", 0, failures=(Failed("lexicon", "deadline"),)))
    found = samples(metrics)
    assert found["guardrail_verdicts_total{action=replace,category=suicide,direction=inbound,severity=4}"] == 2
    assert found["guardrail_verdicts_total{action=steer,category=none,direction=inbound,severity=0}"] == 1
    assert found["guardrail_detector_failures_total{detector=lexicon,reason=deadline}"] == 1


def test_histograms_add_up_as_prometheus_expects(metrics: Metrics) -> None:
    for seconds in (0.0001, 0.00011, 0.3, 7.0):
        metrics.inspection("inbound", seconds)
    found = samples(metrics)
    name = "guardrail_inspection_seconds_bucket{direction=inbound,le=%s}"
    assert [found[name % le] for le in ("0.0001", "0.00025", "0.25", "1.0", "+Inf")] == [1, 2, 2, 3, 4]
    assert found["guardrail_inspection_seconds_count{direction=inbound}"] == 4
    assert found["guardrail_inspection_seconds_sum{direction=inbound}"] == pytest.approx(7.30021)


def test_a_word_from_outside_never_becomes_a_label(metrics: Metrics) -> None:
    metrics.exchange("/v1/chat?user=someone", "said something")
    metrics.upstream_error("said something")
    text = metrics.render().decode()
    assert "someone" not in text and "said" not in text
    assert samples(metrics)["guardrail_exchanges_total{dialect=other,outcome=other}"] == 1
    assert samples(metrics)["guardrail_upstream_errors_total{kind=other}"] == 1


def test_cases_follow_the_store_and_fall_back_to_zero(metrics: Metrics) -> None:
    metrics.case_opened("suicide", 4)
    metrics.cases({"open": 2, "expired": 1}, 301.0)
    metrics.cases({"open": 1})
    metrics.case_acknowledged(42.0)
    metrics.backlog(3, 1)
    metrics.journal_healthy(True)
    found = samples(metrics)
    assert (
        found["guardrail_cases{state=open}"],
        found["guardrail_cases{state=expired}"],
    ) == (1, 0)
    assert found["guardrail_oldest_unanswered_case_seconds"] == 0
    assert found["guardrail_cases_opened_total{category=suicide,severity=4}"] == 1
    assert found["guardrail_case_acknowledge_seconds_bucket{le=60.0}"] == 1
    assert (found["guardrail_dead_letters"], found["guardrail_spooled_cases"]) == (3, 1)
    assert found["guardrail_journal_healthy"] == 1


def test_a_channel_that_never_delivered_is_seen_at_zero(metrics: Metrics) -> None:
    metrics.channels(("oncall",))
    metrics.notification("oncall", "failed")
    found = samples(metrics)
    assert found["guardrail_notifications_total{channel=oncall,outcome=sent}"] == 0
    assert found["guardrail_notifications_total{channel=oncall,outcome=failed}"] == 1


def test_two_sets_of_metrics_do_not_share_counts() -> None:
    one, other = Metrics("1"), Metrics("1")
    one.unknown_dialect()
    assert samples(other)["guardrail_unknown_dialect_total"] == 0
