"""Bounds on sizes, times and numbers at the running proxy, and nobody in danger goes unanswered because of one."""

from __future__ import annotations

import gzip
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import wire
from tests.live import Bot, Proxy, chatbot, proxy, until

CRISIS = "I want to kill myself"
ORDINARY = "What can I cook today?"
PATHS = {
    "/v1/chat/completions": {"model": "m"},
    "/v1/messages": {"model": "m", "max_tokens": 9},
}
LIMITS = {
    "request_body": "64KiB", "reply_body": "64KiB", "stream_body": "64KiB", "headers": "8KiB", "messages": 20, "header_time": "1s",
    "request_body_time": "1s", "client_idle": "2s", "connections": 50, "upstream_idle": "5s", "reply_time": "3s",
}  # fmt: skip


def kind_bot(bot: Bot, request: dict[str, Any]) -> None:
    bot.whole(wire.openai_reply("Soup is good."))


@pytest.fixture(scope="module")
def bot() -> Iterator[Any]:
    with chatbot(kind_bot) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(bot: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy(bot.url, tmp_path_factory.mktemp("proxy") / "data", limits=LIMITS) as running:
        yield running


@pytest.fixture(autouse=True)
def calm(bot: Any) -> None:
    bot.script = kind_bot
    bot.seen.clear()


def chat(*said: str, **members: object) -> dict[str, object]:
    return {"model": "m", "messages": [{"role": "user", "content": text} for text in said], **members}


def history(turns: int, last: str) -> dict[str, object]:
    before = [{"role": role, "content": "Soup."} for _ in range(turns // 2) for role in ("user", "assistant")]
    return {"model": "m", "max_tokens": 9, "messages": [*before, {"role": "user", "content": last}]}


def post(guarded: Proxy, body: object, path: str = "/v1/chat/completions", **options: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(guarded.url + path, content=content, timeout=30, **options)


def raw(guarded: Proxy, data: bytes, *, wait: float = 10.0) -> bytes:
    """What comes back on one connection until the proxy ends it, or nothing comes for a while."""
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=wait) as client:
        client.sendall(data)
        got = b""
        while True:
            try:
                part = client.recv(65536)
            except TimeoutError:
                return got
            if not part:
                return got
            got += part
            if re.search(rb"content-length: (\d+)", got) and b"\r\n\r\n" in got:
                client.settimeout(0.3)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        (lambda said: {"padding": ["Soup. " * 20_000], **chat(said)}, 413, "larger than 65536 bytes"),
        (lambda said: history(20, said), 400, "more than 20 messages"),
        (lambda said: json.dumps(chat(said)).encode()[:-2], 400, "could not be read"),
        (lambda said: json.dumps(chat(said)).encode() + b"\xff", 400, "could not be read"),
    ],
    ids=["size", "history", "torn", "encoding"],
)
def test_beyond_a_limit_the_client_is_told_why_and_a_crisis_is_answered(
    guarded: Proxy, bot: Any, path: str, body: Any, status: int, why: str
) -> None:
    calm = post(guarded, body(ORDINARY), path)
    assert calm.status_code == status
    assert why in calm.json()["error"]["message"]
    cared = post(guarded, body(CRISIS), path)
    assert cared.status_code == 200
    assert "thinking about suicide" in cared.text and "TelefonSeelsorge" in cared.text
    assert bot.seen == []


def test_a_crisis_in_a_refused_request_has_its_case_and_a_retry_joins_it(guarded: Proxy) -> None:
    before = len(guarded.api("api/v1/cases?limit=1000")["items"])
    for _ in range(2):
        assert post(guarded, json.dumps(chat(CRISIS, "Please.", user="refused")).encode()[:-1]).status_code == 200
    assert len(guarded.api("api/v1/cases?limit=1000")["items"]) == before + 1


def test_compressed_requests_are_read_and_bombs_are_not(guarded: Proxy, bot: Any) -> None:
    packed = {"content-encoding": "gzip"}
    assert post(guarded, gzip.compress(json.dumps(chat(ORDINARY)).encode()), headers=packed).status_code == 200
    assert json.loads(bot.seen[0][3]) == chat(ORDINARY)
    assert "content-encoding" not in {name.lower() for name in bot.seen[0][2]}
    assert "suicide" in post(guarded, gzip.compress(json.dumps(chat(CRISIS)).encode()), headers=packed).text
    bomb = post(guarded, gzip.compress(bytes(64 * 1024**2)), headers=packed)
    assert (bomb.status_code, "decompressed" in bomb.json()["error"]["message"]) == (413, True)
    unknown = post(guarded, b"x", headers={"content-encoding": "br"})
    assert (unknown.status_code, "gzip" in unknown.json()["error"]["message"]) == (415, True)


@pytest.mark.parametrize("said", [ORDINARY, CRISIS])
def test_a_body_that_stops_coming_is_answered_by_what_came(guarded: Proxy, said: str) -> None:
    body = json.dumps(chat(said)).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n"
    got = raw(guarded, head + body)
    if said == CRISIS:
        assert b" 200 " in got[:20] and b"thinking about suicide" in got
    else:
        assert b" 408 " in got[:20] and b'"message"' in got


# --- heads


@pytest.mark.parametrize("headers", [{"x-large": "a" * 9000}, {f"x-{n}": "a" for n in range(300)}])
def test_too_much_in_the_head_is_told_in_the_apis_shape_and_a_crisis_is_answered(
    guarded: Proxy, bot: Any, headers: dict[str, str]
) -> None:
    calm = post(guarded, chat(ORDINARY), headers=headers)
    assert (calm.status_code, "head" in calm.json()["error"]["message"]) == (431, True)
    assert "thinking about suicide" in post(guarded, chat(CRISIS), headers=headers).text
    assert httpx.get(f"{guarded.url}/elsewhere", headers=headers).status_code == 431
    assert bot.seen == []


def test_a_head_without_an_end_ends_the_connection(guarded: Proxy) -> None:
    got = raw(guarded, b"GET / HTTP/1.1\r\n" + b"x-a: " + b"a" * 100_000)
    assert b" 431 " in got[:20]
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=10) as slow:
        slow.sendall(b"POST /v1/chat")
        assert b" 408 " in slow.recv(4096)[:20]
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=10) as silent:
        assert silent.recv(10) == b""


