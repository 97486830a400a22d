"""Policies are refused with every error at its place, and what is accepted does what it says."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from guardrail.core.rules import Policy
from guardrail.policy import PolicyError, find, load
from guardrail.policy.lint import lint
from guardrail.policy.proving import run
from guardrail.policy.vignettes import read_vignettes
from guardrail.shipped import POLICIES

TODAY = datetime.date(2026, 11, 26)
HEAD = 'id: t\nversion: "1"\nowner: o\nsources: [s]\nlanguages: [en]\nreview_by: 2030-01-01\n'
FAILURES = """on_failure:
  detector_inbound: {action: steer, steer: watch}
  detector_outbound: {action: replace, response: unread}
  store: {action: steer, steer: watch}
  upstream: {action: replace, response: unread}
"""
TEXTS = "locale: en\nresponses:\n  told.yes: told\n  told.no: not told\n  back: go on\n  unread: not now\n  help: 'here: {help}'\n"
GUIDANCE = "guidance: {watch: watch out}\n"
FLOOR = """rules:
  - id: floor
    source: s
    when: {direction: inbound, signal: suicide, severity: ">=2"}
    then: {action: replace, response: unread, case: {deadline: 1h}}
"""
RULE = "rules:\n  - {id: r, source: s, when: {direction: inbound, signal: suicide, severity: 4}, then: {action: replace, response: help}}\n"


def pack(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "pack": HEAD,
        "failures": FAILURES,
        "texts": TEXTS,
        "guidance": GUIDANCE,
        "rules": RULE,
        "floor": FLOOR,
        **files,
    }
    for name, text in content.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def problems(folder: Path) -> list[str]:
    with pytest.raises(PolicyError) as error:
        load([folder])
    return list(error.value.problems)


def test_a_sound_pack_compiles(tmp_path: Path) -> None:
    policy = load([pack(tmp_path / "p")])
    assert policy.name == "t@1" and len(policy.rules) == 2 and len(policy.hash) == 64


@pytest.mark.parametrize(
    ("file", "text", "line", "what"),
    [
        ("rules", RULE.replace("suicide", "suicde"), 2, "did you mean suicide?"),
        ("rules", RULE.replace("inbound", "sideways"), 2, "direction must be inbound or outbound"),
        ("rules", RULE.replace("severity: 4", 'severity: "9.."'), 2, "severity is no range"),
        ("rules", RULE.replace("action: replace", "action: replce"), 2, "did you mean replace?"),
        ("rules", RULE.replace("response: help", "response: halp"), 2, "did you mean help?"),
        ("rules", RULE.replace(", response: help", ""), 2, "needs a response"),
        ("rules", RULE.replace("source: s, ", ""), 2, "a rule needs source"),
        ("rules", RULE.replace("severity", "severty"), 2, "did you mean severity?"),
        (
            "rules",
            RULE.replace("response: help", "response: help, case: {deadline: soon}"),
            2,
            "deadline must be a time",
        ),
        ("rules", RULE.replace("response: help", "response: help, steer: nothing"), 2, "unknown guidance"),
        ("rules", RULE.replace("response: help", "response: help, help: [hotline]"), 2, "unknown help hotline"),
        ("rules", RULE + RULE.removeprefix("rules:\n"), 3, "stands at"),
        ("rules", RULE.replace("signal: suicide", "signal: claims_human"), 2, "never seen inbound"),
        ("texts", TEXTS + "  long: " + "word " * 61 + "\n", 8, "61 words"),
        ("texts", TEXTS.replace("here", "word " * 31), 7, "31 words"),
        ("texts", TEXTS + "  number: call 0800 111 222\n", 8, "typed into a text"),
        ("texts", TEXTS + "  odd: hello {name}\n", 8, "unknown placeholder"),
        ("texts", TEXTS.replace("  told.yes: told\n", ""), 0, "has no told.yes"),
        (
            "failures",
            FAILURES.replace(
                "detector_outbound: {action: replace, response: unread}", "detector_outbound: {action: pass}"
            ),
            3,
            "must be replaced",
        ),
        ("failures", FAILURES.replace("  store: {action: steer, steer: watch}\n", ""), 0, "on_failure.store"),
        ("extra", "", 1, "is empty"),
        ("extra", "- a\n", 1, "no mapping"),
        ("extra", "rules: [\n", 2, "not valid YAML"),
        ("extra", "rulez: []\n", 1, "did you mean rules?"),
        ("pack", HEAD.replace("owner: o\n", ""), 1, "a pack needs owner"),
    ],
)
def test_an_error_names_its_place_and_what_to_do(tmp_path: Path, file: str, text: str, line: int, what: str) -> None:
    found = problems(pack(tmp_path / "p", **{file: text}))
    matching = [p for p in found if what in p]
    assert matching, found
    if line:
        assert matching[0].startswith(f"{tmp_path / 'p' / file}.yaml:{line}:"), matching
        assert ";" in matching[0], "it says what to do"


def test_all_errors_come_at_once(tmp_path: Path) -> None:
    broken = RULE.replace("suicide", "suicde").replace("replace", "replce")
    assert len(problems(pack(tmp_path / "p", rules=broken, extra="x: 1\n", texts=TEXTS + "  odd: '{name}'\n"))) >= 4


def test_a_later_pack_overrides_by_id_and_changes_the_hash(tmp_path: Path) -> None:
    first = pack(tmp_path / "a")
    second = tmp_path / "b"
    second.mkdir()
    (second / "pack.yaml").write_text(HEAD.replace("id: t", "id: local"))
    (second / "rules.yaml").write_text(RULE.replace("severity: 4", 'severity: ">=3"'))
    policy = load([first, second])
    assert [r.when.severity for r in policy.rules if r.id == "r"] == [(3, 4)] and policy.name == "t+local@1+1"
    assert policy.hash != load([first]).hash


def test_lint_warns_of_what_is_overdue_and_never_fires(tmp_path: Path) -> None:
    old = HEAD.replace("2030-01-01", "2020-01-01")
    never = RULE.replace("severity: 4", "severity: 4, latch: 0")
    report = lint([pack(tmp_path / "p", pack=old, rules=never)], TODAY)
    assert not report.errors
    assert any("reviewed by 2020-01-01" in w for w in report.warnings)
    assert any("can never fire" in w for w in report.warnings)


def test_handing_over_without_responders_is_an_error(tmp_path: Path) -> None:
    folder = pack(tmp_path / "p", rules=RULE.replace("action: replace", "action: handoff"))
    assert lint([folder], TODAY, "none").errors and not lint([folder], TODAY, "clinical").errors


@pytest.mark.parametrize(
    "text",
    [
        "vignettes: [{id: a}]",
        "vignettes: [{id: a, turns: [{user: x}]}]",
        "vignettes: [{id: a, turns: [{user: x, expect: {severty: 1}}]}]",
        "vignettes: 3",
    ],
)
def test_a_broken_vignette_fails_and_is_never_skipped(tmp_path: Path, text: str) -> None:
    report = lint([pack(tmp_path / "p", extra=text + "\n")], TODAY)
    assert report.errors and report.errors[0].startswith(str(tmp_path))


def test_a_vignette_that_expects_something_else_fails_with_its_place(tmp_path: Path) -> None:
    from guardrail.policy.compile import compile_packs

    text = "vignettes:\n  - {id: a, turns: [{user: hello, expect: {action: replace, severity: 4}}]}\n"
    compiled = compile_packs([pack(tmp_path / "p", extra=text)])
    outcome = run(compiled.policy, read_vignettes(compiled.packs, []), lambda text, context: [])
    assert len(outcome.failures) == 2 and ":2:" in outcome.failures[0]


# --- the shipped pack


@pytest.fixture(scope="module")
def base() -> Policy:
    return load(find(["base"], POLICIES))


def test_the_base_pack_is_clean() -> None:
    report = lint(find(["base"], POLICIES), TODAY, "none")
    assert report.errors == () and report.warnings == ()


def test_the_base_pack_does_what_its_vignettes_say() -> None:
    from guardrail.detectors.run import look
    from guardrail.policy.compile import compile_packs
    from guardrail.shipped import lexicon

    compiled = compile_packs(find(["base"], POLICIES))
    vignettes = read_vignettes(compiled.packs, [])
    outcome = run(compiled.policy, vignettes, lambda text, context: [look(lexicon(), text, context)])
    assert outcome.failures == ()
    assert outcome.total >= 60 and outcome.calm * 2 >= outcome.total
    assert {"en", "de", "es", "fr"} <= {v.locale or "en" for v in vignettes}


FORBIDDEN = {
    "en": (
        "i understand",
        "i care",
        "help is coming",
        "commit suicide",
        "think of your family",
        "promise",
        "police will",
    ),
    "de": ("ich verstehe", "hilfe ist unterwegs", "selbstmord", "denk an deine familie", "verspreche"),
    "es": ("te entiendo", "la ayuda está en camino", "piensa en tu familia", "prometo"),
    "fr": ("je comprends", "les secours arrivent", "pense à ta famille", "je promets"),
}


@pytest.mark.parametrize("locale", ["en", "de", "es", "fr"])
def test_what_people_read_keeps_the_rules_of_safe_messaging(base: Policy, locale: str) -> None:
    texts = base.responses[locale]
    assert texts.keys() == base.responses["en"].keys()
    for name, text in texts.items():
        lowered = text.lower()
        assert not [word for word in FORBIDDEN[locale] if word in lowered], (name, text)
    ai = {"en": " AI", "de": " KI", "es": " IA", "fr": " IA"}[locale]
    for name, text in texts.items():
        if name.endswith((".high", ".imminent", ".after")) or name.startswith(("helper.", "stopped.")):
            assert ai in text, f"{name} does not say that it is an AI"
            assert text.rstrip().endswith(("?", "?")), f"{name} does not end with a question"


def test_severity_four_always_names_the_way_to_help_first(base: Policy) -> None:
    for rule in base.rules:
        if rule.when.direction == "inbound" and rule.when.severity == (4, 4):
            assert rule.then.action == "replace" and rule.then.resources[0].startswith("emergency_"), rule.id
            assert rule.then.case is not None and rule.then.case.deadline <= 300, rule.id
            for texts in base.responses.values():
                assert "{help}" in texts[rule.then.response] and "{told}" in texts[rule.then.response]


def test_poisoning_never_shows_the_police_and_abuse_shows_no_number_before_privacy(base: Policy) -> None:
    for rule in base.rules:
        if rule.id.startswith(("substance", "suicide.ingestion")):
            assert "emergency_police" not in rule.then.resources
        if rule.id in ("abuse.high", "abuse.elevated", "abuse.high.minor", "abuse.strangulation"):
            assert rule.then.resources == ()
    for texts in base.responses.values():
        assert "{help}" not in texts["abuse.high"]


def test_dependency_and_distress_open_no_case_and_every_rule_has_a_source(base: Policy) -> None:
    for rule in base.rules:
        assert len(rule.source) > 8, rule.id
        if rule.id.startswith("dependency") or rule.when.severity[1] <= 2:
            assert rule.then.case is None, rule.id
