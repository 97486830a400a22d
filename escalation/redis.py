"""Cases in Redis or Valkey, for any number of proxies.

What a case becomes is worked out by the same functions as elsewhere, from the case as it was read; a script then puts
it in place, with every notice that follows from it, only if it is still the same. Whoever was slower reads again. All
keys share one slot, so that a Cluster does the same. Notices are kept by urgency and time and not in a stream: the most
urgent goes first, a retry has its own time, and what was answered is taken out of the middle.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.resources
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import redis
from redis.exceptions import RedisClusterException

from escalation.case import STATES, Case, NewCase, State, joined, opened
from escalation.moves import Moves, notified, read_cursor
from escalation.store import Job, NotFound, NoticeType, Put, Refused, StoreDamaged, StoreError

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Case).decode

TRIES = 64
"""How often a change begins again because somebody else was faster. Each time somebody has got something done."""
MOST = 10_000


class RedisCaseStore(Moves):
    """A ``CaseStore``. ``db`` gives bytes and has its own timeouts; ``prefix`` keeps installations apart."""

    def __init__(self, db: redis.Redis, prefix: str = "guardrail") -> None:
        self._db: Any = db  # its types leave open whether bytes or text come back
        self._place = f"{{{prefix}:cases}}:"
        self._save, self._schedule, self._lease, self._settle = (
            db.register_script(_script(name)) for name in ("save", "schedule", "lease", "settle")
        )

    def close(self) -> None:
        self._db.close()

    # --- cases

    def put(self, new: NewCase) -> Put:
        with _asked():
            matter = _matter(new.conversation, new.category)
            for _ in range(TRIES):
                known, was = self._db.mget(self._key("join:" + new.id), self._key("matter:" + matter))
                if known is not None:
                    return Put(self._read(known.decode())[0], created=False)
                if was is None:
                    before, raw, case = None, b"", opened(new)
                else:
                    before, raw = self._read(was.decode())
                    case = joined(before, new)
                if self._write(case, before, raw, join=new.id, was=was or b""):
                    return Put(case, created=before is None)
            raise StoreError("the case store is too busy")

    def get(self, id: str) -> Case:
        with _asked():
            return self._find(id)[0]

    def find(self, state: State | None, limit: int, cursor: str | None) -> tuple[list[Case], str | None]:
        limit = max(1, min(limit, 1000))
        at, told = read_cursor(cursor)
        last = told.encode()
        key = self._key("opened" if state is None else "in:" + state)
        with _asked():
            ids: list[bytes] = []
            begin = 0
            while len(ids) <= limit:
                page = self._db.zrevrangebyscore(key, at, "-inf", begin, limit + 1, withscores=True)
                ids += [id for id, opened_at in page if opened_at < at or not last or id < last]
                begin += len(page)
                if len(page) <= limit:
                    break
            cases = self._cases(ids[:limit])
        return cases, f"{cases[-1].opened_at!r}:{cases[-1].id}" if len(ids) > limit else None

    def _change(self, id: str, change: Callable[[Case], Case], notice: NoticeType | None) -> Case:
        with _asked():
            for _ in range(TRIES):
                before, raw = self._find(id)
                after = change(before)
                if after == before:
                    return before
                news = after.is_answered and (after.state == "resolved" or not before.is_answered)
                if self._write(after, before, raw, notice=(notice or "") if news else ""):
                    return after
            raise StoreError("the case store is too busy")

    def _write(
        self, case: Case, before: Case | None, raw: bytes, *, join: str = "", was: bytes = b"", notice: str = ""
    ) -> bool:
        asked = {
            "id": case.id, "join": join, "was": was.decode(), "matter": _matter(case.conversation, case.category),
            "before": before.state if before else "", "after": case.state, "opened_at": repr(case.opened_at),
            "since": repr(case.since), "severity": case.severity, "raised": case.raised, "at": repr(case.updated_at),
            "answered": case.is_answered, "answers": before is not None and case.is_answered and not join,
            "notice": notice,
        }  # fmt: skip
        return bool(self._save(keys=[self._place], args=[msgspec.json.encode(asked), raw, _encode(case)]))

    # --- notices

    def schedule(self, id: str, channels: Sequence[str], key: str, now: float) -> None:
        with _asked():
            for _ in range(TRIES):
                case, raw = self._find(id)
                if case.is_answered:
                    return
                about: list[Any] = [case.id, case.severity, case.raised, key, repr(now), raw, *channels]
                if self._schedule(keys=[self._place], args=about):
                    return
            raise StoreError("the case store is too busy")

    def lease(self, now: float, until: float, limit: int, skip: Sequence[str] = ()) -> list[Job]:
        with _asked():
            rows = self._lease(keys=[self._place], args=[repr(now), repr(until), limit, *skip])
            return [
                Job(id.decode(), kind.decode(), _decode(case), channel.decode(), int(attempts))
                for id, kind, channel, attempts, case in rows
            ]

    def sent(self, job: Job, now: float) -> None:
        with _asked():
            self._settle(keys=[self._place], args=[job.id, "sent", ""])
        # A page that left before the severity rose has told nobody of the rise.
        if job.is_page:
            self._change(job.case.id, lambda case: notified(case, job.case.severity, now), None)

    def failed(self, job: Job, retry_at: float | None, now: float) -> None:
        state, due = ("dead", now) if retry_at is None else ("waiting", retry_at)
        with _asked():
            self._settle(keys=[self._place], args=[job.id, state, repr(due)])

    # --- looking

    def unanswered(self) -> list[Case]:
        with _asked():
            ids = self._db.zrevrange(self._key("waiting"), 0, MOST - 1)
            found = [case for case in self._cases(ids) if not case.is_answered]
        return sorted(found, key=lambda case: (case.opened_at, case.id))

    def oldest_unanswered(self) -> float | None:
        with _asked():
            found = self._db.zrange(self._key("waiting"), 0, 0, withscores=True)
        return float(found[0][1]) if found else None

    def counts(self) -> dict[State, int]:
        with _asked():
            return {state: int(self._db.zcard(self._key("in:" + state))) for state in STATES}

    def dead_letters(self) -> int:
        with _asked():
            return int(self._db.scard(self._key("dead")))

    # --- reading

    def _key(self, name: str) -> str:
        return self._place + name

    def _find(self, id: str) -> tuple[Case, bytes]:
        known = self._db.get(self._key("join:" + id))
        if known is None:
            raise NotFound("there is no such case")
        return self._read(known.decode())

    def _read(self, id: str) -> tuple[Case, bytes]:
        raw = self._db.get(self._key("case:" + id))
        if raw is None:
            raise NotFound("there is no such case")
        return _decode(raw), raw

    def _cases(self, ids: Sequence[bytes]) -> list[Case]:
        found = self._db.mget([self._key("case:" + id.decode()) for id in ids]) if ids else []
        return [_decode(raw) for raw in found if raw is not None]


def _script(name: str) -> str:
    folder = importlib.resources.files("escalation") / "lua"
    return "\n".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("lib", name))


def _matter(conversation: str, category: str) -> str:
    """One open case each: a digest, since a conversation's name is a client's."""
    return hashlib.sha256(f"{len(conversation)}:{conversation}{category}".encode()).hexdigest()[:32]


@contextlib.contextmanager
def _asked() -> Iterator[None]:
    """Whatever goes wrong, as one line without an address or a word of anybody's."""
    try:
        yield
    except msgspec.DecodeError as error:  # health turns red: whoever it is about is not paged
        raise StoreDamaged(f"redis: a case cannot be read any more ({type(error).__name__})") from error
    except (UnicodeError, msgspec.MsgspecError, redis.DataError) as error:
        raise Refused(f"redis: a value cannot be kept ({type(error).__name__})") from error
    except (redis.RedisError, RedisClusterException, OSError) as error:
        raise StoreError(f"redis: {_short(error)}") from error


def _short(error: Any) -> str:
    """What Redis itself says begins with a word in capitals; anything else may hold an address."""
    word = str(error).split(" ", 1)[0]
    return word if word.isupper() and word.isascii() else type(error).__name__
