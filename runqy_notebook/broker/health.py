"""How a server is doing, for whoever looks at it now and then."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis

from runqy_notebook.wire.documented import count


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """A server by its INFO; a service that hides that leaves numbers 0 and texts empty."""

    product: str  # "Valkey 9.1.2"
    answered_in: float  # seconds that the question took
    uptime: int  # seconds
    memory: int  # bytes in use
    memory_limit: int  # 0: none
    clients: int
    saves: str  # how it keeps what it holds: "each second", "now and then", "no"
    problem: str  # empty: none


def server_health(client: redis.Redis) -> ServerHealth:
    """Asks the server; errors of the connection are redis-py's."""
    began = time.monotonic()
    try:
        told: Any = client.info()
    except redis.exceptions.ResponseError:  # an ACL, or a service that hides it
        client.ping()
        told = {}
    return ServerHealth(
        product=_product(told),
        answered_in=time.monotonic() - began,
        uptime=_number(told, "uptime_in_seconds"),
        memory=_number(told, "used_memory"),
        memory_limit=_number(told, "maxmemory"),
        clients=_number(told, "connected_clients"),
        saves=_saves(told),
        problem=_problem(told),
    )


def _product(told: Mapping[str, Any]) -> str:
    if "valkey_version" in told:
        return f"Valkey {told['valkey_version']}"
    return f"Redis {told['redis_version']}" if "redis_version" in told else ""


def _saves(told: Mapping[str, Any]) -> str:
    if not told:
        return ""
    if _number(told, "aof_enabled"):
        return "each second"
    return "now and then" if _number(told, "rdb_saves") else "no"


def _problem(told: Mapping[str, Any]) -> str:
    if told.get("role") in ("slave", "replica"):
        return "is a read-only replica"
    for key in ("rdb_last_bgsave_status", "aof_last_write_status"):
        if told.get(key, "ok") != "ok":
            return "cannot save its data"
    limit = _number(told, "maxmemory")
    return "has no memory left" if limit and _number(told, "used_memory") >= limit else ""


def _number(told: Mapping[str, Any], name: str) -> int:
    return count(str(told.get(name, "")).encode())
