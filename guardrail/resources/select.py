"""Which services to show a person, in which order. Pure: resources, a wish and a moment in; an order out."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Literal

from guardrail.core.model import Audience
from guardrail.resources.hours import is_open
from guardrail.resources.model import Resource

Staleness = Literal["fresh", "overdue", "demoted", "hidden"]


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


def select(
    resources: Iterable[Resource], kinds: Sequence[str], locale: str, audience: Audience, at: float
) -> list[Resource]:
    """Active resources of these kinds, best first; each kind's best before any kind's second.

    Open before unknown hours before closed; the person's language first; never a service for adults only
    for a minor, nor one for children for a grown-up.
    """
    today = datetime.datetime.fromtimestamp(at, datetime.UTC).date()
    usable = [r for r in resources if r.status == "active" and _is_for(r, audience) and staleness(r, today) != "hidden"]
    ranked: list[tuple[int, int, Resource]] = []
    for place, kind in enumerate(kinds):
        mine = sorted((r for r in usable if kind in r.kind), key=lambda r: _rank(r, locale, audience, at, today))
        ranked += [(i, place, r) for i, r in enumerate(mine)]
    ranked.sort(key=lambda entry: (not entry[2].is_emergency, entry[0], entry[1]))
    return list({r.id: r for _, _, r in ranked}.values())


def _is_for(resource: Resource, audience: Audience) -> bool:
    if resource.audience == "adult":
        return audience != "minor"
    return resource.audience == "all" or audience != "adult"


def _rank(resource: Resource, locale: str, audience: Audience, at: float, today: datetime.date) -> tuple[object, ...]:
    language = locale.partition("-")[0].lower()
    opening = is_open(resource, at)
    return (
        staleness(resource, today) == "demoted",
        opening is False,
        opening is None,
        not any(tag.partition("-")[0].lower() == language for tag in resource.languages),
        resource.audience == "minor" and audience != "minor",
        resource.priority,
        resource.cost == "charged",
        resource.id,
    )
