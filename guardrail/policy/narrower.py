"""In what a condition holds less often than another one: each condition by its own meaning, in a clinician's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from guardrail.core.rules import More, When
from guardrail.policy.phrases import ABOUT, WHO, any_of, grades, span
from guardrail.policy.rules import CHOICES

_DOMAINS: Mapping[str, tuple[str, ...]] = {**CHOICES, "trend": ("rising", "steady", "falling")}
"""Conditions of which all values are known: naming every one is the same as naming none."""
MOST_TURNS = 1_000_000
"""Up to so many is up to any number: it is how an open range of turns is read."""


def narrower(before: When, after: When) -> Iterator[str]:
    """In what ``after`` holds less often than ``before``, one phrase each; nothing where it holds at least as often."""
    if before.direction != after.direction:
        yield "it is about the bot's replies now" if after.direction == "outbound" else "it is about the person now"
        return
    yield from _signals(before.signals, after.signals)
    for name, how in _HOW.items():
        yield from how(name, getattr(before, name), getattr(after, name))
    had, has = before.more or More(), after.more or More()
    for name, how in _HOW_MORE.items():
        yield from how(name, getattr(had, name), getattr(has, name))


def _signals(before: tuple[str, ...], after: tuple[str, ...]) -> Iterator[str]:
    """A rule without signals is asked once a turn, and of no signal: it opens no case."""
    if before and not after:
        yield f"it is asked of the turn as a whole, and no longer of {_said(before)}"
    elif after and not before:
        yield f"only {_said(after)} counts; before, the whole turn did"
    elif gone := [name for name in before if name not in after]:
        yield f"{_said(gone)} no longer {'counts' if len(gone) == 1 else 'count'}"


def _names(name: str, before: tuple[str, ...], after: tuple[str, ...]) -> Iterator[str]:
    """Any of them is enough; none named means any."""
    domain = _DOMAINS.get(name, ())
    had, has = (set(domain) if domain and not names else set(names) for names in (before, after))
    if domain and had <= has:
        return
    if not has or (had and all(_covered(name, one, has) for one in had)):
        return
    if before:
        gone = [one for one in before if not _covered(name, one, has)]
        if gone:
            yield f"no longer for {_said(gone, name)}"
            return
    yield f"only for {_said(after, name)}"


def _covered(name: str, one: str, allowed: set[str]) -> bool:
    return any(one == tag or (name == "locale" and one.startswith(tag + "-")) for tag in allowed)


def _none_of(name: str, before: tuple[str, ...], after: tuple[str, ...]) -> Iterator[str]:
    if more := [one for one in after if one not in before]:
        yield f"no longer together with {_said(more)}"


def _grades(name: str, before: tuple[int, int], after: tuple[int, int]) -> Iterator[str]:
    what = _LABELS[name]
    if after[0] > before[0]:
        yield f"{what} only from {grades(after[0], after[0])}, before from {grades(before[0], before[0])}"
    if after[1] < before[1]:
        yield f"{what} only up to {grades(after[1], after[1])}, before up to {grades(before[1], before[1])}"


def _range(name: str, before: tuple[float, float], after: tuple[float, float]) -> Iterator[str]:
    what = _LABELS[name]
    if after[0] > before[0]:
        yield f"{what} only from {after[0]:g}, before from {before[0]:g}"
    if after[1] < min(before[1], MOST_TURNS):
        yield f"{what} only up to {after[1]:g}" + (f", before up to {before[1]:g}" if before[1] < MOST_TURNS else "")


def _least(name: str, before: float, after: float) -> Iterator[str]:
    if after > before:
        shown = span(after) if name == "session" else f"{after:g}"
        had = "at once" if not before else f"from {span(before) if name == 'session' else f'{before:g}'}"
        yield f"{_LABELS[name]} only from {shown}, before {had}"


def _episode(name: str, before: bool | None, after: bool | None) -> Iterator[str]:
    if after is not None and after != before:
        yield "only after a text of ours was shown" if after else "only before a text of ours was shown"


def _between(name: str, before: tuple[int, int] | None, after: tuple[int, int] | None) -> Iterator[str]:
    if after is not None and not _minutes(before) <= _minutes(after):
        begin, end = after
        yield f"only between {begin // 60:02}:{begin % 60:02} and {end // 60:02}:{end % 60:02}"


def _minutes(between: tuple[int, int] | None) -> set[int]:
    if between is None:
        return set(range(1440))
    begin, end = between
    return set(range(begin, end)) if begin <= end else {*range(begin, 1440), *range(end)}


def _repeats(name: str, before: Any, after: Any) -> Iterator[str]:
    if after is not None and (before is None or after.times > before.times or after.within < before.within):
        yield f"only when seen in {after.times} turns within {span(after.within)}"


def _cues(name: str, before: tuple[Any, ...], after: tuple[Any, ...]) -> Iterator[str]:
    had = {cue: (low, high) for cue, low, high in before}
    for cue, low, high in after:
        if cue not in had or low > had[cue][0] or high < had[cue][1]:
            yield f"only where the app reads {cue} from {low:g} to {high:g}"


_LABELS = {
    "severity": "grade",
    "latch": "latch",
    "level": "level",
    "peak": "gravest so far",
    "score": "certainty",
    "turns": "turn",
    "quiet": "quiet turns",
    "session": "length of the visit",
    "drift": "sum over the turns",
}
_BEFORE_NAMES = {
    "locale": "locale ",
    "country": "country ",
    "subject": "signs about ",
    "detail": "detail ",
    "frame": "frame ",
    "time": "time ",
    "trend": "a course that is ",
    "present": "turns that also show ",
    "prefers": "those who have chosen ",
}


def _said(names: Sequence[str], kind: str = "") -> str:
    words = {"audience": WHO, "subject": ABOUT}.get(kind, {})
    return f"{_BEFORE_NAMES.get(kind, '')}{any_of([words.get(one, one.replace('_', ' ')) for one in names])}"


_How = Callable[[str, Any, Any], Iterator[str]]
_HOW: Mapping[str, _How] = {
    **dict.fromkeys(("audience", "locale", "country", "subject", "detail", "frame", "time"), _names),
    **dict.fromkeys(("severity", "latch"), _grades),
    "level": _range,
    "episode": _episode,
    "drift": _least,
}
_HOW_MORE: Mapping[str, _How] = {
    "score": _range,
    "peak": _grades,
    "trend": _names,
    "quiet": _least,
    "turns": _range,
    "session": _least,
    "between": _between,
    "repeats": _repeats,
    "present": _names,
    "absent": _none_of,
    "cues": _cues,
    "prefers": _names,
}
