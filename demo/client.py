"""An ordinary client of OpenAI's chat completions: all it knows of the guardrail is its base URL."""

from __future__ import annotations

import json

import httpx
import msgspec

from demo.chatbot import MODEL


class Said(msgspec.Struct, frozen=True):
    """A reply, with the action the guardrail named in its headers ("" without a guardrail)."""

    text: str
    action: str
    exchange: str


class Talk:
    """One conversation at ``base_url``. It keeps the history, as such clients do."""

    def __init__(self, base_url: str) -> None:
        self._url = f"{base_url}/v1/chat/completions"
        self._turns: list[dict[str, str]] = []
        self._http = httpx.Client(timeout=30, trust_env=False)

    def say(self, text: str, *, stream: bool) -> Said:
        """Send the person's words and take the reply. Raises ``httpx.HTTPError`` on anything but a 200."""
        self._turns.append({"role": "user", "content": text})
        body = {"model": MODEL, "messages": self._turns, "stream": stream}
        with self._http.stream("POST", self._url, json=body) as answer:
            answer.raise_for_status()
            reply = _streamed(answer) if stream else _whole(answer)
            headers = answer.headers
        self._turns.append({"role": "assistant", "content": reply})
        return Said(reply, headers.get("x-guardrail-action", ""), headers.get("x-guardrail-exchange", ""))

    def close(self) -> None:
        self._http.close()


def _whole(answer: httpx.Response) -> str:
    return str(json.loads(answer.read())["choices"][0]["message"]["content"])


def _streamed(answer: httpx.Response) -> str:
    text = ""
    for line in answer.iter_lines():
        if line.startswith("data: ") and line != "data: [DONE]":
            for choice in json.loads(line[6:])["choices"]:
                text += choice["delta"].get("content") or ""
    return text
