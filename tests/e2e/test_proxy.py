"""The whole path with real clients, real sockets, real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.live import TOKEN, Bot, Proxy, chatbot, proxy, until, webhook
from tests.wire import anthropic_stream, openai_reply, openai_stream

CRISIS = "I am going to kill myself tonight"
ORDINARY = "What can I cook today?"


def kind_bot(bot: Bot, request: dict[str, Any]) -> None:
    """A harmless chatbot for both APIs, and an echo for everything else."""
    if bot.path.endswith("/chat/completions"):
        if request.get("stream"):
            bot.stream(openai_stream(["Soup ", "is ", "good. ", "Or bread."], usage=True))
        else:
            bot.whole(openai_reply("Soup is good."))
    elif bot.path.endswith("/messages"):
        bot.stream(anthropic_stream(["Soup ", "is good."]))
    else:
        bot.whole(f"{bot.command} {bot.path}".encode(), kind="text/plain", x_echo="yes")


@pytest.fixture(scope="module")
def bot() -> Iterator[Any]:
    with chatbot(kind_bot) as server:
        yield server


@pytest.fixture(scope="module")
def hook() -> Iterator[Any]:
    with webhook() as server:
        yield server


@pytest.fixture(scope="module")
def guarded(bot: Any, hook: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy(bot.url, tmp_path_factory.mktemp("proxy") / "data", hook.url) as running:
        yield running


@pytest.fixture(autouse=True)
def calm(bot: Any) -> None:
    bot.script = kind_bot
    bot.seen.clear()


def client(guarded: Proxy, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{guarded.url}/v1", api_key="sk-secret-key", max_retries=0, **options)


def ask(guarded: Proxy, text: str, *, user: str = "", stream: bool = False, **headers: str) -> httpx.Response:
    body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": text}]}
    extra = {"x-guardrail-user": user} if user else {}
    return httpx.post(f"{guarded.url}/v1/chat/completions", json=body, headers={**extra, **headers}, timeout=30)


def test_the_openai_client_gets_ordinary_answers_whole_and_streamed(guarded: Proxy, bot: Any) -> None:
    messages: Any = [{"role": "user", "content": ORDINARY}]
    whole = client(guarded).chat.completions.create(model="m", messages=messages)
    assert whole.choices[0].message.content == "Soup is good." and whole.id == "chatcmpl-9"
    stream = client(guarded).chat.completions.create(model="m", messages=messages, stream=True)
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Soup is good. Or bread."
    assert chunks[-1].usage is not None
    method, path, headers, _ = bot.seen[0]
    assert (method, path, headers["authorization"]) == ("POST", "/v1/chat/completions", "Bearer sk-secret-key")
    assert not [name for name in headers if name.lower().startswith("x-guardrail")]


def test_a_crisis_is_answered_in_the_openai_clients_own_shape_and_a_human_is_told(
    guarded: Proxy, bot: Any, hook: Any
) -> None:
    messages: Any = [{"role": "user", "content": CRISIS}]
    raw = client(guarded).chat.completions.with_raw_response.create(
        model="m", messages=messages, extra_headers={"x-guardrail-user": "ann"}
    )
    assert raw.headers["x-guardrail-action"] == "replace"
    reply = raw.parse().choices[0]
    assert reply.finish_reason == "stop" and "112" in str(reply.message.content)
    assert "I have alerted the team" in str(reply.message.content)
    assert bot.seen == [], "a crisis message need not leave the house"
    until(lambda: [d for _, d in hook.received if d["data"]["state"] in ("open", "notified")])
    case = next(d["data"] for _, d in hook.received if d["type"] == "case.opened")
    assert (case["severity"], case["category"], case["country"]) == (4, "suicide", "DE")
    assert "kill" not in json.dumps(case)


def test_a_streamed_crisis_is_answered_in_both_clients(guarded: Proxy) -> None:
    messages: Any = [{"role": "user", "content": CRISIS}]
    stream = client(guarded).chat.completions.create(model="m", messages=messages, stream=True)
    text = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
    assert "112" in text and "AI" in text
    claude = anthropic.Anthropic(base_url=guarded.url, api_key="sk-secret-key", max_retries=0)
    with claude.messages.stream(model="m", max_tokens=10, messages=messages) as events:
        final = events.get_final_message()
    assert final.stop_reason == "end_turn" and "112" in str(final.content[0])
    assert "112" in str(claude.messages.create(model="m", max_tokens=10, messages=messages).content[0])


def test_the_anthropic_client_gets_ordinary_streams(guarded: Proxy) -> None:
    claude = anthropic.Anthropic(base_url=guarded.url, api_key="sk-secret-key", max_retries=0)
    with claude.messages.stream(model="m", max_tokens=10, messages=[{"role": "user", "content": ORDINARY}]) as events:
        assert events.get_final_text() == "Soup is good."


def test_after_the_bridge_the_bot_goes_on_steered_in_the_same_conversation(guarded: Proxy, bot: Any) -> None:
    turns: Any = [{"role": "user", "content": "I want to kill myself, it is all too much for me, number 17"}]
    first = client(guarded).chat.completions.create(model="m", messages=turns)
    turns += [
        {"role": "assistant", "content": first.choices[0].message.content},
        {"role": "user", "content": "I don't know who to call."},
    ]
    raw = client(guarded).chat.completions.with_raw_response.create(model="m", messages=turns)
    assert raw.headers["x-guardrail-action"] == "steer"
    sent = json.loads(bot.seen[-1][3])["messages"]
    assert sent[0]["role"] == "system" and "in danger" in sent[0]["content"]
    assert [m["content"] for m in sent if m["role"] == "user"] == [t["content"] for t in turns if t["role"] == "user"]


def test_a_reply_that_lies_about_being_human_is_corrected_mid_stream(guarded: Proxy, bot: Any) -> None:
    bot.script = lambda b, r: b.stream(
        openai_stream(["Soup is good. ", "I am a real human ", "being just like you. ", "Bread too."])
    )
    stream = client(guarded).chat.completions.create(
        model="m", messages=[{"role": "user", "content": ORDINARY}], stream=True
    )
    text = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
    assert "real human" not in text and "I'm an AI" in text and text.endswith("Bread too.")


def test_a_reply_that_gives_methods_ends_there(guarded: Proxy, bot: Any) -> None:
    harm = ["Well. ", "The most painless way to end your life ", "is something. ", "More."]
    bot.script = lambda b, r: b.stream(openai_stream(harm)) if r.get("stream") else b.whole(openai_reply("".join(harm)))
    for stream in (True, False):
        answer = ask(guarded, ORDINARY, stream=stream)
        assert answer.status_code == 200 and "painless" not in answer.text and "Are you safe right now?" in answer.text


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_other_path_passes_through(guarded: Proxy, bot: Any, method: str) -> None:
    body = b"x" * 300_000 if method in ("POST", "PUT", "PATCH") else b""
    answer = httpx.request(method, f"{guarded.url}/v1/files/a%20b?q=1&r=%2F", content=body)
    assert answer.text == f"{method} /v1/files/a%20b?q=1&r=%2F" and answer.headers["x-echo"] == "yes"
    assert bot.seen[-1][3] == body


def test_head_and_unknown_sizes_pass_through(guarded: Proxy, bot: Any) -> None:
    assert httpx.head(f"{guarded.url}/v1/models").headers["content-length"] == "15"
    answer = httpx.post(f"{guarded.url}/v1/upload", content=iter([b"a" * 1000, b"b" * 1000]))
    assert answer.status_code == 200 and bot.seen[-1][3] == b"a" * 1000 + b"b" * 1000


def test_the_bots_own_errors_reach_a_calm_client(guarded: Proxy, bot: Any) -> None:
    bot.script = lambda b, r: b.whole(b'{"error": {"message": "slow down", "type": "x"}}', status=429, retry_after="7")
    with pytest.raises(openai.RateLimitError) as error:
        client(guarded).chat.completions.create(model="m", messages=[{"role": "user", "content": ORDINARY}])
    assert "slow down" in str(error.value) and error.value.response.headers["retry-after"] == "7"


@pytest.mark.parametrize("fault", ["500", "garbage", "torn", "html", "nothing"])
def test_a_failing_bot_in_a_crisis_is_answered_humanely(guarded: Proxy, bot: Any, fault: str) -> None:
    user = f"fault-{fault}"
    assert ask(guarded, CRISIS, user=user).headers["x-guardrail-action"] == "replace"
    scripts = {
        "500": lambda b, r: b.whole(b"{}", status=500),
        "garbage": lambda b, r: b.whole(b'{"choices": ['),
        "torn": lambda b, r: b.stream(openai_stream(["Good. "], done=False)[:-120], tear=True),
        "html": lambda b, r: b.whole(b"<html>", kind="text/html"),
        "nothing": lambda b, r: b.hang_up(),
    }
    bot.script = scripts[fault]
    body = {
        "model": "m",
        "stream": fault == "torn",
        "messages": [
            {"role": "user", "content": CRISIS},
            {"role": "assistant", "content": "(an answer)"},
            {"role": "user", "content": "are you there?"},
        ],
    }
    answer = httpx.post(f"{guarded.url}/v1/chat/completions", json=body, headers={"x-guardrail-user": user}, timeout=30)
    assert answer.status_code == 200 and "something on my side is not working" in answer.text
    if fault == "torn":
        assert answer.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}', 400),
        (b"[]", 400),
        (b'{"messages": []}', None),
        (b" " * (1024 * 1024 + 1), 413),
    ],
)
def test_what_cannot_be_read_is_refused_in_the_apis_shape(
    bot: Any, tmp_path: Path, body: bytes, status: int | None
) -> None:
    with proxy(bot.url, tmp_path / "data", limits={"request_body": "1MiB"}) as small:
        answer = httpx.post(f"{small.url}/v1/chat/completions", content=body)
        if status is None:
            assert answer.status_code in (200, 400)
            return
        assert answer.status_code == status and answer.json()["error"]["message"]
        assert bot.seen == [], "it is never sent on"


def test_a_person_in_care_is_answered_even_when_the_request_cannot_be_read(guarded: Proxy) -> None:
    assert ask(guarded, CRISIS, **{"x-guardrail-conversation": "room"}).headers["x-guardrail-action"] == "replace"
    answer = httpx.post(
        f"{guarded.url}/v1/chat/completions", content=b"{", headers={"x-guardrail-conversation": "room"}
    )
    assert answer.status_code == 200 and "choices" in answer.json()


def test_an_unreachable_bot_is_502_when_calm_and_an_answer_in_a_crisis(tmp_path: Path) -> None:
    with proxy("http://127.0.0.1:9", tmp_path / "data") as alone:
        calm = ask(alone, ORDINARY)
        assert calm.status_code == 502 and calm.json()["error"]["message"]
        assert ask(alone, CRISIS).status_code == 200
        assert httpx.get(f"{alone.url}/anything").status_code == 502


def test_a_slow_bot_is_504_and_a_waiting_stream_is_kept_alive(bot: Any, tmp_path: Path) -> None:
    import time

    limits = {"upstream_headers": "1s", "keep_alive": "200ms", "upstream_idle": "5s"}
    with proxy(bot.url, tmp_path / "data", limits=limits) as impatient:
        bot.script = lambda b, r: time.sleep(3)
        assert ask(impatient, ORDINARY).status_code == 504
        user = "slow"
        ask(impatient, CRISIS, user=user)
        bot.script = lambda b, r: b.stream(
            openai_stream(["Thank you. ", "I am a program. ", "Who is near?"]), size=150, pause=0.25
        )
        body = {"model": "m", "stream": True, "messages": [
            {"role": "user", "content": CRISIS}, {"role": "assistant", "content": "…"}, {"role": "user", "content": "hm"}]}  # fmt: skip
        answer = httpx.post(
            f"{impatient.url}/v1/chat/completions", json=body, headers={"x-guardrail-user": user}, timeout=30
        )
        assert ": keep-alive" in answer.text and "Who is near?" in answer.text


def test_beyond_its_limit_a_calm_client_waits_and_a_crisis_is_answered(bot: Any, tmp_path: Path) -> None:
    with proxy(bot.url, tmp_path / "data", limits={"exchanges": 1}) as small:
        bot.script = lambda b, r: b.stream(openai_stream(["word. "] * 100), pause=0.05)
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": ORDINARY}]}
        with httpx.stream("POST", f"{small.url}/v1/chat/completions", json=body) as long:
            words = long.iter_bytes()
            next(words)
            busy = ask(small, "What is for dinner?")
            assert busy.status_code == 503 and busy.headers["retry-after"] and busy.json()["error"]["message"]
            assert ask(small, CRISIS).status_code == 200


def test_a_client_that_leaves_mid_stream_leaves_the_proxy_well(guarded: Proxy, bot: Any) -> None:
    bot.script = lambda b, r: b.stream(openai_stream(["word. "] * 400), pause=0.02)
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": ORDINARY}]}
    with httpx.stream("POST", f"{guarded.url}/v1/chat/completions", json=body) as answer:
        next(answer.iter_bytes())
    until(lambda: '"outcome":"client_gone"' in guarded.journal())


def test_an_identical_retry_gets_the_same_answer_and_joins_its_case(guarded: Proxy) -> None:
    first = ask(guarded, "I will end my life tonight, said once", user="retry")
    again = ask(guarded, "I will end my life tonight, said once", user="retry")
    assert first.headers["x-guardrail-action"] == again.headers["x-guardrail-action"] == "replace"
    contents = [r.json()["choices"][0]["message"]["content"] for r in (first, again)]
    assert contents[0] == contents[1]
    exchanges = {r.headers["x-guardrail-exchange"] for r in (first, again)}
    cases = guarded.api("api/v1/cases?limit=1000")["items"]
    assert [set(c["exchanges"]) for c in cases if exchanges & set(c["exchanges"])] == [exchanges]


def test_state_survives_a_restart(bot: Any, tmp_path: Path) -> None:
    with proxy(bot.url, tmp_path / "data") as before:
        reply = ask(before, CRISIS).json()["choices"][0]["message"]["content"]
    with proxy(bot.url, tmp_path / "data") as after:
        turns = [
            {"role": "user", "content": CRISIS},
            {"role": "assistant", "content": reply},
            {"role": "user", "content": "ok"},
        ]
        answer = httpx.post(f"{after.url}/v1/chat/completions", json={"model": "m", "messages": turns})
        assert answer.headers["x-guardrail-action"] == "steer"
        assert len(after.api("api/v1/cases")["items"]) == 1, "known, so not opened again"


def test_everything_but_health_needs_the_token(guarded: Proxy) -> None:
    assert httpx.get(f"{guarded.url}/guardrail/health/live").json() == {"status": "live"}
    assert httpx.get(f"{guarded.url}/guardrail/health/ready").status_code == 200
    for path in ("metrics", "api/v1/cases", "api/v1/health", "api/v1/openapi.json", "api/v1/cases/x"):
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}):
            assert httpx.get(f"{guarded.url}/guardrail/{path}", headers=headers).status_code == 401
    for path in ("nothing", "console/", "api/v2/cases"):
        assert httpx.get(f"{guarded.url}/guardrail/{path}").status_code == 404


def test_a_case_through_the_api(guarded: Proxy) -> None:
    ask(guarded, CRISIS, user="api")
    case = guarded.api("api/v1/cases")["items"][0]
    path = f"api/v1/cases/{case['id']}"
    assert guarded.api(path)["id"] == case["id"]
    assert guarded.api(f"{path}/acknowledge", {"by": "ann"})["state"] == "acknowledged"
    assert guarded.api(f"{path}/claim", {"by": "ann"})["claimed_by"] == "ann"
    for verb, body, status in [
        ("claim", {"by": "bob"}, 409), ("resolve", {"by": "ann", "outcome": "nonsense"}, 400), ("resolve", {"outcome": "test"}, 400),
        ("reply", {"by": "ann", "text": "hi"}, 409),
    ]:  # fmt: skip
        with pytest.raises(httpx.HTTPStatusError) as error:
            guarded.api(f"{path}/{verb}", body)
        assert error.value.response.status_code == status
    resolved = guarded.api(f"{path}/resolve", {"by": "ann", "outcome": "test", "note": "a drill"})
    assert (resolved["state"], resolved["outcome"]) == ("resolved", "test")
    for path, status in [
        ("api/v1/cases/unknown", 404),
        ("api/v1/cases?cursor=x", 400),
        ("api/v1/cases?limit=0", 400),
        ("api/v1/cases?state=x", 400),
    ]:
        with pytest.raises(httpx.HTTPStatusError) as error:
            guarded.api(path)
        assert error.value.response.status_code == status


def test_a_human_who_resolves_a_case_lowers_the_latch(guarded: Proxy) -> None:
    named = {"x-guardrail-conversation": "lowered"}
    exchange = ask(guarded, CRISIS, **named).headers["x-guardrail-exchange"]
    assert ask(guarded, ORDINARY, **named).headers["x-guardrail-action"] == "steer"
    case = next(c for c in guarded.api("api/v1/cases?limit=1000")["items"] if exchange in c["exchanges"])
    guarded.api(f"api/v1/cases/{case['id']}/resolve", {"by": "ann", "outcome": "false_alarm"})
    assert ask(guarded, f"{ORDINARY} And tomorrow?", **named).headers["x-guardrail-action"] == "pass"


def test_the_api_describes_itself(guarded: Proxy) -> None:
    described = guarded.api("api/v1/openapi.json")
    assert described["openapi"].startswith("3.1") and "/guardrail/api/v1/cases/{id}/resolve" in described["paths"]
    for path, verbs in described["paths"].items():
        for verb in verbs:
            answer = httpx.request(verb, f"{guarded.url}{path.replace('{id}', 'x')}")
            assert answer.status_code == (200 if "/health/" in path else 401), path


def test_no_words_and_no_keys_are_kept_anywhere(guarded: Proxy) -> None:
    marker = "zebrafinch"
    ask(guarded, f"{CRISIS}, my {marker} agrees", user="secret-user-name", authorization="Bearer sk-very-secret")
    ask(guarded, f"tell me about the {marker}", authorization="Bearer sk-very-secret")
    until(lambda: guarded.journal().count('"kind":"exchange"') > 2)
    metrics = httpx.get(f"{guarded.url}/guardrail/metrics", headers={"authorization": f"Bearer {TOKEN}"}).text
    assert "guardrail_verdicts_total" in metrics
    kept = guarded.log.read_text() + metrics
    kept += "".join(path.read_bytes().decode("latin-1") for path in guarded.data.rglob("*") if path.is_file())
    for secret in (marker, "sk-very-secret", "secret-user-name", "kill myself"):
        assert secret not in kept


def test_the_command_line_reads_the_same_folder(guarded: Proxy) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "guardrail.cli", *arguments, "--data", str(guarded.data)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    ask(guarded, CRISIS, user="cli")
    code, text = run("cases", "list", "--json")
    case = json.loads(text)["items"][0]
    assert code == 0 and case["severity"] == 4
    assert run("cases", "ack", case["id"], "--by", "ann")[0] == 0
    assert "acknowledged" in run("cases", "show", case["id"])[1]
    assert run("cases", "resolve", case["id"], "--outcome", "test", "--by", "ann")[0] == 0
    assert run("cases", "show", "unknown")[0] == 2
    code, text = run("journal", "verify")
    assert code == 0, text


def test_shadow_mode_changes_nothing(bot: Any, tmp_path: Path) -> None:
    bot.script = lambda b, r: b.stream(openai_stream(["The most painless way to end your life is this."]))
    with proxy(bot.url, tmp_path / "data", mode="shadow") as shadow:
        answer = ask(shadow, CRISIS, stream=True)
        assert answer.content == openai_stream(["The most painless way to end your life is this."])
        assert answer.headers["x-guardrail-action"] == "pass"
        assert shadow.api("api/v1/cases")["items"] == []
        until(lambda: '"enacted":false' in shadow.journal())


def test_a_second_process_on_the_same_folder_is_refused(guarded: Proxy) -> None:
    command = [
        sys.executable,
        "-m",
        "guardrail.cli",
        "serve",
        "--upstream",
        "http://127.0.0.1:9",
        "--listen",
        "127.0.0.1:0",
        "--data",
        str(guarded.data),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_paths_that_name_people_are_not_logged_and_our_headers_are_ours_alone(guarded: Proxy, bot: Any) -> None:
    httpx.post(f"{guarded.url}/people/of/anna-example/notes", content=b"x")
    assert "anna-example" not in guarded.log.read_text() and "/people/of" in guarded.log.read_text()
    bot.script = lambda b, _: b.whole(openai_reply("Soup."), x_guardrail_action="pass", x_guardrail_exchange="theirs")
    body = {"model": "m", "messages": [{"role": "user", "content": ORDINARY}]}
    answer = httpx.post(f"{guarded.url}/v1/chat/completions", json=body)
    assert answer.headers.get_list("x-guardrail-action") == ["pass"]
    assert len(answer.headers.get_list("x-guardrail-exchange")) == 1
