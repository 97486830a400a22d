"""Who a request belongs to, on a real database: nobody gets another person's conversation, nobody loses theirs."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardrail.core.conversation import OpenCase, State, Trajectory
from guardrail.core.events import Replied
from guardrail.core.model import Message
from guardrail.core.ports import Chat
from guardrail.server.finding import Caller, Finder, Located
from guardrail.store.conversations import Conversations, StoreFailed
from guardrail.store.identity import Chain
from guardrail.store.sqlite import SqliteBackend

HIGH = Trajectory(level=3.0, peak=3, latch=3, latch_evidence_at=10.0, seen_at=10.0, turns=1)
KEY = b"k" * 32


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Conversations]:
    conversations = Conversations(SqliteBackend(tmp_path / "conversations.db"))
    conversations.open()
    yield conversations
    conversations.close()


def chat(*texts: str, system: str = "") -> Chat:
    roles = ("user", "assistant")
    turns = [Message(roles[i % 2], text) for i, text in enumerate(texts)]  # type: ignore[arg-type]
    return Chat((Message("system", system), *turns) if system else tuple(turns))


async def exchange(
    finder: Finder, store: Conversations, request: Chat, reply: str, at: float = 10.0, **caller: str
) -> Located:
    located = await finder.find(request, Caller(**caller), at)
    store.remember(State(located.state.id, HIGH))
    finder.replied(located, caller.get("user"), Replied((reply,)), at)
    return located


async def test_a_history_finds_its_conversation_whatever_the_system_prompt_says(store: Conversations) -> None:
    finder = Finder(Chain(KEY), store)
    first = await exchange(finder, store, chat("hello", system="It is Monday."), "Hi, how are you?")
    found = await finder.find(chat("hello", "Hi, how are you? ", "not well", system="It is Tuesday."), Caller(), 20.0)
    assert found.state.id == first.state.id and found.state.trajectory.latch == 3
    assert found.known == 3


async def test_it_still_finds_it_after_a_restart(tmp_path: Path) -> None:
    store = Conversations(SqliteBackend(tmp_path / "c.db"))
    store.open()
    first = await exchange(Finder(Chain(KEY), store), store, chat("hello"), "Hi there")
    await store.flush(5.0)
    store.close()
    again = Conversations(SqliteBackend(tmp_path / "c.db"))
    again.open()
    found = await Finder(Chain(KEY), again).find(chat("hello", "Hi there", "…"), Caller(), 20.0)
    again.close()
    assert found.state.id == first.state.id and found.state.trajectory.latch == 3


async def test_the_same_beginning_twice_is_nobodys(store: Conversations) -> None:
    finder = Finder(Chain(KEY), store)
    one = await exchange(finder, store, chat("hello"), "Hi", at=10.0)
    two = await exchange(finder, store, chat("hello"), "Hi", at=1000.0)
    assert one.state.id != two.state.id
    found = await finder.find(chat("hello", "Hi", "me again"), Caller(), 1010.0)
    assert found.state.id not in (one.state.id, two.state.id) and found.known == 0


async def test_ambiguity_outlives_a_restart(tmp_path: Path) -> None:
    for at in (10.0, 1000.0):
        store = Conversations(SqliteBackend(tmp_path / "c.db"))
        store.open()
        await exchange(Finder(Chain(KEY), store), store, chat("hello"), "Hi", at=at)
        store.close()
    store = Conversations(SqliteBackend(tmp_path / "c.db"))
    store.open()
    found = await Finder(Chain(KEY), store).find(chat("hello", "Hi", "me"), Caller(), 1010.0)
    store.close()
    assert found.known == 0


async def test_users_who_say_the_same_are_told_apart_by_their_id(store: Conversations) -> None:
    finder = Finder(Chain(KEY), store)
    one = await exchange(finder, store, chat("hello"), "Hi", user="one")
    two = await exchange(finder, store, chat("hello"), "Hi", user="two")
    assert one.state.id != two.state.id
    found = await finder.find(chat("hello", "Hi", "again"), Caller(user="two"), 20.0)
    assert found.state.id == two.state.id


async def test_a_retry_is_judged_from_where_the_first_attempt_was_and_joins_its_case(store: Conversations) -> None:
    finder = Finder(Chain(KEY), store)
    first = await finder.find(chat("I am in danger"), Caller(), 10.0)
    store.remember(State(first.state.id, HIGH, cases=(OpenCase("k1", "suicide", 3),)))
    retry = await finder.find(chat("I am in danger"), Caller(), 11.0)
    assert retry.joined and retry.state.id == first.state.id
    assert retry.state.trajectory.latch == 0, "so that it gets the same answer and not a repeat's"
    assert retry.state.cases[0].id == "k1"


async def test_an_edited_turn_keeps_the_conversation_it_branched_from(store: Conversations) -> None:
    finder = Finder(Chain(KEY), store)
    first = await exchange(finder, store, chat("hello"), "Hi")
    await exchange(finder, store, chat("hello", "Hi", "tell me"), "A story")
    found = await finder.find(chat("hello", "Hi", "tell me", "A different story", "more"), Caller(), 30.0)
    assert found.state.id == first.state.id and found.known == 2


async def test_a_named_conversation_may_send_only_its_last_message(store: Conversations) -> None:
    finder = Finder(Chain(KEY), store)
    first = await exchange(finder, store, chat("hello"), "Hi", conversation="room 7")
    found = await finder.find(chat("and now?"), Caller(conversation="room 7"), 30.0)
    assert found.state.id == first.state.id and found.state.trajectory.latch == 3 and found.known == 0


async def test_a_locked_database_delays_nobody_and_is_said(tmp_path: Path) -> None:
    store = Conversations(SqliteBackend(tmp_path / "conversations.db"), size=1)
    store.open()
    for number in range(5):  # more than memory holds: what it does not know may be on disk
        store.own(bytes([number]) * 16, "c1", 1.0)
    await store.flush(5.0)
    finder = Finder(Chain(KEY), store)
    blocker = sqlite3.connect(tmp_path / "conversations.db", isolation_level=None)
    blocker.execute("begin exclusive")
    store.remember(State("c9", HIGH))
    with pytest.raises(StoreFailed):
        await store.flush(0.05)
    assert not store.healthy
    assert (await finder.find(chat("hello", "Hi", "me"), Caller(), 20.0)).store_failed
    blocker.execute("rollback")
    store.retry()
    await store.flush(5.0)
    assert store.healthy
    rows = blocker.execute("select id from conversations").fetchall()
    assert rows == [("c9",)], "what could not be written then was written later"
    blocker.close()
    store.close()


async def test_what_holds_up_the_loop_is_not_the_stores_fault(store: Conversations) -> None:
    store.remember(State("c1", HIGH))
    await store.flush(5.0)
    store._states.clear()
    looking = asyncio.ensure_future(store.get("c1", 0.05))
    await asyncio.sleep(0)
    time.sleep(0.2)  # nobody's turn, while the store has long answered
    found = await looking
    assert found is not None
    assert found.trajectory.latch == 3


async def test_a_latch_that_could_not_be_read_is_not_forgotten_for_it(store: Conversations, tmp_path: Path) -> None:
    first = await exchange(Finder(Chain(KEY), store), store, chat("hello"), "Hi", conversation="room 7")
    await store.flush(5.0)
    later = Conversations(SqliteBackend(tmp_path / "conversations.db"))
    later.open()
    later._jobs.put(lambda: time.sleep(0.3))  # a disk that is busy for a while
    finder = Finder(Chain(KEY), later)
    found = await finder.find(chat("and now?"), Caller(conversation="room 7"), 20.0)
    assert found.store_failed and found.state == State(first.state.id), "its name is enough to know which it is"
    later.remember(State(first.state.id, Trajectory(seen_at=20.0, turns=1), audience="minor"))
    await later.flush(5.0)
    again = await finder.find(chat("and then?"), Caller(conversation="room 7"), 30.0)
    assert (again.state.trajectory.latch, again.state.audience) == (3, "minor")
    later.close()
    stored = Conversations(SqliteBackend(tmp_path / "conversations.db"))
    stored.open()
    kept = await stored.get(first.state.id, 5.0)
    assert kept is not None and (kept.trajectory.latch, kept.audience) == (3, "minor")
    stored.close()


async def test_what_was_calm_while_the_store_could_not_be_read_is_looked_up_again(
    store: Conversations, tmp_path: Path
) -> None:
    await exchange(Finder(Chain(KEY), store), store, chat("hello"), "Hi", conversation="room 7")
    await store.flush(5.0)
    later = Conversations(SqliteBackend(tmp_path / "conversations.db"))
    later.open()
    later._jobs.put(lambda: time.sleep(0.3))
    finder = Finder(Chain(KEY), later)
    found = await finder.find(chat("and now?"), Caller(conversation="room 7"), 20.0)
    later.remember(found.state)
    await later.flush(5.0)
    assert (await finder.find(chat("and then?"), Caller(conversation="room 7"), 30.0)).state.trajectory.latch == 3
    later.close()


async def test_a_beginning_nobody_has_had_costs_no_look_at_the_disk(store: Conversations, tmp_path: Path) -> None:
    blocker = sqlite3.connect(tmp_path / "conversations.db", isolation_level=None)
    blocker.execute("begin exclusive")
    found = await Finder(Chain(KEY), store).find(chat("hello", "Hi", "me"), Caller(), 20.0)
    assert found.known == 0 and not found.store_failed
    blocker.execute("rollback")
    blocker.close()


async def test_a_damaged_database_is_set_aside_and_never_deleted(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    path.write_bytes(b"not a database" * 1000)
    store = Conversations(SqliteBackend(path))
    store.open()
    assert store.set_aside is not None and store.set_aside.read_bytes().startswith(b"not a database")
    assert await store.get("nobody", 5.0) is None
    store.close()


async def test_calm_talk_leaves_nothing_on_disk_and_is_known_while_it_goes_on(
    store: Conversations, tmp_path: Path
) -> None:
    finder = Finder(Chain(KEY), store)
    located = await finder.find(chat("hello"), Caller(), 10.0)
    store.remember(State(located.state.id, Trajectory(level=1.0, peak=1, seen_at=10.0, turns=1)))
    finder.replied(located, None, Replied(("Hi",)), 10.0)
    await store.flush(5.0)
    found = await finder.find(chat("hello", "Hi", "and now?"), Caller(), 20.0)
    assert found.state.id == located.state.id
    reader = sqlite3.connect(tmp_path / "conversations.db")
    counts = reader.execute("select (select count(*) from conversations), (select count(*) from prefixes)").fetchone()
    reader.close()
    assert counts == (0, 0)


async def test_the_database_holds_no_words(store: Conversations, tmp_path: Path) -> None:
    finder = Finder(Chain(KEY), store)
    await exchange(finder, store, chat("a secret sentence"), "a secret reply", user="secret-user")
    await store.flush(5.0)
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"secret" not in raw


async def test_the_same_short_word_later_in_a_named_conversation_is_not_a_retry(store: Conversations) -> None:
    finder = Finder(Chain(KEY), store)
    first = await finder.find(chat("yes"), Caller(conversation="room 7"), 10.0)
    store.remember(first.state)
    await exchange(finder, store, chat("something grave"), "…", conversation="room 7")
    again = await finder.find(chat("yes"), Caller(conversation="room 7"), 30.0)
    assert again.state.trajectory.latch == 3 and not again.joined, "what came between is not forgotten"


async def test_the_same_greeting_another_day_does_not_roll_a_conversation_back(store: Conversations) -> None:
    finder = Finder(Chain(KEY), store)
    first = await finder.find(chat("hello"), Caller(user="one"), 10.0)
    store.remember(first.state)
    finder.replied(first, None, Replied(("Hi",)), 10.0)
    await exchange(finder, store, chat("hello", "Hi", "something grave"), "…", user="one")
    again = await finder.find(chat("hello"), Caller(user="one"), 90_000.0)
    assert again.state.id != first.state.id


async def test_an_answer_asked_for_again_is_judged_by_all_that_was_said_since(store: Conversations) -> None:
    finder = Finder(Chain(KEY), store)
    first = await finder.find(chat("hello"), Caller(), 10.0)
    finder.replied(first, None, Replied(("Hi",)), 10.0)
    store.remember(first.state)
    await finder.find(chat("hello", "Hi", "a story"), Caller(), 11.0)
    later = await exchange(finder, store, chat("hello", "Hi", "something grave"), "…", at=12.0)
    again = await finder.find(chat("hello", "Hi", "a story"), Caller(), 13.0)
    assert again.state.id == later.state.id and again.state.trajectory.latch == 3


async def test_two_people_with_the_same_greeting_do_not_share_what_comes_after(store: Conversations) -> None:
    finder = Finder(Chain(KEY), store)
    for at in (10.0, 12.0):
        located = await finder.find(chat("hello"), Caller(), at)
        store.remember(located.state)
        finder.replied(located, None, Replied(("Hi, how are you?",)), at)
    one = await exchange(finder, store, chat("hello", "Hi, how are you?", "something grave"), "…", at=14.0)
    other = await finder.find(chat("hello", "Hi, how are you?", "what is for dinner"), Caller(), 15.0)
    assert other.state.id != one.state.id and other.state.trajectory.latch == 0


async def test_a_marked_retry_keeps_its_conversation(store: Conversations) -> None:
    finder = Finder(Chain(KEY), store)
    first = await finder.find(chat("hello"), Caller(), 10.0)
    again = await finder.find(chat("hello"), Caller(retry="1"), 12.0)
    assert again.joined and again.state.id == first.state.id
    finder.replied(again, None, Replied(("Hi",)), 12.0)
    store.remember(again.state)
    found = await finder.find(chat("hello", "Hi", "me"), Caller(), 13.0)
    assert found.state.id == first.state.id


async def test_what_belongs_to_two_stays_nobodys_once_memory_has_forgotten_the_first(tmp_path: Path) -> None:
    store = Conversations(SqliteBackend(tmp_path / "c.db"))
    store.open()
    one = await exchange(Finder(Chain(KEY), store), store, chat("hello"), "Hi", at=10.0)
    store.close()
    store = Conversations(SqliteBackend(tmp_path / "c.db"))
    store.open()
    finder = Finder(Chain(KEY), store)
    two = await exchange(finder, store, chat("hello"), "Hi", at=1000.0)
    await store.flush(5.0)
    found = await finder.find(chat("hello", "Hi", "me again"), Caller(), 1010.0)
    store.close()
    assert found.state.id not in (one.state.id, two.state.id)
