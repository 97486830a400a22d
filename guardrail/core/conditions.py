"""Whether a condition holds for a signal, and in words why not."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from guardrail.core.conversation import Episode, Times, Trajectory
from guardrail.core.model import Audience, Direction, Signal
from guardrail.core.rules import More, Repeats, When


class Around(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the app knows beyond words. ``cues``: its own readings of voice, face or behaviour. ``prefers``: what the
    person has chosen there. ``minute``: of the operator's day, 0-1439; ``None`` where nobody says."""

    cues: tuple[tuple[str, float], ...] = ()
    prefers: tuple[str, ...] = ()
    minute: int | None = None


class View(msgspec.Struct, frozen=True):
    """What a decision may depend on besides the findings. The trajectory is the one *after* this turn.

    ``recent``: when each signal was seen lately, this turn included. ``cooled``: when rules that cool down fired.
    """

    direction: Direction
    trajectory: Trajectory = Trajectory()
    episode: Episode = Episode()
    audience: Audience = "unknown"
    locale: str = "en"
    country: str | None = None
    drift: tuple[tuple[str, float], ...] = ()
    store_failed: bool = False
    now: float = 0.0
    around: Around = Around()
    recent: Times = ()
    cooled: tuple[tuple[str, float], ...] = ()


def refusal(when: When, signal: Signal, view: View, present: Collection[str] = ()) -> str:
    """Why a rule does not fire for a signal; empty when it does."""
    low, high = when.severity
    if not low <= signal.severity <= high:
        wanted = str(low) if low == high else f"{low} to {high}"
        return f"severity is {signal.severity}, not {wanted}"
    for field, allowed, actual in (
        ("audience", when.audience, view.audience),
        ("subject", when.subject, signal.subject),
        ("detail", when.detail, signal.detail),
        ("frame", when.frame, signal.frame),
        ("time", when.time, signal.time),
        ("country", when.country, view.country or ""),
    ):
        if allowed and actual not in allowed:
            return f"{field} is {actual or 'unknown'}"
    if when.locale and not any(view.locale == tag or view.locale.startswith(tag + "-") for tag in when.locale):
        return f"locale is {view.locale}"
    if not when.latch[0] <= view.trajectory.latch <= when.latch[1]:
        return f"latch is {view.trajectory.latch}"
    if not when.level[0] <= view.trajectory.level <= when.level[1]:
        return f"level is {view.trajectory.level:.1f}"
    if when.episode is not None and when.episode != view.episode.is_open:
        return "an episode is open" if view.episode.is_open else "no episode is open"
    if when.drift and dict(view.drift).get(signal.name, 0.0) < when.drift:
        return f"the pattern over turns is below {when.drift:g}"
    return "" if when.more is None else _more(when.more, signal, view, present)


def _more(more: More, signal: Signal, view: View, present: Collection[str]) -> str:
    return (
        _of_signal(more, signal, present)
        or _of_course(more, view.trajectory)
        or _of_repeats(more.repeats, signal, view)
        or _of_surroundings(more, view.around)
    )


def _of_signal(more: More, signal: Signal, present: Collection[str]) -> str:
    if not more.score[0] <= signal.score <= more.score[1]:
        return f"score is {signal.score:.2f}"
    if more.present and not any(name in present for name in more.present):
        return f"without {' or '.join(more.present)}"
    if found := [name for name in more.absent if name in present]:
        return f"with {found[0]}"
    return ""


def _of_course(more: More, course: Trajectory) -> str:
    if not more.peak[0] <= course.peak <= more.peak[1]:
        return f"peak is {course.peak}"
    if more.trend and course.trend not in more.trend:
        return f"trend is {course.trend}"
    if course.quiet_turns < more.quiet:
        return f"{course.quiet_turns} quiet turns"
    if not more.turns[0] <= course.turns <= more.turns[1]:
        return f"turn {course.turns}"
    if course.session < more.session:
        return f"the visit is {course.session / 60:.0f} min long"
    return ""


def _of_repeats(repeats: Repeats | None, signal: Signal, view: View) -> str:
    if repeats is None:
        return ""
    times = [at for at in dict(view.recent).get(signal.name, ()) if view.now - at <= repeats.within]
    return "" if len(times) >= repeats.times else f"seen {len(times)} times lately"


def _of_surroundings(more: More, around: Around) -> str:
    if more.between is not None:
        begin, end = more.between
        minute = around.minute
        if minute is None:
            return "the time of day is not known"
        inside = begin <= minute < end if begin <= end else minute >= begin or minute < end
        if not inside:
            return f"it is {minute // 60:02}:{minute % 60:02}"
    for name, low, high in more.cues:
        value = dict(around.cues).get(name)
        if value is None or not low <= value <= high:
            return f"cue {name} is {'not given' if value is None else f'{value:g}'}"
    if more.prefers and not any(choice in around.prefers for choice in more.prefers):
        return f"{' or '.join(more.prefers)} was not chosen"
    return ""


def exception(unless: Sequence[When], signal: Signal, view: View, present: Collection[str] = ()) -> str:
    """Why a rule does not hold although its condition does; empty when no exception applies."""
    if any(not refusal(when, signal, view, present) for when in unless):
        return "an exception applies"
    return ""
