"""The policy in force, the one on trial, and how both are exchanged while people are talking."""

from __future__ import annotations

import asyncio

import msgspec

from guardrail import shipped
from guardrail.core.rules import Policy
from guardrail.policy.signing import Trust
from guardrail.settings import Settings


class Loaded(msgspec.Struct, frozen=True):
    """Policies as they lay on the disk. ``trial`` is only tried."""

    policy: Policy
    trial: Policy | None = None


def load(settings: Settings) -> Loaded:
    """Compile what the settings name. Raises ``PolicyError`` with every problem."""
    trust = Trust(frozenset(settings.trusted_keys), settings.require_signed)
    policy = shipped.policy(settings.policies, trust=trust)
    return Loaded(policy, shipped.policy(settings.shadow_policies) if settings.shadow_policies else None)


class Policies:
    """What is in force. A new policy takes its place whole or not at all: one that cannot be used leaves the last good
    one where it is, and ``refused`` says so until a good one has come."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = asyncio.Lock()
        loaded = load(settings)
        self.current, self.trial = loaded.policy, loaded.trial
        self.refused: tuple[str, ...] = ()

    async def reload(self) -> Policy:
        """Take what lies on the disk now, and give what was in force before. Raises ``ValueError`` with every problem.

        Exchanges under way end with the policy they began with.
        """
        async with self._lock:
            try:
                loaded = await asyncio.to_thread(load, self._settings)
            except ValueError as error:
                self.refused = tuple(str(error).splitlines()) or (type(error).__name__,)
                raise
            before = self.current
            self.current, self.trial, self.refused = loaded.policy, loaded.trial, ()
            return before
