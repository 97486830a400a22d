"""The proxy is killed in the middle of fifty crises, again and again: no case that was decided is lost."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.live import Proxy, until, webhook

CRISES = 50


def _ask(proxy: Proxy, number: int) -> str | None:
    """One person's message; the exchange's id when an answer came, ``None`` when the proxy died first."""
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": f"I will kill myself tonight, and I am number {number}."}],
    }
    headers = {"x-guardrail-user": f"person-{number}"}
    try:
        answer = httpx.post(f"{proxy.url}/v1/chat/completions", json=body, headers=headers, timeout=20)
    except httpx.HTTPError:
        return None
    assert answer.status_code == 200 and answer.headers["x-guardrail-action"] == "replace"
    return answer.headers["x-guardrail-exchange"]


def test_every_decided_case_arrives_and_repeats_bear_the_same_id(tmp_path: Path) -> None:
    chance = random.Random(7)
    answered: list[str] = []
    with webhook() as hook:
        proxy = Proxy("http://127.0.0.1:9", tmp_path / "data", hook.url)
        waiting = list(range(CRISES))
        while waiting:
            proxy.start()
            kill_after = chance.randint(1, 12)
            with ThreadPoolExecutor(4) as people:
                batch, waiting = waiting[:kill_after], waiting[kill_after:]
                asked = [people.submit(_ask, proxy, number) for number in batch]
                if waiting:
                    chance.choice(asked).result()
                    proxy.kill()
                answered += [exchange for done in asked if (exchange := done.result())]
        until(lambda: set(answered) <= {x for _, data in hook.received for x in data["data"]["exchanges"]}, 60)
        verified = proxy.api("api/v1/health")["journal"]
        proxy.stop()
        assert verified["ok"], verified
    assert len(answered) > CRISES // 3, "most people were answered between the kills"
    notices: dict[str, set[str]] = {}
    for webhook_id, data in hook.received:
        if data["type"] == "case.opened":
            notices.setdefault(data["data"]["id"], set()).add(webhook_id)
    assert all(len(ids) == 1 for ids in notices.values()), "one case, one id, however often it was sent"
