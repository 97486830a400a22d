"""Conversations that several proxies write, on a real Valkey: nobody's latch is lost, and nothing holds up the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import redis

from escalation.case import NewCase
from escalation.redis import RedisCaseStore
from escalation.store import StoreDamaged
from guardrail.core.conversation import State, Trajectory, lower
from guardrail.store.conversations import Conversations, StoreFailed
from guardrail.store.redis import RedisBackend
from tests.valkey import Valkey

WITHIN = 5.0
CARED_FOR = Trajectory(level=3.0, peak=3, latch=3, latch_evidence_at=10.0, seen_at=10.0, turns=1)
WORRIED = Trajectory(level=2.0, peak=2, seen_at=10.0, turns=1)
Proxies = Callable[[], Conversations]


@pytest.fixture
def proxy(valkey: Valkey, tmp_path: Path) -> Iterator[Proxies]:
    """Each call gives the store of one more proxy of the same installation."""
    opened: list[Conversations] = []

    def one() -> Conversations:
        store = Conversations(RedisBackend(redis.Redis.from_url(valkey.url), tmp_path.name))
        store.open()
        opened.append(store)
        return store

    yield one
    for store in opened:
        store.close()


async def kept(store: Conversations, state: State) -> None:
    store.remember(state)
    await store.flush(WITHIN)


async def read(store: Conversations, id: str = "c") -> State:
    state = await store.get(id, WITHIN)
    assert state is not None
    return state


async def test_a_latch_is_not_lost_to_a_turn_that_began_before_it(proxy: Proxies) -> None:
    one, other = proxy(), proxy()
    await kept(one, State("c", WORRIED))
    before = await read(other)
    await kept(one, State("c", CARED_FOR))
    await kept(other, msgspec.structs.replace(before, audience="minor"))
    assert [((s := await read(store)).trajectory.latch, s.audience) for store in (one, other)] == [(3, "minor")] * 2


async def test_what_a_human_has_lowered_stays_lowered(proxy: Proxies) -> None:
    one, other = proxy(), proxy()
    await kept(one, State("c", CARED_FOR))
    before = await read(other)
    await kept(one, msgspec.structs.replace(await read(one), trajectory=lower(CARED_FOR, 0)))
    await kept(other, msgspec.structs.replace(before, language="de"))
    assert ((s := await read(one)).trajectory.latch, s.language) == (0, "de")


async def test_a_beginning_that_two_proxies_have_seen_is_nobodys(proxy: Proxies) -> None:
    one, other = proxy(), proxy()
    for store, id in ((one, "c1"), (other, "c2")):
        store.remember(State(id, WORRIED))
        store.own(b"the same words..", id, 10.0)
        await store.flush(WITHIN)
    assert await one.owner([b"the same words.."], WITHIN) is None
    assert await other.owner([b"the same words.."], WITHIN) is None


async def test_a_row_that_cannot_be_read_holds_up_nobody_else(proxy: Proxies, valkey: Valkey, tmp_path: Path) -> None:
    store = proxy()
    with redis.Redis.from_url(valkey.url) as db:
        db.set(f"{tmp_path.name}:conversation:c", b"no state")
    with pytest.raises(StoreFailed):
        await store.get("c", WITHIN)
    store.remember(State("c", CARED_FOR))
    await kept(store, State("d", CARED_FOR))
    assert [(await read(proxy(), id)).trajectory.latch for id in "cd"] == [3, 3]


async def test_a_case_that_cannot_be_read_is_said_and_not_taken_for_calm(valkey: Valkey, tmp_path: Path) -> None:
    db = redis.Redis.from_url(valkey.url)
    store = RedisCaseStore(db, tmp_path.name)
    store.put(NewCase("a", "c", 3, "suicide", 100.0, 200.0))
    db.set(f"{{{tmp_path.name}:cases}}:case:a", b"no case")
    with pytest.raises(StoreDamaged):
        store.unanswered()
    store.close()


async def test_a_server_that_hangs_delays_nobody_and_what_is_known_has_to_do(tmp_path: Path) -> None:
    server = Valkey(tmp_path)
    store = Conversations(RedisBackend(redis.Redis.from_url(server.url, socket_timeout=0.5)))
    store.open()
    await kept(store, State("c", CARED_FOR))
    server.hang()
    assert (await store.get("c", 0.05) or State("")).trajectory.latch == 3
    with pytest.raises(StoreFailed):
        await store.get("never seen here", 0.05)
    store.remember(State("d", CARED_FOR))
    server.go_on()
    await store.flush(WITHIN)
    assert store.healthy and (await read(store, "d")).trajectory.latch == 3
    store.close()
    server.kill()
