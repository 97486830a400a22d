"""The kinds of value ``guardrail.yaml`` holds, each read strictly and refused with what to write instead.

A validator's ``ValueError`` reads ``what is wrong; what to do``, and never repeats a secret.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, SecretStr, StringConstraints

from guardrail.core.tags import language_tag


class Frozen(BaseModel):
    """Unknown keys are errors, types are not guessed, and nothing changes after the start."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d{1,12})(KiB|MiB)?")
_BYTES = {None: 1, "KiB": 1024, "MiB": 1024**2}
_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_HOST = re.compile(r"[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]")
_APPRISE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


def seconds(value: object) -> float:
    """``"90s"``, ``"5m"``, ``"1h"``, ``"250ms"``, ``"2d"`` as seconds. A bare number could mean anything."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        return float(match[1]) * _SECONDS[match[2]]
    raise ValueError("not a duration; write a number with its unit, such as 0s, 90s, 5m or 1h")


def size(value: object) -> int:
    """Bytes: a whole number, or one with ``KiB`` or ``MiB``."""
    if isinstance(value, int | str) and not isinstance(value, bool) and (match := _SIZE.fullmatch(str(value))):
        return int(match[1]) * _BYTES[match[2]]
    raise ValueError("not a size; write a number of bytes, or one with KiB or MiB, such as 16MiB")


def base_url(value: str) -> str:
    """An ``http`` or ``https`` URL of a server, without what does not belong in a base address."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"\s", value):
        raise ValueError("not an http or https URL; write one such as http://127.0.0.1:9000")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL with a user name or password in it; take them out, clients send their own headers")
    if parts.query or parts.fragment:
        raise ValueError("a base URL with a query or fragment; write it up to the path only")
    return value.rstrip("/")


def endpoint_url(value: str) -> str:
    """An ``http`` or ``https`` URL with a path: the very address that is asked."""
    if base_url(value) != value or urlsplit(value).path in ("", "/"):
        raise ValueError("not the whole address of an endpoint; write one such as https://HOST/v1/moderations")
    return value


def address(value: str) -> str:
    """``host:port``; an IPv6 host stands in brackets. Port 0 takes any free one."""
    host, _, port = value.rpartition(":")
    if not _HOST.fullmatch(host) or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("not an address to listen on; write HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080")
    return value


def locale(value: str) -> str:
    """A BCP-47 language tag."""
    if not _LOCALE.fullmatch(value):
        raise ValueError("not a language tag; write one such as en, de or pt-BR")
    return language_tag(value)


def timezone(value: str) -> str:
    """A time zone's name in the IANA database."""
    try:
        ZoneInfo(value)
    except (ValueError, OSError, LookupError) as error:
        raise ValueError("not a time zone; write one such as Europe/Berlin or UTC") from error
    return value


def spoken_name(value: str) -> str:
    """A name people read within a sentence."""
    if not value.isprintable() or re.search(r"[{}<>]", value):
        raise ValueError("not a name that can stand in a sentence; write letters, digits and spaces")
    return value.strip()


def public_key(value: str) -> str:
    """``ed25519 KEY``, or the path of a ``.pub`` file; as the base64 of the key."""
    from guardrail.policy.signing import SigningError, read_public

    try:
        return read_public(value)
    except SigningError as error:
        raise ValueError(str(error)) from error


def country(value: str) -> str:
    """An ISO 3166-1 alpha-2 code that a telephone plan knows."""
    from phonenumbers import SUPPORTED_REGIONS

    if value.upper() == "UK":
        raise ValueError("not an ISO 3166 country code; the United Kingdom is GB")
    if value.upper() not in SUPPORTED_REGIONS:
        raise ValueError("not an ISO 3166 country code; write two letters such as DE or US, or null to ask the person")
    return value.upper()


def hours(value: str) -> str:
    """Opening hours as OpenStreetMap writes them."""
    if value != "24/7":
        import opening_hours

        if not opening_hours.validate(value):
            raise ValueError("hours that cannot be read; write 24/7, or such as Mo-Fr 08:00-18:00")
    return value


