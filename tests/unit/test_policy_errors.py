"""A rule that could not do what it says is refused: nobody finds that out from a person in danger."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.policy import PolicyError, load
from guardrail.policy.vocabulary import bounds, typed_numbers
from tests.packs import FILES as LEAST

FILES = {
    **LEAST,
    "texts": "locale: en\nresponses:\n  told.yes: told\n  told.no: not told\n  back: go on\n  unread: not now\n  card: 'here: {help}'\n",
    "guidance": "guidance: {watch: watch out}\n",
    "rules": "rules: []\n",
}
IN = "direction: inbound, signal: suicide, severity: 3"
OUT = "direction: outbound, signal: dismisses"


def pack(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**FILES, **files}.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def problems(folder: Path) -> list[str]:
    with pytest.raises(PolicyError) as error:
        load([folder])
    return list(error.value.problems)


def rule(when: str, then: str) -> str:
    return f"rules:\n  - id: r\n    source: s\n    when: {{{when}}}\n    then: {{{then}}}\n"


def test_what_the_cases_below_are_built_from_is_sound(tmp_path: Path) -> None:
    load([pack(tmp_path, rules=rule(IN, "action: replace, response: card"))])


@pytest.mark.parametrize(
    ("when", "then", "line", "what"),
    [
        (IN, "action: rewrite, response: card", 5, "changes a bot's reply"),
        (IN, "action: regenerate, response: card", 5, "changes a bot's reply"),
        (IN, "action: steer", 5, "steer without guidance"),
        (IN, "action: support, response: card", 5, "support without help"),
        (IN, "action: support, help: [suicide_crisis]", 5, "name a response"),
        (IN, "action: steer, steer: watch, help: [suicide_crisis]", 5, "never shown with action steer"),
        (IN, "action: steer, steer: watch, response: card", 5, "is never said"),
        (IN, "action: pass, response: card", 5, "is never said"),
        (IN, "action: replace", 5, "left with silence"),
        (IN, "action: replace, response: card, case: {deadline: 0m}", 5, "deadline must be a time"),
        (IN, "action: replace, response: card, case: {dedline: 5m}", 5, "did you mean deadline?"),
        (IN, "action: replace, response: card, case: {deadline: -5m}", 5, "deadline must be a time"),
        ("direction: inbound, latch: '>=3'", "action: replace, response: card", 5, "fresh evidence"),
        ("direction: inbound, latch: '>=3'", "action: steer, steer: watch, case: {deadline: 5m}", 5, "name one"),
        (OUT, "action: rewrite, response: card, steer: watch", 5, "heard only by regenerate"),
        (f"{IN}, locale: english", "action: replace, response: card", 4, "locale english is never met"),
        (f"{IN}, country: de", "action: replace, response: card", 4, "country de is never met"),
        (f"{IN}, subject: me", "action: replace, response: card", 4, "unknown subject me"),
        (f"{IN}, audience: kid", "action: replace, response: card", 4, "unknown audience kid"),
        (f"{IN}, frame: joke", "action: replace, response: card", 4, "unknown frame joke"),
        (f"{IN}, time: later", "action: replace, response: card", 4, "unknown time later"),
        (f"{IN}, episode: ajar", "action: replace, response: card", 4, "episode must be open or closed"),
        (f"{IN}, latch: '>5'", "action: replace, response: card", 4, "latch is no range"),
        (f"{IN}, latch: 2.5", "action: replace, response: card", 4, "latch is no range"),
        (f"{IN}, level: '>2'", "action: replace, response: card", 4, "level is no range"),
        (f"{OUT}, drift: -1", "action: rewrite, response: card", 4, "drift must be a number"),
        ("direction: inbound, signal: [suicide, 3]", "action: replace, response: card", 4, "list of names"),
        ("direction: outbound, signal: suicide", "action: replace, response: card", 4, "never seen outbound"),
    ],
)
def test_a_rule_that_would_do_nothing_is_refused_at_its_place(
    tmp_path: Path, when: str, then: str, line: int, what: str
) -> None:
    found = problems(pack(tmp_path, rules=rule(when, then)))
    matching = [p for p in found if what in p]
    assert matching, found
    assert matching[0].startswith(f"{tmp_path / 'rules'}.yaml:{line}:")
    assert ";" in matching[0], "it says what to do"


@pytest.mark.parametrize(
    ("files", "file", "line", "what"),
    [
        ({"failures": FILES["failures"].replace("{action: steer, steer: watch}", "{action: pass}", 1)}, "failures", 2, "not passed over"),
        ({"failures": FILES["failures"].replace("{action: replace", "{action: steer, steer: watch", 1)}, "failures", 3, "must be replaced"),
        ({"more": FILES["failures"]}, "more", 2, "stands at"),
        ({"more": "locale: en\nresponses: {card: again}\n"}, "texts", 7, "the response in en card stands at"),
        ({"more": "guidance: {watch: again}\n"}, "more", 1, "the guidance watch stands at"),
        ({"guidance": "guidance: {watch: tell them to call 9-8-8}\n"}, "guidance", 1, "9-8-8 is typed into a text"),
        ({"texts": FILES["texts"] + "  card: twice\n"}, "texts", 8, "not valid YAML"),
        ({"texts": "responses: {a: b}\n"}, "texts", 1, "responses need a locale"),
        ({"texts": "locale: English\nresponses: {a: b}\n"}, "texts", 2, "responses need a locale"),
        ({"texts": FILES["texts"] + "  blank: ' '\n"}, "texts", 8, "blank has no text"),
        ({"rules": "rules: {}\n"}, "rules", 1, "rules must be a list"),
        ({"rules": "rules: [3]\n"}, "rules", 1, "must be a mapping"),
        ({"pack": FILES["pack"].replace("[en]", "[en, de]")}, "", 0, "de has no told.yes"),
        ({"rules": "rules: [\x00]\n"}, "rules", 1, "not valid YAML"),
    ],
)  # fmt: skip
def test_a_file_that_would_be_misread_is_refused_at_its_place(
    tmp_path: Path, files: dict[str, str], file: str, line: int, what: str
) -> None:
    found = problems(pack(tmp_path, **files))
    matching = [p for p in found if what in p]
    assert matching, found
    if line:
        assert matching[0].startswith(f"{tmp_path / file}.yaml:{line}:"), matching


def test_a_file_with_the_other_ending_is_not_quietly_left_out(tmp_path: Path) -> None:
    pack(tmp_path)
    (tmp_path / "rules.yml").write_text(rule(IN, "action: replace, response: card"))
    assert any("rules.yml:1:1: only *.yaml is read" in p for p in problems(tmp_path))


def test_a_pack_without_a_head_or_a_folder_is_refused(tmp_path: Path) -> None:
    pack(tmp_path / "a")
    (tmp_path / "a" / "pack.yaml").unlink()
    assert any("pack.yaml:1:1: is missing" in p for p in problems(tmp_path / "a"))
    assert any("is no folder" in p for p in problems(tmp_path / "nowhere"))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    pack(tmp_path)
    (tmp_path / "rules.yaml").write_bytes(b"rules: \xff\xfe\xfa\n")
    assert any("rules.yaml" in p for p in problems(tmp_path))


@pytest.mark.parametrize("value", ["2026-13-45", "!!bool maybe", "!!int ''", "[" * 60_000, "[" * 900 + "]" * 900])
def test_a_value_that_is_not_what_it_looks_like_is_refused(tmp_path: Path, value: str) -> None:
    pack(tmp_path, extra=f"rules: {value}\n")
    assert any(problem.startswith(f"{tmp_path}/extra.yaml:1:") for problem in problems(tmp_path))


def test_every_byte_and_every_name_counts_in_the_hash(tmp_path: Path) -> None:
    first = load([pack(tmp_path / "a")]).hash
    assert load([pack(tmp_path / "b")]).hash == first
    assert load([pack(tmp_path / "c", guidance=FILES["guidance"] + "# a remark\n")]).hash != first
    (tmp_path / "b" / "guidance.yaml").rename(tmp_path / "b" / "hints.yaml")
    assert load([tmp_path / "b"]).hash != first


@given(st.integers(0, 4), st.integers(0, 4))
def test_a_range_says_what_it_means(low: int, high: int) -> None:
    assert bounds(low, 0, 4) == (low, low) == bounds(str(low), 0, 4)
    assert bounds(f">={low}", 0, 4) == (low, 4)
    assert bounds(f"<={high}", 0, 4) == (0, high)
    assert bounds(f"{low}..{high}", 0, 4) == ((low, high) if low <= high else None)
    assert bounds(f">{low}", 0, 4) == ((low + 1, 4) if low < 4 else None)


@given(st.one_of(st.text(max_size=12), st.floats(), st.booleans(), st.none(), st.lists(st.integers())))
def test_anything_else_is_no_range_outside_its_limits(value: object) -> None:
    found = bounds(value, 0, 4)
    assert found is None or 0 <= found[0] <= found[1] <= 4


DIGITS = st.text("0123456789", min_size=3, max_size=14)


@given(DIGITS, st.sampled_from(["", " ", "-", ".", "/", ") "]))
def test_a_number_is_found_however_it_is_grouped(digits: str, between: str) -> None:
    typed = between.join(digits)
    found = typed_numbers(f"call {typed} now")
    assert found == ([] if typed in ("112", "911") else [typed])
