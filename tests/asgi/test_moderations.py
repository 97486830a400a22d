"""``moderations: local``: whoever asks OpenAI's endpoint gets our verdict, or an error, and never a calm word for what
nobody has looked at."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from guardrail import GuardrailMiddleware
from guardrail.core.model import Context, Signal
from guardrail.server.moderating import CATEGORIES, MOST
from tests.live import Proxy, chatbot, proxy
from tests.wire import openai_reply

CRISIS = "I am going to kill myself tonight"
OWN = {"model": {"folder": "none"}, "moderations": "local"}


async def own_app(request: Request) -> Response:
    return PlainTextResponse("the app's own")


@asynccontextmanager
async def client(folder: Path, **settings: Any) -> AsyncIterator[tuple[httpx.AsyncClient, GuardrailMiddleware]]:
    app = Starlette(routes=[Route("/{path:path}", own_app, methods=["GET", "POST"])])
    guarded = GuardrailMiddleware(app, data=str(folder / "data"), log_level="error", **{**OWN, **settings})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(guarded), base_url="http://t") as found:
        yield found, guarded
    await guarded.aclose()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with (
        chatbot(lambda bot, request: bot.whole(openai_reply("Soup."))) as bot,
        proxy(bot.url, tmp_path_factory.mktemp("moderations") / "data", **OWN) as running,
    ):
        yield running


@pytest.fixture
def api(live: Proxy) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def test_the_client_of_the_api_reads_our_verdict(api: openai.OpenAI) -> None:
    answer = api.moderations.create(model="omni-moderation-latest", input=[CRISIS, "What can I cook today?"])
    crisis, calm = answer.results
    assert crisis.flagged and crisis.categories.self_harm_intent and crisis.category_scores.self_harm_intent > 0.75
    assert not calm.flagged and not any(calm.categories.to_dict().values())
    for result in (crisis, calm):
        assert set(result.categories.to_dict()) == set(result.category_scores.to_dict()) == set(CATEGORIES)
    ours = crisis.to_dict()["guardrail"]
    assert isinstance(ours, dict) and ours["severity"] == 4 and ours["action"] == "replace"
    assert ours["signals"][0]["name"] == "suicide" and ours["signals"][0]["spans"]  # type: ignore[index]


def test_one_text_and_parts_of_one_text_are_one_result(api: openai.OpenAI) -> None:
    [single] = api.moderations.create(input=CRISIS).results
    parts: Any = [{"type": "text", "text": "soup"}, {"type": "text", "text": CRISIS}]
    [joined] = api.moderations.create(input=parts).results
    assert single.flagged and joined.flagged
    [empty] = api.moderations.create(input="").results
    assert not empty.flagged


@pytest.mark.parametrize(
    "given",
    [
        [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}],
        [{"type": "text", "text": "soup"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}],
        [{"type": "text"}],
        ["soup", {"type": "text", "text": "soup"}],
        [],
        ["soup"] * (MOST + 1),
        [1, 2],
        None,
    ],
)
def test_what_cannot_be_looked_at_is_an_error_of_the_api(api: openai.OpenAI, given: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        api.moderations.create(input=given)
    assert isinstance(caught.value.body, dict) and caught.value.body["type"] == "invalid_request_error"


def test_what_is_too_large_is_an_error_of_the_api(api: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        api.moderations.create(input="soup " * 300_000)
    assert caught.value.status_code == 413


async def test_a_key_given_twice_hides_nothing(tmp_path: Path) -> None:
    async with client(tmp_path) as (http, _):
        answer = await http.post("/v1/moderations", content=json.dumps({"input": CRISIS})[:-1] + ', "input": "soup"}')
        assert answer.status_code == 400 and "error" in answer.json()


class Plugin:
    name, directions, deadline, blocking = "plug-in", frozenset(("inbound",)), 1.0, False

    def __init__(self, act: Callable[[], list[Signal]], required: bool) -> None:
        self._act, self.required = act, required

    def look(self, text: str, context: Context) -> list[Signal]:
        return self._act()


def fails() -> list[Signal]:
    raise RuntimeError


@pytest.mark.parametrize("text", ["soup", CRISIS])
async def test_what_a_required_detector_did_not_look_at_is_never_called_calm(tmp_path: Path, text: str) -> None:
    async with client(tmp_path) as (http, guarded):
        scanner = guarded._services.scanner
        scanner._use((*scanner._detectors, Plugin(fails, required=True)))
        answer = await http.post("/v1/moderations", json={"input": text})
        assert answer.status_code == 503 and answer.json()["error"]["type"] == "server_error"


async def test_one_that_is_not_required_is_named_and_the_others_count(tmp_path: Path) -> None:
    async with client(tmp_path) as (http, guarded):
        scanner = guarded._services.scanner
        scanner._use((*scanner._detectors, Plugin(fails, required=False)))
        [result] = (await http.post("/v1/moderations", json={"input": "soup"})).json()["results"]
        assert result["guardrail"]["failures"] == [{"detector": "plug-in", "reason": "raised"}]


async def test_every_score_says_where_our_line_is(tmp_path: Path) -> None:
    async with client(tmp_path) as (http, guarded):
        scanner = guarded._services.scanner
        for severity in range(5):
            seen = [Signal("violence_to_others", severity, 0.5)]
            scanner._use((Plugin(lambda seen=seen: seen, required=True),))  # type: ignore[misc]
            [result] = (await http.post("/v1/moderations", json={"input": "soup"})).json()["results"]
            assert result["flagged"] == result["categories"]["violence"] == (severity >= 2)
            assert (result["category_scores"]["violence"] >= 0.5) == (severity >= 2)


async def test_too_much_at_once_is_told_and_not_guessed(tmp_path: Path) -> None:
    async with client(tmp_path, limits={"exchanges": 1}) as (http, guarded):
        guarded._services.active = 1
        answer = await http.post("/v1/moderations", json={"input": "soup"})
        assert answer.status_code == 503 and answer.headers["retry-after"]
        assert guarded._services.active == 1


@pytest.mark.parametrize(
    ("path", "ours"),
    [("/v1/moderations", True), ("/moderations", True), ("/V1//moderations/", True), ("/rooms/7/moderations", False)],
)
async def test_only_the_path_of_the_api_is_answered_here(tmp_path: Path, path: str, ours: bool) -> None:
    async with client(tmp_path) as (http, _):
        assert ("results" in (await http.post(path, json={"input": "soup"})).text) is ours
        assert (await http.get(path)).text == "the app's own"


async def test_without_the_setting_the_chatbot_answers(tmp_path: Path) -> None:
    async with client(tmp_path, moderations="upstream") as (http, _):
        assert (await http.post("/v1/moderations", json={"input": CRISIS})).text == "the app's own"
