"""Reads the tasks of some queues page by page, and finds the list that one task is in.

SORT_RO ... GET hands over ids and hash fields together, three times as fast as an HMGET for each
task. Servers before 7.0 do not know it, and under an ACL of `~asynq:*` its GET is denied: what it
leaves out is asked for with HMGET, in one more round trip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import redis
from redis.client import Pipeline

from runqy_notebook.broker.records import TASK_FIELDS, Place, TaskRecord, task_record
from runqy_notebook.wire import queues
from runqy_notebook.wire.layout import Layout, to_bytes, to_text
from runqy_notebook.wire.states import State

PAGE: Final = 2_500
"""Tasks read in one round trip; the server is busy with them for about 10 ms."""

LIVELIEST_FIRST: Final = (
    State.ACTIVE,
    State.PENDING,
    State.RETRY,
    State.SCHEDULED,
    State.ARCHIVED,
    State.COMPLETED,
)
"""Which list counts for an id that is in several of them."""

Found = tuple[int, TaskRecord]
"""A task with its position in its own queue's list."""

NO_HASH: Final = "no task hash"

_Values = Sequence[bytes | None]


class Page(NamedTuple):
    """The ids `offset` to `offset + size` of a queue, in the order of their state."""

    queue: str
    offset: int
    size: int


class Listed(NamedTuple):
    """An id as it stands in a list: how many are before it, and its score in a zset."""

    position: int
    queue: str
    id: bytes
    score: float | None


def answers(pipe: Pipeline) -> list[Any]:
    """The pipeline's answers, None for each key of a wrong type; other errors are raised."""
    return [_none_if_wrong_type(reply) for reply in pipe.execute(raise_on_error=False)]


def ask_length(pipe: Pipeline, layout: Layout, queue: str, state: State) -> None:
    """Asks how many ids the queue holds in this state."""
    key = layout.queue(queue).of(state)
    if state.is_list:
        pipe.llen(key)
    else:
        pipe.zcard(key)


def round_trips(lengths: Mapping[str, int], limit: int | None) -> Iterator[list[Page]]:
    """The pages of queues so long, `limit` tasks of each at most, in round trips of PAGE tasks."""
    trip: list[Page] = []
    room = PAGE
    for queue, length in lengths.items():
        wanted, offset = length if limit is None else min(length, limit), 0
        while offset < wanted:
            size = min(room, wanted - offset)
            trip.append(Page(queue, offset, size))
            offset, room = offset + size, room - size
            if not room:
                yield trip
                trip, room = [], PAGE
    if trip:
        yield trip


def read(client: redis.Redis, layout: Layout, state: State, pages: Sequence[Page]) -> list[Found]:
    """The tasks on these pages: one round trip, and one more each for what SORT_RO left out, for
    the leases of active tasks and for what stands in place of a task hash.
    """
    pipe = client.pipeline(transaction=False)
    gets = [part for field in TASK_FIELDS for part in ("GET", f"{layout.tasks}*->{field}")]
    for page in pages:
        key = layout.queue(page.queue).of(state)
        _ask_ids(pipe, key, state, page)
        order = "DESC" if is_read_backwards(state) else "ASC"
        window = ("LIMIT", page.offset, page.size)
        _ask(pipe, "SORT_RO", key, "BY", "nosort", order, *window, "GET", "#", *gets)
    replies = pipe.execute(raise_on_error=False)

    listed: list[Listed] = []
    hashes: dict[bytes, _Values] = {}
    for page, ids, rows in zip(pages, replies[::2], replies[1::2], strict=True):
        listed += _listed(page, state, _none_if_wrong_type(ids) or ())
        hashes.update(() if isinstance(rows, redis.ResponseError) else _by_id(rows))
    return records_of(client, layout, state, listed, hashes)


def records_of(
    client: redis.Redis,
    layout: Layout,
    state: State,
    listed: Sequence[Listed],
    known: Mapping[bytes, _Values],
) -> list[Found]:
    """The tasks of these ids, in their order; `known` are the TASK_FIELDS of some of them."""
    hashes = dict(known)
    everything = list(dict.fromkeys(entry.id for entry in listed))
    unread = [each for each in everything if each not in hashes]
    hashes.update(hashes_of(client, layout, unread, TASK_FIELDS))
    troubles = _troubles(client, layout, [each for each in everything if not any(hashes[each])])
    leases = _leases(client, layout, listed) if state is State.ACTIVE else {}

    found = []
    for position, queue, task_id, score in listed:
        place = Place(queue, state, score, leases.get((queue, task_id)))
        record = task_record(task_id, place, hashes[task_id], error=troubles.get(task_id))
        found.append((position, record))
    return found


def order(state: State, names: Iterable[str]) -> Callable[[Found], tuple[float, int, str]]:
    """The sort key for tasks of several queues, as `Inspector.tasks` promises their order."""
    ranks = {name: rank for rank, tier in enumerate(queues.tiers(names)) for name in tier}

    def key(found: Found) -> tuple[float, int, str]:
        position, record = found
        if state is State.PENDING:
            rank: float = ranks[record.queue]
        elif state is State.ACTIVE:
            rank = _newest_first(record.started_at)
        elif state.is_finished:
            rank = _newest_first(record.finished_at)
        else:
            rank = record.due_at.timestamp() if record.due_at else float("inf")
        return rank, position, record.queue

    return key


