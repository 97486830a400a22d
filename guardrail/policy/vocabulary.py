"""The words a policy may use, and how its values are written."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

RESOURCE_KINDS: tuple[str, ...] = (
    "emergency_ambulance",
    "emergency_police",
    "emergency_fire",
    "suicide_crisis",
    "child_youth",
    "general_emotional_support",
    "domestic_violence",
    "sexual_assault",
    "substance_use",
    "eating_disorder",
    "lgbtq",
    "elder",
    "veterans",
    "poison",
    "trafficking",
)
PLACEHOLDERS = ("help", "told", "back", "service", "bot")
WHEN_KEYS = (
    "direction", "signal", "severity", "audience", "locale", "country", "subject", "detail", "frame", "time", "latch",
    "level", "episode", "drift", "score", "peak", "trend", "quiet", "turns", "session", "between", "repeats", "with",
    "without", "cue", "prefers",
)  # fmt: skip
MORE_KEYS = WHEN_KEYS[WHEN_KEYS.index("score") :]
UNLESS_KEYS = tuple(key for key in WHEN_KEYS if key not in ("direction", "signal"))
FOR_KEYS = ("audience", "locale", "country")
THEN_KEYS = ("action", "response", "help", "steer", "case", "cool_down")
CASE_KEYS = ("deadline", "priority", "ladder")
RULE_KEYS = ("id", "source", "when", "then")
OPTIONAL_RULE_KEYS = ("unless",)
COMPOSITE_KEYS = ("id", "source", "when", "weight", "unless")
OVERRIDE_KEYS = ("id", "rule", "source", "for", "then")
HAZARD_KEYS = ("id", "harm", "cause", "rules")
WAIVER_KEYS = ("silences", "reason")
FAILURES = ("detector_inbound", "detector_outbound", "store", "upstream")
PACK_KEYS = ("id", "version", "owner", "sources", "review_by", "languages", "summary", "waivers")
FILE_KEYS = (
    "rules", "composites", "overrides", "hazards", "responses", "locale", "guidance", "on_failure", "vignettes",
)  # fmt: skip

LONGEST = 60
LONGEST_IMMINENT = 30
"""Words of a response; the second for what answers severity 4, when nobody can read much."""

LOCALE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")
CUE = re.compile(r"[a-z][a-z0-9_]{0,31}(?:\.[a-z0-9_]{1,32}){0,3}")
"""A reading of the app's own, such as ``voice.arousal``."""
CHOICE = re.compile(r"[a-z][a-z0-9-]{0,31}")
"""A preference, such as ``text-only``."""
LADDER = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
"""A ladder of the operator's settings."""
COUNTRY = re.compile(r"[A-Z]{2}")

_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\s*\.\.\s*([01]\d|2[0-3]):([0-5]\d)\Z")
_DURATION = re.compile(r"([0-9]{1,9})\s*(s|m|h|d)\Z")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_EDGE = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)"
_RANGE = re.compile(rf"(?:(>=|<=|>|<)\s*{_EDGE}|{_EDGE}\s*\.\.\s*{_EDGE}|{_EDGE})\Z")
_ODD = re.compile(r"[^\S ]|[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SHOWN = 60

LONGEST_TIME = 365 * 86400.0
"""Seconds of any time in a policy: what is longer is a slip of the pen."""
LONGEST_DEADLINE = 7 * 86400.0
"""Seconds somebody may be left waiting for a human who was told of them."""


def duration(value: object, longest: float = LONGEST_TIME) -> float | None:
    """Seconds of ``5m``, ``1h``, ``90s``, ``1d``; ``None`` when it is written otherwise, or is over ``longest``."""
    match = _DURATION.match(value) if isinstance(value, str) else None
    seconds = float(match[1]) * _UNITS[match[2]] if match else longest + 1
    return seconds if seconds <= longest else None


def number(value: object, low: float, high: float) -> float | None:
    """A number from ``low`` to ``high``; ``None`` for anything else, such as ``.nan`` or true."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        return None
    return float(value)


def shown(value: object) -> str:
    """What somebody wrote, as a message says it again: in one line, and no page long."""
    if isinstance(value, int) and abs(value) >= 10**_SHOWN:
        return "(a huge number)"
    try:
        text = _ODD.sub("?", str(value))
    except RecursionError:
        return "(a list in a list, too deep)"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def daytime(value: object) -> tuple[int, int] | None:
    """Minutes of the day of ``"22:00..06:00"``, from and until; ``None`` when it is written otherwise."""
    match = _CLOCK.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    begin, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    return (begin, end) if begin != end else None


def bounds(value: object, low: float, high: float, *, whole: bool = True) -> tuple[float, float] | None:
    """``4``, ``">=3"``, ``"2..3"`` as an inclusive range within ``low..high``; ``None`` when it is none.

    ``whole``: grades, which come in whole numbers. Otherwise ``>`` and ``<`` have no inclusive neighbour
    and are refused.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    match = _RANGE.match(text := shown(value).strip())
    if match is None or (whole and "." in text.replace("..", "")) or (not whole and match[1] in (">", "<")):
        return None
    sign, edge, first, last, only = match.groups()
    if only is not None:
        found = (float(only), float(only))
    elif first is not None:
        found = (float(first), float(last))
    elif sign in (">=", ">"):
        found = (float(edge) + (1 if sign == ">" else 0), high)
    else:
        found = (low, float(edge) - (1 if sign == "<" else 0))
    return found if low <= found[0] <= found[1] <= high else None


def nearest(name: object, known: Collection[str]) -> str:
    """What to write instead of an unknown name."""
    close = difflib.get_close_matches(shown(name), list(known), 1)
    return f"did you mean {close[0]}?" if close else f"write one of {', '.join(list(known)[:24])}"


_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_NUMBER = re.compile(r"\d(?:[ ().+/-]*\d){2,}")
_UNIVERSAL = ("112", "911")


_UNSPACED = (
    (re.compile(r"[\u4e00-\u9fff\u3400-\u4dbf]"), 1.6),
    (re.compile(r"[\u3040-\u30ff]"), 3.0),
    (re.compile(r"[\u0e00-\u0e7f]"), 4.5),
)
"""Scripts written without spaces, and how many of their letters make about a word: Han, kana, Thai."""


def words(text: str) -> int:
    """Words of a text, without what fills its placeholders. Where words have no spaces, about as many."""
    text = _PLACEHOLDER.sub(" ", text)
    found = 0.0
    for script, letters in _UNSPACED:
        text, count = script.subn(" ", text)
        found += count / letters
    return round(found) + sum(any(c.isalnum() for c in word) for word in text.split())


def unknown_placeholders(text: str) -> list[str]:
    return [name for name in _PLACEHOLDER.findall(text) if name not in PLACEHOLDERS]


def typed_numbers(text: str) -> list[str]:
    """Numbers that look dialled, ``9-8-8`` too. They belong in resources, where they are dated and verified."""
    return [m.group() for m in _NUMBER.finditer(text) if m.group().strip() not in _UNIVERSAL]