def signing_secret(value: SecretStr) -> SecretStr:
    """A Standard Webhooks secret: ``whsec_`` and base64 of 24 to 64 bytes, as that specification asks."""
    text = value.get_secret_value()
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith("whsec_") or not 24 <= len(key) <= 64:
        raise ValueError(
            "not a webhook secret; write whsec_ and base64 of 24 to 64 random bytes: "
            'echo "whsec_$(openssl rand -base64 32)"'
        )
    return value


def long_secret(value: SecretStr) -> SecretStr:
    """A key for hashes, hard to guess."""
    if len(value.get_secret_value()) < 16:
        raise ValueError("a secret of fewer than 16 characters; make one with: openssl rand -hex 32")
    return value


def bearer(value: SecretStr) -> SecretStr:
    """A token that can travel in an ``Authorization`` header (RFC 6750, 2.1)."""
    if not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", value.get_secret_value()):
        raise ValueError("a token that no Authorization header can carry; use letters, digits and . _ ~ + / - only")
    return value


def webhook_url(value: SecretStr) -> SecretStr:
    """Where a webhook is sent. It may hold a token of the receiver, so it is kept like a secret."""
    try:
        parts = urlsplit(value.get_secret_value())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"\s", value.get_secret_value()):
        raise ValueError("not an http or https URL; write where the webhook is received, such as https://HOST/PATH")
    return value


REDIS = ("redis", "rediss", "unix", "redis+sentinel", "redis+cluster")
"""How a Redis or Valkey is reached: one server, the same through TLS or a socket, Sentinel's, or a Cluster's."""


def redis_url(value: SecretStr) -> SecretStr:
    """Where Redis or Valkey is. It may hold a password, so it is kept like a secret."""
    text = value.get_secret_value()
    scheme, _, rest = text.partition("://")
    usable = scheme in REDIS and bool(rest.strip("/")) and not re.search(r"\s", text)
    if usable and scheme == "redis+sentinel":
        usable = bool(re.fullmatch(r"[^/]+/[^/]+(/\d{1,4})?", rest))
    if not usable:
        raise ValueError(
            "not a Redis URL; write redis://HOST:6379/0, rediss://…, unix:///PATH, "
            "redis+sentinel://HOST:26379,HOST:26379/NAME or redis+cluster://HOST:6379"
        )
    return value


def apprise_url(value: SecretStr) -> SecretStr:
    """An Apprise address. It holds credentials, so it is kept like a secret."""
    if not _APPRISE.fullmatch(value.get_secret_value()):
        raise ValueError("not an Apprise URL; write one such as slack://… or mailto://…")
    return value


Seconds = Annotated[float, BeforeValidator(seconds)]
Size = Annotated[int, BeforeValidator(size)]
BaseUrl = Annotated[str, AfterValidator(base_url)]
EndpointUrl = Annotated[str, AfterValidator(endpoint_url)]
Address = Annotated[str, AfterValidator(address)]
Locale = Annotated[str, AfterValidator(locale)]
Country = Annotated[str, AfterValidator(country)]
Timezone = Annotated[str, AfterValidator(timezone)]
SpokenName = Annotated[str, StringConstraints(max_length=60), AfterValidator(spoken_name)]
PublicKey = Annotated[str, AfterValidator(public_key)]
Hours = Annotated[str, AfterValidator(hours)]
SigningSecret = Annotated[SecretStr, AfterValidator(signing_secret)]
LongSecret = Annotated[SecretStr, AfterValidator(long_secret)]
BearerToken = Annotated[SecretStr, AfterValidator(bearer)]
WebhookUrl = Annotated[SecretStr, AfterValidator(webhook_url)]
RedisUrl = Annotated[SecretStr, AfterValidator(redis_url)]
AppriseUrl = Annotated[SecretStr, AfterValidator(apprise_url)]
