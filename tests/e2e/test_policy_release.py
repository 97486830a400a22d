"""A clinical lead's day, through git and the command line: a rule for a new situation is written, proven, explained,
compared, tried on what was recorded, signed, put in force without a stop, found wanting, and taken back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import TOKEN, Bot, Proxy, chatbot, proxy, until
from tests.packs import pack, rule
from tests.wire import openai_reply

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "clinic"
"""The pack of the clinician's guide."""

THEN = "action: support, response: line"
SAID = "I'm having a panic attack and I can't sleep, tomorrow we write maths."


class Desk:
    """A folder under git, and the command line in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        who = ["-c", "user.name=lead", "-c", "user.email=lead@clinic.example", "-c", "commit.gpgsign=false"]
        command = ["git", *who, *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout

    def guardrail(self, *arguments: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "guardrail.cli", "policy", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, env=environment)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def write(self, version: str, then: str = THEN, case: str = "") -> None:
        pack = self.folder / "clinic"
        pack.mkdir(exist_ok=True)
        head = (EXAMPLE / "pack.yaml").read_text()
        (pack / "pack.yaml").write_text(head.replace('version: "1"', f'version: "{version}"'))
        rules = (EXAMPLE / "exams.yaml").read_text()
        (pack / "exams.yaml").write_text(
            rules.replace(THEN, then).replace("steer: exam_night}", f"steer: exam_night{case}}}")
        )

    def release(self, tag: str, why: str) -> None:
        key = str(self.folder.parent / "lead.key")
        for name in ("base", "clinic"):
            if (self.folder / name).is_dir():
                self.guardrail("sign", name, "--key", key, "--who", "A. Lead", "--role", "clinical lead", "--why", why)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", why)
        self.git("tag", tag)


def soup(bot: Bot, body: dict[str, Any]) -> None:
    bot.whole(openai_reply("Soup is good."))


def say(running: Proxy, text: str, **headers: str) -> httpx.Response:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    return httpx.post(f"{running.url}/v1/chat/completions", json=body, headers=headers)


def in_force(running: Proxy) -> dict[str, Any]:
    found: dict[str, Any] = running.api("api/v1/policies")
    return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path / "policies")
    made.guardrail("keys", "lead", "--out", str(tmp_path))
    made.guardrail("copy", "base", "base")
    made.release("v1", "the shipped policy, read and approved")
    return made


def test_a_rule_from_its_first_draft_to_its_release_and_back(desk: Desk, tmp_path: Path) -> None:
    packs = [str(desk.folder / "base"), str(desk.folder / "clinic")]
    trusted = [(tmp_path / "lead.pub").read_text().strip()]
    desk.write("1")  # written, and not yet released
    with chatbot(soup) as bot:
        data = tmp_path / "data"
        common: dict[str, object] = {"trusted_keys": trusted, "require_signed": True}
        with proxy(bot.url, data, policies=[packs[0]], **common) as running:
            assert in_force(running)["signed_by"] == "A. Lead (clinical lead)"
            for i in range(5):
                headers = {"x-guardrail-conversation": f"c{i}", "x-guardrail-audience": "minor"}
                assert say(running, SAID if i else "I want to kill myself tonight", **headers).status_code == 200

        # proven
        assert "0 errors" in desk.guardrail("lint", *packs)
        told = desk.guardrail("test", *packs)
        assert "0 failures" in told and "133 of 133 rules proven" in told
        # explained
        told = desk.guardrail("explain", *packs, "--vignette", "exam-night")
        assert "exam_night: When a minor shows acute distress" in told and "\u27e6" in told
        told = desk.guardrail("explain", *packs, "--vignette", "exam-noon")
        assert "exam_night (acute_distress): it is 12:01" in told
        # compared
        told = desk.guardrail("diff", packs[0], ",".join(packs))
        assert "rule exam_night added" in told and "0 of them milder" in told
        # tried on what was recorded: nobody is missed
        told = desk.guardrail("simulate", *packs, "--against", packs[0], "--on", str(data), "--json")
        found = json.loads(told)
        assert found["turns"] >= 5 and found["newly_missed"]["count"] == 0
        # signed and released
        desk.release("v2", "exam nights")

        with proxy(bot.url, data, policies=packs, **common) as running:
            first = in_force(running)
            assert first["name"] == "base+clinic@1+1" and first["refused"] == []
            # a second version, put in force while people talk
            desk.write("2", case=", case: {deadline: 24h}")
            refused = httpx.post(
                f"{running.url}/guardrail/api/v1/policies/reload",
                json={"by": "lead"},
                headers={"authorization": f"Bearer {TOKEN}"},
            )
            assert refused.status_code == 422, "it is not signed yet"
            assert any("was altered" in line for line in refused.json()["error"]["problems"])
            assert in_force(running)["hash"] == first["hash"], "the last good one stays in force"
            assert any("refused" in line for line in running.api("api/v1/health")["degraded"])
            desk.release("v3", "exam nights with a case")
            second = running.api("api/v1/policies/reload", {"by": "lead"})
            assert second["name"] == "base+clinic@1+2" and second["hash"] != first["hash"]
            assert not any("refused" in line for line in running.api("api/v1/health")["degraded"])
            # a broken one changes nothing, whoever asks for it
            (desk.folder / "clinic" / "exams.yaml").write_text("rules: [\n")
            assert running.process is not None
            running.process.send_signal(signal.SIGHUP)
            until(lambda: in_force(running)["refused"])
            assert any("exams.yaml:2:1" in line for line in in_force(running)["refused"])
            assert in_force(running)["hash"] == second["hash"]
            assert say(running, "I want to kill myself tonight").headers["x-guardrail-action"] == "replace"
            # and back
            desk.git("checkout", "-q", "v2", "--", ".")
            running.process.send_signal(signal.SIGHUP)
            until(lambda: in_force(running)["hash"] == first["hash"])
        records = [json.loads(line) for line in running.journal().splitlines()]
        assert all(len(record["policy_hash"]) == 64 for record in records), "every record says by which policy"
        assert all(record["signed_by"] == "A. Lead (clinical lead)" for record in records[-20:])
        changes = [(r["event"], r["by"]) for r in records if r["kind"] == "policy"]
        assert changes == [
            ("refused", "lead"), ("in force", "lead"), ("refused", "SIGHUP"), ("in force", "SIGHUP"),
        ]  # fmt: skip


def test_a_proxy_that_needs_signatures_does_not_start_on_altered_packs(desk: Desk, tmp_path: Path) -> None:
    trusted = [(tmp_path / "lead.pub").read_text().strip()]
    guidance = desk.folder / "base" / "guidance.yaml"
    guidance.write_text(f"{guidance.read_text()}# a word more\n")
    with pytest.raises(AssertionError, match=r"was altered after the pack was signed by A\. Lead"):
        Proxy(
            "http://127.0.0.1:9", tmp_path / "data", policies=[str(desk.folder / "base")],
            trusted_keys=trusted, require_signed=True,
        ).start()  # fmt: skip


def test_a_policy_on_trial_reports_only_where_it_differs_and_changes_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.write("1", "action: replace, response: line", ", case: {deadline: 1h}")
    text = (desk.folder / "clinic" / "exams.yaml").read_text().replace(', between: "22:00..06:00"', "")
    (desk.folder / "clinic" / "exams.yaml").write_text(text.partition("vignettes:")[0])
    packs = [str(desk.folder / "base"), str(desk.folder / "clinic")]
    with chatbot(soup) as bot, proxy(bot.url, tmp_path / "data", shadow_policies=packs) as running:
        young = {"x-guardrail-audience": "minor"}
        assert say(running, SAID, **young).headers["x-guardrail-action"] == "steer"
        assert say(running, "How long does soup take?", **young).status_code == 200
        until(lambda: '"kind":"trial"' in running.journal())
        metrics = httpx.get(f"{running.url}/guardrail/metrics", headers={"authorization": f"Bearer {TOKEN}"}).text
        assert 'guardrail_trial_differences_total{direction="inbound"} 1.0' in metrics
        assert running.api("api/v1/cases")["items"] == []
    trials = [json.loads(line) for line in running.journal().splitlines() if '"kind":"trial"' in line]
    assert [(t["rule"], t["action"], t["live_action"], t["enacted"]) for t in trials] == [
        ("exam_night", "replace", "steer", False)
    ]


def test_what_the_app_reads_and_what_the_person_chose_reach_the_rules(desk: Desk, tmp_path: Path) -> None:
    pack = desk.folder / "clinic"
    pack.mkdir()
    (pack / "pack.yaml").write_text((EXAMPLE / "pack.yaml").read_text())
    (pack / "cues.yaml").write_text(
        """guidance: {slowly: Speak slowly and in short sentences.}
