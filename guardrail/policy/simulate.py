"""What another policy would have done with what really happened: recorded verdicts, or conversations in a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from guardrail.core.conditions import Around
from guardrail.core.conversation import State
from guardrail.core.decide import Verdict, effect_of
from guardrail.core.model import ACTION_RANK, Audience, Direction, Finding
from guardrail.core.rules import Composite, Policy, Rule
from guardrail.core.turn import Judged, judge
from guardrail.evaluation.statistics import Rate, rate
from guardrail.policy.unjudged import Known, asking, unjudged


class Recorded(msgspec.Struct, frozen=True):
    """One judged turn: what detectors saw, and what else the decision knew. It holds no words.

    ``exchange``: the request it belongs to. ``weighed``: its grades are those after composites, because the record is
    from before the others were kept. ``shortened``: the record holds the first signals only.
    """

    id: str
    conversation: str
    at: float
    direction: Direction
    findings: tuple[Finding, ...]
    locale: str = "en"
    country: str | None = None
    audience: Audience = "unknown"
    exchange: str = ""
    around: Around = Around()
    known: Known = Known()
    store_failed: bool = False
    weighed: bool = False
    shortened: bool = False


class Moved(msgspec.Struct, frozen=True):
    """A turn that would have come out otherwise. ``kind``: newly escalated, newly missed, or changed."""

    id: str
    kind: str
    direction: Direction
    before: str
    after: str
    rule_before: str
    rule_after: str


class Unjudged(msgspec.Struct, frozen=True):
    """A rule or composite that hangs on something a replay does not know, ``what``, in so many exchanges.

    It is taken not to fire there, and an exception not to apply.
    """

    rule: str
    what: str
    exchanges: int


class Simulation(msgspec.Struct, frozen=True):
    """``weighed``: turns on which composites counted twice; ``shortened``: turns of which signals are missing."""

    turns: int
    conversations: int
    escalated_before: Rate
    escalated_after: Rate
    newly_escalated: Rate
    newly_missed: Rate
    changed: Rate
    moved: tuple[Moved, ...]
    unjudged: tuple[Unjudged, ...] = ()
    weighed: int = 0
    shortened: int = 0


def simulate(before: Policy, after: Policy, recorded: Iterable[Recorded]) -> Simulation:
    """Replay turns, each conversation in its order, under both policies; each keeps its own memory of them.

    The journal has no record of turns on which nothing was seen, so that levels decay by the clock and not by those
    turns: what depends on a course over many calm turns is judged too gravely, by both alike.
    """
    states: tuple[dict[str, State], dict[str, State]] = ({}, {})
    asked = asking(before), asking(after)
    lacking: dict[tuple[str, str], set[str]] = {}
    turns = weighed = shortened = 0
    counts = [0, 0, 0, 0, 0]
    moved: list[Moved] = []
    for turn in sorted(recorded, key=lambda t: t.at):
        turns += 1
        weighed += turn.weighed
        shortened += turn.shortened
        judged = tuple(_judged(policy, turn, kept) for policy, kept in zip((before, after), states, strict=True))
        a, b = (one.verdict for one in judged)
        for rules, one in zip(asked, judged, strict=True):
            for key in _unjudged(rules, one, turn):
                lacking.setdefault(key, set()).add(turn.exchange or turn.id)
        escalated = is_escalated(a), is_escalated(b)
        counts[0] += escalated[0]
        counts[1] += escalated[1]
        kind = _kind(*escalated, a, b)
        if kind:
            counts[2 + ("newly escalated", "newly missed", "changed").index(kind)] += 1
            moved.append(Moved(turn.id, kind, turn.direction, _short(a), _short(b), a.rule, b.rule))
    was, will, new, missed, changed = (rate(count, turns) for count in counts)
    return Simulation(
        turns,
        len(states[0]),
        was,
        will,
        new,
        missed,
        changed,
        tuple(moved),
        tuple(Unjudged(rule, what, len(exchanges)) for (rule, what), exchanges in lacking.items()),
        weighed,
        shortened,
    )


def _unjudged(rules: tuple[Rule | Composite, ...], judged: Judged, turn: Recorded) -> Iterator[tuple[str, str]]:
    if rules and not turn.known.is_all and judged.view is not None:
        verdict = judged.verdict
        yield from unjudged(rules, verdict.signals, verdict.severity, judged.view, turn.known)


def _judged(policy: Policy, turn: Recorded, kept: dict[str, State]) -> Judged:
    judged = judge(
        policy,
        turn.findings,
        kept.get(turn.conversation, State(turn.conversation)),
        direction=turn.direction,
        now=turn.at,
        locale=turn.locale,
        country=turn.country,
        audience=turn.audience,
        store_failed=turn.store_failed,
        around=turn.around,
    )
    kept[turn.conversation] = judged.state
    return judged


def is_escalated(verdict: Verdict) -> bool:
    """Whether a person is answered by us, a human told, or a bot's harmful reply taken out."""
    return bool(verdict.cases) or ACTION_RANK[verdict.action] >= ACTION_RANK["rewrite"]


def _kind(was: bool, will: bool, before: Verdict, after: Verdict) -> str:
    if was != will:
        return "newly escalated" if will else "newly missed"
    return "changed" if effect_of(before) != effect_of(after) else ""


def _short(verdict: Verdict) -> str:
    told = ", case" if verdict.cases else ""
    return f"{verdict.severity} {'+'.join(verdict.actions) or 'pass'}{told}"


def caveats(found: Simulation) -> Iterator[str]:
    """What this replay could not do, one sentence each."""
    for one in found.unjudged:
        yield (
            f"{one.rule} could not be judged in {one.exchanges} exchange{'s' * (one.exchanges != 1)}: {one.what} "
            "was not recorded; it counts as not met there"
        )
    if found.weighed:
        yield (
            f"{found.weighed} of {found.turns} turns were recorded before the journal kept grades as detectors gave "
            "them: composites count twice there"
        )
    if found.shortened:
        yield f"of {found.shortened} of {found.turns} turns only the first signals were recorded"


def lines(found: Simulation, examples: int) -> Iterable[str]:
    """What the figures do not show, the figures, and some of the turns behind them."""
    yield from (f"WARNING: {what}" for what in caveats(found))
    yield f"{found.turns} turns in {found.conversations} conversations"
    named: Mapping[str, Rate] = {
        "escalated before": found.escalated_before,
        "escalated now": found.escalated_after,
        "newly escalated": found.newly_escalated,
        "newly missed": found.newly_missed,
        "changed otherwise": found.changed,
    }
    for name, r in named.items():
        yield f"  {name:<18} {r.count:>6}  {r.share:7.2%}  (95 % interval {r.low:.2%} to {r.high:.2%})"
    order = {"newly missed": 0, "newly escalated": 1, "changed": 2}
    for m in sorted(found.moved, key=lambda m: order[m.kind])[:examples]:
        yield f"  {m.kind}: {m.id} ({m.direction}): {m.before} [{m.rule_before}] -> {m.after} [{m.rule_after}]"
