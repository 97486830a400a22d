"""The one thread in which a store is used, so that no disk ever holds up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from escalation.store import CaseStore, Conflict, NotFound, Refused, StoreError

T = TypeVar("T")


class StoreThread:
    """``ok`` says whether the store answered the last time it was asked."""

    def __init__(self, store: CaseStore) -> None:
        self._store = store
        self._executor = ThreadPoolExecutor(1, "cases")
        self.ok = True

    async def run(self, work: Callable[[CaseStore], T], within: float) -> T:
        """Raises ``StoreError``, whatever went wrong. What is not done in ``within`` seconds may be done later."""
        try:
            pending = asyncio.get_running_loop().run_in_executor(self._executor, work, self._store)
            pending.add_done_callback(_look_at)
            async with asyncio.timeout(within):
                answer = await asyncio.shield(pending)
        except (NotFound, Conflict, Refused):
            self.ok = True
            raise
        except StoreError:
            self.ok = False
            raise
        except TimeoutError as error:
            self.ok = False
            raise StoreError("the case store does not answer in time") from error
        except Exception as error:
            self.ok = False
            raise StoreError(f"the case store failed ({type(error).__name__})") from error
        self.ok = True
        return answer

    def close(self) -> None:
        """Waits for what is under way."""
        self._executor.shutdown(wait=True)


def _look_at(late: asyncio.Future[T]) -> None:
    """What ends after its caller has left is nobody's: whoever had to know has acted on the passed deadline."""
    if not late.cancelled():
        late.exception()
