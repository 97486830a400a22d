"""What a receiver gets: signed, small, the same id on each try; and what it answers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from escalation.case import NewCase, opened
from escalation.channels import AppriseChannel, ChannelError, Notice, WebhookChannel

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "https://hooks.example/in?token=t0ken"
APPRISE_LOADS = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
"""Its e-mail service looks for a module that Python 3.11 warns about, and does without it from 3.13 on."""


def notice(at: float | None = None) -> Notice:
    case = opened(NewCase("a", "c", 4, "suicide", 1_700_000_000.25, 1_700_000_300.0, summary="suicide, imminent"))
    return Notice("msg_1", "case.opened", time.time() if at is None else at, case.public("https://g.example/"))


def channel(answer: Callable[[httpx.Request], httpx.Response]) -> WebhookChannel:
    return WebhookChannel(URL, SECRET, httpx.AsyncClient(transport=httpx.MockTransport(answer)))


async def test_a_receiver_can_verify_what_it_gets_and_nobody_can_change_it() -> None:
    got: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        got.append(request)
        return httpx.Response(204)

    await channel(answer).send(notice())
    [request] = got
    body = Webhook(SECRET).verify(request.content, dict(request.headers))
    assert set(body) == {"type", "timestamp", "data"} and body["type"] == "case.opened"
    assert body["data"]["severity"] == 4 and body["data"]["opened_at"] == "2023-11-14T22:13:20.250Z"
    assert body["data"]["url"] == "https://g.example/guardrail/api/v1/cases/a"
    assert request.headers["webhook-id"] == "msg_1"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.content.replace(b'"severity":4', b'"severity":1'), dict(request.headers))


async def test_a_retry_has_the_same_id_and_a_signature_of_its_own_time() -> None:
    got: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        got.append(request)
        return httpx.Response(200)

    hook = channel(answer)
    await hook.send(notice(1_700_000_000.9))
    await hook.send(notice(1_700_000_060.1))
    assert [r.headers["webhook-id"] for r in got] == ["msg_1", "msg_1"]
    assert [r.headers["webhook-timestamp"] for r in got] == ["1700000000", "1700000060"]
    assert json.loads(got[1].content)["timestamp"] == "2023-11-14T22:14:20.100Z"


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        (301, False),
        (307, False),
        (410, False),
        (422, False),
        (401, True),
        (404, True),
        (429, True),
        (500, True),
        (503, True),
    ],
)
async def test_what_is_not_accepted_is_an_error_and_a_redirect_is_never_followed(status: int, retryable: bool) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(status, headers={"location": "http://169.254.169.254/"})

    with pytest.raises(ChannelError) as error:
        await channel(answer).send(notice())
    assert error.value.retryable is retryable and asked == [URL]
    assert "t0ken" not in str(error.value) and "suicide" not in str(error.value)


async def test_an_endless_answer_is_not_read() -> None:
    class Endless(httpx.AsyncByteStream):
        read = 0

        async def __aiter__(self):  # type: ignore[no-untyped-def]
            while True:
                self.read += 1
                yield b"x" * 65536

    endless = Endless()
    await channel(lambda request: httpx.Response(200, stream=endless)).send(notice())
    assert endless.read == 0


async def test_a_receiver_that_is_not_there_can_be_tried_again() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(f"no route to {request.url}")

    with pytest.raises(ChannelError) as error:
        await channel(answer).send(notice())
    assert error.value.retryable and "t0ken" not in str(error.value)


@APPRISE_LOADS
async def test_apprise_tells_what_can_never_be_delivered_from_what_can_be_tried_again() -> None:
    with pytest.raises(ChannelError) as error:
        await AppriseChannel("nothing-apprise-knows://x").send(notice())
    assert not error.value.retryable
    with pytest.raises(ChannelError) as error:
        await AppriseChannel("json://127.0.0.1:9/").send(notice())
    assert error.value.retryable


@APPRISE_LOADS
async def test_apprise_says_what_a_responder_needs() -> None:
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        got.append(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await AppriseChannel(f"json://127.0.0.1:{port}/").send(notice())
    said = json.loads(got[0])
    assert said["title"] == "New case: suicide, severity 4"
    assert "suicide, imminent" in said["message"] and "https://g.example/guardrail/api/v1/cases/a" in said["message"]
