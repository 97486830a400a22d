"""What proxies share, by the settings."""

from __future__ import annotations

import redis
from redis.exceptions import RedisClusterException

from escalation.redis import RedisCaseStore
from escalation.store import StoreError
from guardrail.settings import Settings
from guardrail.store.connect import connect
from guardrail.store.redis import RedisBackend, shared_key, short


class Shared:
    """The stores in Redis. A connection each: neither the threads that use them nor whoever looks how it is wait for
    one another."""

    def __init__(self, url: str, prefix: str) -> None:
        """Raises ``StoreError`` where it is not known, without asking, how to reach it."""
        self._prefix = prefix
        try:
            self.conversations = RedisBackend(connect(url), prefix)
            self.cases = RedisCaseStore(connect(url), prefix)
            self.looking = connect(url)
        except (redis.RedisError, RedisClusterException, OSError, ValueError) as error:
            raise _failed(error) from error

    def key(self, secret: bytes | None, ours: bytes) -> bytes:
        """The key of the hashes that name conversations: the operator's ``secret``, or the one in Redis, which is
        ``ours`` where we are the first. Raises ``StoreError``; a server that is only away keeps nobody from beginning
        who has a ``secret``."""
        try:
            self.looking.ping()
            return secret or shared_key(self.looking, self._prefix, ours)
        except redis.RedisError as error:
            away = isinstance(error, redis.ConnectionError | redis.TimeoutError) and not _is_refusal(error)
            if secret is None or not away:
                raise _failed(error) from error
            return secret


def shared(settings: Settings) -> Shared | None:
    """``None``: this proxy keeps everything to itself."""
    if settings.redis_url is None:
        return None
    return Shared(settings.redis_url.get_secret_value(), settings.redis_prefix)


def shared_cases(settings: Settings) -> RedisCaseStore | None:
    found = shared(settings)
    return None if found is None else found.cases


def _failed(error: Exception) -> StoreError:
    return StoreError(f"redis_url: it does not answer as it should ({short(error)}); {_remedy(error)}")


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, redis.AuthenticationError) or any(word in str(error) for word in ("NOAUTH", "WRONGPASS"))


def _remedy(error: Exception) -> str:
    if _is_refusal(error):
        return "check its user and password"
    if "READONLY" in str(error):
        return "it is a replica, give the address of its master"
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return "start it and check the address; with secret set, a proxy begins without it"
    return "see its log"
