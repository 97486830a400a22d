"""What an operator's app says about a request in its headers, and the body, read within limits."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from math import isfinite
from typing import Any, cast

import msgspec

from guardrail.core.model import Audience
from guardrail.core.tags import language_tag
from guardrail.server.decoding import CannotDecode, UnknownCoding, decoded
from guardrail.server.finding import Caller

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z")
_COUNTRY = re.compile(r"[A-Za-z]{2}\Z")
_LONGEST_ID = 256
_LONGEST_CUES = 2048
_MOST_CUES = 32
_CUE = re.compile(r"[a-z][a-z0-9_]{0,31}(?:\.[a-z0-9_]{1,32}){0,3}\Z").match
_CHOICE = re.compile(r"[a-z][a-z0-9-]{0,31}\Z").match


class About(msgspec.Struct, frozen=True):
    """Who is there, by the app's own headers. What is not well formed counts as not said: ``ignored`` names it."""

    caller: Caller
    locale: str | None = None
    country: str | None = None
    audience: Audience = "unknown"
    cues: tuple[tuple[str, float], ...] = ()
    prefers: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


class BodyRefused(Exception):
    """The body was too large (413), did not come in time (408), or cannot be made plain (400, 415).

    ``heard``: what came of it. The person's words may be in there.
    """

    def __init__(self, status: int, message: str, heard: bytes = b"") -> None:
        super().__init__(message)
        self.status, self.heard = status, heard


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> About:
    """The ``x-guardrail-*`` headers, and the retry marks of the usual client libraries."""
    said: dict[str, str] = {}
    for name, value in headers:
        if name.startswith(b"x-guardrail-") or name in (b"x-stainless-retry-count", b"idempotency-key"):
            said[name.decode("latin-1")] = value.decode("latin-1").strip()
    if not said:
        return About(Caller())
    ignored: list[str] = []

    def well_formed(name: str, is_good: Callable[[str], object]) -> str | None:
        value = said.get(f"x-guardrail-{name}")
        if value and not is_good(value):
            ignored.append(name)
            return None
        return value or None

    cues = read_cues(well_formed("cues", lambda v: read_cues(v) is not None)) or ()
    prefers = well_formed("preferences", lambda v: len(_choices(v)) <= _MOST_CUES and all(map(_CHOICE, _choices(v))))
    audience = well_formed("audience", lambda v: v in ("adult", "minor", "unknown")) or "unknown"
    country = well_formed("country", _COUNTRY.match)
    locale = well_formed("locale", _LOCALE.match)
    retries = said.get("x-stainless-retry-count", "0")
    return About(
        caller=Caller(
            user=well_formed("user", lambda v: len(v) <= _LONGEST_ID),
            conversation=well_formed("conversation", lambda v: len(v) <= _LONGEST_ID),
            retry=said.get("idempotency-key") or (retries if retries != "0" else None),
        ),
        locale=language_tag(locale) if locale else None,
        country=country.upper() if country else None,
        audience=cast("Audience", audience),
        cues=cues,
        prefers=tuple(_choices(prefers or "")),
        ignored=tuple(ignored),
    )


def read_cues(value: str | None) -> tuple[tuple[str, float], ...] | None:
    """The app's own readings of voice, face or behaviour: a JSON object of names and numbers. ``None``: it is none."""
    if value is None:
        return ()
    try:
        found = msgspec.json.decode(value, type=dict[str, float]) if len(value) <= _LONGEST_CUES else {"": 0.0}
    except (msgspec.MsgspecError, ValueError):
        return None
    good = len(found) <= _MOST_CUES and all(_CUE(name) and isfinite(number) for name, number in found.items())
    return tuple(sorted(found.items())) if good else None


def _choices(value: str) -> list[str]:
    return [name for part in value.split(",") if (name := part.strip())]


async def read_body(receive: Receive, limit: int, seconds: float) -> bytes:
    """The whole body, at most ``limit`` bytes, within ``seconds``. Raises ``BodyRefused`` or ``ConnectionError``.

    A body that is too large is read on for as long, and to twice the limit, for its end: there the newest words are.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            message = await _next(receive)
            if not message.get("more_body", False) and len(message.get("body", b"")) <= limit:
                return cast("bytes", message.get("body", b""))
            body += message.get("body", b"")
            while message.get("more_body", False) and len(body) <= 2 * limit:
                message = await _next(receive)
                body += message.get("body", b"")
    except TimeoutError as error:
        if len(body) <= limit:
            raise BodyRefused(408, "The request's body did not arrive in time.", bytes(body)) from error
    if len(body) > limit:
        raise BodyRefused(413, f"The request's body is larger than {limit} bytes.", bytes(body))
    return bytes(body)


def plain(body: bytes, coding: bytes, limit: int) -> bytes:
    """``body`` without its content coding. Raises ``BodyRefused``."""
    try:
        found = decoded(body, coding, limit)
    except CannotDecode as error:
        status = 415 if isinstance(error, UnknownCoding) else 400
        raise BodyRefused(status, f"The request's body cannot be read: {error}.") from error
    if len(found) > limit:
        raise BodyRefused(413, f"The request's body, decompressed, is larger than {limit} bytes.", found)
    return found


async def _next(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ConnectionError("the client went away")
    return message