def likely_queues(layout: Layout, claim: bytes | None, queue: bytes | None) -> list[str]:
    """The queues that a task's hash names: first that of its claim."""
    claimed, _, _ = to_text(claim or b"").partition("|")
    names = (layout.queue_of_base(claimed), to_text(queue or b""))
    return [name for name in dict.fromkeys(names) if queues.is_valid(name)]


def place_of(
    client: redis.Redis, layout: Layout, task_id: str, names: Sequence[str]
) -> Place | None:
    """The list that holds the id among these queues, the liveliest where there are several."""
    member = to_bytes(task_id)
    pipe = client.pipeline(transaction=False)
    for name in names:
        keys = layout.queue(name)
        for state in LIVELIEST_FIRST:
            if state.is_list:
                _ask(pipe, "LPOS", keys.of(state), member)
            else:
                pipe.zscore(keys.of(state), member)
        pipe.zscore(keys.lease, member)
    width = len(LIVELIEST_FIRST) + 1
    rows = list(zip(names, zip(*[iter(answers(pipe))] * width, strict=True), strict=True))
    for at, state in enumerate(LIVELIEST_FIRST):
        for name, row in rows:
            if row[at] is not None:
                score = None if state.is_list else row[at]
                return Place(name, state, score, row[-1] if state is State.ACTIVE else None)
    return None


def hashes_of(
    client: redis.Redis, layout: Layout, ids: Sequence[bytes], fields: Sequence[str]
) -> dict[bytes, _Values]:
    """These fields of each task, all None where there is no hash; one round trip."""
    pipe = client.pipeline(transaction=False)
    for task_id in ids:
        pipe.hmget(layout.tasks.encode() + task_id, fields)
    nothing = (None,) * len(fields)
    return {task_id: values or nothing for task_id, values in zip(ids, answers(pipe), strict=True)}


def not_a_hash(kind: str) -> str:
    """The sentence for a task key of another type."""
    return f"the task key holds a {kind}, not a hash"


def _ask(pipe: Pipeline, *command: str | bytes | int) -> None:
    """Asks what redis-py has no exactly typed method for (its `sort_ro` sends SORT)."""
    pipe.execute_command(*command)  # type: ignore[no-untyped-call]


def _ask_ids(pipe: Pipeline, key: str, state: State, page: Page) -> None:
    first, last = page.offset, page.offset + page.size - 1
    if state is State.PENDING:
        pipe.lrange(key, -last - 1, -first - 1)
    elif state.is_list:
        pipe.lrange(key, first, last)
    else:
        pipe.zrange(key, first, last, desc=is_read_backwards(state), withscores=True)


def _listed(page: Page, state: State, reply: Sequence[Any]) -> Iterator[Listed]:
    if state is State.PENDING:
        reply = reply[::-1]
    for position, entry in enumerate(reply, page.offset):
        task_id, score = (entry, None) if state.is_list else entry
        yield Listed(position, page.queue, task_id, score)


def _by_id(rows: Sequence[Any]) -> dict[bytes, _Values]:
    """The hash fields by id in a flat answer of SORT_RO."""
    width = 1 + len(TASK_FIELDS)
    return {rows[at]: rows[at + 1 : at + width] for at in range(0, len(rows), width)}


def _leases(
    client: redis.Redis, layout: Layout, listed: Iterable[Listed]
) -> dict[tuple[str, bytes], float | None]:
    """When the lease of each task ends, by queue and id."""
    ids: dict[str, list[bytes]] = {}
    for entry in listed:
        ids.setdefault(entry.queue, []).append(entry.id)
    pipe = client.pipeline(transaction=False)
    for queue, members in ids.items():
        _ask(pipe, "ZMSCORE", layout.queue(queue).lease, *members)
    return {
        (queue, task_id): expires
        for (queue, members), scores in zip(ids.items(), answers(pipe), strict=True)
        for task_id, expires in zip(members, scores or (None,) * len(members), strict=True)
    }


def _troubles(client: redis.Redis, layout: Layout, ids: Sequence[bytes]) -> dict[bytes, str]:
    """What stands in place of a task hash, for the ids that have none."""
    pipe = client.pipeline(transaction=False)
    for task_id in ids:
        pipe.type(layout.tasks.encode() + task_id)
    kinds = {task_id: kind.decode() for task_id, kind in zip(ids, answers(pipe), strict=True)}
    return {
        task_id: NO_HASH if kind == "none" else not_a_hash(kind)
        for task_id, kind in kinds.items()
        if kind != "hash"
    }


def _newest_first(moment: datetime | None) -> float:
    return -moment.timestamp() if moment else float("inf")


def _none_if_wrong_type(reply: Any) -> Any:
    if not isinstance(reply, Exception):
        return reply
    if "wrong kind of value" in str(reply):
        return None
    raise reply


def is_read_backwards(state: State) -> bool:
    """Pending tasks leave at the right end; what finished last has the highest score."""
    return state is State.PENDING or state.is_finished
