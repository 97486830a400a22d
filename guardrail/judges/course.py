"""How it goes with one judge: what it has failed at lately, how often it may be asked, and when it is left in peace."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable

import msgspec

from guardrail.core.model import FailureReason

RECENT = 600.0
"""Seconds for which a failure is recent."""
MOST = 1000
"""Recent failures that are kept; more are as bad."""
IN_A_ROW = 5
"""Failures after which a judge is left in peace: nobody shall wait for what is not there."""
REST = 5.0
"""Seconds for which it is. Then whoever comes first asks it again."""


class About(msgspec.Struct, frozen=True):
    """What health says of a judge. ``failed``: by reason, in the last ten minutes."""

    name: str
    kind: str
    answered: int
    failed: dict[str, int]
    failing: bool
    """Its last answer was none."""


class Budget:
    """At most ``per_minute`` askings a minute; what was not used in a minute is lost. ``now`` is in seconds."""

    def __init__(self, per_minute: int, now: Callable[[], float]) -> None:
        self._most, self._now = float(per_minute), now
        self._left, self._at = self._most, now()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether it may be asked once more."""
        with self._lock:
            at = self._now()
            self._left = min(self._most, self._left + (at - self._at) * self._most / 60)
            self._at = at
            if self._left < 1:
                return False
            self._left -= 1
            return True


class Course:
    """The answers and failures of one judge, as they come. ``now`` is in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._failed: deque[tuple[float, FailureReason]] = deque(maxlen=MOST)
        self._answered = self._in_a_row = 0
        self._rests_until = 0.0

    def answered(self) -> None:
        self._answered += 1
        self._in_a_row = 0

    def failed(self, reason: FailureReason) -> None:
        self._failed.append((self._now(), reason))
        self._in_a_row += 1
        if self._in_a_row >= IN_A_ROW:
            self._rests_until = self._now() + REST

    def rests(self) -> bool:
        """Whether it is left in peace. One of those who come after that is told that it is not."""
        if self._in_a_row < IN_A_ROW:
            return False
        at = self._now()
        if at < self._rests_until:
            return True
        self._rests_until = at + REST  # until that one has its answer, the others do not wait for the same
        return False

    def passed_over(self, reason: FailureReason) -> None:
        """It was not asked, which says nothing of how it is."""
        self._failed.append((self._now(), reason))

    def about(self, name: str, kind: str) -> About:
        since = self._now() - RECENT
        recent = Counter(reason for at, reason in tuple(self._failed) if at >= since)
        return About(name, kind, self._answered, dict(sorted(recent.items())), self._in_a_row > 0)
