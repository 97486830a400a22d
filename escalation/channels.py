"""How humans are told: webhooks signed as Standard Webhooks, and everything Apprise reaches."""

from __future__ import annotations

import asyncio
import datetime
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import httpx
import msgspec
from standardwebhooks import Webhook

from escalation.case import rfc3339
from escalation.store import NoticeType

TIMEOUT = 10.0
_POINTLESS = frozenset((*range(300, 400), 400, 405, 410, 413, 415, 422))
"""Statuses that the same request will get again: moved, gone, or not understood. The others may pass, a 404
while a receiver is being deployed among them."""

_TITLES = {
    "case.opened": "New case",
    "case.repaged": "Still unanswered",
    "case.acknowledged": "Somebody has it",
    "case.resolved": "Resolved",
}


class Notice(msgspec.Struct, frozen=True):
    """What a channel tells. ``id`` is the same on every try, so that a receiver can tell a repeat. ``at`` is
    when it is sent, in POSIX seconds. ``data`` is the case as the API shows it, its summary redacted."""

    id: str
    type: NoticeType
    at: float
    data: dict[str, object]


class ChannelError(Exception):
    """It was not delivered. ``retryable``: trying again may help. Holds nothing of the notice."""

    def __init__(self, what: str, *, retryable: bool = True) -> None:
        super().__init__(what)
        self.retryable = retryable


class Channel(Protocol):
    """Delivers a notice, or raises ``ChannelError``."""

    async def send(self, notice: Notice) -> None: ...


class WebhookChannel:
    """POSTs ``{"type", "timestamp", "data"}``, signed with ``secret`` (``whsec_`` and base64).

    Redirects are not followed: the URL was trusted, not where it points. The answer's body is not read.
    """

    def __init__(self, url: str, secret: str, client: httpx.AsyncClient) -> None:
        self._url, self._client = url, client
        self._signer = Webhook(secret)

    async def send(self, notice: Notice) -> None:
        status = await self._post(*self._signed(notice))
        if not 200 <= status < 300:
            raise ChannelError(f"status {status}", retryable=status not in _POINTLESS)

    def _signed(self, notice: Notice) -> tuple[bytes, dict[str, str]]:
        body = msgspec.json.encode({"type": notice.type, "timestamp": rfc3339(notice.at), "data": notice.data})
        moment = datetime.datetime.fromtimestamp(int(notice.at), datetime.UTC)
        return body, {
            "content-type": "application/json",
            "webhook-id": notice.id,
            "webhook-timestamp": str(int(notice.at)),
            "webhook-signature": self._signer.sign(notice.id, moment, body.decode()),
        }

    async def _post(self, body: bytes, headers: dict[str, str]) -> int:
        asked = self._client.stream(
            "POST", self._url, content=body, headers=headers, timeout=TIMEOUT, follow_redirects=False
        )
        try:
            async with asyncio.timeout(TIMEOUT), asked as answer:
                return answer.status_code
        except (httpx.HTTPError, TimeoutError) as error:
            raise ChannelError(type(error).__name__) from error


class AppriseChannel:
    """Any of the services Apprise knows. Its library is loaded with the first notice, in a thread."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._threads = ThreadPoolExecutor(4, "apprise")

    async def send(self, notice: Notice) -> None:
        data = notice.data
        title = f"{_TITLES[notice.type]}: {data['category']}, severity {data['severity']}"
        lines = (str(data["summary"]), f"case {data['id']}, answer by {data['deadline']}", str(data["url"]))
        body = "\n".join(line for line in lines if line)
        await asyncio.get_running_loop().run_in_executor(self._threads, self._notify, title, body)

    def _notify(self, title: str, body: str) -> None:
        import apprise

        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it logs what it sends, and where to
        service = apprise.Apprise()
        if not service.add(self._url):
            raise ChannelError("not a URL that Apprise knows", retryable=False)
        if not service.notify(title=title, body=body):
            raise ChannelError("not accepted")
