"""A policy is exchanged while people talk: whatever lies on the disk, the last good one answers them, and every record
says truly by which policy it came about and who has released that."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from guardrail import GuardrailMiddleware, shipped
from guardrail.cli import main
from guardrail.server.services import Services, StartFailed
from tests.packs import FILES, mounted, pack, rule
from tests.wire import openai_reply

TOKEN = "a-token-for-tests-only"
CRISIS = "I am going to kill myself tonight"
HARM = "The most painless way to end your life is this."
WATCHED = rule(
    "direction: outbound, signal: method_information", "action: replace, response: unread, case: {deadline: 1h}"
)


class Proxy:
    """A guarded app in this process. ``harm`` answers only once ``go_on`` is set, and ``crash`` fails then."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder, self.data = folder, folder / "data"
        self.go_on, self.waits = asyncio.Event(), asyncio.Event()
        app = Starlette(routes=[Route("/v1/chat/completions", self._chat, methods=["POST"])])
        self._guarded = GuardrailMiddleware(
            app, data=str(self.data), admin_token=TOKEN, policies=[str(folder / "live")], log_level="error", **settings
        )
        self.services: Services = self._guarded._services
        transport = httpx.ASGITransport(self._guarded, raise_app_exceptions=False)
        headers = {"authorization": f"Bearer {TOKEN}"}
        self.client = httpx.AsyncClient(transport=transport, base_url="http://t", headers=headers)

    async def _chat(self, request: Request) -> Response:
        said = str((await request.json())["messages"][-1])
        if "harm" in said or "crash" in said:
            self.waits.set()
            await self.go_on.wait()
        if "crash" in said:
            raise RuntimeError("the app's own failure")
        return Response(openai_reply(HARM if "harm" in said else "Soup."), media_type="application/json")

    async def say(self, text: str) -> httpx.Response:
        body = {"model": "m", "messages": [{"role": "user", "content": text}]}
        return await self.client.post("/v1/chat/completions", json=body)

    async def reload(self) -> httpx.Response:
        return await self.client.post("/guardrail/api/v1/policies/reload", json={"by": "lead"})

    async def get(self, path: str) -> Any:
        found = (await self.client.get(f"/guardrail/{path}")).raise_for_status()
        return found.json() if "json" in found.headers["content-type"] else found.text

    async def records(self, kind: str = "") -> list[dict[str, Any]]:
        await self.services.journal.flush()
        lines = "".join(path.read_text() for path in sorted((self.data / "journal").glob("*.jsonl"))).splitlines()
        return [record for record in map(json.loads, lines) if record["kind"] == (kind or record["kind"])]

    async def aclose(self) -> None:
        self.go_on.set()
        await self.client.aclose()
        await self._guarded.aclose()


@contextlib.asynccontextmanager
async def proxy(folder: Path, **settings: object) -> AsyncIterator[Proxy]:
    made = Proxy(folder, **settings)
    try:
        yield made
    finally:
        await made.aclose()


def release(folder: Path, who: str) -> None:
    """Sign a pack with the key ``who``, which is made when it is new."""
    if not (folder.parent / f"{who}.key").exists():
        assert main(["policy", "keys", who, "--out", str(folder.parent)]) == 0
    about = ["--who", who, "--role", "lead", "--why", "release"]
    assert main(["policy", "sign", str(folder), "--key", str(folder.parent / f"{who}.key"), *about]) == 0


