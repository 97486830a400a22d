"""APIs whose requests bring only what is new: the conversation is found all the same, and goes on after a reply of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.live import Bot, Proxy, chatbot, proxy

CRISIS = "I want to kill myself"
JSON_DIALECT = [
    {
        "path": "/talk",
        "request": {"text": "/message", "conversation": "/session", "guidance": "/system"},
        "reply": {"text": "/answer", "conversation": "/session"},
    }
]


def response(id: str, said: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": said, "annotations": []}
    message = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    return {
        "id": id, "object": "response", "created_at": 5, "status": "completed", "model": "m", "error": None,
        "incomplete_details": None, "instructions": None, "metadata": {}, "output": [message], "usage": None,
        "parallel_tool_calls": True, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
    }  # fmt: skip


def bot(bot: Bot, request: dict[str, Any]) -> None:
    number = len(bot.server.seen)
    if bot.path == "/talk":
        bot.whole(json.dumps({"answer": "Soup is good.", "session": request.get("session", f"s{number}")}).encode())
        return
    given = request.get("previous_response_id")
    if given is not None and not given.startswith("resp_up"):
        bot.whole(b'{"error": {"message": "Previous response not found.", "code": "not_found"}}', 400)
        return
    bot.whole(json.dumps(response(f"resp_up{number}", "Soup is good.")).encode())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Proxy]]:
    folder = tmp_path_factory.mktemp("last")
    with chatbot(bot) as server, proxy(server.url, folder / "data", json_dialect=JSON_DIALECT) as guarded:
        yield server, guarded


def cases(guarded: Proxy) -> list[Any]:
    return list(guarded.api("api/v1/cases")["items"])


def test_a_response_of_ours_is_gone_on_from_though_the_upstream_never_heard_of_it(running: tuple[Any, Proxy]) -> None:
    server, guarded = running
    before = len(cases(guarded))
    with openai.OpenAI(base_url=f"{guarded.url}/v1", api_key="k", max_retries=0) as client:
        first = client.responses.create(model="m", input="What can I cook?")
        asked = len(server.seen)
        second = client.responses.create(model="m", input=CRISIS, previous_response_id=first.id)
        assert len(server.seen) == asked and second.id != first.id
        third = client.responses.create(model="m", input="What now?", previous_response_id=second.id)
        sent = json.loads(server.seen[-1][3])
        assert sent["previous_response_id"] == first.id
        assert [(i["role"], i["content"]) for i in sent["input"]] == [
            ("user", CRISIS), ("assistant", second.output_text), ("user", "What now?"),
        ]  # fmt: skip
        assert sent["instructions"], "it is steered: this is still the conversation in which that was said"
        fourth = client.responses.create(model="m", input=CRISIS, previous_response_id=third.id)
        assert fourth.output_text != second.output_text, "never the same card twice"
    mine = cases(guarded)[: len(cases(guarded)) - before]
    assert [case["severity"] for case in mine] == [3], "one conversation, one case"


def test_a_conversation_that_the_upstream_names_in_its_first_reply_is_known_by_that_name(
    running: tuple[Any, Proxy],
) -> None:
    server, guarded = running
    before = len(cases(guarded))
    first = httpx.post(f"{guarded.url}/talk", json={"message": "What can I cook?"}).json()
    second = httpx.post(f"{guarded.url}/talk", json={"message": CRISIS, "session": first["session"]}).json()
    assert "suicide" in second["answer"] and second["session"] == first["session"]
    httpx.post(f"{guarded.url}/talk", json={"message": "I don't know", "session": first["session"]})
    assert json.loads(server.seen[-1][3])["system"], "steered by what was said before"
    httpx.post(f"{guarded.url}/talk", json={"message": "What can I cook?", "session": "somebody else"})
    assert "system" not in json.loads(server.seen[-1][3])
    assert len(cases(guarded)) == before + 1


def test_after_a_restart_a_response_of_ours_is_still_gone_on_from(running: tuple[Any, Proxy]) -> None:
    server, guarded = running
    with openai.OpenAI(base_url=f"{guarded.url}/v1", api_key="k", max_retries=0) as client:
        first = client.responses.create(model="m", input="What can I cook at home?")
        second = client.responses.create(model="m", input=CRISIS, previous_response_id=first.id)
        guarded.stop()
        guarded.start()
        client.responses.create(model="m", input="What now?", previous_response_id=second.id)
    sent = json.loads(server.seen[-1][3])
    assert sent["previous_response_id"] == first.id
    assert sent["instructions"]
