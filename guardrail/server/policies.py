"""The policy in force, the one on trial, and how both are exchanged while people are talking."""

from __future__ import annotations

import asyncio

import msgspec

from guardrail import shipped
from guardrail.core.rules import Policy
from guardrail.detectors import LexiconError
from guardrail.policy import PolicyError
from guardrail.policy.signing import Trust
from guardrail.settings import Settings
from guardrail.shipped import Loaded


class Packs(msgspec.Struct, frozen=True):
    """Packs that the settings name, and whose signatures count for them."""

    names: tuple[str, ...]
    trust: Trust

    def read(self) -> Loaded:
        """Compile what lies on the disk. Raises ``PolicyError`` whatever goes wrong, with a line for each problem."""
        try:
            return shipped.load(self.names, trust=self.trust)
        except PolicyError:
            raise
        except LexiconError as error:
            raise PolicyError(error.problems) from error
        except Exception as error:
            raise self._unexpected(error) from error

    async def reread(self) -> Loaded | PolicyError:
        """As ``read``, beside the people who are talking."""
        try:
            return await asyncio.to_thread(self.read)
        except PolicyError as error:
            return error
        except Exception as error:  # not even a thread could be had
            return self._unexpected(error)

    def _unexpected(self, error: Exception) -> PolicyError:
        why = (error.strerror or "error").lower() if isinstance(error, OSError) else type(error).__name__
        return PolicyError([f"{', '.join(self.names)}: cannot be used ({why}); see guardrail policy lint"])


class Policies:
    """What is in force, and what is on trial. A new one takes its place whole or not at all, whatever becomes of the
    other: one that cannot be used leaves the last good one where it is, and ``refused`` or ``trial_refused`` says why
    until a good one has come. ``lexicon`` is what is listened for in force; on trial only rules are."""

    def __init__(self, settings: Settings) -> None:
        """Raises ``PolicyError`` where there is nothing to put in force. A trial that cannot be used waits."""
        keys = frozenset(settings.trusted_keys)
        self._live = Packs(settings.policies, Trust(keys, settings.require_signed))
        self._tried = Packs(settings.shadow_policies, Trust(keys)) if settings.shadow_policies else None
        self._lock = asyncio.Lock()
        live = self._live.read()
        self.current, self.lexicon = live.policy, live.lexicon
        self.refused: tuple[str, ...] = ()
        self.trial: Policy | None = None
        self.trial_refused: tuple[str, ...] = ()
        if self._tried is not None:
            try:
                self.trial = self._tried.read().policy
            except PolicyError as error:
                self.trial_refused = error.problems

    async def reload(self) -> Policy:
        """Take what lies on the disk now, and give what was in force before. Raises ``PolicyError`` where that stays.

        Exchanges under way end with the policy they began with.
        """
        async with self._lock:
            live = await self._live.reread()
            trial = await self._tried.reread() if self._tried is not None else None
            if isinstance(trial, PolicyError):
                self.trial_refused = trial.problems
            else:
                self.trial, self.trial_refused = trial.policy if trial else None, ()
            if isinstance(live, PolicyError):
                self.refused = live.problems
                raise live
            before, self.current, self.lexicon, self.refused = self.current, live.policy, live.lexicon, ()
            return before
