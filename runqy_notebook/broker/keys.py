"""The keys of one queue with what they hold, bounded: to be looked at before and after a move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis

from runqy_notebook.broker.boundary import explained
from runqy_notebook.broker.listing import answers
from runqy_notebook.wire.layout import DOCUMENTED, Layout, to_bytes, to_text
from runqy_notebook.wire.states import State

MOST_ENTRIES: Final = 40
"""Entries of one list or sorted set that are read: those that move next, or moved last."""

MOST_TASKS: Final = 40
LONGEST_READ: Final = 2_000
"""Bytes of a value of its own (a result, what a worker was answered)."""

_SMALL: Final = 64 * 2**10
"""Bytes of a task hash that is read whole; of a larger one only the fields but its payload."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A member of a list or sorted set; `score` only in the latter."""

    name: str
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """One key. Of its content one of these is given: `entries` of a list or sorted set, nearest to
    what moves first; `fields` of a hash; `text` of a string. `size` counts all entries or bytes.
    """

    name: str
    kind: str
    entries: tuple[Entry, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    text: str = ""
    size: int = 0

    @property
    def is_cut(self) -> bool:
        """Whether there are more entries than those read."""
        return self.kind in ("list", "zset") and self.size > len(self.entries)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The keys of a queue that exist, by name, at one moment (unix seconds by the server's clock).
    Ids that the waiting room or the suspects hold of this queue stand in `waiting` and `suspects`,
    with when they are to be looked at, or were first seen so.
    """

    at: float
    keys: dict[str, Key]
    places: dict[State, tuple[str, ...]]
    counts: dict[State, int]
    waiting: dict[str, float]
    suspects: dict[str, float]
    is_paused: bool
    looked_at: frozenset[str]  # the keys of tasks that were looked at, also where there are none
    odd: tuple[str, str] | None = None  # a key with the type that it has and should not

    def scores(self, layout: Layout, queue: str, state: State) -> dict[str, float]:
        """The ids in this state with their times, where it has such."""
        key = self.keys.get(layout.queue(queue).of(state))
        return {e.name: e.score or 0.0 for e in key.entries} if key else {}

    def task(self, layout: Layout, task_id: str) -> dict[str, str]:
        """The fields of a task's hash; none where it was not read."""
        key = self.keys.get(to_text(layout.task(task_id)))
        return dict(key.fields) if key else {}


class Keys:
    """Reads the keys of one queue."""

    def __init__(
        self, client: redis.Redis, where: str, queue: str, layout: Layout = DOCUMENTED
    ) -> None:
        self.layout = layout
        self.queue = queue
        self._client = client
        self._where = where

    def read(self, ids: Sequence[str] = (), *, slot: str = "") -> Snapshot:
        """The lists, then the tasks in them and those in `ids`; with `slot` what that one was
        answered last. Raises ConnectionFailedError.
        """
        with explained(self._where):
            return self._read(ids, slot)

    def _read(self, ids: Sequence[str], slot: str) -> Snapshot:
        base = self.layout.queue(self.queue).base
        pipe = self._client.pipeline(transaction=False)
        pipe.time()
        pipe.exists(self.layout.queue(self.queue).paused)
        for state in State:
            _ask(pipe, self.layout.queue(self.queue).of(state), is_list=state.is_list, state=state)
        _ask(pipe, base + "lease", is_list=False)
        for name in ("waiting", "suspects"):
            pipe.zrange(self.layout.ours + name, 0, 999, withscores=True)
        (seconds, micros), is_paused, *rest = answers(pipe)
        at = seconds + micros / 1_000_000

        keys: dict[str, Key] = {}
        odd: tuple[str, str] | None = None
        places: dict[State, tuple[str, ...]] = {}
        counts: dict[State, int] = {}
        each = iter(rest)
        for state in State:
            name = self.layout.queue(self.queue).of(state)
            key = _key(name, next(each), next(each), next(each))
            places[state] = tuple(entry.name for entry in key.entries) if key else ()
            counts[state] = key.size if key else 0
            if key:
                keys[name] = key
            if key and key.kind != ("list" if state.is_list else "zset"):
                odd = (name, key.kind)
        if lease := _key(base + "lease", next(each), next(each), next(each)):
            keys[lease.name] = lease
        waiting = self._of_ours(keys, "waiting", next(each), base, _waiting_id)
        suspects = self._of_ours(keys, "suspects", next(each), base, _suspect_id)

        wanted = dict.fromkeys(
            [*ids, *places[State.ACTIVE], *waiting, *(i for s in State for i in places[s])]
        )
        tasks = list(wanted)[:MOST_TASKS]
        self._read_tasks(keys, tasks)
        self._read_texts(keys, base, slot, ids)
        looked_at = frozenset(to_text(self.layout.task(task_id)) for task_id in tasks)
        return Snapshot(
            at, keys, places, counts, waiting, suspects, bool(is_paused), looked_at, odd
        )

    def _of_ours(
        self, keys: dict[str, Key], name: str, rows: Any, base: str, id_of: Any
    ) -> dict[str, float]:
        """The members of a set of ours that are of this queue; by id, with their times."""
        mine = [(to_text(m), s) for m, s in rows or () if to_text(m).startswith(base + "|")]
        if mine:
            entries = tuple(Entry(member, score) for member, score in mine[:MOST_ENTRIES])
            full = self.layout.ours + name
            keys[full] = Key(full, "zset", entries, size=len(mine))
        return {id_of(member): score for member, score in mine}

    def _read_tasks(self, keys: dict[str, Key], ids: Sequence[str]) -> None:
        pipe = self._client.pipeline(transaction=False)
        for task_id in ids:
            pipe.type(self.layout.task(task_id))
            pipe.hstrlen(self.layout.task(task_id), "payload")
        sizes = answers(pipe)
        for task_id, kind, size in zip(ids, sizes[::2], sizes[1::2], strict=True):
            if kind == b"hash" and (size or 0) < _SMALL:
                pipe.hgetall(self.layout.task(task_id))
            elif kind == b"hash":
                pipe.hmget(self.layout.task(task_id), _FIELDS)
            else:
                pipe.exists(self.layout.task(task_id))
        for task_id, kind, held in zip(ids, sizes[::2], answers(pipe), strict=True):
            name = to_text(self.layout.task(task_id))
            if isinstance(held, list):
                found = zip(_FIELDS, held, strict=True)
                held = {f.encode(): value for f, value in found if value is not None}
                held[b"payload"] = b"(large)"
            if isinstance(held, dict):
                fields = tuple(sorted((to_text(f), _cut(v)) for f, v in held.items()))
                keys[name] = Key(name, "hash", fields=fields, size=len(fields))
            elif kind not in (b"none", None):
                keys[name] = Key(name, to_text(kind))

    def _read_texts(self, keys: dict[str, Key], base: str, slot: str, ids: Sequence[str]) -> None:
        """Counters, what stops claims, the slot's last answer, and results."""
        names = [base + "processed", base + "failed", base + "paused"]
        names += [self.layout.reply(slot)] if slot else []
        names += [to_text(self.layout.result(task_id)) for task_id in ids]
        pipe = self._client.pipeline(transaction=False)
        for name in names:
            pipe.strlen(to_bytes(name))
            pipe.getrange(to_bytes(name), 0, LONGEST_READ - 1)
        found = answers(pipe)
        for name, size, text in zip(names, found[::2], found[1::2], strict=True):
            if size:
                keys[name] = Key(name, "string", text=to_text(text), size=size)


_FIELDS: Final = (
    "state", "retry", "max_retry", "queue", "claim", "starts", "crashes", "losses", "worker",
    "error_msg", "enqueued_at", "started_at", "completed_at", "last_failed_at", "cancel",
)  # fmt: skip


def _ask(pipe: Any, key: str, *, is_list: bool, state: State | None = None) -> None:
    """Asks for a key's type, length and the entries nearest to what moves."""
    pipe.type(key)
    if is_list:
        pipe.llen(key)
        start, end = (-MOST_ENTRIES, -1) if state is State.PENDING else (0, MOST_ENTRIES - 1)
        pipe.lrange(key, start, end)
        return
    pipe.zcard(key)
    newest_first = state in (State.COMPLETED, State.ARCHIVED)
    pipe.zrange(key, 0, MOST_ENTRIES - 1, desc=newest_first, withscores=True)


def _key(name: str, kind: bytes | None, size: int | None, rows: Any) -> Key | None:
    """A key as it was read; None where there is none."""
    told = to_text(kind or b"none")
    if told == "none":
        return None
    if size is None or rows is None:
        return Key(name, told)  # of a type that is not ours
    if told == "list":
        ids = rows[::-1] if name.endswith(":" + State.PENDING.value) else rows
        return Key(name, told, tuple(Entry(to_text(i)) for i in ids), size=size)
    return Key(name, told, tuple(Entry(to_text(m), s) for m, s in rows), size=size)


def _waiting_id(member: str) -> str:
    return member.split("|", 2)[-1]


def _suspect_id(member: str) -> str:
    return member.split("|", 2)[-1]


def _cut(value: bytes) -> str:
    text = to_text(value[:LONGEST_READ])
    return text if len(value) <= LONGEST_READ else text + "…"
