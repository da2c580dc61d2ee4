"""What to think of a task whose id stands where it should not: judgement over one look at it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from runqy_notebook.broker.findings import REPAIR, Finding, Kind, counted, named, redis_cli
from runqy_notebook.broker.listing import NO_HASH
from runqy_notebook.broker.records import WorkerRecord
from runqy_notebook.wire import queues
from runqy_notebook.wire.layout import Layout

_FINISHED = ("completed", "archived")


@dataclass(frozen=True, slots=True)
class Spot:
    """A place that holds an id: the name of a queue's key, or `waiting` (the waiting room)."""

    queue: str
    name: str
    number: float  # how often a list holds it (2 at most), else its score

    @property
    def times(self) -> int:
        return int(self.number) if self.name in ("pending", "active") else 1


@dataclass(frozen=True, slots=True)
class Sight:
    """A task as Redis held it at one moment."""

    id: str
    type: str  # of its key; "none" where there is none
    ttl: int  # seconds; -1: for ever
    has_payload: bool
    state: str
    claimed_in: str  # the queue that its claim is of, "" without one of ours
    queue: str  # what its hash says
    error: str
    has_ended: bool  # whether an end or a failure was ever written down
    spots: tuple[Spot, ...]

    @property
    def is_past(self) -> bool:
        """Whether it is the record of a finished task: foreign workers drop the id then, and a
        `state` that they write late is belied by the time to live that only ours give a record.
        """
        return self.state in _FINISHED or (self.ttl >= 0 and self.has_ended)

    @property
    def standing(self) -> list[Spot]:
        """Where it stands as an unfinished task, its leases included."""
        return [spot for spot in self.spots if spot.name not in _FINISHED]


class Verdict(NamedTuple):
    """A finding, and whether it counts only if a later look finds the same: what is on its way
    between two calls of a foreign worker looks just like it.
    """

    finding: Finding
    is_doubt: bool = False

    @property
    def doubt(self) -> str:
        """Under what the doubt is remembered."""
        found = self.finding
        return f"{found.kind}|{found.queue or ''}|{found.task_id}"


def judge(sight: Sight, workers: Sequence[WorkerRecord], layout: Layout) -> Iterator[Verdict]:
    """What is wrong with a task; nothing for most. `workers` are all that gave a sign of life."""
    if sight.type not in ("hash", "none"):
        yield from _wrong_type(sight, layout)
    elif not sight.standing:
        yield from _nowhere(sight, workers, layout)
    else:
        yield from _twice(sight, layout)
        for queue in dict.fromkeys(spot.queue for spot in sight.standing):
            yield from _halfway(sight, queue, workers)


def may_hold(worker: WorkerRecord, queue: str | None) -> bool:
    """Whether a foreign worker lives that may have a task of `queue` (None: of any)."""
    if worker.is_ours or not worker.is_live:
        return False
    return queue is None or not worker.queues or worker.serves(queue)


def foreign_together(findings: Sequence[Finding]) -> list[Finding]:
    """The same findings, with one note a queue for all that live foreign workers seem to have."""
    ids: dict[str, list[str]] = {}
    for found in findings:
        if found.kind is Kind.FOREIGN:
            ids.setdefault(found.queue or "", []).append(found.task_id or "")
    others = [found for found in findings if found.kind is not Kind.FOREIGN]
    return [*others, *(_foreign(queue, held) for queue, held in ids.items())]


def _foreign(queue: str, ids: Sequence[str]) -> Finding:
    shown = ", ".join(map(named, ids[:3])) + (", ..." if len(ids) > 3 else "")
    return Finding(
        Kind.FOREIGN,
        queue,
        None,
        f"{counted(len(ids), 'active')} of {queue} without a lease: a foreign worker has them "
        f"({shown}).",
        "Nothing need be done; %runqy active shows them.",
        is_note=True,
    )


def _wrong_type(sight: Sight, layout: Layout) -> Iterator[Verdict]:
    if not sight.spots:
        return
    key = layout.tasks + sight.id
    what = f"The key of task {named(sight.id)} holds a {sight.type}, not a hash: it cannot run."
    remedy = f"Rename or delete it: {redis_cli('DEL', key)}."
    yield Verdict(Finding(Kind.WRONG_TYPE, sight.spots[0].queue, sight.id, what, remedy))


