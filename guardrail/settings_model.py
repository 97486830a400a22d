"""What ``guardrail.yaml`` may say: frozen values with strict types and safe defaults.

Durations are seconds, sizes are bytes. Secrets are ``SecretStr``: printing settings shows none.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from guardrail.dialects.json_layout import Layout
from guardrail.settings_judges import Judge
from guardrail.settings_types import (
    Address,
    AppriseUrl,
    BaseUrl,
    BearerToken,
    Country,
    Frozen,
    Hours,
    Locale,
    LongSecret,
    PublicKey,
    RedisUrl,
    Seconds,
    SigningSecret,
    Size,
    SpokenName,
    Timezone,
    WebhookUrl,
)

ChannelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class Responders(Frozen):
    """Who answers when a conversation is handed over. ``none`` disables handing over."""

    kind: Literal["clinical", "trained", "none"] = "none"
    hours: Hours = "24/7"


class WebhookChannel(Frozen):
    """An HTTP endpoint that gets cases, signed as Standard Webhooks."""

    kind: Literal["webhook"]
    url: WebhookUrl
    secret: SigningSecret


class AppriseChannel(Frozen):
    """Any service that Apprise reaches: chat, e-mail, pager."""

    kind: Literal["apprise"]
    url: AppriseUrl


Channel = Annotated[WebhookChannel | AppriseChannel, Field(discriminator="kind")]


class Rung(Frozen):
    """``after`` so many seconds without an acknowledgement, tell these channels."""

    after: Seconds
    notify: Annotated[tuple[str, ...], Field(min_length=1)]


class Escalation(Frozen):
    """Where humans are told, and in which order. An empty ladder means: every channel, at once.

    ``ladders``: others, by the name a policy's ``case: {ladder: …}`` asks for.
    """

    channels: Mapping[ChannelName, Channel] = Field(default_factory=dict)
    ladder: tuple[Rung, ...] = ()
    ladders: Mapping[ChannelName, Annotated[tuple[Rung, ...], Field(min_length=1)]] = Field(default_factory=dict)

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The ladder in force. A channel without a ladder is told at once: it was named to be told."""
        if self.ladder or not self.channels:
            return self.ladder
        return (Rung.model_construct(after=0.0, notify=tuple(self.channels)),)


class ModelSettings(Frozen):
    """The model that reads what is meant. ``folder``: ``shipped``, another, or ``none``: then only what is said
    outright is heard."""

    folder: Name = "shipped"
    without: Literal["refuse", "start"] = "refuse"
    """What becomes of the start when the model is missing or damaged. ``start``: only what is said outright is heard,
    and health says so."""
    deadline: Annotated[Seconds, Field(ge=0.05, le=60)] = 2.0
    """Time one turn may take to be read."""
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Processor cores that read one batch."""


MIB = 1024**2


class Limits(Frozen):
    """The bounds on every size and time. Upper ends keep a typing error from meaning "no limit"."""

    request_body: Annotated[Size, Field(ge=1024, le=256 * MIB)] = 16 * MIB
    reply_body: Annotated[Size, Field(ge=1024, le=256 * MIB)] = 16 * MIB
    """One whole reply."""
    stream_body: Annotated[Size, Field(ge=1024, le=4096 * MIB)] = 256 * MIB
    """One streamed reply, images and all."""
    reply_time: Annotated[Seconds, Field(ge=1, le=86_400)] = 3600.0
    """Time one reply may take from its first byte to its last."""
    messages: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Turns of history in one request."""
    hold_chars: Annotated[int, Field(ge=1000, le=16 * MIB)] = 200_000
    """Code points of one reply held back at a time, over all its channels."""
    headers: Annotated[Size, Field(ge=1024, le=MIB)] = 64 * 1024
    """The head of one request: its first line and all its headers."""
    header_time: Annotated[Seconds, Field(ge=0.1, le=3600)] = 30.0
    """Time a client has to send the head of its request."""
    client_idle: Annotated[Seconds, Field(ge=0.1, le=3600)] = 120.0
    """Time a client may leave a reply unread, or the body of a request that passes through unsent."""
    connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Open connections of clients. Beyond them idle ones are closed."""
    exchanges: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Chats under way at once; beyond them the chatbot is not asked. A person in a crisis is answered still."""
    request_body_time: Annotated[Seconds, Field(ge=0.1, le=3600)] = 60.0
    """Time a client has to send its request's body."""
    upstream_headers: Annotated[Seconds, Field(ge=0.1, le=3600)] = 60.0
    """Time the chatbot has to begin its answer."""
    upstream_idle: Annotated[Seconds, Field(ge=0.1, le=3600)] = 120.0
    """Time the chatbot may be silent in the middle of an answer."""
    keep_alive: Annotated[Seconds, Field(ge=0.1, le=600)] = 10.0
    """Silence after which a waiting client of a stream is shown that it is alive."""
    shutdown: Annotated[Seconds, Field(ge=0, le=600)] = 20.0
    """Time that exchanges under way have when the proxy is told to stop."""


class Settings(Frozen):
    """Everything an operator decides. Made by ``guardrail.settings.load``; paths in it are absolute."""

    upstream: BaseUrl = ""
    """Empty only where ``load`` was told that none is needed."""
    listen: Address = "127.0.0.1:8080"
    data: Path = Path("data")
    policies: Annotated[tuple[Name, ...], Field(min_length=1)] = ("base",)
    require_signed: bool = False
    trusted_keys: tuple[PublicKey, ...] = ()
    """Whose signatures count; empty: any key's."""
    shadow_policies: tuple[Name, ...] = ()
    """Packs that are tried beside the ones in force, and change nothing."""
    redis_url: RedisUrl | None = None
    """Where any number of proxies share conversations and cases; ``None``: one proxy keeps them in ``data``."""
    redis_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,40}$")] = "guardrail"
    """What the names of all keys there begin with: one for each installation."""
    mode: Literal["enforce", "shadow"] = "enforce"
    secret: LongSecret | None = None
    admin_token: BearerToken | None = None
    public_url: BaseUrl | None = None
    store_text: Literal[False] = False
    moderations: Literal["upstream", "local"] = "upstream"
    """Who answers ``POST /v1/moderations``: the chatbot, or we ourselves."""
    responders: Responders = Responders()
    default_locale: Locale = "en"
    default_country: Country | None = None
    timezone: Timezone = "UTC"
    """The operator's: what policies mean by a time of day."""
    service_name: SpokenName = ""
    bot_name: SpokenName = ""
    unknown_dialect: Literal["pass", "block"] = "pass"
    json_dialect: tuple[Layout, ...] = ()
    escalation: Escalation = Escalation()
    model: ModelSettings = ModelSettings()
    judges: Mapping[ChannelName, Judge] = Field(default_factory=dict)
    """Further judges, asked beside the model and the lexicon. In findings they go by these names."""
    limits: Limits = Limits()
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])


UNSUPPORTED: Mapping[str, str] = {
    "store_text": "store_text: true is not supported by this version; remove it",
}
"""Keys of the contract whose other values are refused rather than ignored: an operator would count on them."""
