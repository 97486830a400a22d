"""How humans are told: webhooks signed as Standard Webhooks, and everything Apprise reaches."""

from __future__ import annotations

import asyncio
import datetime
from typing import Protocol

import httpx
import msgspec
from standardwebhooks import Webhook

from escalation.store import NoticeType

TIMEOUT = 10.0
_TITLES = {
    "case.opened": "New case",
    "case.repaged": "Still unanswered",
    "case.acknowledged": "Somebody has it",
    "case.resolved": "Resolved",
}


class Notice(msgspec.Struct, frozen=True):
    """What a channel tells. ``id`` is the same on every try, so that a receiver can tell a repeat. ``data`` is
    the case as the API shows it, its summary redacted."""

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
    """POSTs ``{"type", "timestamp", "data"}``, signed. Redirects are not followed: the URL was trusted, not where it points."""

    def __init__(self, url: str, secret: str, client: httpx.AsyncClient) -> None:
        self._url, self._client = url, client
        self._signer = Webhook(secret)

    async def send(self, notice: Notice) -> None:
        moment = datetime.datetime.fromtimestamp(notice.at, datetime.UTC)
        body = msgspec.json.encode({"type": notice.type, "timestamp": moment.isoformat(), "data": notice.data}).decode()
        headers = {
            "content-type": "application/json",
            "webhook-id": notice.id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": self._signer.sign(notice.id, moment, body),
        }
        try:
            answer = await self._client.post(self._url, content=body, headers=headers, timeout=TIMEOUT, follow_redirects=False)
        except httpx.HTTPError as error:
            raise ChannelError(type(error).__name__) from error
        if not 200 <= answer.status_code < 300:
            gone = answer.status_code in (301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 413, 422)
            raise ChannelError(f"status {answer.status_code}", retryable=not gone)


class AppriseChannel:
    """Any of the services Apprise knows. Its library is loaded with the first notice, in a thread."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def send(self, notice: Notice) -> None:
        title = f"{_TITLES[notice.type]}: {notice.data['category']}, severity {notice.data['severity']}"
        lines = [str(notice.data["summary"]), f"case {notice.data['id']}, answer by {notice.data['deadline']}", str(notice.data["url"])]
        try:
            delivered = await asyncio.wait_for(asyncio.to_thread(self._notify, title, "\n".join(line for line in lines if line)), 3 * TIMEOUT)
        except TimeoutError as error:
            raise ChannelError("timeout") from error
        if not delivered:
            raise ChannelError("not accepted")

    def _notify(self, title: str, body: str) -> bool:
        import apprise

        service = apprise.Apprise()
        return bool(service.add(self._url)) and bool(service.notify(title=title, body=body))
