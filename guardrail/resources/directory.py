"""The source of help for authored replies. It always has an answer, and never guesses a country."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec
import structlog

from guardrail.core.ports import HelpQuery
from guardrail.resources.answer import answer
from guardrail.resources.hours import are_readable
from guardrail.resources.load import countries, load_country
from guardrail.resources.model import Resource
from guardrail.resources.phrases import phrases
from guardrail.yamlread import Unreadable

log = structlog.get_logger("guardrail.resources")

_CODE = re.compile(r"[A-Z]{2}")
_SAME = {"UK": "GB", "EL": "GR"}
"""Codes people write for a country that ISO 3166 reserves for nobody else."""


class Directory:
    """Implements ``ports.Help`` over a folder of countries and an operator's verifications.

    What cannot be read is named in ``problems``. A broken verification costs the word "verified" and nothing
    else; broken hours read "hours vary"; a broken country gives the international wording.
    """

    def __init__(self, folder: Path, overlay: Path | None = None) -> None:
        self._folder, self._overlay = folder, overlay
        self._loaded: dict[str, tuple[Resource, ...]] = {}
        self._problems: dict[str, str] = {}

    def lines(self, query: HelpQuery) -> tuple[str, ...]:
        """One to three short lines: the emergency number first where one is asked for. Never raises."""
        code = _code(query.country)
        if code is not None:
            try:
                return answer(self.resources(code), query)
            except Exception as error:
                self._note(code, f"{code}: no line could be chosen ({type(error).__name__})")
        words = phrases(query.locale)
        if any(kind.startswith("emergency_") for kind in query.kinds):
            return (words["unknown"], words["directory"])
        return (words["directory"], words["unknown"])

    def resources(self, country: str) -> tuple[Resource, ...]:
        """A country's resources; none when there is no file for it, or a broken one."""
        code = _code(country)
        if code is None:
            return ()
        found = self._loaded.get(code)
        if found is None:
            found = tuple(self._with_hours(code, r) for r in self._load(code))
            if found or code in self._problems:
                self._loaded[code] = found
        return found

    def problems(self) -> list[str]:
        """What could not be read so far, one line each."""
        return list(self._problems.values())

    def unverified(self, countries: Iterable[str] = ()) -> list[str]:
        """Countries whose lines nobody of the operator's has verified: of those in use, and of those named."""
        for country in countries:
            self.resources(country)
        return sorted(
            code
            for code, found in self._loaded.items()
            if any(r.status == "active" and not r.is_verified for r in found)
        )

    def countries(self) -> list[str]:
        return countries(self._folder)

    def _load(self, code: str) -> tuple[Resource, ...]:
        for overlay in (self._overlay, None):
            try:
                return load_country(self._folder, code, overlay)
            except (Unreadable, OSError) as error:
                self._note(code, str(error) if isinstance(error, Unreadable) else f"{code}: cannot be read")
        return ()

    def _with_hours(self, code: str, resource: Resource) -> Resource:
        if are_readable(resource):
            return resource
        self._note(f"{code} {resource.id}", f"{code} {resource.id}: its hours or time zone cannot be read")
        return msgspec.structs.replace(resource, hours="")

    def _note(self, key: str, problem: str) -> None:
        if key not in self._problems:
            log.error("helplines cannot be used as they are", problem=problem)
            self._problems[key] = problem


def _code(country: str | None) -> str | None:
    """A country's code, or ``None`` for what is none: it never becomes part of a path."""
    code = (country or "").strip().upper()
    return _SAME.get(code, code) if _CODE.fullmatch(code) else None
