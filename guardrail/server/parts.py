"""What a proxy keeps things in: opened before it serves, each failure a line that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import redis
import structlog

from escalation.sqlite import SqliteCaseStore
from escalation.sqlite_file import set_aside
from escalation.store import CaseStore, StoreDamaged, StoreError
from guardrail import shipped
from guardrail.journal import Journal, JournalInUse
from guardrail.resources import Directory
from guardrail.settings import SecretFileError, Settings, load_or_make_secret
from guardrail.store.conversations import Backend, Conversations, StoreFailed
from guardrail.store.shared import shared
from guardrail.store.sqlite import SqliteBackend

log = structlog.get_logger("guardrail")


class StartFailed(Exception):
    """The proxy cannot begin. ``problems`` has one line each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Parts(msgspec.Struct):
    """What lives in the data folder, or in Redis where proxies share it. ``shared``: to ask that Redis how it is."""

    conversations: Conversations
    cases: CaseStore
    journal: Journal
    directory: Directory
    key: bytes
    admin_token: str
    shared: redis.Redis | None = None


def open_parts(settings: Settings, now: Callable[[], float], say: Callable[[str], None]) -> Parts:
    """Raises ``StartFailed``."""
    data = settings.data
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = settings.secret.get_secret_value().encode() if settings.secret else load_or_make_secret(data, "secret")
        token = _admin_token(settings, say)
        journal = Journal.open(data, key, now)
        backend, cases, chain, shared = _stores(settings, key)
        conversations = Conversations(backend)
        conversations.open()
    except (SecretFileError, JournalInUse, StoreFailed, StoreError) as error:
        raise StartFailed((str(error),)) from error
    except OSError as error:
        raise StartFailed(
            (f"{data}: cannot be used ({(error.strerror or 'error').lower()}); choose another --data",)
        ) from error
    directory = Directory(shipped.POLICIES / "resources", data / "resources")
    return Parts(conversations, cases, journal, directory, chain, token, shared)


def _stores(settings: Settings, key: bytes) -> tuple[Backend, CaseStore, bytes, redis.Redis | None]:
    common = shared(settings)
    if common is None:
        alone = _open_cases(settings.data / "cases.db")
        alone.end_leases()
        return SqliteBackend(settings.data / "conversations.db"), alone, key, None
    chain = common.key(key if settings.secret else None, key)
    return common.conversations, common.cases, chain, common.looking


def _open_cases(path: Path) -> SqliteCaseStore:
    """A damaged store does not keep the proxy from answering people: it is set aside, and health is red until a
    human has seen to it."""
    try:
        return SqliteCaseStore(path)
    except StoreDamaged as error:
        log.error("the case store is damaged and set aside: restore it", file=set_aside(path).name, reason=str(error))
        return SqliteCaseStore(path)


def _admin_token(settings: Settings, say: Callable[[str], None]) -> str:
    if settings.admin_token is not None:
        return settings.admin_token.get_secret_value()
    is_new = not (settings.data / "admin-token").exists()
    token = load_or_make_secret(settings.data, "admin-token").decode()
    if is_new:
        say(f"admin token (kept in {settings.data / 'admin-token'}): {token}")
    return token
