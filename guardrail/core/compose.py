"""Authored replies: which language, which text, and what goes into its placeholders.

Texts are the policy's; nothing here speaks of its own accord except ``LAST_RESORT``, which stands for the
case that even composing failed, because a person in crisis is never met with silence.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from guardrail.core.decide import Policy, Verdict
from guardrail.core.model import Audience, Signal
from guardrail.core.ports import Help, HelpQuery

LAST_RESORT = (
    "I'm an automated assistant, and something is not working on my side. If you or somebody near you is in danger, "
    "please call your local emergency number; 112 or 911 works from most mobiles. Lines near you are listed at "
    "findahelpline.com. Is there somebody who can be with you now?"
)


def base(tag: str) -> str:
    """The language of a BCP-47 tag, lower case: ``de-AT`` -> ``de``."""
    return tag.replace("_", "-").partition("-")[0].lower()


def languages(
    requested: str | None,
    evidence: Sequence[Signal],
    remembered: str,
    default: str,
    available: Collection[str],
) -> tuple[str, ...]:
    """The one language to answer in, or two when it is unsure.

    The app's header, else the language of the evidence, else that of earlier evidence, else the
    default. Evidence in two languages, or a language the policy has no texts in, gives two.
    """
    if requested and (found := _available(requested, available)):
        return (found,)
    if requested:
        return _known((default, "en"), available)
    seen = dict.fromkeys(s.language for s in sorted(evidence, key=lambda s: -s.severity) if s.language)
    if seen:
        return _known(tuple(seen), available) or _known((default, "en"), available)
    return _known((remembered,), available) or _known((default,), available) or _known(("en",), available)


def _known(tags: Sequence[str], available: Collection[str]) -> tuple[str, ...]:
    found = dict.fromkeys(name for tag in tags if tag and (name := _available(tag, available)))
    return tuple(found)[:2]


def _available(tag: str, available: Collection[str]) -> str:
    if tag in available:
        return tag
    return base(tag) if base(tag) in available else ""


def text_of(policy: Policy, name: str, language: str) -> str:
    """The policy's text in that language, else in English, else in any; empty when it has none."""
    for tag in (language, base(language), "en", *policy.responses):
        text = policy.responses.get(tag, {}).get(name, "")
        if text:
            return text
    return ""


def compose(
    policy: Policy,
    verdict: Verdict,
    *,
    tongues: Sequence[str],
    help_lines: Help,
    country: str | None,
    audience: Audience,
    at: float,
    told: bool,
    name: str | None = None,
) -> str:
    """The authored text for a verdict. ``told``: a human has truly been told, and only then may it say so."""
    wanted = verdict.response if name is None else name
    parts = []
    for tongue in tongues or ("en",):
        text = text_of(policy, wanted, tongue)
        if not text:
            continue
        lines = ""
        if verdict.resources:
            query = HelpQuery(country=country, kinds=verdict.resources, locale=tongue, audience=audience, at=at)
            lines = "\n".join(help_lines.lines(query))
        parts.append(fill(text, lines, text_of(policy, "told.yes" if told else "told.no", tongue)))
    return "\n\n".join(parts) or LAST_RESORT


def fill(text: str, lines: str, told: str) -> str:
    """Put help and the truth about who was told in their places; help without a place goes at the end."""
    if lines and "{help}" not in text:
        text = f"{text}\n\n{{help}}"
    filled = text.replace("{told}", told).replace("{help}", lines)
    return "\n".join(line.rstrip() for line in filled.splitlines()).strip()


def guidance_of(policy: Policy, verdict: Verdict) -> str:
    """Clinician guidance for the upstream model, one paragraph a name."""
    return "\n\n".join(text for name in verdict.steer if (text := policy.guidance.get(name, "")))
