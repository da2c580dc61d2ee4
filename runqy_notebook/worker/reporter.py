"""What handlers say, told as events: gathered per task, about ten times a second.

A task's last words are told before its outcome is written down. A handler that says nothing costs
nothing, not even the thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from runqy_notebook.broker.broker import Broker
from runqy_notebook.broker.notes import Note
from runqy_notebook.errors import ConnectionFailedError
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.events import Event, Kind
from runqy_notebook.worker.outage import Outage
from runqy_notebook.worker.screen import Screen

INTERVAL = 0.1  # seconds between two rounds
GATHER = 0.02  # seconds from the first word to a round: a print is several words
REST = 1.0  # seconds without notes after one that Redis did not take
MOST_LINES = 1_000  # of a task in one round: the newest; the others are counted
MOST_SHOWN = 20  # displays of a task in one round

LARGEST_SENT = 64 * 2**10
"""Characters of a display up to which it goes to Redis, where it is text, PNG or JPEG."""

_SENT = ("text/", "image/png", "image/jpeg")


class TaskReport:
    """What one run of a handler says. Its threads may share it; what comes after its end is told
    here all the same, but not to Redis any more.
    """

    def __init__(self, reporter: Reporter, task: Task) -> None:
        self.task = task
        self.is_silent = True  # nothing was ever said
        self.is_fenced = False  # Redis takes no more of it
        self.turn = threading.Lock()  # held while events of this task are handed on, in order
        self.noting = threading.Lock()
        self.unsent: list[Event] = []
        self._reporter = reporter
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._progress: tuple[float, float, str] | None = None
        self._shown: list[tuple[str, Mapping[str, str]]] = []  # with the display's id
        self._shown_dropped = 0
        self._screens: dict[str, Screen] = {}
        self._told_line = ""  # the unfinished line, as it was told last
        self._is_marked = False
        self._lock = threading.RLock()  # a finalizer that prints may run while we hold it

    def write(self, stream: str, text: str) -> None:
        with self._lock:
            screen = self._screens.get(stream)
            if screen is None:
                screen = self._screens[stream] = Screen(self._add, self._reopen)
            screen.feed(text)
            self._mark()

    def progress(self, done: float, total: float, note: str) -> None:
        with self._lock:
            self._progress = (done, total, note)
            self._mark()

    def show(self, data: Mapping[str, str], display_id: str = "") -> None:
        with self._lock:
            if display_id:
                self._shown = [each for each in self._shown if each[0] != display_id]
            elif len(self._shown) >= MOST_SHOWN:
                del self._shown[0]
                self._shown_dropped += 1
            self._shown.append((display_id, data))
            self._mark()

    def end(self) -> None:
        """Finishes unfinished lines."""
        with self._lock:
            for screen in self._screens.values():
                screen.end()

    def take(self) -> list[Event]:
        """The events that tell what was said since the last time."""
        with self._lock:
            self._is_marked = False
            base = self._event()
            found = [
                replace(base, kind=Kind.DISPLAYED, data=data, note=display_id, is_local=True)
                for display_id, data in self._shown
            ]
            if found:
                found[0] = replace(found[0], dropped=self._shown_dropped)
                self._shown, self._shown_dropped = [], 0
            if self._progress is not None:
                done, total, note = self._progress
                self._progress = None
                found.append(replace(base, kind=Kind.PROGRESS, done=done, total=total, note=note))
            line = next(filter(None, (s.line for s in reversed(self._screens.values()))), "")
            if self._lines or self._dropped or line != self._told_line:
                lines, dropped = tuple(self._lines), self._dropped
                self._lines.clear()
                self._dropped, self._told_line = 0, line
                found.append(replace(base, lines=lines, dropped=dropped, note=line))
            return found

    def _event(self) -> Event:
        task = self.task
        return Event(
            Kind.LOG,
            task.id,
            task.queue,
            time.time(),
            self._reporter.by,
            attempt=task.retry + 1,
            attempts=task.max_retry + 1,
        )

    def _add(self, line: str) -> None:
        if len(self._lines) >= MOST_LINES:
            self._lines.popleft()
            self._dropped += 1
        self._lines.append(line)

    def _reopen(self) -> str | None:
        return self._lines.pop() if self._lines else None

    def _mark(self) -> None:
        if not self._is_marked:
            self._is_marked, self.is_silent = True, False
            self._reporter.wants(self)


class Reporter:
    """Hands on what handlers say: to the listeners of this process, and by notes to Redis. While
    Redis is away its part is counted as dropped.
    """

    def __init__(
        self,
        by: str,
        broker: Broker,
        outage: Outage,
        *,
        on_event: Callable[[Event], None],
        on_fault: Callable[[BaseException], None],
    ) -> None:
        self.by = by  # the worker's id
        self.making = threading.RLock()  # held while a report is put in its place
        self._broker = broker
        self._outage = outage
        self._on_event = on_event
        self._on_fault = on_fault
        self._marked: dict[TaskReport, None] = {}
        self._turn = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._rests_until = 0.0

    def of(self, task: Task) -> TaskReport:
        """A report for a run of this task."""
        return TaskReport(self, task)

    def wants(self, report: TaskReport) -> None:
        """Has the next round look at this report; the first one ever starts the thread."""
        with self._turn:
            self._marked[report] = None
            if self._thread is None and not self._is_stopping:
                self._thread = threading.Thread(
                    target=self._live, name="runqy-reporter", daemon=True
                )
                self._thread.start()
            self._turn.notify()

    def finish(self, report: TaskReport) -> None:
        """Tells a task's last words, on the calling thread."""
        if report.is_silent:
            return
        report.end()
        self._hand_on([report])

    def stop(self, seconds: float) -> None:
        """Ends the thread."""
        with self._turn:
            self._is_stopping = True
            self._turn.notify()
        if self._thread is not None and threading.current_thread() is not self._thread:
            self._thread.join(seconds)

    def _live(self) -> None:
        while not self._is_stopping:
            with self._turn:
                self._turn.wait_for(lambda: self._marked or self._is_stopping)
                self._turn.wait_for(lambda: self._is_stopping, GATHER)
                marked, self._marked = list(self._marked), {}
            self._hand_on(marked)
            with self._turn:
                self._turn.wait_for(lambda: self._is_stopping, INTERVAL)

    def _hand_on(self, reports: list[TaskReport]) -> None:
        """What goes wrong here costs what was said, and never the task."""
        try:
            for report in reports:
                self._tell(report)
            for report in reports:
                self._note(report)
        except Exception as error:  # noqa: BLE001 - a thread's edge: report, carry on
            self._on_fault(error)

    def _tell(self, report: TaskReport) -> None:
        with report.turn:
            for event in report.take():
                self._on_event(event)
                if not report.is_fenced:
                    report.unsent.append(event)

    def _note(self, report: TaskReport) -> None:
        with report.noting:
            with report.turn:
                events, report.unsent = report.unsent, []
            if not events or report.is_fenced:
                return
            if self._outage.is_on or time.monotonic() < self._rests_until:
                _count_dropped(report, events)
                return
            try:
                report.is_fenced = not self._broker.note(report.task, _note_of(events))
            except ConnectionFailedError:  # whoever settles tells of an outage
                self._rests_until = time.monotonic() + REST
                _count_dropped(report, events)


def _count_dropped(report: TaskReport, events: list[Event]) -> None:
    """Has the next note say how many lines are missing before it."""
    logs = [event for event in events if event.kind is Kind.LOG]
    lost = sum(len(event.lines) + event.dropped for event in logs)
    if lost:
        with report.turn:
            report.unsent.insert(0, replace(logs[-1], lines=(), dropped=lost))


def _note_of(events: list[Event]) -> Note:
    lines: list[str] = []
    dropped = 0
    progress: Event | None = None
    for event in events:
        if event.kind is Kind.LOG:
            lines += event.lines
            dropped += event.dropped
        elif event.kind is Kind.PROGRESS:
            progress = event
    return Note(events[0].by, tuple(lines), dropped, progress, tuple(map(_slim, events)))


def _slim(event: Event) -> Event:
    """The event with no more of what was displayed than Redis is to carry."""
    if event.data is None:
        return event
    small = {
        kind: value
        for kind, value in event.data.items()
        if kind.startswith(_SENT) and len(value) <= LARGEST_SENT
    }
    return replace(event, data=small)
