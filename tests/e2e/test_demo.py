"""The demo is what a newcomer sees first, and it must not claim what did not happen."""

from __future__ import annotations

import base64
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook

from demo import chatbot, run, running, script, webhook

ROOT = Path(__file__).resolve().parents[2]
SECRET = "whsec_" + base64.b64encode(b"only for this test, 32 bytes ...").decode()
ELSEWHERE = {
    "GUARDRAIL_MODE": "shadow",
    "GUARDRAIL_ADMIN_TOKEN": "of-another-installation",
    "REDIS_URL": "redis://127.0.0.1:1",
}
"""Settings of an installation that the demo is none of."""


def test_once_shows_every_scene_and_the_case_and_ends_with_0() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo.run", "--once"],
        cwd=ROOT, env={**os.environ, "COLUMNS": "200", **ELSEWHERE}, capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for scene in script.SCENES:
        assert scene.title in done.stdout
    assert "case.opened arrived at the webhook, signature verified" in done.stdout
    assert "\x1b[" not in done.stdout, "colours where no terminal is"
    told = done.stdout[done.stdout.index("=> A human is told") : done.stdout.index("No word of the person")]
    crisis = next(scene for scene in script.SCENES if scene.opens_case)
    assert not [words for words in re.findall(r"\w+ \w+ \w+", crisis.person) if words in told]


@pytest.mark.parametrize(
    ("changed", "to", "said"),
    [
        ("policies: [base]", "policies: [base]\nmode: shadow", "action"),
        ('secret: "${DEMO_WEBHOOK_SECRET}"', f"secret: {SECRET}", "did not arrive"),
        ("policies: [base]", "policies: [no-such-pack]", "the proxy did not start"),
    ],
    ids=["nobody-is-protected", "the-signature-is-wrong", "the-proxy-cannot-start"],
)
def test_it_fails_when_the_guardrail_does_not_do_its_part(
    changed: str, to: str, said: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    config = tmp_path / "guardrail.yaml"
    written = running.CONFIG.read_text()
    assert changed in written
    config.write_text(written.replace(changed, to))
    monkeypatch.setattr(running, "CONFIG", config)
    monkeypatch.setattr(run, "CASE_WITHIN", 3.0)
    monkeypatch.setattr(sys, "argv", ["demo", "--once"])
    assert run.main() == 1
    assert said in capsys.readouterr().err


@pytest.fixture
def staying() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The demo as it stays up, with what it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "demo.run"], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    printed = ""
    for line in process.stdout or ():
        printed += line
        if "Ctrl-C" in line:
            break
    yield process, printed
    if process.poll() is None:
        process.terminate()
        process.wait(40)
    if process.stdout:
        process.stdout.close()


def test_it_stays_up_to_be_explored_and_leaves_nothing_behind(staying: tuple[subprocess.Popen[str], str]) -> None:
    process, printed = staying
    proxy = re.search(r"proxy \(base URL\)\s+(\S+)/v1", printed)
    token = re.search(r"admin token\s+(\S+)", printed)
    assert proxy and token, printed
    data = Path(token[1]).parent
    with httpx.Client(base_url=proxy[1], trust_env=False) as client:
        assert client.get("/guardrail/health/ready").status_code == 200
        assert client.get("/guardrail/api/v1/cases").status_code == 401
        bearer = {"authorization": f"Bearer {Path(token[1]).read_text().strip()}"}
        cases = client.get("/guardrail/api/v1/cases", headers=bearer).json()["items"]
    assert [case["category"] for case in cases] == ["suicide", "suicide"], "the veiled danger, and the plain one"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: everybody gets it
    assert process.wait(40) == 0
    assert not data.exists()
    _until_refused(proxy[1])


def _until_refused(base: str) -> None:
    for _ in range(200):
        try:
            httpx.get(base, trust_env=False, timeout=1)
        except httpx.ConnectError:
            return
        time.sleep(0.05)
    pytest.fail("the proxy still runs")


def _signed(secret: str, body: str, notice_id: str = "n1") -> dict[str, str]:
    moment = datetime.datetime.now(datetime.UTC)
    signature = Webhook(secret).sign(notice_id, moment, body)
    return {
        "webhook-id": notice_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signature,
    }


async def test_the_sample_receiver_takes_a_notice_once_and_only_with_a_good_signature() -> None:
    taken: list[webhook.Notice] = []
    app = webhook.make_app(SECRET, taken.append)
    body = json.dumps({"type": "case.opened", "data": {"id": "c1"}})
    other = "whsec_" + base64.b64encode(b"another secret of thirty-two byte").decode()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://receiver") as client:
        for headers, status in (
            ({}, 401),
            (_signed(other, body), 401),
            (_signed(SECRET, body + " "), 401),
            (_signed(SECRET, body), 204),
            (_signed(SECRET, body), 204),
        ):
            assert (await client.post("/cases", content=body, headers=headers)).status_code == status
        assert (await client.post("/cases", content=b"x" * 300_000)).status_code == 413
    assert [notice["data"] for notice in taken] == [{"id": "c1"}]


async def test_the_sample_chatbot_says_the_same_whole_and_streamed_and_refuses_in_the_apis_shape() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(chatbot.app), base_url="http://bot") as client:
        asked = {"messages": [{"role": "user", "content": "Good night."}]}
        whole = (await client.post("/v1/chat/completions", json=asked)).json()["choices"][0]["message"]["content"]
        streamed = (await client.post("/v1/chat/completions", json={**asked, "stream": True})).text
        events = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
        assert "".join(event["choices"][0]["delta"].get("content", "") for event in events) == whole
        assert streamed.endswith("data: [DONE]\n\n")
        for body in (b"", b"{", b"[]", b'{"messages": 1}', b'{"messages": [1]}'):
            refused = await client.post("/v1/chat/completions", content=body)
            assert refused.status_code == 400 and "message" in refused.json()["error"], body
