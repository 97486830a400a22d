"""A service as one short line: who, how to reach it by voice and without, whether it is open, how sure we are."""

from __future__ import annotations

from collections.abc import Sequence

from guardrail.resources.hours import ALWAYS, is_open, opens_at
from guardrail.resources.model import Channel, Resource
from guardrail.resources.phrases import phrases

_VOICELESS = ("sms", "chat", "whatsapp")


def line(resource: Resource, locale: str, at: float, kinds: Sequence[str] = ()) -> str:
    """One line fit to show a person. An emergency number is named only for what was asked (``kinds``): a
    person who is poisoned reads "ambulance", though the police may have the same number."""
    words = phrases(locale)
    if resource.is_emergency:
        return _emergency(resource, locale, [k for k in resource.kind if k in kinds] or resource.kind)
    ways = [_way(c, locale) for c in _chosen(resource)]
    whom = f" ({resource.coverage_note})" if resource.coverage_note else ""
    parts = [f"{resource.name}{whom}: {words['or'].join(ways)}", _opening(resource, locale, at)]
    if not resource.is_verified:
        parts.append(words["listed"].format(date=resource.verified_on.isoformat()))
    return " · ".join(part for part in parts if part)


def _emergency(resource: Resource, locale: str, kinds: Sequence[str]) -> str:
    words = phrases(locale)
    names = " / ".join(words[kind] for kind in kinds if kind in words)
    return f"{names}: {words['or'].join(_way(c, locale) for c in resource.channels)}"


def _chosen(resource: Resource) -> list[Channel]:
    """One way by voice and one that needs none; else whatever there is. A number that only some networks
    reach brings the next that others do."""
    voices = [c for c in resource.channels if c.type == "voice"]
    first = voices[:1]
    if first and first[0].networks:
        first += [c for c in voices if c.networks != first[0].networks][:1]
    quiet = [c for c in resource.channels if c.type in _VOICELESS][:1]
    return first + quiet or list(resource.channels[:1])


def _way(channel: Channel, locale: str) -> str:
    words = phrases(locale)
    key = "menu" if channel.menu_option else "keyword" if channel.keyword else channel.type
    way = words[key].format(dial=channel.dial, url=channel.url, menu=channel.menu_option, keyword=channel.keyword)
    limits = [words[word] for word in (channel.networks, "vary" if channel.limited else "") if word]
    return f"{way} ({', '.join(limits)})" if limits else way


def _opening(resource: Resource, locale: str, at: float) -> str:
    words = phrases(locale)
    if resource.hours == ALWAYS:
        return words["always"]
    opening = is_open(resource, at)
    if opening is None:
        return words["vary"]
    if opening:
        return words["open"]
    then = opens_at(resource, at)
    if then is None:
        return words["shut"]
    return words["closed"].format(day=words["days"].split()[then.weekday()], time=f"{then:%H:%M}")
