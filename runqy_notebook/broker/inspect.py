"""Every look at the queues: reads only, in round trips that do not grow with the queues.

What is given is a snapshot of a page at a time, not of the whole: an id that moves meanwhile may
be missing or be there twice. Keys to which outsiders gave the wrong type are passed over, except
where they were named exactly: then WrongTypeError. Errors of the connection are redis-py's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import redis
from redis.client import Pipeline

from runqy_notebook.broker import listing
from runqy_notebook.broker.columns import PendingColumns, read_pending
from runqy_notebook.broker.exchanges import WrongTypeError
from runqy_notebook.broker.holdings import result_bytes
from runqy_notebook.broker.listing import LIVELIEST_FIRST, NO_HASH, answers
from runqy_notebook.broker.notes import Said, read_said
from runqy_notebook.broker.records import (
    GONE,
    TASK_FIELDS,
    WORKER_FIELDS,
    Place,
    QueueRecord,
    Standing,
    TaskRecord,
    WorkerRecord,
    error_of,
    state_of,
    task_record,
    worker_record,
)
from runqy_notebook.broker.tally import tally
from runqy_notebook.errors import UnknownQueueError, UnknownTaskError
from runqy_notebook.wire import queues
from runqy_notebook.wire.layout import DOCUMENTED, Layout, to_bytes, to_text
from runqy_notebook.wire.states import State

SCAN_COUNT: Final = 5_000
SCAN_CALLS: Final = 20
"""A scan looks at 5,000 keys a round trip (about 3 ms of the server) and 100,000 in all."""
STANDINGS_PAGE: Final = 500
FIND_DEPTH: Final = 2_000
FIND_MOST: Final = 50


class Inspector:
    """The read side of one Redis. Threads may share it."""

    def __init__(self, client: redis.Redis, layout: Layout = DOCUMENTED) -> None:
        self.client = client
        self.layout = layout

    def known_queues(self, *, scan: bool = True, beginning: str = "") -> list[str]:
        """The queues that somebody enqueued to or serves, in name order.

        Without `scan` only those that ever were ours; with it also what foreign workers serve and
        what the first 100,000 keys of this Redis show. `beginning` spares the scan what begins
        otherwise: the server then has not to look up the type of each key.
        """
        pipe = self._pipe()
        pipe.smembers(self.layout.queues)
        names = set(map(to_text, answers(pipe)[0] or ()))
        if scan:
            for worker in self._heartbeats(self._listed_workers()):
                names.update(() if worker.is_ours else worker.queues)
            for key in self._scan(f"{self.layout.root}{beginning}*", "list"):
                for ending in (State.PENDING.value, State.ACTIVE.value):
                    if key.endswith(":" + ending):
                        names.add(self.layout.queue_of_base(key.removesuffix(ending)))
        return sorted(filter(queues.is_valid, names))

    def select(self, name: str | None, *, scan: bool = True) -> list[str]:
        """The queues that `name` covers: itself and its sub-queues; all of them for None.

        Raises QueueNameError and UnknownQueueError.
        """
        if name is None:
            return self.known_queues(scan=scan)
        queues.checked(name)
        known = self.known_queues(scan=scan, beginning=name)  # a name holds no wildcard
        chosen = [queue for queue in known if queues.selects(name, queue)]
        if chosen:
            return chosen
        if self.client.exists(*(self.layout.queue(name).of(state) for state in State)):
            return [name]  # beyond what a scan sees, or of a wrong type
        raise UnknownQueueError(name, self.known_queues(scan=scan))

    def count(self, queue: str | None, state: State) -> int:
        """How many tasks are in this state; raises what `select` raises, and WrongTypeError."""
        return sum(self.lengths(queue, state).values())

    def lengths(self, queue: str | None, state: State) -> dict[str, int]:
        """The same, queue by queue."""
        return self.lengths_of(queue, self.select(queue), state)

    def tasks(
        self, queue: str | None, state: State | None, limit: int | None = None
    ) -> list[TaskRecord]:
        """The tasks in this state or, for None, in each in turn; `limit` of them at most, and no
        more than that are read of any queue.

        Pending: the next to run first, queues of equal priority taking turns. Scheduled and
        retry: the next due first. Active, completed and archived: the newest first. Raises what
        `select` raises, and WrongTypeError.
        """
        chosen = self.select(queue)
        records: list[TaskRecord] = []
        for each in State if state is None else (state,):
            wanted = None if limit is None else limit - len(records)
            lengths = self.lengths_of(queue, chosen, each)
            found: list[listing.Found] = []
            for pages in listing.round_trips(lengths, wanted):
                found += listing.read(self.client, self.layout, each, pages)
            found.sort(key=listing.order(each, lengths))
            records += (record for _, record in found[:wanted])
        return records

    def pending(self, queue: str | None, limit: int | None = None) -> PendingColumns | None:
        """What `tasks` gives of pending tasks, by columns; None where this server cannot. Raises
        the same.
        """
        lengths = self.lengths_of(queue, self.select(queue), State.PENDING)
        return read_pending(self.client, self.layout, lengths, limit)

    def task(self, task_id: str) -> TaskRecord:
        """One task, in whichever queue it is; raises UnknownTaskError and WrongTypeError.

        A task in no list has the state that its hash says: foreign workers drop the id of what
        they finished or mean to retry.
        """
        record, said = self._look_at(task_id)
        for _ in range(3):
            if record.state is said:
                break
            # It moved between the two looks, or is a foreign worker's, whose hash says less.
            before = record
            record, said = self._look_at(task_id)
            if record == before:
                break
        return record

    def _look_at(self, task_id: str) -> tuple[TaskRecord, State]:
        """The task by its hash and then by the list that holds it, and the state in that hash."""
        key = self.layout.task(task_id)
        pipe = self._pipe()
        pipe.type(key)
        pipe.hmget(key, TASK_FIELDS)
        kind, values = answers(pipe)
        if kind not in (b"hash", b"none"):
            raise WrongTypeError(to_text(key), to_text(kind), "hash")
        held = dict(zip(TASK_FIELDS, values, strict=True))
        likely = listing.likely_queues(self.layout, held["claim"], held["queue"])
        state = state_of(held["state"])

        place = listing.place_of(self.client, self.layout, task_id, likely)
        if place is None and not (likely and state.is_finished):
            others = self.known_queues(scan=not likely)
            place = listing.place_of(self.client, self.layout, task_id, others)
        if place is None:
            if kind == b"none":
                raise UnknownTaskError(task_id)
            place = Place(likely[0] if likely else "", state)
        error = NO_HASH if kind == b"none" else None
        return task_record(to_bytes(task_id), place, values, error=error), state

    def is_paused(self, queue: str) -> bool:
        """Whether nothing is claimed from the queue."""
        return bool(self.client.exists(self.layout.queue(queue).paused))

    def find(self, prefix: str, *, scan: bool = True) -> list[str]:
        """Up to 50 ids that begin with `prefix`, the liveliest first, for completion.

        Looks at the first 2,000 ids of each queue and state, the newest ones where the order is
        not by due time.
        """
        known = self.known_queues(scan=scan)
        pipe = self._pipe()
        for state in LIVELIEST_FIRST:
            for queue in known:
                key = self.layout.queue(queue).of(state)
                if state.is_list:
                    pipe.lrange(key, 0, FIND_DEPTH - 1)
                else:
                    pipe.zrange(key, 0, FIND_DEPTH - 1, desc=state.is_finished)
        start = to_bytes(prefix)
        ids = (task_id for answer in answers(pipe) for task_id in answer or ())
        found = dict.fromkeys(task_id for task_id in ids if task_id.startswith(start))
        return [to_text(task_id) for task_id in list(found)[:FIND_MOST]]

    def standings(self, ids: Sequence[str]) -> list[Standing]:
        """How far each of these tasks has come, in their order; one round trip for 500."""
        found: list[Standing] = []
        for at in range(0, len(ids), STANDINGS_PAGE):
            page = ids[at : at + STANDINGS_PAGE]
            pipe = self._pipe()
            for task_id in page:
                pipe.type(self.layout.task(task_id))
                pipe.hmget(self.layout.task(task_id), ("state", "error_msg", "error"))
                pipe.get(self.layout.result(task_id))
            each = iter(answers(pipe))
            found += map(_standing, page, each, each, each)
        return found

    def results(self, ids: Sequence[str]) -> list[bytes | None]:
        """The stored result of each task, in their order; one round trip for 500."""
        found: list[bytes | None] = []
        for at in range(0, len(ids), STANDINGS_PAGE):
            pipe = self._pipe()
            pipe.mget([self.layout.result(each) for each in ids[at : at + STANDINGS_PAGE]])
            found += answers(pipe)[0]
        return found

    def said(self, task_id: str) -> Said:
        """What is kept of what the task's handler said: its newest lines and its progress."""
        return read_said(self.client, self.layout, task_id)

    def log_lines(self, task_id: str) -> tuple[str, ...]:
        """The newest lines that the task's handler printed, up to 1,000."""
        return self.said(task_id).lines

    def queue_records(self, name: str | None = None, *, scan: bool = True) -> list[QueueRecord]:
        """The queues that `name` covers, in name order; without `scan` nobody looks for workers,
        nor for stored results.

        Raises what `select` raises, and WrongTypeError.
        """
        chosen = self.select(name, scan=scan)
        workers = [worker for worker in self.workers() if worker.is_live] if scan else None
        found = tally(self.client, self.layout, chosen, workers)
        if name in found and found[name] is None:
            raise self._wrong_type(name, State)
        records = [record for record in found.values() if record is not None]
        if not scan:
            return records
        held = result_bytes(self.client, self.layout, [r.queue for r in records if r.completed])
        return [replace(record, result_bytes=held.get(record.queue, 0)) for record in records]

    def workers(self) -> list[WorkerRecord]:
        """Every worker with a heartbeat, then those that are only listed ("gone"); by id."""
        prefix = self.layout.worker("")
        ids = {key.removeprefix(prefix) for key in self._scan(prefix + "*", "hash")}
        found = self._heartbeats(ids | self._listed_workers())
        return sorted(found, key=lambda worker: (worker.status == GONE, worker.id))

    def _pipe(self) -> Pipeline:
        return self.client.pipeline(transaction=False)

    def lengths_of(self, name: str | None, chosen: Sequence[str], state: State) -> dict[str, int]:
        """How many ids each chosen queue holds in this state; `name` is what chose them."""
        pipe = self._pipe()
        for queue in chosen:
            listing.ask_length(pipe, self.layout, queue, state)
        lengths: dict[str, int | None] = dict(zip(chosen, answers(pipe), strict=True))
        if name in lengths and lengths[name] is None:
            raise self._wrong_type(name, [state])
        return {queue: length for queue, length in lengths.items() if length is not None}

    def _wrong_type(self, queue: str, states: Iterable[State]) -> WrongTypeError:
        """What is wrong with one of these keys of the queue."""
        for state in states:
            key, wanted = self.layout.queue(queue).of(state), "list" if state.is_list else "zset"
            pipe = self._pipe()
            pipe.type(key)
            found = to_text(answers(pipe)[0])
            if found not in (wanted, "none"):
                break
        return WrongTypeError(key, found, wanted)

    def _listed_workers(self) -> set[str]:
        """The ids in `asynq:workers`: a set in this layout, a zset where another was first."""
        pipe = self._pipe()
        pipe.smembers(self.layout.workers)
        pipe.zrange(self.layout.workers, 0, -1)
        members, ranked = answers(pipe)
        return set(map(to_text, members or ranked or ()))

    def _heartbeats(self, ids: Iterable[str]) -> list[WorkerRecord]:
        ids = list(ids)
        pipe = self._pipe()
        for worker_id in ids:
            pipe.hmget(to_bytes(self.layout.worker(worker_id)), WORKER_FIELDS)
        return [
            worker_record(worker_id, values or (None,) * len(WORKER_FIELDS))
            for worker_id, values in zip(ids, answers(pipe), strict=True)
        ]

    def _scan(self, pattern: str, kind: str) -> Iterator[str]:
        """Keys of this pattern and type, out of the first SCAN_COUNT * SCAN_CALLS keys."""
        cursor = 0
        for _ in range(SCAN_CALLS):
            pipe = self._pipe()
            pipe.scan(cursor, pattern, SCAN_COUNT, _type=kind)
            try:
                ((cursor, keys),) = answers(pipe)
            except redis.exceptions.NoPermissionError:
                return  # then what the sets name has to do
            yield from map(to_text, keys)
            if not cursor:
                return


def _standing(
    task_id: str, kind: bytes, held: Sequence[bytes | None] | None, result: bytes | None
) -> Standing:
    if kind == b"hash" and held is not None:
        state, error_msg, foreign_error = held
        return Standing(task_id, state_of(state), error_of(error_msg, foreign_error), result)
    error = None if kind == b"none" else listing.not_a_hash(kind.decode())
    return Standing(task_id, None, error, result)
