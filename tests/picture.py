"""Everything that some queues hold, at one moment and in one call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import redis as redis_py

LOOK = """
local places, hashes = {}, {}
local function note(base, name, ids)
  for _, id in ipairs(ids) do places[#places + 1] = {base, name, id} end
end
for i = 3, #KEYS do
  local base = KEYS[i]
  for _, name in ipairs({'pending', 'active'}) do
    note(base, name, redis.call('LRANGE', base .. name, 0, -1))
  end
  for _, name in ipairs({'lease', 'retry', 'scheduled', 'archived', 'completed'}) do
    note(base, name, redis.call('ZRANGE', base .. name, 0, -1))
  end
end
for _, member in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  local base, id = string.match(member, '^([^|]*)|%d+|(.*)$')
  note(base, 'waiting', {id})
end
for _, id in ipairs(ARGV) do
  local key = KEYS[1] .. id
  hashes[#hashes + 1] = {redis.call('TTL', key), redis.call('HMGET', key, 'state', 'claim')}
end
return {places, hashes}
"""
FINISHED = ("completed", "archived")


class Place(NamedTuple):
    queue: str
    name: str
    id: bytes


class Hash(NamedTuple):
    """`ttl` in seconds; -1 for ever, -2 where there is no hash."""

    ttl: int
    state: bytes | None
    claim: bytes | None


@dataclass(frozen=True)
class Picture:
    places: list[Place]
    hashes: dict[bytes, Hash]

    def all(self, name: str) -> list[tuple[str, bytes]]:
        """Queue and id of all that stand in places of this name, sorted."""
        return sorted((place.queue, place.id) for place in self.places if place.name == name)

    def of(self, task_id: bytes) -> list[str]:
        """The names of the places that hold a task; a lease is none."""
        return [p.name for p in self.places if p.id == task_id and p.name != "lease"]


def take(client: redis_py.Redis, queues: Iterable[str], ids: Iterable[bytes]) -> Picture:
    """What these queues hold, and what the hashes of these tasks say."""
    ids = list(ids)
    keys = ["asynq:t:", "asynq:nb:waiting", *(f"asynq:{queue}:" for queue in queues)]
    answer: Any = client.eval(LOOK, len(keys), *keys, *ids)
    rows, hashes = answer
    places = [
        Place(base.decode().removeprefix("asynq:").removesuffix(":"), name.decode(), task_id)
        for base, name, task_id in rows
    ]
    return Picture(
        places,
        {task_id: Hash(ttl, *held) for task_id, (ttl, held) in zip(ids, hashes, strict=True)},
    )
