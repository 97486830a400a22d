"""The source of help for authored replies. It always has an answer, and never guesses a country."""

from __future__ import annotations

from pathlib import Path

import structlog

from guardrail.core.ports import HelpQuery
from guardrail.resources.load import countries, load_country
from guardrail.resources.model import EMERGENCY, Resource
from guardrail.resources.phrases import phrases
from guardrail.resources.render import line
from guardrail.resources.select import select
from guardrail.yamlread import Unreadable

log = structlog.get_logger("guardrail.resources")

MOST = 3
_EMERGENCIES = 2


class Directory:
    """Implements ``ports.Help`` over a folder of countries and an operator's verifications.

    A file that cannot be read gives the international wording and is named in ``problems``.
    """

    def __init__(self, folder: Path, overlay: Path | None = None) -> None:
        self._folder, self._overlay = folder, overlay
        self._loaded: dict[str, tuple[Resource, ...]] = {}
        self._problems: dict[str, str] = {}

    def lines(self, query: HelpQuery) -> tuple[str, ...]:
        """One to three short lines: the emergency number first where one is asked for."""
        words = phrases(query.locale)
        wants_emergency = any(kind in EMERGENCY for kind in query.kinds)
        if query.country is None:
            return (words["unknown"], words["directory"]) if wants_emergency else (words["directory"], words["unknown"])
        found = select(self.resources(query.country), query.kinds, query.locale, query.audience, query.at)
        emergencies = [line(r, query.locale, query.at, query.kinds) for r in found if r.is_emergency][:_EMERGENCIES]
        others = [line(r, query.locale, query.at) for r in found if not r.is_emergency]
        wanted = [kind for kind in query.kinds if kind not in EMERGENCY]
        if not emergencies and (wants_emergency or not others):
            emergencies = self._emergency(query) or [words["unknown"]]
        if wanted and not others:
            others = [words["no_line"]]
        return tuple((emergencies + others)[:MOST])

    def _emergency(self, query: HelpQuery) -> list[str]:
        """A country's ambulance, for a person for whom there is no line."""
        assert query.country is not None
        found = select(self.resources(query.country), EMERGENCY[:1], query.locale, query.audience, query.at)
        return [line(r, query.locale, query.at, EMERGENCY[:1]) for r in found][:1]

    def resources(self, country: str) -> tuple[Resource, ...]:
        """A country's resources; none when its file is missing or broken."""
        code = country.upper()
        if code not in self._loaded:
            try:
                self._loaded[code] = load_country(self._folder, code, self._overlay)
            except Unreadable as error:
                log.error("a resource file cannot be read", problem=str(error))
                self._problems[code] = str(error)
                self._loaded[code] = ()
        return self._loaded[code]

    def problems(self) -> list[str]:
        """Files that could not be read so far, one line each."""
        return list(self._problems.values())

    def unverified(self) -> list[str]:
        """Countries in use whose lines nobody of the operator's has verified."""
        return sorted(
            code
            for code, found in self._loaded.items()
            if any(r.status == "active" and not r.is_verified for r in found)
        )

    def countries(self) -> list[str]:
        return countries(self._folder)
