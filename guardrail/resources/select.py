"""Which services to show a person, in which order. Pure: resources, a wish and a moment in; an order out."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Literal

from guardrail.core.model import Audience
from guardrail.resources.hours import is_open
from guardrail.resources.model import Resource
from guardrail.resources.phrases import language_of

Staleness = Literal["fresh", "overdue", "demoted", "hidden"]

_WRITTEN_AS: Mapping[str, str] = {"nb": "no", "nn": "no", "tl": "fil", "iw": "he", "in": "id"}
"""Tags of one language, so that somebody who asks in ``no`` finds a line that answers in ``nb``."""


class Standing(IntEnum):
    """How far a line can be relied on at a moment; the lower, the sooner it is offered."""

    USABLE = 0
    REGIONAL = 1
    """Only for a part of the country, and nobody has said where in it the person is."""
    CLOSED = 2
    DEMOTED = 3


def staleness(resource: Resource, today: datetime.date) -> Staleness:
    """How old a check is against its review interval: overdue at 1x, demoted at 1.5x, hidden at 2x.

    Emergency numbers and a country's main lines are warned about and never demoted or hidden.
    """
    interval = (resource.next_review - resource.verified_on).days
    age = (today - resource.verified_on).days
    if age <= interval:
        return "fresh"
    if resource.is_emergency or resource.is_national_main or age < 1.5 * interval:
        return "overdue"
    return "demoted" if age < 2 * interval else "hidden"


def standing(resource: Resource, at: float) -> Standing:
    """``at`` in POSIX seconds. Unknown hours count as usable: many such lines are open day and night."""
    if staleness(resource, _day(at)) == "demoted":
        return Standing.DEMOTED
    if is_open(resource, at) is False:
        return Standing.CLOSED
    return Standing.REGIONAL if resource.region else Standing.USABLE


def select(
    resources: Iterable[Resource], kinds: Sequence[str], locale: str, audience: Audience, at: float
) -> list[Resource]:
    """Active resources of these kinds, best first; each kind's best before any kind's second.

    Emergency numbers first. Then by standing: whatever its kind, a closed line never stands before an open
    one. Known hours before unknown; the person's language first; never a service for adults only for a
    minor, nor one for children for a grown-up.
    """
    today = _day(at)
    usable = [r for r in resources if r.status == "active" and _is_for(r, audience) and staleness(r, today) != "hidden"]
    ranked: list[tuple[int, int, Resource]] = []
    for place, kind in enumerate(kinds):
        mine = sorted((r for r in usable if kind in r.kind), key=lambda r: _rank(r, locale, audience, at))
        ranked += [(i, place, r) for i, r in enumerate(mine)]
    ranked.sort(key=lambda entry: (not entry[2].is_emergency, standing(entry[2], at), entry[0], entry[1]))
    return list({r.id: r for _, _, r in ranked}.values())


def _day(at: float) -> datetime.date:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).date()


def _is_for(resource: Resource, audience: Audience) -> bool:
    if resource.audience == "adult":
        return audience != "minor"
    return resource.audience == "all" or audience != "adult"


def _rank(resource: Resource, locale: str, audience: Audience, at: float) -> tuple[object, ...]:
    language = _language(locale)
    return (
        standing(resource, at),
        is_open(resource, at) is None,
        not any(_language(tag) == language for tag in resource.languages),
        resource.audience == "minor" and audience != "minor",
        resource.priority,
        resource.cost == "charged",
        resource.id,
    )


def _language(tag: str) -> str:
    language = language_of(tag)
    return _WRITTEN_AS.get(language, language)
