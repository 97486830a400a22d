"""Whom the settings say to tell: channels as they are called, and ladders as they are climbed."""

from __future__ import annotations

from collections.abc import Iterable

import httpx

from escalation.channels import AppriseChannel, Channel, WebhookChannel
from escalation.ladder import Ladders, Rung
from guardrail import settings_model as model


def ladders(escalation: model.Escalation) -> Ladders:
    return Ladders(_made(escalation.rungs), {name: _made(rungs) for name, rungs in escalation.ladders.items()})


def _made(rungs: Iterable[model.Rung]) -> tuple[Rung, ...]:
    return tuple(Rung(rung.after, tuple(rung.notify)) for rung in rungs)


def channels(escalation: model.Escalation, client: httpx.AsyncClient) -> dict[str, Channel]:
    """By name. Webhooks share ``client``."""
    made: dict[str, Channel] = {}
    for name, channel in escalation.channels.items():
        url = channel.url.get_secret_value()
        if channel.kind == "webhook":
            made[name] = WebhookChannel(url, channel.secret.get_secret_value(), client)
        else:
            made[name] = AppriseChannel(url)
    return made
