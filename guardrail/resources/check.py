"""What an operator should know about the lines they show: unverified, overdue, candidates, doubtful numbers."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

import msgspec

from guardrail.resources.hours import is_open
from guardrail.resources.load import countries, load_country, load_retired
from guardrail.resources.model import Resource, Retired, digits
from guardrail.resources.select import staleness
from guardrail.yamlread import Unreadable


class Note(msgspec.Struct, frozen=True):
    """One thing to know about a resource. ``finding``: it makes the check fail."""

    country: str
    id: str
    what: str
    finding: bool = False


def check(folder: Path, overlay: Path | None, only: Sequence[str], today: datetime.date) -> list[Note]:
    """Go through the countries (all when ``only`` is empty)."""
    notes: list[Note] = []
    try:
        retired = load_retired(folder)
    except (Unreadable, msgspec.ValidationError) as error:
        return [Note("", "retired.yaml", str(error), finding=True)]
    for code in only or [*countries(folder), "INT"]:
        try:
            found = load_country(folder, code, overlay)
        except Unreadable as error:
            notes.append(Note(code, "", str(error), finding=True))
            continue
        if not found:
            notes.append(
                Note(code, "", "no file for this country: its people see the international wording", finding=bool(only))
            )
        for resource in found:
            notes += _notes(code, resource, retired, today)
    return notes


def _notes(code: str, resource: Resource, retired: Sequence[Retired], today: datetime.date) -> list[Note]:
    what: list[tuple[str, bool]] = []
    if resource.status == "active":
        if not resource.is_verified:
            what.append(("unverified: nobody of yours has dialled it (guardrail resources verify)", False))
        age = staleness(resource, today)
        if age != "fresh":
            what.append((f"{age}: was to be reviewed by {resource.next_review}", True))
    else:
        what.append(
            (f"{resource.status}, {resource.confidence} confidence: not shown until a human has checked it", False)
        )
    for number in retired_in(resource, code, retired):
        what.append((f"holds {number}, which is retired: it must not be shipped", True))
    for number in doubtful(resource, code):
        what.append((f"{number} is not a number phonenumbers knows; it may still be right", False))
    try:
        is_open(resource, 0.0)
    except Exception as error:
        what.append((f"hours or time zone cannot be read ({type(error).__name__})", True))
    return [Note(code, resource.id, text, finding) for text, finding in what]


def retired_in(resource: Resource, code: str, retired: Sequence[Retired]) -> list[str]:
    """Retired numbers of its country that a resource still shows."""
    gone = {
        (digits(n.partition(" press ")[0]), n.partition(" press ")[2])
        for r in retired
        if r.country == code
        for n in r.numbers
    }
    return [c.dial for c in resource.channels if (digits(c.dial), c.menu_option) in gone]


def doubtful(resource: Resource, code: str) -> list[str]:
    """Numbers that ``phonenumbers`` does not know. A warning, never a gate: it does not know every real one."""
    import phonenumbers

    found = []
    for channel in resource.channels:
        if not channel.dial or channel.dial[0] in "#*":
            continue
        try:
            number = phonenumbers.parse(channel.dial, code)
        except phonenumbers.NumberParseException:
            found.append(channel.dial)
            continue
        if not phonenumbers.is_possible_number(number) and not phonenumbers.is_possible_short_number(number):
            found.append(channel.dial)
    return found
