"""The chatbot: it lies and harms at times, fails at times, and says which of its replies did what."""

from __future__ import annotations

import collections
import threading
import zlib
from typing import Any

from tests.chaos.scenes import CRISES, Reply, reply
from tests.chaos.speech import SPEECHES, Speech
from tests.live import Bot


class Script:
    """``counts`` of replies by kind and fault; ``crises`` lists what it was asked in a crisis: nothing, if all is well."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._attempts: collections.Counter[str] = collections.Counter()
        self._lock = threading.Lock()
        self.counts: collections.Counter[str] = collections.Counter()
        self.crises: list[str] = []

    def __call__(self, bot: Bot, request: dict[str, Any]) -> None:
        bot.server.seen.clear()  # a thousand histories are of no use here
        speech = next(speech for speech in SPEECHES.values() if speech.path == bot.path)
        asked = _last(request)
        with self._lock:
            self._attempts[asked] += 1
            attempt = self._attempts[asked]
            planned = reply(self._seed, asked, attempt)
            self.counts[planned.fault or planned.kind] += 1
            if asked.startswith(CRISES):
                self.crises.append(asked)
        _give(bot, speech, planned, f"resp_{zlib.crc32(asked.encode())}_{attempt}", stream=bool(request.get("stream")))


def _last(request: dict[str, Any]) -> str:
    heard = request.get("messages", request.get("input", ""))
    return str(heard if isinstance(heard, str) else heard[-1]["content"])


def _give(bot: Bot, speech: Speech, planned: Reply, id: str, *, stream: bool) -> None:
    if planned.fault == "500":
        bot.whole(b'{"error": {"type": "api_error", "message": "overloaded"}}', status=500)
    elif planned.fault == "gone":
        bot.hang_up()
    elif stream:
        body, torn = speech.stream(planned.words, id), planned.fault == "torn"
        bot.stream(body[: len(body) // 2] if torn else body, 400, 0.01, tear=torn, kind=speech.stream_type)
    elif planned.fault == "torn":
        body = speech.whole(planned.words, id)
        bot.stream(body[: len(body) // 2], tear=True, kind="application/json")
    else:
        bot.whole(speech.whole(planned.words, id))
