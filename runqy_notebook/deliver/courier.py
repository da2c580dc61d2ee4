"""The courier: attempts what is due in the outbox, on threads of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from runqy_notebook.broker.outbox import Outbox, Row
from runqy_notebook.deliver.directory import Directory
from runqy_notebook.deliver.guard import masked
from runqy_notebook.deliver.holding import Holding
from runqy_notebook.deliver.schedule import Schedule
from runqy_notebook.deliver.sink import (
    Attempt,
    Content,
    Delivered,
    Failed,
    Gone,
    Limits,
    Message,
)
from runqy_notebook.deliver.spool import Spool
from runqy_notebook.deliver.whereabouts import whereabouts
from runqy_notebook.errors import ConnectionFailedError, DestinationError, one_line
from runqy_notebook.wire.deliveries import DeliveryState, Spooled

THREADS: Final = 8
"""Attempts at a time."""

_MOST_AT_ONE = 2  # attempts at a time at a slow destination: it leaves room for others
_SLOW = 1.0  # seconds of the last attempt that make a destination a slow one
_LOOK_EVERY = 1.0  # seconds between looks for what others wrote
_TIDY_EVERY = 600.0  # seconds
_REST = 1.0  # seconds after Redis did not answer


@dataclass(frozen=True, slots=True)
class Rules:
    """When attempts are made, how many seconds each may take, and which (address, port) of our own
    may be reached although they are private.
    """

    schedule: Schedule
    deadline: float
    allowed: Collection[tuple[str, int]] = ()

    @property
    def lease(self) -> float:
        """Seconds after which an attempt of which nobody heard counts as never made."""
        return max(1.5 * self.deadline, self.deadline + 1.0)


@dataclass(frozen=True, slots=True)
class Report:
    """What is told of an attempt, the `made`-th: `state` is what the delivery came to by it, at
    `at` (unix seconds).
    """

    row: Row
    attempt: Attempt
    state: DeliveryState
    made: int
    note: str
    error: str = ""
    at: float = field(default_factory=time.time)


class Courier:
    """Delivers for one session. One thread at a time looks for rows; when it finds one it attempts
    it, and another looks on. `name` tells couriers apart.
    """

    def __init__(
        self,
        outbox: Outbox,
        directory: Directory,
        name: str,
        rules: Callable[[], Rules],
        *,
        spool: Spool | None = None,
        on_attempt: Callable[[Report], None] = lambda report: None,
        notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._outbox = outbox
        self._directory = directory
        self._name = name
        self._rules = rules
        self._spool = spool
        self._holding = Holding(outbox, lambda: rules().lease)
        self._on_attempt = on_attempt
        self._notice = notice
        self._threads: list[threading.Thread] = []
        self._looking = threading.Lock()
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._under_way: list[str] = []
        self._slow: set[str] = set()
        self._claims = 0
        self._tidies_at = 0.0
        self._faults: set[str] = set()

    @property
    def is_running(self) -> bool:
        return bool(self._threads) and not self._stopping.is_set()

    def start(self) -> None:
        """Begins to deliver, if it has not yet."""
        with self._lock:
            if not self._threads:
                self._add_thread()
        self.wake()

    def wake(self) -> None:
        """Has it look at once."""
        self._woken.set()

    def stop(self, seconds: float) -> None:
        """Ends the threads; an attempt under way may end within so many seconds. What is cut short
        is attempted again when its lease has ended.
        """
        ends = time.monotonic() + seconds
        self._stopping.set()
        self.wake()
        for thread in list(self._threads):
            if thread is not threading.current_thread():
                thread.join(max(0.0, ends - time.monotonic()))
        self._holding.stop(max(0.1, ends - time.monotonic()))

    def tick(self) -> float:
        """Attempts one row that is due; gives the seconds until there may be another."""
        row, until = self._collect()
        if row is not None:
            self._deliver(row)
            return 0.0
        return min(_LOOK_EVERY, _LOOK_EVERY if until is None else until)

    # --- inside ---------------------------------------------------------------------------------

    def _add_thread(self) -> None:
        number = len(self._threads) + 1
        thread = threading.Thread(target=self._live, name=f"runqy-courier-{number}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _live(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._looking:
                    row = self._next()
                if row is not None:
                    self._deliver(row)
            except ConnectionFailedError:  # the worker tells; what is not written down comes again
                self._stopping.wait(_REST)
            except Exception as error:  # noqa: BLE001 - a thread's edge: report, carry on
                self._fault(error)
                self._stopping.wait(_REST)

    def _next(self) -> Row | None:
        """Waits for a row that is due, and sees to it that another thread looks on meanwhile."""
        while not self._stopping.is_set():
            self._tidy()
            self._woken.clear()
            row, until = self._collect()
            if row is not None:
                with self._lock:
                    if len(self._under_way) >= len(self._threads) < THREADS:
                        self._add_thread()
                return row
            self._woken.wait(min(_LOOK_EVERY, _LOOK_EVERY if until is None else until))
        return None

    def _tidy(self) -> None:
        """Now and then: removes the files of what was delivered by a process that died then."""
        if self._spool is None or time.monotonic() < self._tidies_at:
            return
        self._tidies_at = time.monotonic() + _TIDY_EVERY
        self._spool.sweep()
        for name in self._outbox.delivered(self._spool.names()):
            self._spool.drop(name)

    def _collect(self) -> tuple[Row | None, float | None]:
        self._claims += 1
        lanes, rules = self._directory.lanes(), self._rules()
        with self._lock:
            busy = [to for to in self._under_way if to in self._slow]
        row, until = self._outbox.collect(
            lanes,
            f"{self._name}:{self._claims}",
            lease=rules.lease,
            most=_MOST_AT_ONE,
            busy=busy,
        )
        if row is not None:
            with self._lock:
                self._under_way.append(row.to)
        return row, until

    def _deliver(self, row: Row) -> None:
        rules = self._rules()
        try:
            with self._holding.held(row):
                outcome = self._attempt(row, rules)
            self._note_speed(row.to, outcome.seconds)
            self._write_down(row, outcome, rules.schedule)
        finally:
            with self._lock:
                self._under_way.remove(row.to)
            self.wake()  # whoever looks: this row may be due again, and its destination has room

    def _note_speed(self, to: str, seconds: float) -> None:
        with self._lock:
            if seconds < _SLOW:
                self._slow.discard(to)
            elif len(self._slow) < 1_000:
                self._slow.add(to)

    def _attempt(self, row: Row, rules: Rules) -> Attempt:
        try:
            sink = self._directory.sink(row.to, row.lane)
            content = self._content(Spooled.of(row.spooled))
            at = whereabouts(row, self._directory, rules.deadline)
            message = Message(row.id, row.task_id, row.body, row.status, content, at)
            return sink.deliver(message, Limits(rules.deadline, rules.allowed))
        except DestinationError as error:
            return Failed(error.problem, 0.0, is_final=True)
        except Exception as error:  # noqa: BLE001 - else it would come again with every lease
            self._fault(error)
            return Failed(f"{type(error).__name__}: {one_line(error, 120)}", 0.0, is_final=True)

    def _content(self, spooled: Spooled | None) -> Content | None:
        """What lies in the spool of a row; raises DestinationError where that is gone."""
        if spooled is None:
            return None
        if spooled.lost or self._spool is None:
            raise DestinationError(spooled.lost or "its result lies in no spool of this session")
        return Content(self._spool.path(spooled.file), spooled.form)

    def _write_down(self, row: Row, outcome: Attempt, schedule: Schedule) -> None:
        made, wait, error, result_url, place = row.made + 1, 0.0, "", "", ""
        match outcome:
            case Delivered(result_url=result_url, place=place):
                state = DeliveryState.DELIVERED
            case Gone(why=error):
                state = DeliveryState.GONE
            case Failed(why=error, retry_after=asked, is_final=is_final):
                scheduled = None if is_final else schedule.wait(made)
                state = DeliveryState.FAILED if scheduled is None else DeliveryState.WAITING
                wait = max(scheduled or 0.0, asked)
        note = f"{state.value}: {masked(row.to)}"
        is_ours = self._outbox.attempted(
            row,
            state,
            wait=wait,
            answer=outcome.status,
            error=error,
            took=outcome.seconds,
            note=note,
            result_url=result_url,
            result_at=f"{row.to}/{place}" if place else "",
        )
        if is_ours:
            spooled = Spooled.of(row.spooled)
            if spooled and self._spool and state is DeliveryState.DELIVERED:
                self._spool.drop(spooled.file)
            self._tell(Report(row, outcome, state, made, note, error))

    def _tell(self, report: Report) -> None:
        self._on_attempt(report)
        row, to = report.row, self._directory.shown(report.row.to)
        again = f"%runqy deliveries --retry {row.id} tries again."
        why = report.error.rstrip(".")
        about = f"The result of task {one_line(row.task_id, 80)}" if row.task_id else "A message"
        if report.state is DeliveryState.GONE:
            self._notice(f"{to} {report.error}: nothing more is delivered there. {again}")
        elif report.state is DeliveryState.FAILED:
            times = "1 attempt" if report.made == 1 else f"{report.made} attempts"
            self._notice(f"{about} did not reach {to} in {times}: {why}. {again}")

    def _fault(self, error: Exception) -> None:
        told = f"Something went wrong in a delivery: {type(error).__name__}: {one_line(error)}"
        if told not in self._faults:
            self._faults.add(told)
            self._notice(told)
