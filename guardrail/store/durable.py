"""What a Redis or Valkey says of itself that would lose a case, in words for an operator.

A case that was put is safe from a crash of the server with ``appendonly yes`` and ``appendfsync always``; with
``everysec`` the last second may go. ``maxmemory-policy`` must be ``noeviction``: any other throws conversations or
cases away when memory runs out, and says nothing. A replica does not take anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis
from redis.cluster import RedisCluster
from redis.exceptions import RedisClusterException

from guardrail.store.redis import short


def weaknesses(db: redis.Redis) -> tuple[str, ...]:
    """One phrase each; none: what it takes it keeps. Where there are several servers, of all that hold data."""
    try:
        return tuple(dict.fromkeys(_of(db)))
    except (redis.RedisError, RedisClusterException, OSError) as error:
        return (f"redis: it does not answer ({short(error)})",)


def _of(db: Any) -> list[str]:
    found = []
    every = {"target_nodes": RedisCluster.PRIMARIES} if isinstance(db, RedisCluster) else {}
    for told in _each(db.info("replication", **every), "role"):
        if told.get("role") != "master":
            found.append("redis: it is a replica and takes nothing; give the address of its master")
    for told in _each(db.info("persistence", **every), "aof_enabled"):
        if not told.get("aof_enabled"):
            found.append("redis: appendonly is off, so cases since its last snapshot are lost when it crashes")
        elif told.get("aof_last_write_status") not in (None, "ok"):
            found.append("redis: its last write to the append-only file failed")
    settings = _settings(db)
    if settings is None:
        return [*found, "redis: it does not tell how it is set up (CONFIG is not allowed): see to it yourself"]
    if settings.get("appendfsync") not in ("always", None):
        found.append("redis: appendfsync is not always, so a case of the last second may be lost when it crashes")
    if settings.get("maxmemory-policy") not in ("noeviction", None):
        found.append("redis: maxmemory-policy is not noeviction, so it throws things away when its memory is full")
    return found


def _settings(db: Any) -> dict[str, str] | None:
    try:
        read = db.config_get("appendfsync", "maxmemory-policy")
    except redis.ResponseError:
        return None
    return {_text(key): _text(value) for key, value in read.items()}


def _each(told: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """A server's own words, or those of each server of a Cluster."""
    return [told] if key in told else list(told.values())


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
