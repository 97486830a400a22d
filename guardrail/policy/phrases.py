"""Rules in plain sentences: what a clinician reads in ``explain``, ``diff`` and the hazard log."""

from __future__ import annotations

from collections.abc import Iterator

from guardrail.core.model import ACTION_RANK
from guardrail.core.rules import CaseRule, Composite, Rule, Then, When

GRADES = ("no sign", "concern", "elevated", "high", "imminent")
ACTIONS = {
    "pass": "nothing is done",
    "support": "help is offered",
    "steer": "the bot is steered",
    "rewrite": "the sentence is replaced",
    "regenerate": "the bot is asked once more",
    "replace": "the reply is replaced",
    "handoff": "a human takes over",
}
WHO = {"adult": "an adult", "minor": "a minor", "unknown": "somebody of unknown age"}
ABOUT = {"self": "themselves", "other": "somebody else", "child": "a child"}


def describe(rule: Rule) -> str:
    """A whole rule: ``When … : …``."""
    return f"When {when(rule.when)}{unless(rule)}: {then(rule.then)}."


def describe_composite(composite: Composite) -> str:
    moved = f"{abs(composite.weight)} grade{'s' if abs(composite.weight) > 1 else ''}"
    way = "more" if composite.weight > 0 else "less"
    return f"When {when(composite.when)}{unless(composite)}: it counts {moved} {way}."


def when(condition: When) -> str:
    """The condition, as the second half of ``When …``."""
    who = any_of([WHO[name] for name in condition.audience]) if condition.audience else "somebody"
    shown = any_of([name.replace("_", " ") for name in condition.signals])
    if condition.direction == "inbound":
        begin = f"{who} shows {shown}" if shown else f"{who} writes"
    else:
        begin = f"the bot's reply to {who} shows {shown}" if shown else f"the bot replies to {who}"
    return begin + "".join(f", {part}" for part in conditions(condition))


def conditions(condition: When) -> Iterator[str]:
    """What else must hold, one phrase each."""
    low, high = condition.severity
    if (low, high) != (0, 4):
        yield f"severity {grades(low, high)}"
    if condition.subject:
        yield f"about {any_of([ABOUT[name] for name in condition.subject])}"
    for name in ("detail", "frame", "time", "locale", "country"):
        if found := getattr(condition, name):
            yield f"{name} {any_of([value.replace('_', ' ') for value in found])}"
    if condition.latch != (0, 4):
        yield f"in a conversation latched at {grades(*condition.latch)}"
    if condition.level != (0.0, 4.0):
        yield f"level {condition.level[0]:g} to {condition.level[1]:g}"
    if condition.episode is not None:
        yield "already answered in this episode" if condition.episode else "not yet answered in this episode"
    if condition.drift:
        yield f"again and again (sum of {condition.drift:g})"
    yield from _more(condition)


def _more(condition: When) -> Iterator[str]:
    more = condition.more
    if more is None:
        return
    if more.score != (0.0, 1.0):
        yield f"score {more.score[0]:g} to {more.score[1]:g}"
    if more.peak != (0, 4):
        yield f"the gravest so far was {grades(*more.peak)}"
    if more.trend:
        yield f"the course is {any_of(list(more.trend))}"
    if more.quiet:
        yield f"after {more.quiet} quiet turns"
    if more.turns != (0.0, float("inf")):
        yield f"from turn {more.turns[0]:g}" + (f" to {more.turns[1]:g}" if more.turns[1] < 1e6 else "")
    if more.session:
        yield f"in a visit of {span(more.session)} or more"
    if more.between:
        begin, end = more.between
        yield f"between {begin // 60:02}:{begin % 60:02} and {end // 60:02}:{end % 60:02}"
    if more.repeats:
        yield f"in {more.repeats.times} turns within {span(more.repeats.within)}"
    if more.present:
        yield f"together with {any_of([name.replace('_', ' ') for name in more.present])}"
    if more.absent:
        yield f"without {any_of([name.replace('_', ' ') for name in more.absent])}"
    for name, low, high in more.cues:
        yield f"the app reads {name} from {low:g} to {high:g}"
    if more.prefers:
        yield f"who has chosen {any_of(list(more.prefers))}"


def unless(rule: Rule | Composite) -> str:
    """The exceptions, where there are some."""
    found = [exception(one) for one in rule.unless]
    return f" (unless {' or '.join(found)})" if found else ""


def exception(condition: When) -> str:
    """One exception: it may also be about who reads."""
    who = [f"for {any_of([WHO[name] for name in condition.audience])}"] if condition.audience else []
    return ", ".join([*who, *conditions(condition)])


def then(consequence: Then) -> str:
    """What happens, in one sentence without its end."""
    action = ACTIONS[consequence.action]
    if consequence.response and ACTION_RANK[consequence.action] >= ACTION_RANK["rewrite"]:
        action += f" by {consequence.response}"
    parts = [action]
    if consequence.resources:
        parts.append(f"help: {', '.join(kind.replace('_', ' ') for kind in consequence.resources)}")
    if consequence.steer:
        parts.append(f"guidance to the bot: {consequence.steer}")
    if consequence.case is not None:
        parts.append(f"a human is told{_how(consequence.case)} and has {span(consequence.case.deadline)} to answer")
    if consequence.cool_down:
        parts.append(f"not again for {span(consequence.cool_down)}")
    return "; ".join(parts)


def _how(case: CaseRule) -> str:
    """With what urgency, and who, where a policy says so: empty, or with a space before it."""
    return (f" ({case.priority} priority)" if case.priority else "") + (
        f" by the ladder {case.ladder}" if case.ladder else ""
    )


def grades(low: float, high: float) -> str:
    """``3 (high)``, or ``2 to 4``."""
    if low == high:
        return f"{low:g} ({GRADES[int(low)]})"
    return f"{low:g} ({GRADES[int(low)]}) or more" if high == 4 else f"{low:g} to {high:g}"


def span(seconds: float) -> str:
    """A time as people say it."""
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {name}"
    return f"{seconds:g} s"


def any_of(names: list[str]) -> str:
    """``a, b or c``."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + f" or {names[-1]}" if names else ""
