"""The append-only, hash-chained record of what was decided. It holds no message text."""

from __future__ import annotations

from guardrail.journal.kinds import KINDS, RecordRefused, verdict_fields, word
from guardrail.journal.segments import JournalInUse
from guardrail.journal.verify import Problem, Report, verify
from guardrail.journal.writer import Health, Journal, JournalError

__all__ = [
    "KINDS",
    "Health",
    "Journal",
    "JournalError",
    "JournalInUse",
    "Problem",
    "RecordRefused",
    "Report",
    "verdict_fields",
    "verify",
    "word",
]
