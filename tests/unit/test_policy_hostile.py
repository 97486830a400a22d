"""Files that mean harm, or are merely broken: refused in one line with their place, in a moment, and nothing loaded."""

from __future__ import annotations

import datetime
import json
import re
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardrail import shipped
from guardrail.cli import main
from guardrail.detectors import load_lexicon
from guardrail.policy import PolicyError, load
from guardrail.policy.lint import lint
from guardrail.server.services import Services, StartFailed
from guardrail.yamlread import LARGEST
from tests.packs import FILES, pack, problems, rule

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(8)
)


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        (BOMB, "1:4", "anchors and aliases"),
        ("guidance: &g {a: *g}\n", "1:11", "anchors and aliases"),
        ("guidance: {a: !!python/object/apply:os.system [x]}\n", "1:15", "tags"),
        ("guidance: {a: !include secret.txt}\n", "1:15", "tags"),
        ("guidance:\n  a: [\n", "3:1", "not valid YAML"),
        ("guidance: {a: 1, a: 2}\n", "1:18", "not valid YAML"),
        ("rules: [{id: r, when: {direction: inbound, signal: sucide}}]\n", "1:9", "a rule needs source"),
        ("[" * 30_000, "1:1", "lists and mappings"),
    ],
)
def test_it_is_refused_with_its_place(tmp_path: Path, text: str, place: str, what: str) -> None:
    found = problems(pack(tmp_path, odd=text))
    assert any(line.startswith(f"{tmp_path / 'odd.yaml'}:{place}: ") and what in line for line in found), found


def test_a_file_of_ten_megabytes_is_not_read(tmp_path: Path) -> None:
    found = problems(pack(tmp_path, odd="guidance: {a: " + "x" * 10 * 1024**2 + "}\n"))
    assert any(f"larger than {LARGEST // 1024**2} MiB" in line for line in found), found


def test_what_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    folder = pack(tmp_path)
    (folder / "odd.yaml").write_bytes("guidance: {a: größer}\n".encode("latin-1"))
    assert any("odd.yaml:1:1" in line and "UTF-8" in line for line in problems(folder))


@pytest.mark.parametrize("template", ["{help.__class__}", "{0}", "{help!r}", "{{7*7}}", "{told:>99999999}", "${HOME}"])
def test_a_template_that_tries_code_is_only_an_unknown_placeholder(tmp_path: Path, template: str) -> None:
    text = f"locale: en\nresponses: {{odd: 'say {template}'}}\n"
    assert any("odd.yaml:2:" in line and "unknown placeholder" in line for line in problems(pack(tmp_path, odd=text)))


