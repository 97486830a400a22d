"""A verdict's case draft, as a case for a human. Built from signals: no word of anybody is in it."""

from __future__ import annotations

import secrets

from escalation.case import NewCase
from guardrail.core.decide import CaseDraft, Verdict

_GRADES = ("none", "concern", "elevated", "high", "imminent")
_SUBJECTS = {"self": "about the person", "other": "about somebody else", "child": "about a child"}


def to_new_case(
    draft: CaseDraft, verdict: Verdict, exchange: str, conversation: str, place: tuple[str | None, str], now: float
) -> NewCase:
    """``place`` is (country, locale). The id is new: the store joins what belongs together."""
    return NewCase(
        id=secrets.token_hex(12),
        conversation=conversation,
        severity=draft.severity,
        category=draft.category,
        opened_at=now,
        deadline=now + draft.deadline,
        exchange=exchange,
        subject=draft.subject,
        country=place[0],
        locale=place[1],
        summary=summary(draft, verdict),
        policy=verdict.policy,
        rule=draft.rule,
        raised=draft.priority,
        ladder=draft.ladder,
    )


def summary(draft: CaseDraft, verdict: Verdict) -> str:
    """One or two lines from the signals: what was seen, how strongly, by which patterns."""
    what = draft.category.replace("_", " ")
    detail = f" ({draft.detail})" if draft.detail else ""
    first = f"{what}{detail}, {_GRADES[draft.severity]} ({draft.severity}), {_SUBJECTS[draft.subject]}"
    seen = [
        f"{s.name.replace('_', ' ')} {s.severity} [{(s.pattern or s.detector).replace('.', '/')}]"
        for s in verdict.signals
        if s.severity
    ]
    side = "in the person's message" if verdict.direction == "inbound" else "in the bot's reply"
    lines = [f"{first}. Seen {side}: {'; '.join(seen[:8])}." if seen else f"{first}."]
    if verdict.failures:
        lines.append(f"Detectors that failed: {', '.join(f.detector for f in verdict.failures)}.")
    return " ".join(lines)
