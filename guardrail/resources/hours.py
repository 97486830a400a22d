"""Whether a line is open now, in its own time zone."""

from __future__ import annotations

import datetime
import functools
import zoneinfo
from typing import Any

from guardrail.resources.model import Resource

ALWAYS = "24/7"


def is_open(resource: Resource, at: float) -> bool | None:
    """``at`` in POSIX seconds. ``None`` when the hours are not known."""
    if not resource.hours:
        return None
    if resource.hours == ALWAYS:
        return True
    return bool(_hours(resource.hours).is_open(_local(resource, at)))


def are_readable(resource: Resource) -> bool:
    """Whether its hours can be computed at all: a known format, in a known time zone."""
    try:
        is_open(resource, 0.0)
    except (ValueError, LookupError, OSError):
        return False
    return True


def opens_at(resource: Resource, at: float) -> datetime.datetime | None:
    """When a closed line opens next, in its own zone; ``None`` when that is not known."""
    if not resource.hours or resource.hours == ALWAYS:
        return None
    local = _local(resource, at)
    change = _hours(resource.hours).next_change(local)
    return change if isinstance(change, datetime.datetime) else None


def _local(resource: Resource, at: float) -> datetime.datetime:
    zone = zoneinfo.ZoneInfo(resource.timezone)
    return datetime.datetime.fromtimestamp(at, zone).replace(tzinfo=None)


@functools.lru_cache(maxsize=512)
def _hours(hours: str) -> Any:
    from opening_hours import OpeningHours, validate

    if not validate(hours):
        raise ValueError("not opening hours in OpenStreetMap's format")
    return OpeningHours(hours)
