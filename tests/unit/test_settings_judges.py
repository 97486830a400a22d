"""A judge that is set up wrongly would say nothing when it matters: it stops the start, and the line says why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from guardrail.core.model import CATEGORIES, OUTBOUND_SIGNALS
from guardrail.judges.configured import judges
from guardrail.judges.folder import ModelError
from guardrail.settings import Settings, SettingsError, load, warnings
from guardrail.settings_judges import ChatJudge, ModerationJudge

MODERATION = 'kind: moderation, url: "https://judge.example/v1/moderations", model: m'
CHAT = 'kind: chat, url: "https://judge.example/v1/chat/completions", model: m'
SIGNALS = "{toxic: {signal: suicide, severity: 2}}"


def read(folder: Path, judge: str, environ: dict[str, str] | None = None) -> Settings:
    file = folder / "guardrail.yaml"
    file.write_text(f"upstream: http://127.0.0.1:9000\njudges:\n  mine: {judge}\n")
    return load(file, {}, environ or {})


@pytest.mark.parametrize(
    ("judge", "expected"),
    [
        ('{url: "https://x/y"}', "3:9: judge 'mine' needs a kind; write kind: moderation, chat or transformers"),
        (f"{{{MODERATION}, modle: x}}", "3:83: unknown key 'modle'; did you mean model?"),
        (f"{{{MODERATION}, signals: {{}}}}", "3:92: signals: it is empty; say what a label means"),
        (
            f"{{{MODERATION}, signals: {{x: {{signal: suicid, severity: 2}}}}}}",
            "signal: unknown signal 'suicid'; did you mean suicide?",
        ),
        (
            f"{{{MODERATION}, signals: {{x: {{signal: minor, severity: 2}}}}}}",
            "signal: unknown signal 'minor'; write one of those in docs/judges.md",
        ),
        (f"{{{MODERATION}, signals: {{x: {{signal: suicide, severity: 5}}}}}}", "severity is out of range; at most 4"),
        (f"{{{MODERATION}, signals: {{x: {{signal: suicide, severity: 0}}}}}}", "severity is out of range; at least 1"),
        (
            f"{{{MODERATION}, signals: {{x: {{signal: suicide, severity: 2, from: 1.5}}}}}}",
            "from is out of range; at most 1",
        ),
        (f"{{{MODERATION}, signals: {{x: {{signal: suicide, form: 0.5, severity: 2}}}}}}", "did you mean from?"),
        (f"{{{MODERATION}, signals: {{x: []}}}}", "x: it is empty; say what a label means"),
        (
            f"{{{MODERATION}, directions: [outbound], signals: {SIGNALS}}}",
            "3:9: mine: none of its signals is outbound; add one, or take outbound out of directions",
        ),
        (f'{{{MODERATION}, token: "a b"}}', "token: a token that no Authorization header can carry"),
        (f"{{{MODERATION}, token_file: nowhere}}", "the file it names is empty or cannot be read"),
        (f"{{{MODERATION}, deadline: 2}}", "deadline: not a duration"),
        (f"{{{MODERATION}, when: background}}", "when has a value it cannot have; write 'always' or 'ambiguous'"),
        (f"{{{MODERATION}, per_minute: 0}}", "per_minute is out of range; at least 1"),
        ('{kind: moderation, url: "https://judge.example", model: m}', "url: not the whole address of an endpoint"),
        (f"{{{CHAT}, policy: nowhere.md}}", "policy: cannot be read (no such file or directory); name a text file"),
        (f"{{{CHAT}, policy: empty.md}}", "policy: the file is empty; write the policy into it"),
        (f"{{{CHAT}, policy: large.md}}", "policy: more than 64 KiB; a policy for a judge is a page or two"),
        (f"{{{CHAT}, signals: {SIGNALS}}}", "mine: signals go with format: llama_guard"),
        ("{kind: transformers, path: ./m}", "signals is missing; add it"),
    ],
)
def test_what_is_wrong_with_a_judge_is_one_line(tmp_path: Path, judge: str, expected: str) -> None:
    (tmp_path / "empty.md").write_text(" \n")
    (tmp_path / "large.md").write_text("x" * 70_000)
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, judge)
    [line] = caught.value.problems
    assert expected in line and line.startswith(f"{tmp_path}/guardrail.yaml:3:")


def test_a_judge_may_not_pass_for_a_detector_of_our_own(tmp_path: Path) -> None:
    file = tmp_path / "guardrail.yaml"
    file.write_text(f"upstream: http://127.0.0.1:9000\njudges:\n  model: {{{MODERATION}}}\n")
    with pytest.raises(SettingsError, match="3:3: model is a detector of our own; choose another name"):
        load(file, {}, {})


def test_a_policy_lies_beside_the_settings_and_a_token_comes_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text("Judge.")
    settings = read(tmp_path, f"{{{CHAT}, policy: mine.md}}", {"GUARDRAIL_JUDGES__MINE__TOKEN": "t-0123"})
    judge = settings.judges["mine"]
    assert isinstance(judge, ChatJudge) and judge.policy == str(tmp_path / "mine.md")
    assert judge.token is not None and judge.token.get_secret_value() == "t-0123"
    assert "t-0123" not in repr(settings)


def test_what_nothing_else_is_said_of_is_not_required_and_outvotes_nobody(tmp_path: Path) -> None:
    judge = read(tmp_path, f"{{{MODERATION}}}").judges["mine"]
    assert isinstance(judge, ModerationJudge)
    assert (judge.required, judge.outvotes, judge.when, judge.deadline) == (False, False, "always", 2.0)
    assert judge.reads == {"inbound", "outbound"}


def test_a_judge_is_asked_only_of_what_its_signals_speak_of(tmp_path: Path) -> None:
    settings = read(tmp_path, f"{{{MODERATION}, signals: {SIGNALS}}}")
    [judge] = judges(settings.judges)
    assert judge.directions == {"inbound"}


def test_words_sent_to_another_machine_in_the_clear_are_worth_a_line(tmp_path: Path) -> None:
    clear = MODERATION.replace("https://judge.example", "http://judge.example")
    assert any("without encryption" in line for line in warnings(read(tmp_path, f"{{{clear}}}")))
    here = MODERATION.replace("https://judge.example", "http://127.0.0.1:9")
    assert not any("without encryption" in line for line in warnings(read(tmp_path, f"{{{here}}}")))


def test_a_library_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    settings = read(tmp_path, f"{{kind: transformers, path: ./m, signals: {SIGNALS}}}")
    assert getattr(settings.judges["mine"], "path", "") == str(tmp_path / "m")
    with pytest.raises(ModelError, match=r"^judge mine: kind: transformers .* pip install .*\[transformers\]'$"):
        judges(settings.judges)


DOCS = Path(__file__).resolve().parents[2] / "docs" / "judges.md"


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL))
def test_what_the_documentation_shows_can_be_written(tmp_path: Path, example: str) -> None:
    (tmp_path / "safeguard.md").write_text("Judge.")
    (tmp_path / "token").write_text("t-0123")
    file = tmp_path / "guardrail.yaml"
    file.write_text("upstream: http://127.0.0.1:9000\n" + example.replace("/run/secrets/openai", "token"))
    settings = load(file, {}, {})
    assert len(settings.judges) == 1 and warnings(settings) == warnings(Settings(upstream="http://127.0.0.1:9000"))


def test_the_documentation_names_every_signal_a_label_may_mean() -> None:
    text = DOCS.read_text()
    assert [name for name in (*CATEGORIES, *OUTBOUND_SIGNALS) if f"`{name}`" not in text] == []
