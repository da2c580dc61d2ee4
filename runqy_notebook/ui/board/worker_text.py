"""The worker here, other workers, guardian and server, in words."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from operator import itemgetter
from typing import Final

from runqy_notebook.broker.health import ServerHealth
from runqy_notebook.broker.records import WorkerRecord
from runqy_notebook.errors import one_line
from runqy_notebook.ui import html
from runqy_notebook.ui.text import counted, duration
from runqy_notebook.worker.worker import Worker

MOST_SLOTS: Final = 32
MOST_WORKERS: Final = 30


@dataclass(frozen=True, slots=True)
class SlotText:
    """One slot: what it runs, and for how long."""

    is_busy: bool
    text: str


@dataclass(frozen=True, slots=True)
class Beat:
    """A worker by its heartbeat; `tone` is how it is doing, and `state` says so."""

    id: str
    kind: str
    queues: str
    slots: str
    state: str
    tone: str
    seen: str
    task: str


@dataclass(frozen=True, slots=True)
class WorkerText:
    """What the panel says."""

    tone: str
    headline: str
    facts: tuple[str, ...]
    slots: tuple[SlotText, ...]
    more_slots: str
    beats: tuple[Beat, ...]
    more_beats: str
    health: str
    health_tone: str

    def html(self) -> str:
        return html.rendered("board/worker.html", worker=self)

    def plain(self) -> str:
        """The same as plain text."""
        slots = [f"  {'*' if slot.is_busy else '-'} {slot.text}" for slot in self.slots]
        beats = [
            "  ".join([beat.id, beat.kind, beat.state, beat.queues, beat.slots, beat.seen])
            for beat in self.beats
        ]
        told = [self.headline, *self.facts, *slots, self.more_slots, self.health]
        return "\n".join(filter(None, [*told, *beats, self.more_beats]))


def worker_text(
    worker: Worker | None,
    others: Sequence[WorkerRecord],
    health: ServerHealth | None,
    title: str,
) -> WorkerText:
    """`others` may hold the worker here too, which is left out; `title` is the server's."""
    here = worker.id if worker else ""
    seen = [record for record in others if record.id != here]
    beats = tuple(map(_beat, seen[:MOST_WORKERS]))
    hidden = len(seen) - len(beats)
    slots = _slots(worker) if worker else ()
    return WorkerText(
        tone=_tone(worker),
        headline=_headline(worker),
        facts=_facts(worker) if worker else (),
        slots=slots[:MOST_SLOTS],
        more_slots=f"{counted(len(slots) - MOST_SLOTS, 'more slot')}"
        if len(slots) > MOST_SLOTS
        else "",
        beats=beats,
        more_beats=f"{counted(hidden, 'more worker')}: %runqy workers" if hidden else "",
        health=_health(health, title) if health else one_line(title, 200),
        health_tone="bad" if health and health.problem else "good",
    )


def _tone(worker: Worker | None) -> str:
    if worker is None:
        return "faint"
    return "bad" if not worker.status.is_healthy else "warm" if worker.is_paused else "good"


def _headline(worker: Worker | None) -> str:
    if worker is None:
        return "No worker runs in this kernel."
    found = worker.status
    state = "paused" if found.is_paused else "running" if found.is_healthy else "Redis is away"
    return f"This kernel's worker: {state}, serves {_names(found.names)}"


def _facts(worker: Worker) -> tuple[str, ...]:
    found = worker.status
    pid = worker.guardian
    guard = f"guardian: watching (process {pid})" if pid else "guardian: none, leases alone protect"
    facts = [
        f"{found.completed:,} completed, {counted(found.failed, 'failed attempt')}",
        f"handlers run in {'threads' if found.executor == 'thread' else found.executor}",
        guard,
    ]
    if found.without_handler:
        facts.append(f"no handler for {_names(found.without_handler)}")
    if found.abandoned:
        facts.append(f"{counted(found.abandoned, 'handler')} past the time limit still running")
    return tuple(facts)


def _slots(worker: Worker) -> tuple[SlotText, ...]:
    """The busy slots, those that have run longest first, then the idle ones."""
    held = [(running.since, running.task) for _, running in worker.held()]
    held.sort(key=itemgetter(0))
    now = time.monotonic()
    busy = [
        SlotText(
            is_busy=True,
            text=f"{one_line(task.queue, 40)} {one_line(task.id, 40)} for {duration(now - since)}",
        )
        for since, task in held
    ]
    idle = max(0, worker.status.concurrency - len(busy))
    return (*busy, *(SlotText(is_busy=False, text="idle") for _ in range(idle)))


def _beat(record: WorkerRecord) -> Beat:
    age = None
    if record.last_beat is not None:
        age = max(0.0, (datetime.now(timezone.utc) - record.last_beat).total_seconds())
    state = record.status if record.is_healthy or not record.is_live else "unhealthy"
    return Beat(
        id=one_line(record.id, 60),
        kind="ours" if record.is_ours else "foreign",
        queues=_names(record.queues),
        slots=counted(record.concurrency, "slot"),
        state=one_line(state, 20),
        tone="good" if record.is_live and record.is_healthy else "bad",
        seen=f"seen {duration(age)} ago" if age is not None else "never seen",
        task=one_line(record.active_task or "", 60),
    )


def _health(health: ServerHealth, title: str) -> str:
    limit = f" of {_size(health.memory_limit)}" if health.memory_limit else ""
    facts = [
        f"answers in {duration(max(0.001, health.answered_in))}",
        f"up {duration(health.uptime)}" if health.uptime else "",
        f"{_size(health.memory)}{limit} in use" if health.memory else "",
        counted(health.clients, "client") if health.clients else "",
        f"saves to disk: {health.saves}" if health.saves else "",
        health.problem,
    ]
    product = "" if health.product in title else health.product  # the embedded one's is there
    return " · ".join(filter(None, [one_line(title, 200), product, *facts]))


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:,.1f} MB" if n_bytes < 2**30 else f"{n_bytes / 2**30:,.1f} GB"


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(one_line(name, 40) for name in names[:6])
    return f"{shown} and {len(names) - 6} more" if len(names) > 6 else shown
