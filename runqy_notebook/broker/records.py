"""What the inspector gives: frozen records of tasks, queues and workers, and how raw values of
Redis become them.

Nothing that stands in a hash can make reading fail: a number that is none reads as 0, a moment
that is none as None, text that is not UTF-8 with U+FFFD in it. Only a task's id stays exact, as
`wire.layout.to_text` makes it, because it is asked for again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

from runqy_notebook.broker.heartbeat import CLIENT
from runqy_notebook.wire import queues
from runqy_notebook.wire.documented import count, seconds
from runqy_notebook.wire.layout import to_text
from runqy_notebook.wire.states import State

TASK_FIELDS: Final = (
    "type",
    "payload",
    "retry",
    "max_retry",
    "enqueued_at",
    "started_at",
    "completed_at",
    "last_failed_at",
    "error_msg",
    "error",  # what foreign workers write instead of error_msg
    "starts",
    "crashes",
    "claim",
    "state",
    "queue",
    "worker",
    "cancel",
)
"""The hash fields that a TaskRecord is read from, in the order `task_record` takes them."""

WORKER_FIELDS: Final = (
    "queues",
    "concurrency",
    "status",
    "healthy",
    "started_at",
    "last_beat",
    "active_task",
    "client",
)
"""The heartbeat fields that a WorkerRecord is read from, in the order `worker_record` takes."""

GONE: Final = "gone"
"""The status of a worker that is listed but has no heartbeat any more."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_HOST_AND_PID = re.compile(r"(?P<host>.+?):(?P<pid>\d{1,9})(?!\w)", re.ASCII)
_GO_MAP = re.compile(r"map\[(.*)\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A task as Redis holds it now. `payload` is JSON text as it came, not yet trusted."""

    id: str
    queue: str
    state: State  # the list that holds the id; in none of them: what the hash says
    type: str = ""
    payload: bytes = b""
    retry: int = 0
    max_retry: int = 0
    enqueued_at: datetime | None = None
    started_at: datetime | None = None  # of the latest start
    finished_at: datetime | None = None  # of completed and archived tasks
    due_at: datetime | None = None  # of scheduled and retry
    lease_expires_at: datetime | None = None  # of active; None: a foreign worker has it
    worker: str | None = None  # ours only: that has it, or ran it last
    error: str | None = None  # the last error, or why there is nothing to read
    starts: int = 0
    crashes: int = 0
    is_cancelling: bool = False  # of active: its worker is to end it

    @property
    def duration(self) -> float | None:
        """Seconds from the latest start to the end, where both are known."""
        return _between(self.started_at, self.finished_at)

    @property
    def waited(self) -> float | None:
        """Seconds from being enqueued to the latest start, where both are known."""
        return _between(self.enqueued_at, self.started_at)


@dataclass(frozen=True, slots=True)
class QueueRecord:
    """How many tasks a queue has in each state, and what it has done so far."""

    queue: str
    parent: str
    sub_queue: str
    pending: int
    active: int
    scheduled: int
    retry: int
    completed: int
    archived: int
    processed: int  # attempts ever, failed ones included
    failed: int
    processed_today: int  # the UTC day of the server's clock
    failed_today: int
    is_paused: bool
    oldest_pending_s: float | None  # seconds that the next task to run has waited
    trimmed: int  # finished tasks that a cap removed
    workers: int | None  # live workers that serve it; None: not looked for
    result_bytes: int | None = None  # that stored results take; None: not looked for


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker by its heartbeat; `status` is "gone" where it is listed without one."""

    id: str
    host: str
    pid: int | None
    queues: tuple[str, ...] = ()
    concurrency: int = 0
    status: str = GONE
    is_healthy: bool = False
    started_at: datetime | None = None
    last_beat: datetime | None = None
    active_task: str | None = None
    is_ours: bool = False

    @property
    def is_live(self) -> bool:
        """Whether it may take tasks."""
        return self.status not in (GONE, "stopped")

    def serves(self, queue: str) -> bool:
        """Whether it takes tasks of `queue`: ours serve a parent's sub-queues too, foreign
        workers only what they name.
        """
        if self.is_ours:
            return any(queues.selects(name, queue) for name in self.queues)
        return queue in self.queues


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a task has come, by its hash alone: enough for whoever waits for it.

    `state` is None where there is no hash; a foreign worker's `state` may lag behind, and
    `result` may be of an earlier run until the state is completed.
    """

    id: str
    state: State | None
    error: str | None = None
    result: bytes | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task's id was found, with what that list says about it (unix seconds)."""

    queue: str
    state: State
    score: float | None = None
    lease: float | None = None


def task_record(
    task_id: bytes, place: Place, values: Sequence[bytes | None], *, error: str | None = None
) -> TaskRecord:
    """The record of a task; `values` are its TASK_FIELDS, `error` replaces what they say."""
    held = dict(zip(TASK_FIELDS, values, strict=True))
    state, finished_at, due_at = place.state, None, None
    if state is State.COMPLETED:
        finished_at = moment(held["completed_at"])
    elif state is State.ARCHIVED:
        finished_at = moment(held["last_failed_at"]) or moment_of(place.score)
    elif state in (State.SCHEDULED, State.RETRY):
        due_at = moment_of(place.score)
    return TaskRecord(
        id=to_text(task_id),
        queue=place.queue,
        state=state,
        type=shown(held["type"] or b""),
        payload=held["payload"] or b"",
        retry=count(held["retry"]),
        max_retry=count(held["max_retry"]),
        enqueued_at=moment(held["enqueued_at"]),
        started_at=moment(held["started_at"]),
        finished_at=finished_at,
        due_at=due_at,
        lease_expires_at=moment_of(place.lease),
        worker=_worker(state, held["claim"], held["worker"]),
        error=error or error_of(held["error_msg"], held["error"]),
        starts=count(held["starts"]),
        crashes=count(held["crashes"]),
        is_cancelling=state is State.ACTIVE and held["cancel"] == b"1",
    )


def worker_record(worker_id: str, values: Sequence[bytes | None]) -> WorkerRecord:
    """The record of a worker; `values` are its WORKER_FIELDS, all None for one that is gone."""
    served, concurrency, status, healthy, started_at, last_beat, active_task, client = values
    address = _HOST_AND_PID.match(worker_id)
    host, pid = (address["host"], int(address["pid"])) if address else (worker_id, None)
    if all(value is None for value in values):
        return WorkerRecord(worker_id, host, pid)
    return WorkerRecord(
        id=worker_id,
        host=host,
        pid=pid,
        queues=served_queues(served or b""),
        concurrency=count(concurrency),
        status=shown(status or b""),
        is_healthy=healthy in (b"1", b"true"),
        started_at=moment(started_at),
        last_beat=moment(last_beat),
        active_task=shown(active_task) if active_task else None,
        is_ours=client == CLIENT.encode(),
    )


def served_queues(text: bytes) -> tuple[str, ...]:
    """Queue names from a heartbeat: "a, b" as ours say it, or Go's "map[a:1 b_high:2]", in which
    a priority follows each name.
    """
    listed = shown(text)
    go_map = _GO_MAP.fullmatch(listed.strip())
    if go_map:
        names = [pair.rpartition(":")[0] for pair in go_map[1].split()]
    else:
        names = re.split(r"[\s,\[\]\"']+", listed)
    return tuple(dict.fromkeys(name for name in names if queues.is_valid(name)))


def _worker(state: State, claim: bytes | None, last: bytes | None) -> str | None:
    """Of an active task, who claims it; of a finished one, who ran it last."""
    if state is State.ACTIVE:
        return worker_of(claim)
    return shown(last) if last and state.is_finished else None


def _between(first: datetime | None, second: datetime | None) -> float | None:
    if first is None or second is None or second < first:
        return None
    return (second - first).total_seconds()


def worker_of(claim: bytes | None) -> str | None:
    """The worker in a fencing token `base|<worker id>/<slot>:<counter>|number`."""
    nonce = (claim or b"").partition(b"|")[2].rpartition(b"|")[0]
    worker, slash, _ = nonce.partition(b"/")
    return shown(worker) if worker and slash else None


def error_of(error_msg: bytes | None, foreign_error: bytes | None) -> str | None:
    """The error as we or foreign workers write it; None for none. Our claims remove the foreign
    one, so where it stands it is the later.
    """
    text = foreign_error or error_msg
    return shown(text) if text else None


def state_of(raw: bytes | None) -> State:
    """The state that a hash names. A foreign producer names none: pending."""
    try:
        return State((raw or b"").decode())
    except ValueError:
        return State.PENDING


def moment(raw: bytes | None) -> datetime | None:
    """A moment from unix seconds in a hash, or None for what makes no sense."""
    return moment_of(seconds(raw))


def moment_of(unix: float | None) -> datetime | None:
    """A moment from unix seconds, or None outside the years 1970 to 5138."""
    if unix is None or not 0 < unix < 1e11:
        return None
    return _EPOCH + timedelta(seconds=unix)


def shown(raw: bytes) -> str:
    """Bytes as text that can be printed and stored anywhere: no lone surrogates."""
    return raw.decode("utf-8", "replace")
