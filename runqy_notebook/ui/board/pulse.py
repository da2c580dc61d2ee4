"""What a board knows of its queues: events, counted by seconds, and what Redis says."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from runqy_notebook.broker.records import QueueRecord
from runqy_notebook.errors import RunqyError
from runqy_notebook.session import Session
from runqy_notebook.wire.events import Event, Kind

KEPT: Final = 600  # seconds that are remembered
MOST_QUEUES: Final = 200  # queues with seconds of their own
MOST_UNDER_WAY: Final = 20_000  # tasks whose times are remembered
LOOK_EVERY: Final = 1.0  # seconds between two looks into Redis while events come
LOOK_ANYHOW: Final = 2.0  # and while none do: foreign workers send none
SEARCH_EVERY: Final = 20.0  # seconds between two searches for queues that nobody announced

_FAILURES: Final = frozenset({Kind.RETRIED, Kind.ARCHIVED, Kind.REDELIVERED})
_ENDS: Final = frozenset({Kind.COMPLETED, *_FAILURES})


@dataclass(slots=True)
class Second:
    """What happened in one second; durations are sums in seconds, of so many tasks."""

    at: int  # of the monotonic clock
    enqueued: int = 0
    completed: int = 0
    failed: int = 0
    waited: float = 0.0
    n_waited: int = 0
    ran: float = 0.0
    n_ran: int = 0


class Seconds:
    """The newest seconds in which something happened, oldest first."""

    def __init__(self) -> None:
        self._kept: deque[Second] = deque(maxlen=KEPT)

    def now(self, at: int) -> Second:
        """The second to count in."""
        if not self._kept or self._kept[-1].at < at:
            self._kept.append(Second(at))
        return self._kept[-1]

    def last(self, n: int, until: int) -> list[Second]:
        """The `n` seconds before the second `until`, quiet ones too."""
        known = {second.at: second for second in self._kept if until - n <= second.at < until}
        return [known.get(at) or Second(at) for at in range(until - n, until)]


class Pulse:
    """One subscription to all of a session's events, from `start` to `close`.

    Any thread may call any method. `records` is what Redis said when it was last looked into.
    """

    def __init__(self, session: Session, clock: Callable[[], float] = time.monotonic) -> None:
        self.session = session
        self.records: Sequence[QueueRecord] = ()
        self.problem = ""  # why Redis could not be looked into
        self.version = 0  # grows with each change
        self.began_at = clock()
        self._clock = clock
        self._all = Seconds()
        self._by_queue: OrderedDict[str, Seconds] = OrderedDict()
        self._waiting: OrderedDict[str, float] = OrderedDict()  # enqueued at, by id
        self._running: OrderedDict[str, float] = OrderedDict()  # started at, by id
        self._names: set[str] = set()
        self._is_stale = True
        self._looked_at = self._searched_at = float("-inf")
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._woken = threading.Event()
        self._subscription = session.listen(self.take)

    def close(self) -> None:
        """Listens no more, and wakes who waits."""
        self.session.unlisten(self._subscription)
        self._woken.set()

    def wake(self) -> None:
        """Something changed that is no event: a click, a card."""
        self.version += 1
        self._woken.set()

    def wait(self, seconds: float) -> None:
        """Returns when something changed since the last call, or after so many seconds."""
        self._woken.wait(seconds)
        self._woken.clear()

    @property
    def now(self) -> int:
        """The second that is running."""
        return int(self._clock())

    def seconds(self, n: int, queue: str | None = None) -> list[Second]:
        """The last `n` whole seconds, of one queue or of all."""
        with self._lock:
            kept = self._all if queue is None else self._by_queue.get(queue)
            return (kept or Seconds()).last(n, self.now)

    # --- events ---------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Counts an event; quick, as thousands may come in a second."""
        with self._lock:
            for second in (self._all.now(self.now), self._of(event.queue).now(self.now)):
                self._count(event, second)
            self._remember(event)
            self._is_stale = True
            self.version += 1
        self._woken.set()

    def _of(self, queue: str) -> Seconds:
        found = self._by_queue.get(queue)
        if found is None:
            found = self._by_queue[queue] = Seconds()
            if len(self._by_queue) > MOST_QUEUES:
                self._by_queue.popitem(last=False)
        return found

    def _count(self, event: Event, second: Second) -> None:
        kind, task_id = event.kind, event.task_id
        if kind is Kind.ENQUEUED:
            second.enqueued += 1
        elif kind is Kind.STARTED:
            if (since := self._waiting.get(task_id)) is not None:
                second.waited += max(0.0, event.at - since)
                second.n_waited += 1
        elif kind in _ENDS:
            second.completed += kind is Kind.COMPLETED
            second.failed += kind in _FAILURES
            if (since := self._running.get(task_id)) is not None:
                second.ran += max(0.0, event.at - since)
                second.n_ran += 1

    def _remember(self, event: Event) -> None:
        kind, task_id = event.kind, event.task_id
        if kind in (Kind.ENQUEUED, Kind.DUE):
            _put(self._waiting, task_id, event.at)
        elif kind is Kind.STARTED:
            self._waiting.pop(task_id, None)
            _put(self._running, task_id, event.at)
        elif kind in _ENDS or kind in (Kind.RELEASED, Kind.DELETED):
            self._running.pop(task_id, None)

    # --- Redis ----------------------------------------------------------------------------------

    def look(self) -> None:
        """Looks into Redis where it is time to."""
        with self._looking:
            age = self._clock() - self._looked_at
            if age < (LOOK_EVERY if self._is_stale else LOOK_ANYHOW):
                return
            self._is_stale = False
            self._looked_at = self._clock()
            try:
                records, problem = self._read(), ""
            except RunqyError as error:
                records, problem = self.records, str(error)
        if records != self.records or problem != self.problem:
            self.records, self.problem = records, problem
            self.version += 1

    def _read(self) -> Sequence[QueueRecord]:
        is_search = self._clock() - self._searched_at > SEARCH_EVERY
        self._names.update(self.session.known_queues(scan=is_search))
        if is_search:
            self._searched_at = self._clock()
        return self.session.tallied(sorted(self._names))


def _put(times: OrderedDict[str, float], task_id: str, at: float) -> None:
    times[task_id] = at
    if len(times) > MOST_UNDER_WAY:
        times.popitem(last=False)
