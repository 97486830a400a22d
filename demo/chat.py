"""A chat client as an app has one: it sends the whole history each time, and knows nothing of the guardrail."""

from __future__ import annotations

import json

import httpx
import msgspec

from demo.chatbot import MODEL
from demo.parts import Failed


class Heard(msgspec.Struct, frozen=True):
    """What came back: the text the person reads, and the proxy's word on it (empty without a proxy)."""

    text: str
    action: str = ""
    exchange: str = ""


class Conversation:
    """One conversation over the OpenAI chat completions API at ``base_url``."""

    def __init__(self, client: httpx.Client, base_url: str, headers: dict[str, str] | None = None) -> None:
        self._client, self._url, self._headers = client, f"{base_url}/v1/chat/completions", headers or {}
        self._messages: list[dict[str, str]] = []

    def say(self, text: str, *, streamed: bool) -> Heard:
        """Send the person's next turn and read the reply. Raises ``Failed`` when none came."""
        self._messages.append({"role": "user", "content": text})
        body = {"model": MODEL, "messages": self._messages, "stream": streamed}
        try:
            answer = self._client.post(self._url, json=body, headers=self._headers)
            answer.raise_for_status()
            heard = _streamed(answer.text) if streamed else str(answer.json()["choices"][0]["message"]["content"])
        except (httpx.HTTPError, ValueError, KeyError, IndexError) as error:
            raise Failed(f"no reply from {self._url} ({type(error).__name__})") from error
        self._messages.append({"role": "assistant", "content": heard})
        said = answer.headers
        return Heard(heard, said.get("x-guardrail-action", ""), said.get("x-guardrail-exchange", ""))


def _streamed(body: str) -> str:
    """The text of a whole stream; ``ValueError`` when it does not end as the API says it must."""
    events = [line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data: ")]
    if not events or events[-1] != "[DONE]":
        raise ValueError("a stream without its end")
    choices = [choice for event in events[:-1] for choice in json.loads(event)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)