def _nowhere(sight: Sight, workers: Sequence[WorkerRecord], layout: Layout) -> Iterator[Verdict]:
    if sight.type == "none":
        return
    archived = [spot.queue for spot in sight.spots if spot.name == "archived"]
    if archived and sight.has_payload and sight.error.startswith(NO_HASH):
        yield Verdict(_late_hash(sight, archived[0]))
    elif sight.spots or sight.is_past:
        return
    elif sight.has_payload:
        yield Verdict(_lost(sight, workers, layout), is_doubt=True)
    else:
        yield Verdict(_leftover(sight, layout), is_doubt=True)


def _late_hash(sight: Sight, queue: str) -> Finding:
    return Finding(
        Kind.LATE_HASH,
        queue,
        sight.id,
        f"Task {named(sight.id)} was archived since it had no hash; it has one by now.",
        f"{REPAIR} puts it at the front of {queue}.",
        can_repair=True,
    )


def _lost(sight: Sight, workers: Sequence[WorkerRecord], layout: Layout) -> Finding:
    queue = sight.queue if queues.is_valid(sight.queue) else None
    holders = [worker.id for worker in workers if may_hold(worker, queue)]
    may_return = sight.state == "retry" and bool(holders)
    if queue is None:
        push = redis_cli("RPUSH", layout.queue("QUEUE").pending, sight.id)
        remedy = f"Its hash names no queue; put it where it belongs: {push}."
    elif may_return:
        remedy = (
            f"The foreign worker {holders[0]} may be keeping it for a retry: wait, or stop that "
            f"worker and then use {REPAIR}."
        )
    else:
        remedy = f"{REPAIR} puts it at the front of {queue}."
    return Finding(
        Kind.LOST,
        queue,
        sight.id,
        f"Task {named(sight.id)} (state {named(sight.state or 'pending')}) is in no list, so "
        "nobody will run it.",
        remedy,
        can_repair=queue is not None and not may_return,
        is_note=may_return,
    )


def _leftover(sight: Sight, layout: Layout) -> Finding:
    return Finding(
        Kind.LEFTOVER,
        None,
        sight.id,
        f"The hash of {named(sight.id)} has no payload and is in no list: a late write to a "
        "deleted task leaves that.",
        f"{redis_cli('DEL', layout.tasks + sight.id)}.",
        is_note=True,
    )


def _twice(sight: Sight, layout: Layout) -> Iterator[Verdict]:
    listed = [spot for spot in sight.standing if spot.name != "lease"]
    if sum(spot.times for spot in listed) < 2:
        return
    shown = [f"{spot.name} of {spot.queue}" + " twice" * (spot.times > 1) for spot in listed]
    what = f"Task {named(sight.id)} stands in {' and '.join(shown)}: it may run more than once."
    pending = [spot.queue for spot in listed if spot.name == "pending"]
    remedy = "Nothing need be done; one run at a time is seen to."
    if pending:
        take = redis_cli("LREM", layout.queue(pending[0]).pending, "1", sight.id)
        remedy = f"If once is enough: {take}."
    yield Verdict(Finding(Kind.TWICE, listed[0].queue, sight.id, what, remedy, is_note=True))


def _halfway(sight: Sight, queue: str, workers: Sequence[WorkerRecord]) -> Iterator[Verdict]:
    """Active without a lease in this queue, or the reverse."""
    names = {spot.name for spot in sight.standing if spot.queue == queue}
    if ("active" in names) == ("lease" in names):
        return
    if "lease" in names:
        yield Verdict(_unlisted(sight, queue), is_doubt=True)
    elif sight.claimed_in == queue:
        what = f"Task {named(sight.id)} is active in {queue} under a claim whose lease is gone."
        yield Verdict(_given_back(Kind.UNLEASED, sight, queue, what), is_doubt=True)
    elif any(may_hold(worker, queue) for worker in workers):
        yield Verdict(Finding(Kind.FOREIGN, queue, sight.id, "", "", is_note=True))
    else:
        what = (
            f"Task {named(sight.id)} is active in {queue} without a lease, and no foreign worker "
            "that serves it gives a sign of life: the one that took it is probably dead."
        )
        yield Verdict(_given_back(Kind.ABANDONED, sight, queue, what), is_doubt=True)


def _unlisted(sight: Sight, queue: str) -> Finding:
    return Finding(
        Kind.UNLISTED,
        queue,
        sight.id,
        f"Task {named(sight.id)} has a lease in {queue}, but its entry in active is gone.",
        f"{REPAIR} puts the entry back, or removes a lease that is nobody's.",
        can_repair=True,
    )


def _given_back(kind: Kind, sight: Sight, queue: str, what: str) -> Finding:
    remedy = f"{REPAIR} gives it back to the front of {queue}; if it still runs, it runs twice."
    return Finding(kind, queue, sight.id, what, remedy, can_repair=True)
