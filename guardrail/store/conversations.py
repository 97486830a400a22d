"""Conversations, with what is in use kept in memory: what the proxy knows of them, and where it is kept.

One thread owns the backend. A calm turn costs no write and no wait: its state is in memory at once and written with
others. A rise of the latch waits until it is kept. What is kept are numbers and hashes, never words.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from guardrail.core.conversation import State, merged
from guardrail.core.model import Severity
from guardrail.store.identity import Prefix

KEEP = 90 * 24 * 3600.0
"""Seconds after which an unvisited conversation is forgotten; a latch steps down long before."""

BATCH_WAIT = 0.05

SLICES = 5
"""Parts of a deadline that have to pass, each with a turn of the loop."""


T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class StoreFailed(Exception):
    """The store did not answer in time, or not at all. ``str(error)`` is one line without content."""


class Change(msgspec.Struct, frozen=True):
    """A state to be kept. ``before``: what was kept when it was made; ``None``: nothing, or that is not known."""

    state: State
    before: State | None
    unread: bool
    """It was made without knowing what is kept, which may be more."""


class Written(msgspec.Struct, frozen=True):
    """What is kept now: states that became more than they were, and prefixes that turned out to be nobody's."""

    states: Mapping[str, State]
    shared: Sequence[Prefix]


class Backend(Protocol):
    """Where conversations are kept. Used by one thread. Every method but ``close`` may raise ``StoreFailed``."""

    shared: bool
    """Others write there too, so that what memory holds may be old."""
    set_aside: Path | None
    """Where something damaged was moved at the start, when there was any."""

    def open(self, most: int) -> Mapping[Prefix, str] | None:
        """Make ready; gives every prefix there is with its owner, where there are no more than ``most``."""
        ...

    def state(self, conversation: str) -> State | None: ...

    def owners(self, prefixes: Sequence[Prefix]) -> dict[Prefix, str]:
        """Whose those of the prefixes are that are known; ``""``: nobody's."""
        ...

    def write(self, changes: Sequence[Change], owners: Mapping[Prefix, tuple[str, float]]) -> Written:
        """Keep it: all of it, or it is asked for again. ``owners``: each with the moment."""
        ...

    def close(self) -> None: ...


