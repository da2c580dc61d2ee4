"""What a board knows of its queues: events, counted by seconds, and what Redis says."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from runqy_notebook.broker.records import QueueRecord
from runqy_notebook.errors import RunqyError
from runqy_notebook.events import Subscription
from runqy_notebook.session import Session
from runqy_notebook.ui.board.seconds import Second, Seconds
from runqy_notebook.ui.board.unheard import Unheard
from runqy_notebook.wire.events import Event, Kind

MOST_QUEUES: Final = 200  # queues with seconds of their own
MOST_UNDER_WAY: Final = 20_000  # tasks whose times are remembered
LOOK_EVERY: Final = 1.0  # seconds between two looks into Redis while events come
LOOK_ANYHOW: Final = 2.0  # and while none do: foreign workers send none
SEARCH_EVERY: Final = 20.0  # seconds between two searches for queues that nobody announced

_LONGEST: Final = 1e8  # seconds that a task may wait or run
_FAILURES: Final = frozenset({Kind.RETRIED, Kind.ARCHIVED, Kind.REDELIVERED})
_ENDS: Final = frozenset({Kind.COMPLETED, *_FAILURES})
_LEAVES: Final = frozenset({*_ENDS, Kind.RELEASED, Kind.DELETED})


class Queue:
    """One queue as the pulse knows it."""

    def __init__(self) -> None:
        self.seconds = Seconds()
        self.heard = Second(0)  # since the last look
        self.processed: Unheard | None = None
        self.failed: Unheard | None = None


class Pulse:
    """One subscription to all of a session's events, from `open` to `close`.

    Any thread may call any method. `records` is what Redis said when it was last looked into;
    `version` grows with each change.
    """

    def __init__(self, session: Session, clock: Callable[[], float] = time.monotonic) -> None:
        self.session = session
        self.records: Sequence[QueueRecord] = ()
        self.problem = ""  # why Redis could not be looked into
        self.version = 0
        self._clock = clock
        self._all = Seconds()
        self._queues: OrderedDict[str, Queue] = OrderedDict()
        self._waiting: OrderedDict[str, float] = OrderedDict()  # enqueued at, by id
        self._running: OrderedDict[str, float] = OrderedDict()  # started at, by id
        self._names: set[str] = set()
        self._is_stale = True
        self._looked_at = self._searched_at = float("-inf")
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._woken = threading.Event()
        self._prompted = threading.Event()
        self._subscription: Subscription | None = None

    def open(self) -> None:
        """Listens from now on."""
        self._subscription = self.session.listen(self.take)

    def close(self) -> None:
        """Listens no more, and wakes who waits."""
        if self._subscription is not None:
            self.session.unlisten(self._subscription)
        self._woken.set()
        self._prompted.set()

    def wake(self) -> None:
        """A person did something, and is to see soon what came of it."""
        self.nudge()
        self._prompted.set()

    def nudge(self) -> None:
        """Something changed that is no event, such as a card."""
        with self._lock:
            self.version += 1
            self._is_stale = True
        self._woken.set()

    def wait(self, seconds: float) -> None:
        """Returns when something changed since the last call, or after so many seconds."""
        self._woken.wait(seconds)
        self._prompted.clear()
        self._woken.clear()

    def rest(self, seconds: float) -> None:
        """Returns when a person did something since the last `wait`, or after so many seconds."""
        self._prompted.wait(seconds)

    def seconds(self, n: int, queue: str | None = None) -> list[Second]:
        """The last `n` whole seconds, of one queue or of all; the running one would sink."""
        with self._lock:
            known = None if queue is None else self._queues.get(queue)
            kept = self._all if queue is None else known.seconds if known else Seconds()
            return kept.last(n, self.now)

    @property
    def now(self) -> int:
        """The second that is running."""
        return int(self._clock())

    # --- events ---------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Counts an event; quick, as thousands may come in a second."""
        with self._lock:
            queue = self._queue(event.queue)
            for second in (self._all.at(self.now), queue.seconds.at(self.now), queue.heard):
                self._count(event, second)
            self._remember(event)
            self._is_stale = True
            self.version += 1
        self._woken.set()

    def _queue(self, name: str) -> Queue:
        found = self._queues.get(name)
        if found is None:
            found = self._queues[name] = Queue()
            if len(self._queues) > MOST_QUEUES:
                self._queues.popitem(last=False)
        return found

    def _count(self, event: Event, second: Second) -> None:
        kind, task_id = event.kind, event.task_id
        if kind is Kind.ENQUEUED:
            second.enqueued += 1
        elif kind is Kind.STARTED:
            if (since := self._waiting.get(task_id)) is not None:
                second.waited += _between(since, event.at)
                second.n_waited += 1
        elif kind in _ENDS:
            second.completed += kind is Kind.COMPLETED
            second.failed += kind in _FAILURES
            if (since := self._running.get(task_id)) is not None:
                second.ran += _between(since, event.at)
                second.n_ran += 1

    def _remember(self, event: Event) -> None:
        kind, task_id = event.kind, event.task_id
        if kind in (Kind.ENQUEUED, Kind.DUE):
            _put(self._waiting, task_id, event.at)
        elif kind is Kind.STARTED:
            self._waiting.pop(task_id, None)
            _put(self._running, task_id, event.at)
        elif kind in _LEAVES:
            self._running.pop(task_id, None)
            self._waiting.pop(task_id, None)

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
        if records is not self.records:
            self._credit(records)
        is_same = problem == self.problem and _ageless(records) == _ageless(self.records)
        with self._lock:
            self.records, self.problem = records, problem
            self.version += not is_same

    def _read(self) -> Sequence[QueueRecord]:
        is_search = self._clock() - self._searched_at > SEARCH_EVERY
        self._names.update(self.session.known_queues(scan=is_search))
        if is_search:
            self._searched_at = self._clock()
        return self.session.tallied(sorted(self._names))

    def _credit(self, records: Sequence[QueueRecord]) -> None:
        """Counts what queues did of which no event told, and how long the next task waited where
        none told that either.
        """
        with self._lock:
            now = self.now
            for record in records:
                queue = self._queue(record.queue)
                heard, queue.heard = queue.heard, Second(0)
                if queue.processed is None or queue.failed is None:
                    queue.processed = Unheard(record.processed)
                    queue.failed = Unheard(record.failed)
                    continue
                queue.processed.hear(heard.completed + heard.failed)
                queue.failed.hear(heard.failed)
                ended = queue.processed.look(record.processed)
                failed = min(ended, queue.failed.look(record.failed))
                for second in (self._all.at(now), queue.seconds.at(now)) if ended else ():
                    second.completed += ended - failed
                    second.failed += failed
                self._credit_waiting(record, queue, now)

    def _credit_waiting(self, record: QueueRecord, queue: Queue, now: int) -> None:
        """A task enqueued before the board was there: its wait so far is the queue's."""
        if record.active and record.oldest_pending_s:
            for second in (self._all.at(now), queue.seconds.at(now)):
                if not second.n_waited:
                    second.waited, second.n_waited = record.oldest_pending_s, 1


def _between(since: float, until: float) -> float:
    """Seconds; 0 for what makes no sense, as anybody may publish events."""
    seconds = until - since
    return seconds if 0 <= seconds < _LONGEST else 0.0


def _ageless(records: Sequence[QueueRecord]) -> list[QueueRecord]:
    """The records without what changes by itself."""
    return [replace(record, oldest_pending_s=None) for record in records]


def _put(times: OrderedDict[str, float], task_id: str, at: float) -> None:
    times[task_id] = at
    if len(times) > MOST_UNDER_WAY:
        times.popitem(last=False)
