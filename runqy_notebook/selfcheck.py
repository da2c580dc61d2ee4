"""Why nothing happens although Redis is in order: what ails the worker and the kernel here."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from importlib import metadata
from typing import TYPE_CHECKING, Final

from runqy_notebook.broker.findings import Finding, Kind, counted, named
from runqy_notebook.broker.inspect import Inspector
from runqy_notebook.broker.records import QueueRecord, TaskRecord
from runqy_notebook.errors import did_you_mean, one_line
from runqy_notebook.registry import Registry
from runqy_notebook.wire import queues
from runqy_notebook.wire.states import State

if TYPE_CHECKING:
    from runqy_notebook.worker.worker import Worker

UNFIT: Final = "7.0."
"""Releases of ipykernel that lose what a thread displays (ipykernel#1450)."""

LOOKED_AT: Final = 100
"""Waiting tasks whose types are looked at, the next to run first."""

_LONG = 60.0  # seconds of running after which a busy slot is worth a word


def of_kernel(versions: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """What is wrong with the kernel that this process is, if it is one."""
    version = (versions or _versions()).get("ipykernel", "")
    if version.startswith(UNFIT):
        yield Finding(
            Kind.KERNEL,
            None,
            None,
            f"This kernel is ipykernel {version}, which loses what tasks print and display.",
            "%pip install 'ipykernel>=7.1', then restart the kernel.",
        )


def of_tasks(inspector: Inspector, worker: Worker | None, registry: Registry) -> Iterator[Finding]:
    """Which tasks wait for their time, for a slot, or in vain for a handler."""
    records = inspector.queue_records(scan=False)
    yield from of_times(records, inspector)
    yield from of_worker(worker, {record.queue: record.pending for record in records})
    for record in records:
        if worker and worker.serving.selects(record.queue):
            waiting = [
                task
                for state, number in ((State.PENDING, record.pending), (State.RETRY, record.retry))
                for task in (inspector.tasks(record.queue, state, LOOKED_AT) if number else ())
                if task.queue == record.queue
            ]
            yield from of_types(waiting, registry)


def of_worker(worker: Worker | None, pending: Mapping[str, int]) -> Iterator[Finding]:
    """What keeps the worker here from running tasks; `pending` are those that wait, by queue."""
    if worker is None:
        return
    status = worker.status
    waiting = sum(n for queue, n in pending.items() if worker.serving.selects(queue))
    if status.is_paused:
        what = f"The worker is paused: it claims nothing; {counted(waiting)} waiting."
        yield Finding(Kind.WORKER, None, None, what, "%runqy worker resume")
    for failure in worker.load_failures:
        what = f"{one_line(failure.what, 240)}: the tasks that need it wait."
        yield Finding(Kind.WORKER, None, None, what, "Mend it and run its cell again.")
    for handler, seconds in status.starved.items():
        what = (
            f"The handler {named(handler)} held Python's lock for {seconds:.1f} s: no cell, and no "
            "other handler, could run meanwhile."
        )
        remedy = (
            "Have handlers run in processes: %runqy worker stop, then "
            f"%runqy worker start {status.names[0]} --executor process"
        )
        yield Finding(Kind.STARVED, None, None, what, remedy)
    if status.abandoned:
        what = (
            f"{status.abandoned} handler(s), cancelled or past their time limit, cannot be ended "
            "and still run in the background."
        )
        remedy = "Restart the kernel to be rid of them; unfinished tasks stay in Redis."
        yield Finding(Kind.WORKER, None, None, what, remedy, is_note=True)
    if status.running and len(status.running) >= status.concurrency and waiting:
        yield _all_busy(worker, waiting)


def of_types(records: Iterable[TaskRecord], registry: Registry) -> Iterator[Finding]:
    """Waiting tasks of a type for which their queue has no handler, though it has some."""
    lacking = Counter(
        (record.queue, record.type)
        for record in records
        if registry.serves(record.queue) and not registry.handler_for(record.queue, record.type)
    )
    for (queue, kind), number in lacking.items():
        known = registry.types_of(queue)
        what = (
            f"No handler for tasks of type {named(kind)} in {queue}: {counted(number)} will fail. "
            f"Handlers there are for: {', '.join(known)}.{did_you_mean(kind, known)}"
        )
        remedy = f"Mark a function with @task({queues.parent_of(queue)!r}, type={named(kind)})."
        yield Finding(Kind.NO_HANDLER, queue, None, what, remedy)


def of_times(records: Iterable[QueueRecord], inspector: Inspector) -> Iterator[Finding]:
    """Queues in which all that there is waits for its time."""
    now = datetime.now(timezone.utc)
    for record in records:
        number = record.scheduled + record.retry
        if not number or record.pending or record.active:
            continue
        next_ones = [
            task
            for state in (State.RETRY, State.SCHEDULED)
            for task in inspector.tasks(record.queue, state, 1)
            if task.due_at
        ]
        if not next_ones:
            continue
        task = min(next_ones, key=lambda task: task.due_at or now)
        at = task.due_at or now
        left = max(0.0, (at - now).total_seconds())
        what = (
            f"{counted(number)} of {record.queue} waiting for a time to come; the first is due in "
            f"{left:.0f} s, at {at.astimezone():%Y-%m-%d %H:%M:%S}."
        )
        remedy = f"%runqy run {one_line(task.id, 80)} makes it the next to run."
        yield Finding(Kind.LATER, record.queue, task.id, what, remedy, is_note=True)


def _all_busy(worker: Worker, waiting: int) -> Finding:
    status = worker.status
    task_id, seconds = max(status.running.items(), key=lambda item: item[1])
    slots = "The slot is" if status.concurrency == 1 else f"All {status.concurrency} slots are"
    what = (
        f"{slots} busy, the longest with task {named(task_id)} for {seconds:.0f} s; "
        f"{counted(waiting)} waiting."
    )
    more = f"%runqy worker start {status.names[0]} --concurrency {2 * status.concurrency}"
    remedy = f"{more}, or %runqy cancel {one_line(task_id, 80)}."
    return Finding(Kind.WORKER, None, None, what, remedy, is_note=seconds < _LONG)


def _versions() -> dict[str, str]:
    if "ipykernel" not in sys.modules:
        return {}
    try:
        return {"ipykernel": metadata.version("ipykernel")}
    except metadata.PackageNotFoundError:
        return {}