PLAIN = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
SECOND = b"GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n"
SMUGGLED = {
    "both lengths": PLAIN + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "both lengths elsewhere": b"POST /up HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n" + SECOND,
    "two lengths": PLAIN + b"content-length: 0\r\ncontent-length: 35\r\n\r\n" + SECOND,
    "a length of two": PLAIN + b"content-length: 0, 35\r\n\r\n" + SECOND,
    "a signed length": PLAIN + b"content-length: +0\r\n\r\n" + SECOND,
    "an unknown coding": PLAIN + b"transfer-encoding: xchunked\r\n\r\n" + SECOND,
    "a coding twice": PLAIN + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n" + SECOND,
    "space before the colon": PLAIN + b"content-length : 35\r\n\r\n" + SECOND,
    "a folded line": PLAIN + b"x: a\r\n content-length: 35\r\n\r\n" + SECOND,
    "a bare return": PLAIN + b"x: a\rcontent-length: 35\r\n\r\n" + SECOND,
    "a zero byte": PLAIN + b"x: a\x00b\r\n\r\n" + SECOND,
    "a size too large": PLAIN + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + SECOND,
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + SECOND,
}  # fmt: skip


@pytest.mark.parametrize("case", SMUGGLED)
def test_no_request_hides_in_another(guarded: Proxy, bot: Any, case: str) -> None:
    got = raw(guarded, SMUGGLED[case], wait=2.0)
    head, _, body = got.partition(b"\r\n\r\n")
    assert b" 400 " in head[:20] and json.loads(body)["error"]["message"]
    assert [path for _, path, *_ in bot.seen] == []


def test_rubbish_after_a_request_does_not_cost_its_answer(guarded: Proxy, bot: Any) -> None:
    bot.script = lambda b, r: (time.sleep(0.5), kind_bot(b, r))
    body = json.dumps(chat(ORDINARY)).encode()
    head = PLAIN + b"content-length: %d\r\n\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=10) as client:
        client.sendall(head + body)
        time.sleep(0.1)
        client.sendall(b"\x00\x01 no such thing\r\n\r\n")
        got = b"".join(iter(lambda: client.recv(65536), b""))
    assert got.count(b"HTTP/1.1 ") == 1 and b"Soup is good." in got


def test_headers_of_a_request_stay_headers(guarded: Proxy, bot: Any) -> None:
    """What a client writes, whatever letters it has, is one header at the chatbot, or the request is refused."""
    for value in (b"caf\xc3\xa9", b"a\tb", b'"quoted; text"', b"%0d%0ax-evil: 1"):
        got = raw(guarded, b"GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-said: " + value + b"\r\n\r\n")
        assert b" 200 " in got[:20]
    for value in (b"a\x0bb", b"a\x7fb", b"a\x01b"):
        raw(guarded, b"GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-said: " + value + b"\r\n\r\n")
    assert {name.lower() for seen in bot.seen for name in seen[2]} <= {"host", "x-said"}


