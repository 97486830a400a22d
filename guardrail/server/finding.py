"""Finding the conversation a request belongs to, and remembering where it has got to."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from guardrail.core.conversation import State
from guardrail.core.events import Replied
from guardrail.core.model import Message
from guardrail.core.ports import Chat
from guardrail.server.histories import Known
from guardrail.store.conversations import Conversations, StoreFailed, put
from guardrail.store.identity import Chain, Prefix, Trail

LOOKUP = 0.05
"""Seconds a look into the store may take before the request goes on without it."""

RETRY_WITHIN = 30.0
"""Seconds in which a byte-identical first request, from nobody in particular, is taken for a retry.

It may also be a second person with the same words: both get the whole answer, and their one case says that
two exchanges joined it. Their next turns are begun anew from the history each sends, so that neither is
answered by what the other said. Clients that name their users, conversations or retries do not depend on this.
"""


class Caller(msgspec.Struct, frozen=True):
    """What the request's headers say about who asks. ``retry`` is a retry mark of the client library."""

    user: str | None = None
    conversation: str | None = None
    retry: str | None = None


class Located(msgspec.Struct, frozen=True):
    """A request's place: the state to judge it from, and how many of its messages were judged before."""

    state: State
    known: int
    trail: Trail
    store_failed: bool = False
    joined: bool = False
    shared: bool = False
    """It joined, and may be somebody else with the same words: what comes after belongs to neither."""
    named: str | None = None
    """The name this conversation goes by: the app's, or the API's own. Its requests may bring only what is new."""


class _Recent(msgspec.Struct):
    located: Located
    at: float
    retry: str | None
    finished: bool = False


_Key = tuple[str | None, Prefix]
"""What is the same in a request and its retry: the conversation's name, if it has one, and the history."""


class Finder:
    """Finds conversations. In memory it keeps the last ``size`` requests, so that a retry is recognised."""

    def __init__(self, chain: Chain, store: Conversations, size: int = 10_000) -> None:
        self._chain, self._store, self._size = chain, store, size
        self._recent: OrderedDict[_Key, _Recent] = OrderedDict()
        self._latest: OrderedDict[str, _Key] = OrderedDict()

    async def find(self, chat: Chat, caller: Caller, at: float, base: Known | None = None) -> Located:
        """Never fails: a store that does not answer gives a new conversation, marked ``store_failed``.

        ``base``: what is known of the beginning of the chat's history.
        """
        if base is not None and base.trail is not None and base.user == caller.user:
            trail = self._chain.trail(chat.messages, caller.user, len(base.messages), base.trail)
        else:
            trail = self._chain.trail(chat.messages, caller.user)
        named = caller.conversation or chat.conversation or None
        key = (named or chat.follows or None, trail.whole)
        recent = self._recent.get(key)
        if recent is not None and self._is_retry(key, recent, trail, caller, at):
            # Judged from where the first attempt was judged, so that it gets the same answer and case.
            cases = self._store.peek(recent.located.state.id)
            state = recent.located.state
            if cases is not None:
                state = msgspec.structs.replace(state, cases=cases.cases)
            shared = not trail.answers and caller == Caller() and not (named or chat.follows)
            return msgspec.structs.replace(recent.located, state=state, joined=True, shared=shared)
        try:
            located = await self._look_up(trail, named, caller.user, chat)
        except StoreFailed:
            # A name leads to the same conversation all the same: what is found now joins what is not readable now.
            id = self._chain.name("conversation", named, caller.user) if named else _new_id()
            located = Located(State(id), 0, trail, store_failed=True)
        located = msgspec.structs.replace(located, named=named or chat.follows or None)
        put(self._recent, key, _Recent(located, at, caller.retry), self._size)
        put(self._latest, located.state.id, key, self._size)
        return located

    def _is_retry(self, key: _Key, recent: _Recent, trail: Trail, caller: Caller, at: float) -> bool:
        if recent.located.store_failed or self._latest.get(recent.located.state.id) != key:
            return False  # the conversation has gone on since: judged from where it was then, that would be undone
        if trail.answers or caller.user or key[0]:
            return True
        return not recent.finished or caller.retry is not None or at - recent.at <= RETRY_WITHIN

    async def _look_up(self, trail: Trail, named: str | None, user: str | None, chat: Chat) -> Located:
        if named is not None:
            name = self._chain.name("conversation", named, user)
            state = await self._store.get(name, LOOKUP) or await self._goes_on_from(named, user)
            if state is None:
                return Located(State(name), 0, trail)
            return Located(state, await self._known_to(state.id, trail, chat.messages), trail)
        if chat.follows:
            state = await self._goes_on_from(chat.follows, user)
            return Located(state or State(_new_id()), 0, trail)
        if not trail.answers:
            return Located(State(_new_id()), 0, trail)
        found = await self._store.owner(trail.answers, LOOKUP)
        state = await self._store.get(found[1], LOOKUP) if found else None
        if found is None or state is None:
            return Located(State(_new_id()), 0, trail)
        return Located(state, trail.counts[found[0]], trail)

    async def _goes_on_from(self, reply: str, user: str | None) -> State | None:
        """The conversation in which the API gave this id, to a reply or to the conversation itself."""
        found = await self._store.owner([self._chain.reply(reply, user)], LOOKUP)
        return await self._store.get(found[1], LOOKUP) if found else None

    async def _known_to(self, name: str, trail: Trail, messages: Sequence[Message]) -> int:
        """How many messages a named conversation was judged on. Apps may send only the last one."""
        if trail.answers:
            found = await self._store.owner(trail.answers, LOOKUP)
            if found and found[1] == name:
                return trail.counts[found[0]]
        begin = len(messages)
        while begin and messages[begin - 1].role in ("user", "system"):
            begin -= 1
        return begin

    def replied(self, located: Located, user: str | None, replied: Replied, at: float) -> None:
        """The person has got this reply: the next request's history will begin with it, or its id will be named."""
        recent = self._recent.get((located.named, located.trail.whole))
        if recent is not None:
            recent.finished = True
        if replied.id:
            self._store.own(self._chain.reply(replied.id, user), located.state.id, at)
        for text in replied.texts:
            prefix = self._chain.extend(located.trail, Message("assistant", text))
            self._store.own(prefix, "" if located.shared else located.state.id, at)


def _new_id() -> str:
    return secrets.token_hex(16)