rules:
  - id: agitated
    source: s
    when: {direction: inbound, severity: "0..2", cue: {voice.arousal: ">=0.8"}, prefers: plain-words}
    then: {action: steer, steer: slowly}
"""
    )
    packs = [str(desk.folder / "base"), str(pack)]
    with chatbot(soup) as bot, proxy(bot.url, tmp_path / "data", policies=packs) as running:
        for cues, chosen, expected in [
            ('{"voice.arousal":0.9}', "plain-words", "steer"),
            ('{"voice.arousal":0.7}', "plain-words", "pass"),
            ('{"voice.arousal":0.9}', "", "pass"),
            ("[1]", "plain-words", "pass"),
            ('{"voice.arousal":1e999}', "plain-words", "pass"),
            ("{" * 5000, "plain-words", "pass"),
        ]:
            answer = say(running, "Hello.", **{"x-guardrail-cues": cues, "x-guardrail-preferences": chosen})
            assert answer.headers["x-guardrail-action"] == expected, (cues[:30], chosen)
        heads = [{name.lower() for name in headers} for _, _, headers, _ in bot.seen]
        assert not any(name.startswith("x-guardrail") for names in heads for name in names)


def test_what_no_rule_answers_yet_is_recorded_for_the_rule_that_will(tmp_path: Path) -> None:
    """A rule for what nobody had a rule for is tried on the journal, by the choice the app had sent."""
    data = tmp_path / "data"
    silent = str(pack(tmp_path / "silent"))
    answers = "direction: inbound, signal: acute_distress, severity: 2, prefers: text-only"
    told = str(pack(tmp_path / "told", rules=rule(answers, "action: replace, response: card, help: [suicide_crisis]")))
    with chatbot(soup) as bot, proxy(bot.url, data, policies=[silent]) as running:
        for i, choices in enumerate(("", "text-only")):
            headers = {"x-guardrail-conversation": f"c{i}", "x-guardrail-preferences": choices}
            assert say(running, "I'm having a panic attack", **headers).headers["x-guardrail-action"] == "pass"
    command = [sys.executable, "-m", "guardrail.cli", "policy", "simulate", told, "--against", silent, "--json"]
    done = subprocess.run([*command, "--on", str(data)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert (found["turns"], found["newly_escalated"]["count"], found["warnings"]) == (2, 1, [])