class Conversations:
    """The store. ``open`` before use and ``close`` after; all other methods are for the event loop.

    ``size`` bounds the conversations, and four times as many prefixes, that are kept in memory.
    """

    def __init__(self, backend: Backend, size: int = 10_000) -> None:
        self._backend = backend
        self._size = size
        self._states: OrderedDict[str, State] = OrderedDict()
        self._kept: OrderedDict[str, State] = OrderedDict()
        """What the backend held when it was asked last, where others write there too."""
        self._owners: OrderedDict[Prefix, str] = OrderedDict()
        self._unread: OrderedDict[str, None] = OrderedDict()
        """Conversations whose row could not be read: what is known of them may not be all, nor replace it."""
        self._unwritten_states: dict[str, State] = {}
        self._unwritten_owners: dict[Prefix, tuple[str, float]] = {}
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._all_in_memory = False
        """Whether memory holds every prefix there is, so that one it does not know is known to nobody."""
        self.healthy = True

    # --- life

    def open(self) -> None:
        """Raises ``StoreFailed``."""
        known = self._backend.open(self._size * 4)
        if known is not None:
            self._owners.update(known)
            self._all_in_memory = True
        self._thread = threading.Thread(target=self._work, name="conversations", daemon=True)
        self._thread.start()

    @property
    def set_aside(self) -> Path | None:
        """Where a damaged store was moved at the start, when there was one."""
        return self._backend.set_aside

    def close(self) -> None:
        """Write what is unwritten and stop."""
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is not None:
            self._jobs.put(self._write)
            self._jobs.put(None)
            self._thread.join(timeout=10)
            self._thread = None

    # --- reading

    async def get(self, conversation: str, deadline: float) -> State | None:
        """A conversation's state, or ``None`` when it is not known. Where others write too and the store does not
        answer, what was known last. Raises ``StoreFailed`` when nothing was."""
        state = self._states.get(conversation) or self._unwritten_states.get(conversation)
        if state is None or conversation in self._unread or self._backend.shared:
            try:
                stored = await self._ask(lambda: self._backend.state(conversation), deadline)
            except StoreFailed:
                put(self._unread, conversation, None, self._size)
                if state is None:
                    raise
            else:
                state = self._in_the_light_of(stored, state, conversation)
        if state is not None:
            put(self._states, conversation, state, self._size)
        return state

    def _in_the_light_of(self, stored: State | None, known: State | None, conversation: str) -> State | None:
        """What is known, and what was read: the latter may be newer where others write too."""
        unread = conversation in self._unread
        self._unread.pop(conversation, None)
        if not self._backend.shared:
            return _joined(known, stored)
        ours = known if unread else self._unwritten_states.get(conversation)
        before = self._kept.get(conversation) or State(conversation)
        if stored is None:
            return known
        put(self._kept, conversation, stored, self._size)
        return stored if ours is None else merged(before, ours, stored)

    def peek(self, conversation: str) -> State | None:
        """The state if it is in memory."""
        return self._states.get(conversation)

    async def owner(self, prefixes: Sequence[Prefix], deadline: float) -> tuple[int, str] | None:
        """The last of these prefixes that belongs to exactly one conversation: its index, and whose it is."""
        owner = self._owners.get(prefixes[-1])
        if owner and not self._backend.shared:
            return len(prefixes) - 1, owner
        if self._all_in_memory:
            found: dict[Prefix, str] = {}
        else:
            found = await self._known_owners(prefixes, deadline)
        for prefix in prefixes:
            if self._backend.shared and prefix in found:
                put(self._owners, prefix, found[prefix], self._size * 4)
            elif prefix in self._owners:
                found[prefix] = self._owners[prefix]
            elif prefix in self._unwritten_owners:
                found[prefix] = self._unwritten_owners[prefix][0]
        for at in range(len(prefixes) - 1, -1, -1):
            if found.get(prefixes[at]):
                return at, found[prefixes[at]]
        return None

    async def _known_owners(self, prefixes: Sequence[Prefix], deadline: float) -> dict[Prefix, str]:
        """What the store says. Where it does not answer, and memory knows one of them, that has to do."""
        try:
            return await self._ask(lambda: self._backend.owners(prefixes), deadline)
        except StoreFailed:
            if any(self._owners.get(prefix) for prefix in prefixes):
                return {}
            raise

    async def _ask(self, read: Callable[[], T], deadline: float) -> T:
        answer: Future[T] = Future()
        self._jobs.put(lambda: _answer(answer, read))
        waiting = asyncio.wrap_future(answer)
        try:
            # In slices: while something else held the loop, the store may have answered and not been heard.
            for _ in range(SLICES):
                if await asyncio.wait((waiting,), timeout=deadline / SLICES) != (set(), {waiting}):
                    return await waiting
            raise TimeoutError
        except (TimeoutError, msgspec.ValidationError, msgspec.DecodeError) as error:
            self.healthy = False
            raise StoreFailed(f"conversation store: {type(error).__name__}") from error
        except StoreFailed:
            self.healthy = False
            raise
        finally:
            waiting.cancel()

    # --- writing

    def remember(self, state: State) -> None:
        """Keep a state; it is on disk a moment later."""
        put(self._states, state.id, state, self._size)
        if not is_plain(state):
            with self._lock:
                self._unwritten_states[state.id] = state
            self._soon()

    def own(self, prefix: Prefix, conversation: str, at: float) -> None:
        """This conversation (``""``: nobody's) has had this prefix. Two conversations with the same one: nobody's."""
        before = self._owners.get(prefix)
        owner = conversation if before in (None, conversation) else ""
        put(self._owners, prefix, owner, self._size * 4)
        if len(self._owners) >= self._size * 4:
            self._all_in_memory = False
        known = self._states.get(owner)
        if known is not None and is_plain(known):
            return
        with self._lock:
            self._unwritten_owners[prefix] = (owner, at)
        self._soon()

    async def flush(self, deadline: float) -> None:
        """Wait until everything remembered so far is on disk. Raises ``StoreFailed``; it is retried then."""
        await self._ask(self._write, deadline)

    def retry(self) -> None:
        """Try again to write what could not be written."""
        if not self.healthy:
            self._jobs.put(self._write)

    def _soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BATCH_WAIT, self._flush_later)

    def _flush_later(self) -> None:
        self._timer = None
        self._jobs.put(self._write)

    def _write(self) -> None:
        with self._lock:
            states, self._unwritten_states = self._unwritten_states, {}
            owners, self._unwritten_owners = self._unwritten_owners, {}
        if not states and not owners:
            return
        try:
            written = self._backend.write(
                [Change(s, self._kept.get(id), id in self._unread) for id, s in states.items()], owners
            )
        except Exception as error:
            self.healthy = False
            with self._lock:
                self._unwritten_states = states | self._unwritten_states
                self._unwritten_owners = owners | self._unwritten_owners
            raise StoreFailed(f"conversation store: {type(error).__name__}") from error
        for id, whole in {**states, **written.states}.items():
            if self._states.get(id) is states[id]:
                self._states[id] = whole
            if self._backend.shared:
                put(self._kept, id, whole, self._size)
            self._unread.pop(id, None)
        for prefix in written.shared:
            if prefix in self._owners:  # memory knew one owner; the store knew another
                self._owners[prefix] = ""
        self.healthy = True

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except StoreFailed:
                continue  # ``healthy`` says so, and what was to be written is kept for the next time
        self._backend.close()


def is_plain(state: State) -> bool:
    """Whether a conversation needs no place on disk: nothing grave was ever said in it, and its history, which the
    next request brings along, tells the rest. Once it is not, it never is again."""
    return (
        state.trajectory.peak < Severity.ELEVATED
        and state.audience == "unknown"
        and not (state.episode.is_open or state.cases or state.drift)
    )


def _joined(known: State | None, stored: State | None) -> State | None:
    if known is None or stored is None:
        return known or stored
    return merged(State(known.id), known, stored)


def _answer(answer: Future[T], read: Callable[[], T]) -> None:
    if not answer.set_running_or_notify_cancel():
        return
    try:
        answer.set_result(read())
    except BaseException as error:  # handed to whoever waits
        answer.set_exception(error)


def put(cache: OrderedDict[K, V], key: K, value: V, size: int) -> None:
    """Keep the ``size`` entries that were put last."""
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > size:
        cache.popitem(last=False)
