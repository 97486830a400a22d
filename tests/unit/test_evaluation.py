"""Figures people will act on: they must be right, say how sure they are, and never leave out what went wrong."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from guardrail.cli import main
from guardrail.evaluation.items import Item, ItemError, identity, items, split_of
from guardrail.evaluation.measure import Judged, by, compare, false_alarms, figures, misses
from guardrail.evaluation.statistics import calibration, kappa, percentile, predictive_value, rate, roc, sign_test
from guardrail.guard import Guard

SHIPPED = Guard.load()
CRISIS = "I am going to kill myself tonight"


def of(name: str, data: str, *where: Any) -> list[Item]:
    found = list(items(name, data, *where))
    assert all(isinstance(one, Item) for one in found), found
    return [one for one in found if isinstance(one, Item)]


# --- arithmetic, beside libraries that are known to be right


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), st.booleans()), min_size=2, max_size=60))
def test_the_area_under_the_curve_is_what_scikit_learn_finds(scored: list[tuple[float, bool]]) -> None:
    curve, area = roc(scored)
    assert curve[0] == (0.0, 0.0) and curve[-1] == (1.0, 1.0) and curve == sorted(curve)
    truth = [is_so for _, is_so in scored]
    assert math.isclose(area, roc_auc_score(truth, [s for s, _ in scored]) if len(set(truth)) > 1 else 0.5)


@given(st.integers(0, 60), st.integers(0, 60))
def test_wilson_and_mcnemar_are_what_scipy_finds(count: int, more: int) -> None:
    of_ = count + more
    found = rate(count, of_)
    if of_:
        low, high = binomtest(count, of_).proportion_ci(0.95, "wilson")
        assert math.isclose(found.low, low, abs_tol=1e-6) and math.isclose(found.high, high, abs_tol=1e-6)
        assert math.isclose(sign_test(count, more), binomtest(count, of_).pvalue, abs_tol=1e-9)
    else:
        assert (found.low, found.high) == (0.0, 1.0), "of nothing anything is possible"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_kappa_is_what_scikit_learn_finds(pairs: list[tuple[int, int]]) -> None:
    expected = cohen_kappa_score(
        [a for a, _ in pairs], [b for _, b in pairs], weights="quadratic", labels=range(5), replace_undefined_by=1.0
    )
    assert math.isclose(kappa(pairs), expected, abs_tol=1e-9)


def test_the_share_of_right_alarms_depends_on_how_rare_danger_is() -> None:
    assert predictive_value(0.9, 0.9, 0.5) == pytest.approx(0.9)
    assert predictive_value(0.9, 0.9, 0.01) == pytest.approx(0.0833, abs=1e-4)
    assert predictive_value(0.0, 1.0, 0.01) == 0.0


def test_bins_hold_every_score_once() -> None:
    scored = [(0.0, False), (0.09, False), (0.1, True), (0.999, True), (1.0, True)]
    bins = calibration(scored)
    assert sum(b.danger.of for b in bins) == len(scored)
    assert [b.danger.count for b in bins] == [0, 1, 2]
    assert (percentile([], 0.5), percentile([1, 2, 3], 0.5), percentile([1, 2, 3], 0.99)) == (0.0, 2, 3)


# --- reading


def test_a_line_of_the_corpus_knows_who_speaks() -> None:
    line = json.dumps({"family": "f", "turns": ["hi", "hello", "bye"], "is": {"suicide": 3}, "spans": ["bye"]})
    [item] = of("corpus/inbound/de/a.jsonl", line, "de", "inbound")
    assert [t.role for t in item.turns] == ["user", "assistant", "user"]
    assert (item.direction, item.grade, item.danger, item.lang) == ("inbound", 3, True, "de")
    [reply] = of("x", json.dumps({"family": "f", "turns": ["hi", "hello"], "near": "dismisses"}), "en", "outbound")
    assert (reply.direction, reply.grade, reply.danger) == ("outbound", 0, False)


def test_public_sets_and_tables_are_read_too() -> None:
    [one] = of(
        "a.jsonl", '{"id": "x1", "text": "hello", "lang": "en", "role": "user", "crisis": 0, "crisis_scale": "binary"}'
    )
    assert (one.id, one.danger, one.grades, one.lang) == ("x1", False, None, "en")
    [two] = of("a.jsonl", '{"text": "hello", "crisis": 1, "crisis_scale": "0-4"}')
    assert not two.danger, "concern is no danger on the graded scale"
    table = of("t.csv", 'text,severity,category,age\n"a, b",3,suicide,teen\nhello,0,,\n')
    assert [(i.danger, i.grades, i.groups.get("age")) for i in table] == [
        (True, {"suicide": 3}, "teen"),
        (False, {}, None),
    ]


def test_an_id_changes_with_the_words_so_that_no_label_outlives_them() -> None:
    assert identity("inbound", "en", ["a", "b"]) != identity("inbound", "en", ["ab"])
    assert identity("inbound", "en", ["a"]) != identity("outbound", "en", ["a"])


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "no JSON object"),
        ("[1]", "no JSON object"),
        ('{"family": "f"}', "text or turns"),
        ('{"family": "f", "turns": ["a", 3]}', "text or turns"),
        ('{"family": "f", "text": "a", "is": {"suicid": 3}}', "is must map inbound signals"),
        ('{"family": "f", "text": "a", "is": {"suicide": 5}}', "is must map inbound signals"),
        ('{"family": "f", "text": "a", "is": {"suicide": true}}', "is must map inbound signals"),
        ('{"family": "f", "text": "a", "is": {"suicide": 3.0}}', "is must map inbound signals"),
        ('{"family": "f", "text": "a", "spans": null}', "spans must be a list"),
        ('{"family": "f", "text": "a", "spans": 3}', "spans must be a list"),
        ('{"text": "a", "crisis": 7}', "no label"),
        ('{"crisis": 1}', "no text"),
    ],
)
def test_a_line_that_is_no_item_is_said_with_its_place(line: str, what: str) -> None:
    [found] = items("f.jsonl", "\n" + line)
    assert isinstance(found, ItemError) and what in str(found) and str(found).startswith("f.jsonl:2:1: ")


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [
        "family",
        "text",
        "turns",
        "is",
        "near",
        "spans",
        "lang",
        "age",
        "crisis",
        "severity",
        "context",
        "role",
        "split",
        "veiled",
        "label",
    ]
)


@given(
    st.dictionaries(KEYS, JSON | st.just({"suicide": 3}) | st.just("hello")), st.sampled_from(["inbound", "outbound"])
)
def test_no_line_is_ever_more_than_a_fault(raw: dict[str, Any], direction: Any) -> None:
    for found in items("f.jsonl", json.dumps(raw), "en", direction):
        assert isinstance(found, Item | ItemError)


def test_a_family_is_in_one_split_and_the_shares_are_about_right() -> None:
    counts = {"train": 0, "calibrate": 0, "test": 0}
    for at in range(4000):
        counts[split_of(f"family-{at}")] += 1
    assert 2650 < counts["train"] < 2950 and 500 < counts["test"] < 700 and 500 < counts["calibrate"] < 700


# --- figures


def pair(danger: bool, severity: int, lang: str = "en", id: str = "x") -> tuple[Item, Judged]:
    grades = {"suicide": 3} if danger else {}
    [item] = of(
        "f", json.dumps({"family": "f", "text": f"{id} {danger} {lang}", "is": grades, "near": "suicide"}), lang
    )
    return item, Judged(severity, {"suicide": severity} if severity else {}, severity / 4)


def test_the_worst_group_comes_first_and_tiny_ones_last() -> None:
    pairs = [pair(True, 3, "de")] * 20 + [pair(True, 0, "en")] * 20 + [pair(True, 0, "fr")] * 3
    assert [t.name for t in by(pairs, lambda item: (item.lang or "",))] == ["en", "de", "fr"]


def test_what_is_reported_is_what_happened() -> None:
    pairs = [pair(True, 4), pair(True, 1), pair(False, 0), pair(False, 2)]
    [found] = figures(pairs, 0.1, [1000.0])
    assert (found.overall.sensitivity.count, found.overall.sensitivity.of) == (1, 2)
    assert (found.overall.specificity.count, found.overall.specificity.of) == (1, 2)
    assert found.confusion[3] == (0, 1, 0, 0, 1) and found.confusion[0] == (1, 0, 1, 0, 0)
    assert (found.within_one.count, found.within_one.of) == (2, 4)
    assert [j.severity for _, j in misses(pairs)] == [1] and [j.severity for _, j in false_alarms(pairs)] == [2]


def test_two_runs_are_compared_item_by_item() -> None:
    a, b, c = pair(True, 3, id="a"), pair(True, 0, id="b"), pair(False, 2, id="c")
    [found] = compare([a, b, c], {a[0].id: 0, b[0].id: 3, c[0].id: 0})
    assert (found.items, found.found, found.lost, found.alarmed, found.calmed) == (3, 1, 1, 1, 0)


# --- the command


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "inbound" / "en"
    folder.mkdir(parents=True)
    lines = [
        {"family": "one", "text": CRISIS, "is": {"suicide": 4}, "spans": ["kill myself"], "age": "adult"},
        {"family": "one", "text": "My <b>phone</b> died again", "near": "suicide"},
        {"family": "two", "text": "I left the keys with her, she will know", "is": {"suicide": 3}, "veiled": True},
    ]
    (folder / "a.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return tmp_path


def test_eval_says_what_was_found_and_what_was_missed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, run = data / "r.html", data / "run.json"
    by_words = ["eval", str(data), "--model", "none"]
    assert main([*by_words, "--html", str(page), "--save", str(run), "--json"]) == 0
    [report] = json.loads(capsys.readouterr().out)["reports"]
    assert (report["overall"]["sensitivity"]["count"], report["overall"]["specificity"]["count"]) == (1, 1)
    text = page.read_text()
    assert "she will know" in text and "&lt;b&gt;phone" not in text, "misses stand there to be read, hits do not"
    assert "http" not in text.replace("http-equiv", ""), "nothing comes from elsewhere"
    assert "phone" not in run.read_text(), "a saved run holds no words"
    assert main([*by_words, "--compare", str(run)]) == 0
    said = capsys.readouterr().out
    assert "danger found 0 more and 0 less" in said and "0.500 (0.09-0.91)" in said


def test_of_a_corpus_only_its_items_are_measured(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readings = data / "readings" / "inbound" / "en"
    readings.mkdir(parents=True)
    (readings / "a.jsonl").write_text('{"id": "x", "writer": {}, "reader": {}}\n')
    assert main(["eval", str(data)]) == 0
    assert "inbound: 3 items" in capsys.readouterr().out


def test_texts_in_the_report_are_text_and_no_markup(data: Path) -> None:
    file = data / "inbound" / "en" / "a.jsonl"
    file.write_text(json.dumps({"family": "x", "text": "I <img src=x onerror=alert(1)> left it", "is": {"suicide": 3}}))
    assert main(["eval", str(file), "--html", str(data / "r.html")]) == 0
    assert "<img" not in (data / "r.html").read_text() and "&lt;img" in (data / "r.html").read_text()


def test_what_cannot_be_read_is_said_and_the_rest_is_measured(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = data / "inbound" / "en" / "a.jsonl"
    file.write_text(file.read_text() + '\n{"family": "x"}\n')
    assert main(["eval", str(data)]) == 1
    said = capsys.readouterr()
    assert "a.jsonl:4:1: text or turns" in said.err and "inbound: 3 items" in said.out


def test_packed_files_are_read_and_unlabelled_lines_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ['{"text": "hello", "crisis": 0}', '{"text": "hello there"}']
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    assert main(["eval", str(tmp_path / "a.jsonl.gz")]) == 0
    assert "1 lines say nothing about danger and were left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.txt", b"x", "only .jsonl, .csv"),
        ("a.jsonl", b"\xff\xfe", "not UTF-8 at byte 0"),
        ("a.jsonl.gz", b"no gzip", "is no whole gzip file"),
        ("a.jsonl.gz", gzip.compress(b"x" * 99, mtime=0)[:12] + b"\xff" * 20, "is no whole gzip file"),
        ("a.jsonl", b"", "there is no labelled item"),
    ],
)
def test_a_file_that_cannot_be_measured_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, what: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert main(["eval", str(tmp_path / name)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert what in line


@pytest.mark.parametrize("option", ["--html", "--save"])
def test_a_file_that_cannot_be_written_is_one_line_and_the_figures_are_said(
    data: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert main(["eval", str(data), option, str(data / "nowhere" / "x")]) == 2
    said = capsys.readouterr()
    assert "inbound: 3 items" in said.out and said.err.count("\n") == 1 and "cannot be written" in said.err


def test_a_run_that_is_none_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "x.json").write_text("{}")
    assert main(["eval", str(data), "--compare", str(data / "x.json")]) == 2
    assert "is no run that --save has written" in capsys.readouterr().err


# --- the floors under what is shipped


def test_what_is_shipped_finds_no_less_than_it_did() -> None:
    from bench import detection

    assert list(detection.below(detection.on_corpus(SHIPPED), detection.floors())) == []


def test_a_floor_is_missed_where_less_is_found_or_nothing_measured() -> None:
    from bench import detection

    found = list(figures([pair(True, 3), pair(True, 0), pair(False, 0)], 0.1))
    assert list(detection.below(found, {"inbound": {"sensitivity": 0.5}})) == []
    [line] = detection.below(found, {"inbound": {"sensitivity": 0.51}})
    assert line == "inbound sensitivity: 0.500, floor 0.510"
    assert (
        len(
            list(detection.below(found, {"inbound": {"worst_lang_sensitivity": 0.1}, "outbound": {"sensitivity": 0.1}}))
        )
        == 2
    )
