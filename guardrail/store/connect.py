"""A Redis or Valkey behind one URL: a server, Sentinel's master, or a Cluster."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

ANSWERS_WITHIN = 1.0
"""Seconds a server has for one answer. Whoever waits has a shorter deadline of their own; then the connection is given
up, so that what comes late is never taken for the answer to something else."""


def connect(url: str) -> redis.Redis:
    """A client that gives bytes. Nothing is asked yet, but a Cluster and Sentinel for where the servers are.

    What fails is not tried again here: a write whose answer was lost may have been done, and the caller knows whether
    that matters. Raises ``redis.RedisError`` and ``ValueError``, neither with the URL in it.
    """
    terms: dict[str, Any] = {
        "socket_timeout": ANSWERS_WITHIN,
        "socket_connect_timeout": ANSWERS_WITHIN,
        "health_check_interval": 15,
        "retry": Retry(NoBackoff(), 0),
    }
    scheme, _, rest = url.partition("://")
    if scheme == "redis+sentinel":
        return _through_sentinel(rest, terms)
    if scheme == "redis+cluster":
        several: redis.Redis = _cluster(rest, terms)
        return several
    one: redis.Redis = redis.Redis.from_url(url, **terms)
    return one


def _through_sentinel(rest: str, terms: dict[str, Any]) -> redis.Redis:
    """``[user:password@]host:port,host:port/name[/database]``; the credentials are the master's."""
    place, name, *database = rest.split("/")
    user, hosts = _credentials(place)
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        [_address(host, 26379) for host in hosts],
        sentinel_kwargs={key: terms[key] for key in ("socket_timeout", "socket_connect_timeout")},
    )
    number = int(database[0]) if database else 0
    master: redis.Redis = sentinel.master_for(name, db=number, **user, **terms)  # type: ignore[no-untyped-call]
    return master


def _cluster(rest: str, terms: dict[str, Any]) -> Any:
    """``[user:password@]host:port,host:port``."""
    user, hosts = _credentials(rest.rstrip("/"))
    nodes = [ClusterNode(*_address(host, 6379)) for host in hosts]  # type: ignore[no-untyped-call]
    return RedisCluster(startup_nodes=nodes, **user, **terms)


def _credentials(place: str) -> tuple[dict[str, Any], list[str]]:
    who, _, hosts = place.rpartition("@")
    name, _, password = who.partition(":")
    given = {"username": unquote(name), "password": unquote(password)}
    return {key: value for key, value in given.items() if value}, hosts.split(",")


def _address(host: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{host}")
    return parts.hostname or host, parts.port or port