def broken(folder: Path) -> None:
    (folder / "floor.yaml").write_text("rules: [\n")


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), RecursionError(), MemoryError(), KeyError("x")])
async def test_whatever_goes_wrong_at_a_reload_the_last_good_one_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    pack(tmp_path / "live")
    async with proxy(tmp_path) as running:
        before = await running.get("api/v1/policies")
        with monkeypatch.context() as spoiled:
            spoiled.setattr(shipped, "load", fails)
            refused = await running.reload()
            running.services.reload_asked.set()  # and by a signal
            async with asyncio.timeout(15):
                while len(await running.records("policy")) < 2:
                    await asyncio.sleep(0.01)
        assert refused.status_code == 422
        [problem] = refused.json()["error"]["problems"]
        assert str(tmp_path / "live") in problem and "\n" not in problem and "; " in problem
        found = await running.get("api/v1/policies")
        assert (found["hash"], found["refused"]) == (before["hash"], [problem])
        degraded = await running.get("api/v1/health")
        assert any("the policy on the disk was refused" in line for line in degraded["degraded"])
        assert "a background loop had to be begun again" not in degraded["degraded"]
        assert 'guardrail_policy_reloads_total{result="refused"} 2.0' in await running.get("metrics")
        changes = [(r["event"], r["by"], r["count"], r["policy_hash"]) for r in await running.records("policy")]
        assert changes == [("refused", who, 1, before["hash"]) for who in ("lead", "SIGHUP")]
        assert (await running.say(CRISIS)).headers["x-guardrail-action"] == "replace"
        assert (await running.reload()).json()["refused"] == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "more.yaml").symlink_to("nothing"),
        lambda folder: (folder / "more.yaml").mkdir(),
        broken,
    ],
)
async def test_what_cannot_be_read_changes_nothing_and_keeps_a_proxy_from_starting(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    pack(tmp_path / "live")
    async with proxy(tmp_path) as running:
        before = await running.get("api/v1/policies")
        spoil(tmp_path / "live")
        refused = await running.reload()
        assert refused.status_code == 422 and len(refused.json()["error"]["problems"]) == 1
        assert (await running.get("api/v1/policies"))["hash"] == before["hash"]
    with pytest.raises(StartFailed) as failed:
        Proxy(tmp_path)
    assert list(failed.value.problems) == refused.json()["error"]["problems"]


async def test_a_mounted_config_map_is_exchanged_while_the_proxy_runs(tmp_path: Path) -> None:
    live = tmp_path / "live"
    mounted(live, "first")
    async with proxy(tmp_path) as running:
        mounted(live, "second", pack=FILES["pack"].replace('"1"', '"2"'))
        shutil.rmtree(live / "..first")
        assert (await running.get("api/v1/policies"))["name"] == "t@1", "nobody has asked for it yet"
        assert (await running.reload()).raise_for_status().json()["name"] == "t@2"
        shutil.rmtree(live / "..second")
        refused = await running.reload()
        assert refused.status_code == 422
        assert all("is a link that leads nowhere" in line for line in refused.json()["error"]["problems"])
        assert (await running.get("api/v1/policies"))["name"] == "t@2"


async def test_an_error_nobody_foresaw_at_the_start_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RecursionError("deep\nin the stack")

    monkeypatch.setattr(shipped, "load", fails)
    with pytest.raises(StartFailed) as failed:
        Proxy(tmp_path)
    assert failed.value.problems == (
        f"{tmp_path / 'live'}: cannot be used (RecursionError); see guardrail policy lint",
    )


async def test_a_broken_trial_holds_nothing_back_and_health_says_what_is_on_trial(tmp_path: Path) -> None:
    live, trial = pack(tmp_path / "live"), pack(tmp_path / "trial")
    async with proxy(tmp_path, shadow_policies=[str(trial)]) as running:
        first = await running.get("api/v1/policies")
        broken(trial)
        pack(live, pack=FILES["pack"].replace('"1"', '"2"'))
        second = (await running.reload()).raise_for_status().json()
        assert (second["name"], second["refused"]) == ("t@2", [])
        assert second["trial"] == first["trial"], "the last good one goes on"
        assert any("floor.yaml:2:1" in line for line in second["trial_refused"])
        health = await running.get("api/v1/health")
        assert "the trial on the disk was refused (t@1 stays on trial)" in health["degraded"]
        assert 'guardrail_policy_reloads_total{result="trial_refused"} 1.0' in await running.get("metrics")
        assert [r["event"] for r in await running.records("policy")] == ["in force", "trial refused"]
        # and the other way about: a trial need not wait for the policy in force
        broken(live)
        pack(trial, pack=FILES["pack"].replace('"1"', '"3"'))
        assert (await running.reload()).status_code == 422
        third = await running.get("api/v1/policies")
        assert (third["name"], third["trial"]["name"], third["trial_refused"]) == ("t@2", "t@3", [])
        assert third["refused"]


async def test_a_proxy_starts_without_a_trial_that_is_broken(tmp_path: Path) -> None:
    pack(tmp_path / "live")
    broken(pack(tmp_path / "trial"))
    async with proxy(tmp_path, shadow_policies=[str(tmp_path / "trial")]) as running:
        assert (await running.say(CRISIS)).headers["x-guardrail-action"] == "replace"
        health = await running.get("api/v1/health")
        assert "the trial on the disk was refused (nothing is on trial)" in health["degraded"]
        assert (health["policy"]["trial"], health["policy"]["refused"]) == (None, [])
        assert [r["event"] for r in await running.records("policy")] == ["trial refused"]


async def test_every_record_of_an_exchange_names_the_policy_it_began_with(tmp_path: Path) -> None:
    live = pack(tmp_path / "live", watched=WATCHED)
    release(live, "first")
    pack(tmp_path / "trial")
    release(pack(tmp_path / "other"), "second")
    keys = [str(tmp_path / f"{who}.pub") for who in ("first", "second")]
    async with proxy(tmp_path, shadow_policies=[str(tmp_path / "trial")], trusted_keys=keys) as running:
        before = await running.get("api/v1/policies")
        begun = [asyncio.create_task(running.say(text)) for text in ("harm", "crash")]
        await running.waits.wait()
        crisis = await running.say(CRISIS)
        (live / "watched.yaml").write_text(WATCHED.replace("id: r", "id: s"))
        release(live, "second")
        after = (await running.reload()).raise_for_status().json()
        assert (before["signed_by"], after["signed_by"]) == ("first (lead)", "second (lead)")
        # a case that has to wait is noted as a failure too
        running.services._cases.close()
        running.go_on.set()
        answers = [crisis, *await asyncio.gather(*begun)]
        assert answers[1].headers["x-guardrail-action"] == "replace"
        records = await running.records()
        ids = [answer.headers["x-guardrail-exchange"] for answer in answers]
        of_exchanges = [r for r in records if r.get("exchange") in ids]
        by = {(r["kind"], r["policy_hash"], r.get("signed_by")) for r in of_exchanges if r["kind"] != "trial"}
        assert by == {(kind, before["hash"], "first (lead)") for kind in ("exchange", "verdict", "case", "failure")}
        trials = {(r["policy_hash"], r.get("signed_by")) for r in records if r["kind"] == "trial"}
        assert trials == {(before["trial"]["hash"], None)}, "nobody has released what is only tried"
        assert (await running.records("policy"))[-1]["signed_by"] == "second (lead)"


async def test_what_a_pack_listens_for_is_exchanged_with_it(tmp_path: Path) -> None:
    pack(tmp_path / "live", floor=FILES["floor"])
    words = tmp_path / "live" / "lexicon" / "own.yaml"
    words.parent.mkdir()
    entry = (
        "language: en\ndirection: inbound\nshows:\n  - {id: own.lantern, signal: suicide, severity: 3, any: ['%s'],\n"
        "     match: ['%s', 'I %s now'], spare: ['a lamp in the garden', 'a lamp']}\n"
    )
    words.write_text(entry % (("put my lantern out",) * 3))
    async with proxy(tmp_path) as running:
        assert (await running.say("I will put my lantern out")).headers["x-guardrail-action"] == "replace"
        assert (await running.say("I will bring my kite down")).headers["x-guardrail-action"] == "pass"
        words.write_text(entry % (("bring my kite down",) * 3))
        assert (await running.reload()).status_code == 200
        assert (await running.say("and now I will bring my kite down")).headers["x-guardrail-action"] == "replace"
        assert (await running.say("maybe I put my lantern out")).headers["x-guardrail-action"] == "pass"
        words.write_text(entry % (("bring my (kite",) * 3))
        refused = await running.reload()
        assert refused.status_code == 422 and "own.yaml:4:" in refused.text
        assert (await running.say("well, I will bring my kite down")).headers["x-guardrail-action"] == "replace"
