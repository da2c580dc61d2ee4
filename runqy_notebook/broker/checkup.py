"""What is wrong with the server, or with a queue as a whole."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import redis

from runqy_notebook.broker.findings import Finding, Kind, counted, redis_cli
from runqy_notebook.broker.listing import answers
from runqy_notebook.broker.records import QueueRecord, WorkerRecord
from runqy_notebook.broker.tally import tally
from runqy_notebook.errors import did_you_mean
from runqy_notebook.wire import queues
from runqy_notebook.wire.layout import Layout, to_text
from runqy_notebook.wire.states import State

OVERDUE: Final = 10.0
"""Seconds after which a due task that still waits is worth a word; a sweep comes each second."""

_OLDEST: Final = (6, 2)
_TYPES: Final = {**{s.value: "list" if s.is_list else "zset" for s in State}, "lease": "zset"}
_SWEEPERS: Final = ("swept", "waiting", "suspects")


class Chart(NamedTuple):
    """A queue at one moment."""

    record: QueueRecord
    overdue: int  # due tasks that nobody moved
    overdue_s: float  # seconds since the first of them was due
    is_swept: bool  # whether somebody swept it lately


class Staff(NamedTuple):
    """Who works here: live workers, and what is known of the one in this process."""

    workers: Sequence[WorkerRecord]
    served: Collection[str] = ()  # names that the worker of this process serves
    has_handler: Callable[[str], bool] | None = None  # whether it has one for a queue
    handled: Collection[str] = ()  # names that its handlers have

    def serves(self, queue: str) -> bool:
        """Whether the worker of this process does."""
        return any(queues.selects(name, queue) for name in self.served)


# --- the server ---------------------------------------------------------------------------------


def server_facts(client: redis.Redis) -> dict[str, Any]:
    """What INFO and CONFIG say; empty where neither may be asked."""
    facts: dict[str, Any] = {}
    try:
        told: Any = client.info()
        facts.update(told)
        config: Any = client.config_get("save")
        facts.update(config)
    except redis.exceptions.ResponseError:  # an ACL, or a service that hides CONFIG
        return facts
    return facts


def takes_writes(facts: Mapping[str, Any]) -> bool:
    """Whether what the doctor has to remember can be written."""
    return not (_is_replica(facts) or _cannot_save(facts))


def judge_server(facts: Mapping[str, Any]) -> Iterator[Finding]:
    """What is wrong with the server, by its `server_facts`."""
    if _is_replica(facts):
        master = f"{facts.get('master_host')}:{facts.get('master_port')}"
        yield _server(
            "This is a read-only replica: nothing can be queued or claimed here.",
            f"%runqy connect to its master, {master}.",
        )
    if _cannot_save(facts):
        yield _server(
            "The server cannot save its data, and so may refuse all writes.",
            "Its disk may be full or its folder gone: redis-cli INFO persistence, and its log.",
        )
    yield from _judge_memory(facts)
    if facts.get("aof_enabled") == 0 and facts.get("save") == "":
        yield _server(
            "Nothing is saved to disk: a restart of the server loses every task.",
            "redis-cli CONFIG SET appendonly yes",
            is_note=True,
        )
    version = str(facts.get("redis_version", ""))
    if version and _numbers(version) < _OLDEST:
        yield _server(f"Redis {version} is too old.", "Use Redis 6.2 or newer, or Valkey.")


def _judge_memory(facts: Mapping[str, Any]) -> Iterator[Finding]:
    most, policy = facts.get("maxmemory") or 0, str(facts.get("maxmemory_policy", "noeviction"))
    if not most:
        return
    if policy == "noeviction" and facts.get("used_memory", 0) >= most:
        yield _server(
            f"The server's memory is full ({most} bytes): nothing more can be queued.",
            "Remove tasks, or redis-cli CONFIG SET maxmemory to more bytes.",
        )
    elif policy != "noeviction":
        takes_any = policy.startswith("allkeys")
        gone = "tasks vanish" if takes_any else "results and records of finished tasks vanish early"
        yield _server(
            f"The eviction policy is {policy}: where memory gets short, {gone}.",
            "redis-cli CONFIG SET maxmemory-policy noeviction",
            is_note=not takes_any,
        )


def _server(what: str, remedy: str, *, is_note: bool = False) -> Finding:
    return Finding(Kind.SERVER, None, None, what, remedy, is_note=is_note)


def _is_replica(facts: Mapping[str, Any]) -> bool:
    return facts.get("role") == "slave" and facts.get("slave_read_only", 1) != 0


def _cannot_save(facts: Mapping[str, Any]) -> bool:
    names = ("rdb_last_bgsave_status", "aof_last_write_status")
    return any(facts.get(name, "ok") != "ok" for name in names)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


# --- its queues ---------------------------------------------------------------------------------


def wrong_types(client: redis.Redis, layout: Layout, names: Sequence[str]) -> Iterator[Finding]:
    """The keys that somebody else put where a queue belongs."""
    wanted: dict[str, tuple[str, str | None]] = {layout.queues: ("set", None)}
    wanted.update({layout.ours + name: ("zset", None) for name in _SWEEPERS})
    for name in names:
        base = layout.queue(name).base
        wanted.update({base + end: (kind, name) for end, kind in _TYPES.items()})
    pipe = client.pipeline(transaction=False)
    for key in wanted:
        pipe.type(key)
    for (key, (kind, queue)), reply in zip(wanted.items(), answers(pipe), strict=True):
        found = to_text(reply)
        if found not in (kind, "none"):
            what = f"The key {key} holds a {found}, not a {kind}: what belongs there stands still."
            remedy = f"{redis_cli('RENAME', key, 'wrong:' + key)} (or DEL)."
            yield Finding(Kind.WRONG_TYPE, queue, None, what, remedy)


def charts(
    client: redis.Redis, layout: Layout, names: Sequence[str], workers: Sequence[WorkerRecord]
) -> list[Chart]:
    """The queues that have no key of a wrong type."""
    records = tally(client, layout, names, workers)
    seconds, microseconds = client.time()
    now = seconds + microseconds / 1e6
    pipe = client.pipeline(transaction=False)
    for name in records:
        keys = layout.queue(name)
        for state in (State.SCHEDULED, State.RETRY):
            pipe.zcount(keys.of(state), "-inf", now - OVERDUE)
            pipe.zrange(keys.of(state), 0, 0, withscores=True)
        pipe.zscore(layout.ours + "swept", keys.base)
    rows = zip(*[iter(answers(pipe))] * 5, strict=True)
    found = []
    for record, (scheduled, next_one, retry, next_retry, swept) in zip(
        records.values(), rows, strict=True
    ):
        if record is None or scheduled is None or retry is None:
            continue
        first = min((due for _, due in [*next_one, *next_retry]), default=now)
        is_swept = swept is not None and now - swept < OVERDUE
        found.append(Chart(record, scheduled + retry, now - first, is_swept))
    return found


def judge_queue(chart: Chart, staff: Staff) -> Iterator[Finding]:
    """Why nothing happens in a queue, if so."""
    record, name = chart.record, chart.record.queue
    unfinished = record.pending + record.active + record.scheduled + record.retry
    start = f"%runqy worker start {queues.parent_of(name)}"
    waiting = counted(record.pending, "pending")
    if record.is_paused and unfinished:
        what = f"{name} is paused: {counted(unfinished, 'unfinished')} will not be taken."
        yield Finding(Kind.PAUSED, name, None, what, f"%runqy resume {name}")
    if record.pending and not record.workers and not staff.serves(name):
        served = {queue for worker in staff.workers if worker.is_live for queue in worker.queues}
        parent = queues.parent_of(name)
        parents = {queues.parent_of(queue) for queue in served} - {parent}
        hint = did_you_mean(name, served) or did_you_mean(parent, parents)
        what = f"No worker serves {name}: {waiting}.{hint}"
        yield Finding(Kind.UNSERVED, name, None, what, start)
    if record.pending and staff.serves(name) and staff.has_handler and not staff.has_handler(name):
        hint = did_you_mean(queues.parent_of(name), staff.handled)
        what = f"The worker has no handler for {name}: {waiting}.{hint}"
        remedy = f'Mark a function with @task("{queues.parent_of(name)}").'
        yield Finding(Kind.NO_HANDLER, name, None, what, remedy)
    if chart.overdue and not chart.is_swept:
        what = (
            f"{counted(chart.overdue)} of {name} fell due up to {chart.overdue_s:.0f} s ago, but "
            "nobody moves them to pending: no session or worker is open there."
        )
        yield Finding(Kind.OVERDUE, name, None, what, start)
