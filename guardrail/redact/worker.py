"""The worker process: one JSON line in, one JSON line out, until its input ends.

``{"id": 1, "text": …, "locale": …}`` is answered by ``{"id": 1, "text": …}``. The first line out, with id 0, says
that it is ready. Nothing but answers goes to stdout, whatever a library prints. An error ends the process: its
caller then sends nothing of that text, and begins a fresh one.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import BinaryIO

import msgspec


class Ask(msgspec.Struct):
    id: int
    text: str
    locale: str


class Answer(msgspec.Struct):
    """``id`` 0: ready."""

    id: int
    text: str = ""


def serve(lines: BinaryIO, answers: BinaryIO) -> None:
    from guardrail.redact.patterns import Patterns

    patterns = Patterns()
    patterns.redact("warm up: a@b.example", "en")
    _say(answers, Answer(0))
    decoder = msgspec.json.Decoder(Ask)
    for line in lines:
        ask = decoder.decode(line)
        _say(answers, Answer(ask.id, patterns.redact(ask.text, ask.locale)))


def _say(answers: BinaryIO, answer: Answer) -> None:
    answers.write(msgspec.json.encode(answer) + b"\n")
    answers.flush()


def main() -> None:
    logging.disable(logging.CRITICAL)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
