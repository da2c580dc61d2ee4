"""The doctor's reads: all ids that are listed, all task hashes, and a close look at what is odd.

Nothing here blocks the server for long: keys come by SCAN, ids and hashes in pages of 1,000, and a
close look takes few ids at a time where lists are long. In memory are the ids of all unfinished
tasks, about 12 MB for 100,000.

While it walks, tasks move, so what looks odd in the walk is only a suspect. `look` then sees
everything of a task at one moment, and tells the truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import redis

from runqy_notebook.broker.diagnosis import Sight, Spot
from runqy_notebook.broker.listing import NO_HASH, answers, ask_length
from runqy_notebook.broker.records import WORKER_FIELDS, WorkerRecord, shown, worker_record
from runqy_notebook.broker.scripts import Script
from runqy_notebook.wire import queues
from runqy_notebook.wire.layout import Layout, to_bytes, to_text
from runqy_notebook.wire.states import State

PAGE: Final = 1_000
_LOOK_BUDGET: Final = 100_000  # list entries that one call of the look script may pass, about 2 ms
_LOOK_MOST: Final = 100

_SURVEY: Final = Script("survey")
_LOOK: Final = Script("look")

_ENDINGS: Final = frozenset([*(state.value for state in State), "lease"])
_UNFINISHED: Final = (State.ACTIVE, State.PENDING, State.SCHEDULED, State.RETRY)


class Census(NamedTuple):
    """Who is there."""

    queues: list[str]  # those that have a key, and those that are known
    worker_ids: set[str]


class Suspects(NamedTuple):
    """Tasks to look at closely, and queues that they may be in beside those of the census."""

    ids: list[bytes]
    queues: set[str]


class Rounds:
    """One walk over a Redis. Errors are redis-py's."""

    def __init__(self, client: redis.Redis, layout: Layout) -> None:
        self._client = client
        self._layout = layout
        self._listed: set[bytes] = set()
        self._odd: set[bytes] = set()

    def census(self) -> Census:
        """The queues and workers that the keys show."""
        known: Any = self._answer("smembers", self._layout.queues) or ()
        names = set(map(to_text, known))
        workers = self._listed_workers()
        beat = to_bytes(self._layout.worker(""))
        tasks = self._layout.tasks.encode()
        for key in self._scan(self._layout.root + "*"):
            if key.startswith(tasks):
                continue
            if key.startswith(beat):
                workers.add(to_text(key.removeprefix(beat)))
                continue
            base, _, ending = to_text(key).rpartition(":")
            if ending in _ENDINGS:
                names.add(self._layout.queue_of_base(base + ":"))
        return Census(sorted(filter(queues.is_valid, names)), workers)

    def workers(self, ids: Iterable[str]) -> list[WorkerRecord]:
        """Those of these workers and of the listed ones that gave a sign of life."""
        wanted = sorted({*ids, *self._listed_workers()})
        pipe = self._client.pipeline(transaction=False)
        for worker_id in wanted:
            pipe.hmget(to_bytes(self._layout.worker(worker_id)), WORKER_FIELDS)
        return [
            worker_record(worker_id, values)
            for worker_id, values in zip(wanted, answers(pipe), strict=True)
            if values and any(values)
        ]

    def suspects(self, names: Sequence[str], *, patience: float) -> Suspects:
        """Walks over all lists and task hashes; `patience`: leave tasks alone that were enqueued
        less than so many seconds ago.
        """
        lengths = self._lengths(names)
        for name in names:
            self._walk_active(name, lengths[name, State.ACTIVE])
            for state in (State.PENDING, State.SCHEDULED, State.RETRY):
                for page in self._pages(self._layout.queue(name).of(state), lengths[name, state]):
                    self._list(page)
            self._walk_archived(name, lengths[name, State.ARCHIVED])
        named = self._walk_waiting() | self._walk_hashes(patience)
        return Suspects(list(self._odd), set(filter(queues.is_valid, named)))

    def look(self, ids: Sequence[bytes], names: Sequence[str]) -> Iterator[list[Sight]]:
        """Everything of each task at one moment, some tasks at a time."""
        lengths = self._lengths(names)
        cost = len(names) * 50 + sum(
            lengths[name, state] for name in names for state in State if state.is_list
        )
        step = max(1, min(_LOOK_MOST, _LOOK_BUDGET // (1 + cost)))
        keys = [self._layout.ours + "waiting", *(self._layout.queue(name).base for name in names)]
        for at in range(0, len(ids), step):
            page = ids[at : at + step]
            rows = _LOOK(self._client, keys, [self._layout.tasks, *page])
            yield [self._sight(task_id, *row) for task_id, row in zip(page, rows, strict=True)]

    # --- walking --------------------------------------------------------------------------------

    def _list(self, ids: Iterable[bytes]) -> None:
        """Notes that these are listed, and which of them for the second time."""
        for task_id in ids:
            (self._odd if task_id in self._listed else self._listed).add(task_id)

    def _walk_active(self, name: str, length: int) -> None:
        keys = self._layout.queue(name)
        active: set[bytes] = set()
        for page in self._pages(keys.of(State.ACTIVE), length):
            self._list(page)
            active.update(page)
            if page:
                leases = self._answer("execute_command", "ZMSCORE", keys.lease, *page)
                leases = leases or (None,) * len(page)
                self._odd.update(i for i, ends in zip(page, leases, strict=True) if ends is None)
        for page in self._pages(keys.lease, self._answer("zcard", keys.lease) or 0):
            self._odd.update(task_id for task_id in page if task_id not in active)

    def _walk_archived(self, name: str, length: int) -> None:
        """Suspects those that were archived for want of a hash."""
        for page in self._pages(self._layout.queue(name).of(State.ARCHIVED), length):
            pipe = self._client.pipeline(transaction=False)
            for task_id in page:
                pipe.hget(self._layout.tasks.encode() + task_id, "error_msg")
            for task_id, error in zip(page, answers(pipe), strict=True):
                if error and error.startswith(NO_HASH.encode()):
                    self._odd.add(task_id)

    def _walk_waiting(self) -> set[str]:
        """Lists what is in the waiting room; gives the queues that it waits for."""
        key = self._layout.ours + "waiting"
        awaited: set[str] = set()
        for page in self._pages(key, self._answer("zcard", key) or 0):
            for member in page:
                base, _, rest = member.partition(b"|")
                awaited.add(self._layout.queue_of_base(to_text(base)))
                self._list([rest.partition(b"|")[2]])
        return awaited

    def _walk_hashes(self, patience: float) -> set[str]:
        """Suspects what the survey picks; gives the queues that their hashes name."""
        prefix = self._layout.tasks.encode()
        named: set[str] = set()
        for page in _cut(self._scan(self._layout.tasks + "*")):
            ids = [key.removeprefix(prefix) for key in page]
            flags = "".join("1" if task_id in self._listed else "0" for task_id in ids)
            for number, queue in _SURVEY(self._client, page, [flags, patience]):
                self._odd.add(ids[number - 1])
                named.add(to_text(queue))
        return named

    # --- reading --------------------------------------------------------------------------------

    def _lengths(self, names: Sequence[str]) -> dict[tuple[str, State], int]:
        pipe = self._client.pipeline(transaction=False)
        asked = [(name, state) for name in names for state in (*_UNFINISHED, State.ARCHIVED)]
        for name, state in asked:
            ask_length(pipe, self._layout, name, state)
        return {each: n or 0 for each, n in zip(asked, answers(pipe), strict=True)}

    def _pages(self, key: str, length: int) -> Iterator[list[bytes]]:
        """The ids in a list or sorted set of about this length; those that move may be missed."""
        is_list = key.endswith((":pending", ":active"))
        for at in range(0, length, PAGE):
            yield self._answer("lrange" if is_list else "zrange", key, at, at + PAGE - 1) or []

    def _scan(self, pattern: str) -> Iterator[bytes]:
        cursor = 0
        while True:
            reply: Any = self._client.scan(cursor, match=pattern, count=PAGE)
            cursor, keys = reply
            yield from keys
            if not cursor:
                return

    def _listed_workers(self) -> set[str]:
        """The ids in `asynq:workers`: a set in this layout, a zset where another was first."""
        key = self._layout.workers
        return set(
            map(to_text, self._answer("smembers", key) or self._answer("zrange", key, 0, -1) or ())
        )

    def _answer(self, command: str, *args: Any) -> Any:
        """The answer to one command, None where the key has a wrong type."""
        pipe = self._client.pipeline(transaction=False)
        getattr(pipe, command)(*args)
        return answers(pipe)[0]

    def _sight(
        self,
        task_id: bytes,
        kind: bytes,
        ttl: int,
        has_payload: int,
        held: Sequence[bytes | None],
        places: Sequence[tuple[bytes, bytes, bytes]],
    ) -> Sight:
        state, claim, queue, error, completed_at, last_failed_at = held or (None,) * 6
        base, bar, _ = to_text(claim or b"").partition("|")
        return Sight(
            id=to_text(task_id),
            type=kind.decode(),
            ttl=ttl,
            has_payload=bool(has_payload),
            state=shown(state or b""),
            claimed_in=self._layout.queue_of_base(base) if bar else "",
            queue=to_text(queue or b""),
            error=shown(error or b""),
            has_ended=bool(completed_at or last_failed_at),
            spots=tuple(
                Spot(self._layout.queue_of_base(to_text(base)), name.decode(), float(number))
                for base, name, number in places
            ),
        )


def _cut(keys: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Pages of PAGE keys."""
    page: list[bytes] = []
    for key in keys:
        page.append(key)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page
