"""Authored replies: which language, which text, and what goes into its placeholders.

Texts are the policy's; nothing here speaks of its own accord except ``LAST_RESORT``, which stands for the
case that even composing failed, because a person in crisis is never met with silence.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from guardrail.core.decide import Verdict
from guardrail.core.model import Audience, Signal
from guardrail.core.ports import Help, HelpQuery
from guardrail.core.rules import Policy

LAST_RESORT = (
    "I'm an automated assistant, and something is not working on my side. If you or somebody near you is in danger, "
    "please call your local emergency number; 112 or 911 works from most mobiles. Lines near you are listed at "
    "findahelpline.com. Is there somebody who can be with you now?"
)


ALIASES: Mapping[str, str] = {
    "zh": "zh-Hans", "zh-CN": "zh-Hans", "zh-SG": "zh-Hans", "zh-MY": "zh-Hans",
    "zh-TW": "zh-Hant", "zh-HK": "zh-Hant", "zh-MO": "zh-Hant", "fil": "tl",
}  # fmt: skip
"""Tags whose texts stand under another name: Chinese is written by script, and Filipino is Tagalog."""

RIGHT_TO_LEFT = frozenset(("ar", "fa", "he", "ur", "ps", "ckb", "yi", "dv"))
_DIALLED = re.compile(r"[+(]?\d(?:[ ().+/-]*\d)+")


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


def fallbacks(tag: str) -> Iterator[str]:
    """The tags whose texts serve one, nearest first: ``zh-TW`` -> ``zh-TW``, ``zh-Hant``, ``zh``, ``zh-Hans``."""
    parts = tag.replace("_", "-").split("-")
    for end in range(len(parts), 0, -1):
        shorter = "-".join((parts[0].lower(), *parts[1:end]))
        yield shorter
        if shorter in ALIASES:
            yield ALIASES[shorter]


def is_right_to_left(tag: str) -> bool:
    """Whether a language is written from right to left; one written in Latin letters is not."""
    return base(tag) in RIGHT_TO_LEFT and "-latn" not in tag.lower()


def _available(tag: str, available: Collection[str]) -> str:
    return next((found for found in fallbacks(tag) if found in available), "")


class Names(msgspec.Struct, frozen=True):
    """What the operator calls the service and the bot; empty: the policy's own words for them."""

    service: str = ""
    bot: str = ""


NAMELESS = Names()


def text_of(policy: Policy, name: str, language: str) -> str:
    """The policy's text in that language, else in English, else in any; empty when it has none."""
    for tag in (*fallbacks(language), "en", *policy.responses):
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
    names: Names = NAMELESS,
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
        values = {
            "told": text_of(policy, "told.yes" if told else "told.no", tongue),
            "back": text_of(policy, "back", tongue),
            "service": names.service or text_of(policy, "service", tongue),
            "bot": names.bot or text_of(policy, "bot", tongue),
            "help": lines,
        }
        parts.append(fill(text, values, tongue))
    return "\n\n".join(parts) or LAST_RESORT


def fill(text: str, values: Mapping[str, str], tongue: str = "en") -> str:
    """Put what is known now into a text's places, each by its name. ``help`` without a place goes at the end.

    What is put into a text that runs from right to left is isolated (Unicode UAX 9), or a telephone number in it
    would be shown with its groups in the wrong order.
    """
    if values.get("help") and "{help}" not in text:
        text = f"{text}\n\n{{help}}"
    rtl = is_right_to_left(tongue)
    for name in ("told", "back", "service", "bot", "help"):
        value = values.get(name, "")
        if rtl and name in ("service", "bot") and value:
            value = f"\u2068{value}\u2069"
        if rtl and name == "help":
            value = _DIALLED.sub(lambda m: f"\u2066{m.group()}\u2069", value)
        text = text.replace(f"{{{name}}}", value)
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def guidance_of(policy: Policy, verdict: Verdict) -> str:
    """Clinician guidance for the upstream model, one paragraph a name."""
    return "\n\n".join(text for name in verdict.steer if (text := policy.guidance.get(name, "")))