def test_lines_of_a_log_stay_lines(guarded: Proxy) -> None:
    evil = {"x-guardrail-country": "D\xe9", "x-guardrail-locale": 'en"} {"event":"forged'}
    post(guarded, chat(ORDINARY), headers={k: v.encode("latin-1") for k, v in evil.items()})
    post(guarded, b"{}", path="/forged%0a%7b%22event%22:%22forged%22%7d")
    lines = [line for line in guarded.log.read_text().splitlines() if line.startswith("{")]
    assert lines and all(json.loads(line)["event"] != "forged" for line in lines)


# --- replies


def test_an_endless_reply_has_an_end(guarded: Proxy, bot: Any) -> None:
    def endless(bot: Bot, request: dict[str, Any]) -> None:
        frame = wire.openai_stream(["Soup. "])[0]
        bot.stream(frame * 100_000, size=len(frame) * 50, pause=0.05 if "slow" in str(request) else 0.0)

    bot.script = endless
    for said in ("slow soup", "soup"):
        with httpx.stream("POST", f"{guarded.url}/v1/chat/completions", json=chat(said, stream=True)) as reply:
            got = b"".join(_until_torn(reply))
        assert json.loads(got.strip().split(b"\n\n")[-1].removeprefix(b"data: "))["error"]["message"]
    named = {"x-guardrail-conversation": "endless"}
    post(guarded, chat(CRISIS), headers=named)
    cared = post(guarded, chat("soup", stream=True), headers=named)
    assert cared.status_code == 200 and "112" in cared.text and "[DONE]" in cared.text


def _until_torn(reply: httpx.Response) -> Iterator[bytes]:
    try:
        yield from reply.iter_raw()
    except httpx.RemoteProtocolError:
        return


def test_a_reply_that_inflates_beyond_its_limit_is_refused_and_a_small_one_is_read(guarded: Proxy, bot: Any) -> None:
    packed = {"content-encoding": "gzip"}
    bot.script = lambda b, r: b.whole(gzip.compress(wire.openai_reply("Soup is good.")), **packed)
    assert post(guarded, chat(ORDINARY)).json()["choices"][0]["message"]["content"] == "Soup is good."
    bot.script = lambda b, r: b.whole(gzip.compress(wire.openai_reply("Soup. " * 10**7)), **packed)
    assert post(guarded, chat(ORDINARY)).status_code == 502
    bot.script = lambda b, r: b.whole(gzip.compress(wire.openai_reply("Soup is good."))[:-10], **packed)
    assert post(guarded, chat(ORDINARY)).status_code == 502
    bot.script = lambda b, r: b.whole(b"who knows", **{"content-encoding": "br"})
    assert post(guarded, chat(ORDINARY)).status_code == 502


def test_a_client_that_does_not_read_holds_the_chatbot_back_and_is_let_go(guarded: Proxy, bot: Any) -> None:
    taken: list[int] = []

    def flood(bot: Bot, request: dict[str, Any]) -> None:
        part = b"x" * 65536
        bot.send_response(200)
        bot.send_header("content-length", str(10**9))
        bot.end_headers()
        while len(taken) < 10_000:
            bot.wfile.write(part)
            taken.append(len(part))

    bot.script = flood
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=10) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        before = _resident(guarded)
        client.sendall(b"GET /flood HTTP/1.1\r\nhost: x\r\n\r\n")
        until(lambda: taken)
        held = 0
        while len(taken) > held:
            held = len(taken)
            time.sleep(0.3)
            assert len(taken) < 10_000, "the chatbot was read to its end for a client that reads nothing"
        assert _resident(guarded) - before < 8 * 1024**2, "what is not read may not pile up here"
        until(lambda: _is_reset(client))
    assert post(guarded, chat(CRISIS)).status_code == 200


def _resident(guarded: Proxy) -> int:
    """Bytes of memory the proxy has."""
    assert guarded.process is not None
    status = Path(f"/proc/{guarded.process.pid}/status").read_text()
    return int(re.findall(r"RssAnon:\s+(\d+) kB", status)[0]) * 1024


def _is_reset(client: socket.socket) -> bool:
    """Whether the other side is gone, without reading what it sent."""
    try:
        client.send(b"x")
    except OSError:
        return True
    return False


def test_beyond_the_number_of_connections_idle_ones_make_room(guarded: Proxy) -> None:
    idle = []
    for _ in range(60):
        client = socket.create_connection(("127.0.0.1", guarded.port), timeout=10)
        client.sendall(b"GET /guardrail/health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        assert client.recv(4096)
        idle.append(client)
    assert "thinking about suicide" in post(guarded, chat(CRISIS)).text
    until(lambda: sum(_is_closed(client) for client in idle) >= 10)
    for client in idle:
        client.close()


def _is_closed(client: socket.socket) -> bool:
    client.settimeout(0.01)
    try:
        return client.recv(4096) == b""  # what is left of an answer is read first
    except TimeoutError:
        return False
    except OSError:
        return True
