"""The settings of one run: read from everywhere, checked at once, and either good or refused with every reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from pydantic import ValidationError

from guardrail.secretfile import SecretFileError, load_or_make_secret
from guardrail.settings_judges import TransformersJudge
from guardrail.settings_model import AppriseChannel, Rung, Settings, WebhookChannel
from guardrail.settings_problems import explained, in_order, nearest, shown
from guardrail.settings_sources import Sources
from guardrail.settings_template import template
from guardrail.settings_yaml import Document, Loc, Unreadable

__all__ = [
    "AppriseChannel",
    "Rung",
    "SecretFileError",
    "Settings",
    "SettingsError",
    "WebhookChannel",
    "load",
    "load_or_make_secret",
    "template",
    "warnings",
]


RESERVED = frozenset(("lexicon", "model"))
"""Names of detectors that judges may not take: findings are told apart by them."""


class SettingsError(Exception):
    """The settings cannot be used. ``problems`` has one line each: ``guardrail.yaml:LINE:COL: what; what to do``."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(
    path: Path | None,
    overrides: Mapping[str, object],
    environ: Mapping[str, str],
    *,
    need_upstream: bool = True,
) -> Settings:
    """Settings from the file (when there is one), ``GUARDRAIL_…`` variables, and the command line, in that order.

    ``overrides`` maps top-level keys to values; ``None`` means not given. Paths in the file are relative to its
    folder. Raises ``SettingsError`` with all problems at once.
    """
    try:
        document = Document(path) if path is not None else None
    except Unreadable as error:
        line, column = error.at
        raise SettingsError((f"{path}:{line}:{column}: {error}",)) from error
    sources = Sources(document, environ, overrides)
    problems = list(sources.faults)
    try:
        settings = Settings.model_validate_json(msgspec.json.encode(sources.tree, enc_hook=str))
    except ValidationError as error:
        problems += [explained(e, sources) for e in error.errors(include_url=False, include_input=False)]
    else:
        problems += _inconsistencies(settings, sources)
    if need_upstream and not sources.tree.get("upstream"):
        problems.append(
            (sources.place(("upstream",)), "no upstream; name the chatbot's base URL, such as http://127.0.0.1:9000")
        )
    if problems:
        raise SettingsError(in_order(problems))
    return settings


def warnings(settings: Settings) -> list[str]:
    """What is allowed and still worth a line at the start."""
    found: list[str] = []
    channels, rungs = settings.escalation.channels, settings.escalation.rungs
    if not channels:
        found.append("no escalation channel is configured: cases are kept, and nobody is told")
    elif rungs[0].after > 0:
        found.append(f"nobody is told of a case in its first {rungs[0].after:g} seconds: no ladder step is at 0s")
    for title, others in settings.escalation.ladders.items():
        if others[0].after > 0:
            found.append(f"ladder {title} tells nobody in the first {others[0].after:g} seconds of a case")
    every = (rungs, *settings.escalation.ladders.values())
    named = {name for steps in every for rung in steps for name in rung.notify}
    found += [f"channel {name} is in no step of a ladder" for name in channels if name not in named]
    if settings.admin_token is not None and len(settings.admin_token.get_secret_value()) < 16:
        found.append("the admin token is shorter than 16 characters and can be guessed")
    for entry in settings.json_dialect:
        path, request = entry.path.text, entry.request
        if request.messages is None and request.conversation is None:
            found.append(f"{path} names neither messages nor conversation: without our header a turn is judged alone")
        if request.guidance is None:
            found.append(f"{path} has no place for guidance: what this chatbot answers cannot be steered")
    for name, judge in settings.judges.items():
        if not isinstance(judge, TransformersJudge) and _is_open(judge.url):
            found.append(f"judge {name}: what people say is sent to another machine without encryption; use https")
    if settings.require_signed and not settings.trusted_keys:
        found.append("require_signed without trusted_keys: a key that anybody makes will do; name the keys that count")
    if settings.mode == "shadow":
        found.append("shadow mode: everything is decided and recorded, and nobody is protected")
    return found


def _is_open(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost")


def _unreachable(settings: Settings, sources: Sources) -> Iterator[tuple[str, str]]:
    """Entries of ``json_dialect`` that no request would ever be read by."""
    for place, entry in enumerate(settings.json_dialect):
        if any(earlier.hides(entry) for earlier in settings.json_dialect[:place]):
            here = sources.place(("json_dialect", place, "path"))
            yield here, "an entry before this one takes every request to this path; keep one, or put this one first"


def _inconsistencies(settings: Settings, sources: Sources) -> list[tuple[str, str]]:
    """What each key allows, and all together do not."""
    found = list(_unreachable(settings, sources))
    for name in sorted(RESERVED.intersection(settings.judges)):
        found.append(
            (sources.place(("judges", name), key=True), f"{name} is a detector of our own; choose another name")
        )
    escalation = settings.escalation
    found += _misplaced(("escalation", "ladder"), escalation.ladder, escalation.channels, sources)
    for name, rungs in escalation.ladders.items():
        found += _misplaced(("escalation", "ladders", name), rungs, escalation.channels, sources)
    return found


def _misplaced(
    ladder: Loc, rungs: Sequence[Rung], channels: Mapping[str, object], sources: Sources
) -> Iterator[tuple[str, str]]:
    """Steps of a ladder that are out of order, or tell nobody."""
    before = -1.0
    for place, rung in enumerate(rungs):
        loc: Loc = (*ladder, place)
        if rung.after <= before:
            yield sources.place((*loc, "after")), "not later than the step before it; order steps by time"
        before = rung.after
        for index, name in enumerate(rung.notify):
            here = sources.place((*loc, "notify", index))
            if name not in channels:
                yield here, f"unknown channel {shown(name)}; {nearest(name, channels, 'name one of channels')}"
            elif name in rung.notify[:index]:
                yield here, f"channel {name} is named twice in one step; keep one"