def test_a_link_out_of_the_folder_is_no_way_in(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("token: 12345\n")
    folder = pack(tmp_path / "p")
    (folder / "odd.yaml").symlink_to(tmp_path / "secret")
    found = problems(folder)
    assert found and not any("12345" in line for line in found)


class Raw(str):
    """A value as it is written: a number so large can be shown by nobody, tests included."""


HUGE = Raw("0x" + "f" * 4000)
WHOLE: dict[str, Any] = {
    "pack": {
        "id": "t",
        "version": "1",
        "owner": "o",
        "sources": ["s"],
        "languages": ["en"],
        "review_by": datetime.date(2030, 1, 1),
        "summary": "s",
        "waivers": [{"silences": "suicide", "reason": "r"}],
    },
    "some": {
        "rules": [
            {
                "id": "r",
                "source": "s",
                "when": {
                    "direction": "inbound", "signal": ["acute_distress"], "severity": ">=2", "audience": ["adult"],
                    "locale": ["en"], "country": "US", "subject": "self", "detail": "x", "frame": "sincere",
                    "time": "now", "latch": 0, "level": ">=0", "episode": "closed", "drift": 0, "score": ">=0.1",
                    "peak": ">=0", "trend": "rising", "quiet": 1, "turns": ">=1", "session": "5m",
                    "between": "22:00..06:00", "repeats": {"times": 2, "within": "24h"}, "with": "eating_disorder",
                    "without": ["minor"], "cue": {"voice.arousal": ">=0.8"}, "prefers": "text-only",
                },
                "unless": [{"frame": "fiction"}],
                "then": {
                    "action": "replace", "response": "card", "help": ["suicide_crisis"], "steer": "watch",
                    "case": {"deadline": "1h"},
                },
            },
            {
                "id": "q",
                "source": "s",
                "when": {"direction": "inbound", "signal": "acute_distress", "severity": 1},
                "then": {"action": "steer", "steer": "watch", "cool_down": "5m"},
            },
        ],
        "composites": [
            {
                "id": "c",
                "source": "s",
                "when": {"direction": "inbound", "signal": "acute_distress", "with": "minor"},
                "weight": 1,
                "unless": {"frame": "fiction"},
            }
        ],
        "overrides": [
            {"id": "o", "rule": "r", "source": "s", "for": {"audience": "adult"}, "then": {"case": {"deadline": "5m"}}}
        ],
        "hazards": [{"id": "h", "harm": "x", "cause": "y", "rules": ["r"]}],
        "vignettes": [
            {
                "id": "v", "about": "a", "locale": ["en"], "audience": ["adult", "minor"], "country": "US",
                "at": "23:30", "cues": {"voice.arousal": 0.9}, "prefers": ["text-only"],
                "turns": [
                    {
                        "user": "x",
                        "after": "5m",
                        "sees": [
                            {
                                "signal": "acute_distress", "severity": 1, "subject": "self", "frame": "sincere",
                                "time": "now", "detail": "x", "score": 0.9,
                            }
                        ],
                        "expect": {
                            "severity": ">=0", "action": ["steer"], "rule": "q", "not_rule": "r", "response": "",
                            "case": False, "deadline": 60, "signal": "acute_distress",
                            "reply": {"has": ["a"], "lacks": "b"},
                        },
                    }
                ],
            }
        ],
        "guidance": {"again": "again"},
    },
    "answers": {
        "on_failure": {
            "detector_inbound": {"action": "steer", "steer": "watch"},
            "detector_outbound": {"action": "replace", "response": "unread"},
            "store": {"action": "steer", "steer": "watch"},
            "upstream": {"action": "replace", "response": "unread"},
        },
        "locale": "en",
        "responses": {"other": "other"},
    },
}  # fmt: skip
"""A pack with every key there is."""


def written(value: Any) -> str:
    """As YAML, in one line."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(key)}: {written(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, float):
        return repr(value).replace("nan", ".nan").replace("inf", ".inf")
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:#x}" if value > 2**40 else str(value)
    return value.isoformat() if isinstance(value, datetime.date) else json.dumps(value)


def places(tree: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something could be put in the place of something else."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield (*at, key)
        yield from places(value, (*at, key))


def _found(at: tuple[Any, ...], tree: Any = WHOLE) -> Any:
    return reduce(getitem, at, tree)


def put(at: tuple[Any, ...], value: Any) -> dict[str, Any]:
    tree = deepcopy(WHOLE)
    _found(at[:-1], tree)[at[-1]] = value
    return tree


def tried(tree: dict[str, Any]) -> list[str]:
    """What is said of a pack. Nobody may read a traceback instead."""
    with tempfile.TemporaryDirectory() as name:
        files = {
            key: "".join(f"{written(name)}: {written(part)}\n" for name, part in file.items())
            for key, file in tree.items()
        }
        folder = pack(Path(name), **{**files, "failures": ""})
        try:
            load([folder])
        except PolicyError as error:
            found = list(error.problems)
        else:
            found = []
        report = lint([folder], datetime.date(2026, 1, 1), listen=lambda entries: lambda text, context: [])
        assert list(report.errors) == found or not found
        return list(report.errors)


PLACED = re.compile(r"[^\n]*\.yaml:[0-9]+:[0-9]+: [^\n]+; [^\n]+|rules: silences suicide[^\n]+")
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([HUGE, 10**17, -1, float("nan"), float("inf"), -float("inf"), 1e308]),
    st.sampled_from(
        ["", "9" * 400 + "d", "999999999d", "9" * 400, "9..9", ">=" + "9" * 400, "x" * 5000, "a\nb\x85", "*"]
    ),
    st.dates(),
    st.datetimes(),
    st.floats(),
    st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=8),
)
KEYS = st.one_of(st.text("abc.", max_size=3), st.integers(0, 9), st.just(HUGE), st.sampled_from([0.5, True, None]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=6,
)


def test_the_pack_with_every_key_is_sound() -> None:
    assert tried(WHOLE) == []


INSIDE = [at for at in places(WHOLE) if len(at) > 1]
MAPPINGS = [at for at in places(WHOLE) if isinstance(_found(at), dict)]


@given(st.sampled_from(INSIDE) | st.builds(lambda at, key: (*at, key), st.sampled_from(MAPPINGS), KEYS), VALUES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_stands_for_any_value_is_read_or_refused_with_its_place(at: tuple[Any, ...], value: Any) -> None:
    for line in tried(put(at, value)):
        assert PLACED.fullmatch(line), line


RULE = ("some", "rules", 0)
TURN = ("some", "vignettes", 0, "turns", 0)


@pytest.mark.parametrize(
    ("at", "value", "what"),
    [
        ((*RULE, "when", "direction"), ["inbound"], "direction must be inbound or outbound"),
        ((*RULE, "when", "direction"), {"a": 1}, "direction must be inbound or outbound"),
        ((*RULE, "when", "drift"), HUGE, "a number too large"),
        ((*RULE, "when", "drift"), float("nan"), "drift must be a number"),
        ((*RULE, "when", "drift"), float("inf"), "drift must be a number"),
        ((*RULE, "when", "severity"), HUGE, "a number too large"),
        ((*RULE, "when", "quiet"), 2**62, "quiet must be a whole number"),
        ((*RULE, "when", "cue", "voice.arousal"), HUGE, "a number too large"),
        ((*RULE, "when", "session"), "9999999d", "365d at most"),
        ((*RULE, "then", "case", "deadline"), "9999999d", "7d at most"),
        ((*RULE, "then", "case", "deadline"), "8d", "7d at most"),
        ((*RULE, "then", "case", "deadline"), "9" * 400 + "s", "7d at most"),
        (("some", "composites", 0, "weight"), HUGE, "a number too large"),
        (("some", "overrides", 0, "then", "case", "deadline"), "8d", "7d at most"),
        (("some", "vignettes", 0, "cues", "voice.arousal"), HUGE, "a number too large"),
        (("some", "vignettes", 0, "cues", "voice.arousal"), float("inf"), "cues must map names to numbers"),
        (("some", "vignettes", 0, "at"), "9" * 400, "at must be a time of day"),
        (("some", "vignettes", 0, "country"), ["US"], "country must be two capitals"),
        ((*TURN, "after"), "9" * 400 + "d", "after must be a time"),
        ((*TURN, "sees", 0, "signal"), ["suicide"], "is no signal to see"),
        ((*TURN, "sees", 0, "signal"), {"suicide": 1}, "is no signal to see"),
        ((*TURN, "expect", "action"), [["pass"]], "unknown action"),
        ((*TURN, "expect", "action"), {"pass": 1}, "unknown action"),
        ((*TURN, "expect", "signal"), [["suicide"]], "unknown signal"),
        ((*TURN, "expect", "signal"), {"suicide": 1}, "unknown signal"),
        ((*TURN, "expect", "rule"), ["q"], "rule must be the name"),
        ((*TURN, "expect", "deadline"), "soon", "deadline must be a number"),
        (("pack", "id"), {"a": "b"}, "id must be text"),
        (("pack", "review_by"), datetime.datetime(2030, 1, 1), "review_by is a day"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 else "-",
)  # fmt: skip
def test_a_value_of_the_wrong_kind_is_refused_where_it_stands(at: tuple[Any, ...], value: Any, what: str) -> None:
    found = tried(put(at, value))
    assert [line for line in found if what in line], found
    assert all(PLACED.fullmatch(line) for line in found), found


def test_an_item_nobody_thought_of_hides_no_other_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from guardrail.policy import rules

    def broken(value: object, *limits: float) -> float:
        raise OverflowError(value)

    monkeypatch.setattr(rules, "duration", broken)
    found = problems(pack(tmp_path, r=rule("direction: inbound, session: 5m"), s="rules: [{id: s}]\n"))
    assert any("r.yaml:2:5: the rule cannot be read" in line and ";" in line for line in found), found
    assert any("s.yaml:1:9: a rule needs source" in line for line in found), found


@pytest.mark.parametrize("verb", ["test", "lint", "explain", "hazards"])
def test_no_command_ends_in_a_traceback(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = "vignettes:\n  - {id: v, turns: [{user: x, expect: {action: [[pass]], signal: {a: b}}}]}\n"
    folder = pack(tmp_path, odd=odd)
    asked = ["--vignette", "v"] if verb == "explain" else []
    assert main(["policy", verb, str(folder), *asked]) in (1, 2)
    told = capsys.readouterr()
    assert "odd.yaml:2:" in told.out + told.err


BROKEN = (
    "language: xx\ndirection: inbound\nshows:\n"
    "  - {id: a, signal: suicide, severity: 3, any: ['die(', x], match: [a, b], spare: [c, d]}\n"
)


def test_with_a_lexicon_that_will_not_compile_nothing_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "xx.yaml").write_text(BROKEN)
    monkeypatch.setattr(shipped, "lexicon", lambda: load_lexicon(tmp_path))
    with pytest.raises(StartFailed) as failed:
        Services.configured(None, {"data": str(tmp_path / "data")})
    assert [f"{tmp_path / 'xx.yaml'}:4:49: not a pattern RE2 can read" in line for line in failed.value.problems] == [
        True
    ]


@pytest.mark.parametrize("verb", ["test", "lint", "explain", "hazards", "diff"])
def test_a_lexicon_that_will_not_compile_is_said_with_its_place(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "xx.yaml").write_text(BROKEN)
    monkeypatch.setattr(shipped, "lexicon", lambda: load_lexicon(tmp_path))
    folder = str(pack(tmp_path / "p"))
    more = {"explain": ["--text", "x"], "diff": [folder]}.get(verb, [])
    assert main(["policy", verb, folder, *more]) in (1, 2)
    told = capsys.readouterr()
    assert f"{tmp_path / 'xx.yaml'}:4:49: not a pattern RE2 can read" in told.out + told.err


def test_a_name_said_twice_counts_once(tmp_path: Path) -> None:
    twice = "direction: inbound, signal: [suicide, suicide], audience: [adult, minor, adult]"
    policy = load([pack(tmp_path, r=rule(twice))])
    once = next(rule for rule in policy.rules if rule.id == "r")
    assert once.when.signals == ("suicide",) and once.when.audience == ("adult", "minor")
    assert all(rules.count(once) <= 1 for rules in policy.index.values())


COMPOSITE = "composites: [{id: r, source: s, when: {direction: inbound, signal: acute_distress}, weight: 1}]\n"
OVERRIDE = "overrides: [{id: r, source: s, rule: floor, for: {audience: minor}, then: {case: {deadline: 5m}}}]\n"
PLAIN = rule("direction: inbound, signal: acute_distress")
LATER = {name: "" for name in FILES if name != "pack"}


@pytest.mark.parametrize(
    ("one", "other"), [(PLAIN, COMPOSITE), (PLAIN, OVERRIDE), (COMPOSITE, OVERRIDE)], ids=["rule", "over", "weight"]
)
def test_two_kinds_of_one_name_are_refused_in_any_order_and_across_packs(tmp_path: Path, one: str, other: str) -> None:
    for n, (first, second) in enumerate([(one, other), (other, one)]):
        together = problems(pack(tmp_path / f"a{n}", m=first, n=second))
        assert [line for line in together if "r stands at" in line and "yaml:" in line], together
        later = pack(tmp_path / f"c{n}", **{**LATER, "n": second})
        apart = problems(pack(tmp_path / f"b{n}", m=first), later)
        assert [line for line in apart if "r stands at" in line and "yaml:" in line], apart


@pytest.mark.parametrize(
    ("base", "then", "what"),
    [
        ("action: rewrite, response: card", "action: replace, steer: watch", "heard only by regenerate"),
        ("action: steer, steer: watch", "action: replace, response: card", "needs fresh evidence"),
    ],
)
def test_an_override_that_cannot_do_what_it_says_is_refused(tmp_path: Path, base: str, then: str, what: str) -> None:
    when = "direction: inbound" if "fresh" in what else "direction: outbound, signal: dismisses"
    over = f"overrides: [{{id: o, source: s, rule: r, for: {{audience: minor}}, then: {{{then}}}}}]\n"
    found = problems(pack(tmp_path, r=rule(when, base), over=over))
    assert any("over.yaml:1:" in line and what in line for line in found), found
