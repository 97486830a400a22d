"""A policy says who is told: its case climbs the ladder it names, in a running proxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import SECRET, TOKEN, Bot, chatbot, proxy, until, webhook
from tests.wire import openai_reply

ABUSE = "My husband hits me every night and I am afraid of him"
RULE = """rules:
  - id: clinic.abuse
    source: the clinic's own safeguarding procedure
    when: {direction: inbound, signal: abuse_victim, severity: ">=3"}
    then: {action: steer, steer: abuse.after, case: {deadline: 1h, priority: urgent, ladder: safeguarding}}
"""


def kind(bot: Bot, request: dict[str, Any]) -> None:
    bot.whole(openai_reply("Soup is good."))


@pytest.fixture
def hooks() -> Iterator[tuple[Any, Any]]:
    with webhook() as usual, webhook() as special:
        yield usual, special


def told(hooks: tuple[Any, Any], tmp_path: Path, ladders: dict[str, Any]) -> dict[str, Any]:
    """Health, after somebody has told of abuse and a human has been told of it."""
    pack = tmp_path / "clinic"
    pack.mkdir()
    (pack / "pack.yaml").write_text('id: clinic\nversion: "1"\nowner: o\nsources: [s]\nreview_by: 2030-01-01\n')
    (pack / "rules.yaml").write_text(RULE)
    channels = {
        name: {"kind": "webhook", "url": hook.url, "secret": SECRET}
        for name, hook in zip(("usual", "special"), hooks, strict=True)
    }
    escalation = {"channels": channels, "ladder": [{"after": "0s", "notify": ["usual"]}], "ladders": ladders}
    with (
        chatbot(kind) as bot,
        proxy(bot.url, tmp_path / "data", policies=["base", str(pack)], escalation=escalation) as running,
    ):
        body = {"model": "m", "messages": [{"role": "user", "content": ABUSE}]}
        assert httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=30).status_code == 200
        until(lambda: hooks[0].received or hooks[1].received)
        answer = httpx.get(
            f"{running.url}/guardrail/api/v1/health", headers={"authorization": f"Bearer {TOKEN}"}, timeout=30
        )
        return dict(answer.json())


def test_a_case_goes_to_those_whom_its_rule_names(hooks: tuple[Any, Any], tmp_path: Path) -> None:
    health = told(hooks, tmp_path, {"safeguarding": [{"after": "0s", "notify": ["special"]}]})
    usual, special = hooks
    [(_, notice)] = special.received
    assert (notice["data"]["category"], notice["data"]["priority"]) == ("abuse_victim", "urgent")
    assert notice["data"]["ladder"] == "safeguarding"
    assert usual.received == []
    assert not any("ladder" in line for line in health["degraded"])


def test_a_ladder_nobody_has_set_up_tells_the_usual_people_and_health_says_so(
    hooks: tuple[Any, Any], tmp_path: Path
) -> None:
    health = told(hooks, tmp_path, {})
    usual, special = hooks
    assert [notice["data"]["category"] for _, notice in usual.received] == ["abuse_victim"] and special.received == []
    assert "nobody has set up the ladder safeguarding: the usual one is used" in health["degraded"]
