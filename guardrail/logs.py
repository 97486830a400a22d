"""Logs: JSON lines on stderr that hold no message text, no secrets and no query strings.

Own code logs a fixed sentence and short values. What libraries log is theirs: only uvicorn's own lines are kept
whole, of all others just who reported, where, and the type of the error, because their sentences may quote.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from collections.abc import MutableMapping
from traceback import walk_tb
from types import TracebackType
from typing import Any

import msgspec
import structlog

REFUSED_KEYS = frozenset(
    (
        "text",
        "texts",
        "content",
        "contents",
        "message",
        "messages",
        "message_text",
        "body",
        "prompt",
        "reply",
        "history",
    )
    + (
        "summary",
        "quote",
        "evidence",
        "input",
        "output",
        "chunk",
        "data",
        "payload",
        "request",
        "response",
        "note",
    )
    + (
        "authorization",
        "cookie",
        "headers",
        "header",
        "token",
        "secret",
        "password",
        "api_key",
        "key",
        "query",
    )
    + ("user", "email", "phone", "args", "exc_text", "stack")
)
"""Keys that carry, or by their name could carry, what somebody wrote or what opens a door."""

MAX_VALUE = 300
MAX_DEPTH = 3
TRUSTED = ("uvicorn", "uvicorn.error")
_QUERY = re.compile(r"\?[^\s\"']*")
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

EventDict = MutableMapping[str, Any]


def configure(level: str) -> None:
    """Set up own and libraries' logging for this process, from ``level`` up. Raises ``ValueError``."""
    if level not in _LEVELS:
        raise ValueError(f"no such log level; write one of {', '.join(_LEVELS)}")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            explain_error,
            refuse_text,
            structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=_stderr,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Libraries()]
    root.setLevel(max(_LEVELS[level], logging.INFO))
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name in (
        "httpx",
        "httpcore",
        "aiohttp",
        "apprise",
        "presidio-analyzer",
        "asyncio",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate, access.disabled = False, True


class _Stderr:
    """Writes lines to standard error. Where nothing can be written (a full disk, a closed pipe) the line is lost:
    nobody may go unanswered because of it."""

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    debug = info = warning = error = exception = critical = msg


def _stderr(*_: object) -> _Stderr:
    return _Stderr()


def explain_error(_logger: object, _method: str, event: EventDict) -> EventDict:
    """``exc_info`` as the error's type and places in the code; its message and variables may quote, and stay out."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        event["trace"] = _trace(error.__traceback__)
    return event


def _trace(traceback: TracebackType | None) -> list[str]:
    places = [(frame.f_code, line) for frame, line in walk_tb(traceback)]
    return [f"{code.co_filename.rpartition('/')[2]}:{line} {code.co_name}" for code, line in places[-20:]]


def refuse_text(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Take out what may not be logged, and say which keys were refused, so that the mistake is seen and mended."""
    refused: list[str] = []
    clean = _clean(event, refused, 0)
    if refused:
        clean["refused"] = sorted(set(refused))
    return clean


def _clean(values: MutableMapping[str, Any], refused: list[str], depth: int) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in values.items():
        if str(key).lower().replace("-", "_") in REFUSED_KEYS or isinstance(value, bytes | bytearray):
            refused.append(str(key)[:40])
        else:
            out[str(key)[:40]] = _plain(value, refused, depth)
    return out


def _plain(value: object, refused: list[str], depth: int) -> object:
    """Numbers, flags and short words; of anything else only what it is, for its ``repr`` may hold text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _QUERY.sub("?…", value.encode("utf-8", "replace").decode())[:MAX_VALUE]
    if isinstance(value, dict) and depth < MAX_DEPTH:
        return _clean(value, refused, depth + 1)
    if isinstance(value, list | tuple) and depth < MAX_DEPTH:
        return [_plain(item, refused, depth + 1) for item in value[:50]]
    return f"<{type(value).__name__}>"


def _json(event: EventDict, **_: object) -> str:
    return msgspec.json.encode(event).decode()


class _Libraries(logging.Handler):
    """Takes what libraries log by ``logging`` into our own lines."""

    def emit(self, record: logging.LogRecord) -> None:
        event = " ".join(record.getMessage().split()) if record.name in TRUSTED else "a library reported something"
        values: dict[str, object] = {
            "logger": record.name,
            "where": f"{record.filename}:{record.lineno}",
        }
        if record.exc_info:
            values["exc_info"] = record.exc_info
        structlog.get_logger().log(min(record.levelno, logging.CRITICAL), event, **values)
