"""What an operator should know about the lines they show: unverified, overdue, candidates, doubtful numbers."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

import msgspec

from guardrail.resources.hours import are_readable
from guardrail.resources.load import countries, load_country, load_retired
from guardrail.resources.model import Channel, Resource, Retired, digits
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
        if resource.verified_on > today:
            what.append((f"verified on {resource.verified_on}, which is still to come", True))
        if age != "fresh":
            what.append((f"{age}: was to be reviewed by {resource.next_review}", True))
    else:
        why = f" ({resource.notes})" if resource.notes else ""
        state = f"{resource.status}, {resource.confidence} confidence{why}"
        what.append((f"{state}: not shown until a human has checked it", False))
    for number in retired_in(resource, code, retired):
        what.append((f"holds {number}, which is retired: it must not be shipped", True))
    for number in doubtful(resource, code):
        what.append((f"{number} is not a number phonenumbers knows; it may still be right", False))
    if not are_readable(resource):
        what.append(("hours or time zone cannot be read", True))
    return [Note(code, resource.id, text, finding) for text, finding in what]


def retired_in(resource: Resource, code: str, retired: Sequence[Retired]) -> list[str]:
    """Retired numbers of its country that a resource still shows, however they are written."""
    gone = {_retired(number, code) for r in retired if r.country == code for number in r.numbers}
    return [c.dial or c.e164 or "" for c in resource.channels if gone.intersection(_shown(c, code))]


def _retired(number: str, code: str) -> tuple[str, str]:
    """A line of the list, e.g. ``988 press 3`` or ``741741 text WORD``, as a number and what goes with it."""
    for word in (" press ", " text "):
        if word in number:
            dial, _, option = number.partition(word)
            return _significant(dial, code), option.casefold()
    return _significant(number, code), ""


def _shown(channel: Channel, code: str) -> set[tuple[str, str]]:
    options = {o.casefold() for o in (channel.menu_option, channel.keyword)} - {""} or {""}
    return {(_significant(n, code), option) for n in (channel.dial, channel.e164) if n for option in options}


def _significant(number: str, code: str) -> str:
    """What of a number stays the same with or without country code and trunk prefix, to compare numbers by."""
    import phonenumbers

    try:
        return phonenumbers.national_significant_number(phonenumbers.parse(number, code))
    except phonenumbers.NumberParseException:
        return digits(number)


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
