"""Other queues, each in a virtual environment of its own (see `benchmarks.venvs`).

A module has `enqueue_one(url, tasks)` and `drain(url, tasks, concurrency)`, which give the seconds
that it took. The drain of a peer counts from the first to the last call of the handler, so neither
its start nor its last acknowledgement is held against it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """A queue to compare with. `is_recoverable`: a task that was running when its worker died is
    still in Redis and can be run again.
    """

    name: str
    packages: tuple[str, ...]
    is_recoverable: bool
    how: str  # it is set up, or what becomes of a task whose worker dies
    has_threads: bool = True  # runs several handlers at a time in one process

    @property
    def module(self) -> str:
        return f"benchmarks.peers.{self.name}"


PEERS = (
    Peer("rq", ("rq",), True, "SimpleWorker, no fork; StartedJobRegistry", has_threads=False),
    Peer("huey", ("huey", "redis"), False, "thread workers; popped before it runs"),
    Peer("dramatiq", ("dramatiq[redis]",), True, "acknowledged after the run"),
    Peer("arq", ("arq",), True, "in-progress key, kept in the queue until done"),
    Peer("celery", ("celery[redis]",), True, "acks_late, results ignored; visibility time-out"),
    Peer("taskiq", ("taskiq-redis",), True, "RedisStreamBroker; pending entries list"),
    Peer("streaq", ("streaq",), True, "stream; pending entries list"),
    Peer("docket", ("pydocket",), True, "stream; pending entries list"),
)
