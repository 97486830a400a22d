"""A service a person can turn to, as it is kept in ``policies/resources``."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Literal

import msgspec

Status = Literal["active", "candidate", "hold", "retired"]
ChannelType = Literal["voice", "sms", "chat", "whatsapp", "web"]
Confidence = Literal["high", "medium", "low"]

EMERGENCY = ("emergency_ambulance", "emergency_police", "emergency_fire")


class Channel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to reach a service. ``dial`` is what to dial there; ``e164`` only where such a form exists.

    ``networks``: from where it can be dialled, empty for anywhere. ``limited``: reached at fewer hours than the
    service itself, e.g. a chat beside a line that is open day and night.
    """

    type: ChannelType
    dial: str = ""
    url: str = ""
    keyword: str = ""
    menu_option: str = ""
    networks: Literal["", "mobile", "landline"] = ""
    limited: bool = False
    e164: str | None = None


class Resource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One service. ``hours`` is OpenStreetMap's format in ``timezone``; empty: they vary or are not known.

    ``verified_on`` is when the facts were last checked against publications; ``verified_by`` the people of an
    operator who have checked it themselves, two or nobody. ``coverage_note``: whom it is for when not for all.
    """

    id: str
    name: str
    kind: tuple[str, ...]
    channels: tuple[Channel, ...]
    languages: tuple[str, ...]
    timezone: str
    status: Status
    confidence: Confidence
    verified_on: datetime.date
    next_review: datetime.date
    hours: str = ""
    country: str = ""
    region: str = ""
    coverage_note: str = ""
    audience: Literal["all", "adult", "minor"] = "all"
    cost: Literal["free", "charged", "unknown"] = "unknown"
    priority: int = 3
    replaces: str = ""
    evidence: tuple[str, ...] = ()
    verified_by: tuple[str, ...] = ()
    notes: str = ""

    @property
    def is_emergency(self) -> bool:
        return any(kind in EMERGENCY for kind in self.kind)

    @property
    def is_national_main(self) -> bool:
        """A country's own main lines are never hidden or demoted for age: an old right number beats none."""
        return not self.region and self.priority <= 2 and "suicide_crisis" in self.kind

    @property
    def is_verified(self) -> bool:
        return len(different(self.verified_by)) >= 2


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One country's file."""

    country: str
    resources: tuple[Resource, ...]


class Retired(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers that must never be shown again in a country."""

    country: str
    numbers: tuple[str, ...]
    since: str
    why: str


class Verification(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An operator's word for a country's lines: who checked, and when."""

    country: str
    verified_by: tuple[str, ...]
    verified_on: datetime.date


def different(names: Iterable[str]) -> set[str]:
    """The people behind names: one who signs twice, in capitals or with a space, is still one."""
    return {" ".join(name.split()).casefold() for name in names} - {""}


def digits(number: str) -> str:
    """What of a number is dialled, to compare numbers by."""
    return "".join(c for c in number if c.isdigit() or c in "*#")
