"""What is known of a group of tasks, however many: an event costs the same for ten and 100,000."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from runqy_notebook.ui.text import cleaned_line
from runqy_notebook.wire.events import Event, Kind
from runqy_notebook.wire.states import State

MOST_FAILURES: Final = 10
WINDOW: Final = 10.0  # seconds over which throughput is measured


@dataclass(frozen=True, slots=True)
class Summary:
    """A group at one moment. `rate` is tasks a second lately, 0: not known yet; `left` how many
    seconds the rest takes at that rate.
    """

    total: int
    counts: dict[State | None, int]
    finished: int
    failures: tuple[tuple[str, str], ...]  # id and error, the first ten
    failed: int
    rate: float
    left: float
    seconds: float  # from the first event to the last, or to now
    last_note: str


class Tally:
    """The state of each task, and how many are in each. Not for several threads at a time.

    A task that is gone without an end is counted as `None`.
    """

    def __init__(self, ids: Iterable[str], now: float) -> None:
        self._states: dict[str, State | None] = dict.fromkeys(ids, State.PENDING)
        self._unfinished = dict.fromkeys(self._states)
        self._counts: Counter[State | None] = Counter({State.PENDING: len(self._states)})
        self._failures: dict[str, str] = {}
        self._ends: deque[tuple[float, int]] = deque()  # a second, and how many ended in it
        self._began = now
        self._ended = 0.0
        self._note = ""

    @property
    def is_done(self) -> bool:
        return not self._unfinished

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._states

    def take(self, event: Event, now: float) -> None:
        """Takes an event of one of the tasks."""
        if event.kind is Kind.PROGRESS:
            self._note = cleaned_line(event.note)
        elif event.kind is Kind.DELETED:
            self.put(event.task_id, None, "deleted", now)
        elif event.state is not None and event.kind is not Kind.ENQUEUED:
            self.put(event.task_id, event.state, event.error, now)

    def put(self, task_id: str, state: State | None, error: str, now: float) -> None:
        """Takes what is known of one task; one that is done stays so."""
        before = self._states.get(task_id, _NOBODY)
        if before is _NOBODY or before is state or task_id not in self._unfinished:
            return
        self._states[task_id] = state
        self._counts[before] -= 1  # type: ignore[index]
        self._counts[state] += 1
        if state is not None and not state.is_finished:
            return
        del self._unfinished[task_id]
        self._ended = now
        if self._ends and now - self._ends[-1][0] < 1:
            self._ends[-1] = (self._ends[-1][0], self._ends[-1][1] + 1)
        else:
            self._ends.append((now, 1))
        if state is not State.COMPLETED and len(self._failures) < MOST_FAILURES:
            self._failures[task_id] = cleaned_line(error)

    def next_unfinished(self, limit: int) -> list[str]:
        """So many tasks that are not done: those that this gave longest ago."""
        some = list(islice(self._unfinished, limit))
        for task_id in some:
            self._unfinished[task_id] = self._unfinished.pop(task_id)  # to the end of the line
        return some

    def summary(self, now: float) -> Summary:
        """The group now; it takes no longer for a large one."""
        while self._ends and now - self._ends[0][0] > WINDOW + 1:
            self._ends.popleft()
        finished = len(self._states) - len(self._unfinished)
        until = self._ended if self.is_done else now
        rate = 0.0
        if self._ends:
            rate = sum(n for _, n in self._ends) / max(0.5, until - self._ends[0][0])
        if self.is_done and self._ended > self._began:
            rate = finished / max(0.001, self._ended - self._began)
        return Summary(
            total=len(self._states),
            counts={state: n for state, n in self._counts.items() if n},
            finished=finished,
            failures=tuple(self._failures.items()),
            failed=finished - self._counts[State.COMPLETED],
            rate=rate,
            left=len(self._unfinished) / rate if rate else 0.0,
            seconds=until - self._began,
            last_note=self._note,
        )


_NOBODY: Final = object()


def in_order(counts: dict[State | None, int]) -> Iterator[tuple[str, int]]:
    """The states that have tasks, in the order of a task's life."""
    for state in (
        State.SCHEDULED,
        State.PENDING,
        State.ACTIVE,
        State.RETRY,
        State.COMPLETED,
        State.ARCHIVED,
        None,
    ):
        if n := counts.get(state, 0):
            yield ("gone" if state is None else state.value), n
