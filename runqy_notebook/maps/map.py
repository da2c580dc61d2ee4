"""A map: a task for each row of a frame, so many at a time, and their results in the rows' order.

It is done in steps that never wait, so that a cell, a script and an event loop can do it alike.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

from runqy_notebook.broker.exchanges import Keeping
from runqy_notebook.broker.records import Standing
from runqy_notebook.errors import ConnectionFailedError, RowFailedError, RunqyError
from runqy_notebook.maps.options import MapOptions
from runqy_notebook.maps.progress import Progress, Stage, bar_of
from runqy_notebook.maps.row import Row
from runqy_notebook.maps.rows import Rows

if TYPE_CHECKING:
    import pandas as pd

LOOK_AFTER, OVERDUE = 0.3, 1.5
"""Seconds in flight after which Redis is asked for a row; the longer time holds while others are
told of without asking, and asking finds less than half of the rows done.
"""
LOOK_AT: Final = 500  # rows in one look
FIRST_LOOK, LAST_LOOK = 0.05, 0.5  # seconds between looks
TICK: Final = 0.1  # seconds
REMARK_AFTER: Final = 0.3  # seconds of silence after which it is asked why
REMARK_AGE: Final = 5.0  # seconds for which the answer is good
PATIENCE: Final = 60.0  # seconds for which Redis may be away
RENEW: Final = 60.0  # seconds between two renewals of what the ids begin with


class Send(Protocol):
    """Writes the rows' tasks; the positions, among these, of those that existed and were kept."""

    def __call__(
        self, entries: Sequence[tuple[str, bytes]], rows: Sequence[Row], keeping: Keeping
    ) -> frozenset[int]: ...


@dataclass(frozen=True, slots=True)
class Office:
    """What a map has its session do. `beginning` gives what task ids begin with, by a digest, a
    time in seconds and whether a new one is wanted.
    """

    make: Callable[[str, int], Row]
    beginning: Callable[[str, float, bool], str]
    send: Send
    results: Callable[[Sequence[str]], list[bytes | None]]
    standings: Callable[[Sequence[str]], list[Standing]]
    why_waiting: Callable[[str], str]


class Map:
    """One map of the rows to a queue. `step` until it gives None, then `frame`; `stop` it where
    that is not to be. `rung` is set when a step is worth while before its time.
    """

    def __init__(self, rows: Rows, queue: str, options: MapOptions, office: Office) -> None:
        self.progress = Progress(queue, len(rows), options.keep)
        self.rung = threading.Event()
        self._rows = rows
        self._options = options
        self._office = office
        self._batch = min(options.batch, options.ahead)
        self._digest = self._beginning = ""
        self._next = 0  # the position of the first row that was not dealt with
        self._in_flight: dict[Row, float] = {}  # since when
        self._in_doubt: Sequence[Row] = ()  # were being sent, and there is no answer yet
        self._arrived: deque[Row] = deque()
        self._ring_at = 1
        self._results: list[bytes | None] = [None] * len(rows)
        self._errors: dict[int, str] = {}
        now = time.monotonic()
        self._heard_at = self._well_at = self._next_renewal = now
        self._told_at = self._next_look = self._next_remark = 0.0
        self._is_looking = self._pays = False
        self._interval = FIRST_LOOK
        self._bar = bar_of(self.progress, is_shown=options.progress)
        self._stepping = threading.Lock()

    def step(self) -> float | None:
        """Does what can be done now; the seconds until there is more to do, None once all is done.

        Raises PayloadError, UsageError, RowFailedError, WrongTypeError, and ConnectionFailedError
        where Redis is away for a minute.
        """
        with self._stepping:
            return self._step()

    def frame(self) -> pd.DataFrame:
        """The results, a row each, under the labels of the mapped frame."""
        from runqy_notebook.maps.results import frame_of

        with_errors = self._options.errors == "column"
        errors = self._errors
        found = frame_of(self._rows.index, self._results, errors, with_errors=with_errors)
        if errors and not with_errors:
            position = min(errors)
            raise self._failed(position, RunqyError(errors[position]))
        return found

    def stop(self) -> str:
        """Goes no further; gives what a person should know about that."""
        # A step on another thread is over soon, unless Redis is away.
        is_mine, told = self._stepping.acquire(timeout=0.3), self.progress
        in_doubt = sum(row not in self._in_flight for row in self._in_doubt)
        told.in_flight = len(self._in_flight) + in_doubt
        if not told.is_over:
            text = "Nothing was sent yet."
            if self._beginning:
                many = f"{'up to ' if in_doubt else ''}{told.in_flight:,}"
                on = f", and {many} more were sent and go on" if told.in_flight else ""
                how = "without fresh=True, " if self._options.fresh else ""
                text = (
                    f"{told.done:,} of {told.total:,} rows are done{on}. Run it again, {how}and it "
                    "takes up where it was."
                )
            told.end(Stage.STOPPED, text)
            self._bar.show()
        if is_mine:
            self._stepping.release()
        return told.remark

    # --- steps ----------------------------------------------------------------------------------

    def _step(self) -> float | None:
        self.rung.clear()
        try:
            rest = self._read() if self.progress.stage is Stage.READING else self._go_on()
            self._well_at = time.monotonic()
        except ConnectionFailedError as error:
            if error.is_refusal or time.monotonic() - self._well_at > PATIENCE:
                raise
            self.progress.remark, rest = str(error), 1.0
        self.progress.measure()
        self._bar.show()
        return rest

    def _read(self) -> float | None:
        """Reads more of the rows; the last time it begins to send."""
        if self._rows.n_read < len(self._rows):
            self._rows.read()
            self.progress.n_read = self._rows.n_read
            return 0.0
        if not len(self._rows):
            self.progress.end(Stage.DONE)
            return None
        name = self._options.name
        parts = (self.progress.queue, self._options.type or "", name)
        self._digest = self._rows.digest(*parts, with_rows=not name)
        self._renew(fresh=self._options.fresh)
        self.progress.stage = Stage.RUNNING
        return 0.0

    def _go_on(self) -> float | None:
        told = self.progress
        self._collect()
        if self._next < told.total and self._has_room:
            self._send()
        else:
            self._look()
        told.in_flight = len(self._in_flight)
        if told.done == told.total:
            self._renew()
            told.end(Stage.DONE)
            return None
        if self._next < told.total and self._has_room:
            return 0.0
        self._remark()
        self._ring_at = max(1, min(self._batch, len(self._in_flight)))
        until_look = max(0.01, self._next_look - time.monotonic())
        return 0.0 if len(self._arrived) >= self._ring_at else min(TICK, until_look)

    @property
    def _has_room(self) -> bool:
        return len(self._in_flight) + self._batch <= self._options.ahead

    def _renew(self, *, fresh: bool = False) -> None:
        """Sees to it that what ids begin with outlives every result."""
        self._beginning = self._office.beginning(self._digest, 2 * self._options.keep, fresh)
        self._next_renewal = time.monotonic() + RENEW

    def _send(self) -> None:
        """Sends the next rows, but for those whose result is there."""
        if time.monotonic() >= self._next_renewal:
            self._renew()
        last = min(self._next + self._batch, self.progress.total)
        ids = {at: self._rows.id_of(self._beginning, at) for at in range(self._next, last)}
        stored = dict(zip(ids, self._office.results(list(ids.values())), strict=True))
        missing = [at for at, result in stored.items() if result is None]
        payloads = self._rows.payloads(missing)
        rows = [self._office.make(ids[at], at) for at in missing]
        for row in rows:
            row.when_done(row.telling(self._arrive))
        existed: list[Row] = []
        if rows:
            failed = not self._options.retry_failed
            keeping = Keeping.RESULTS_AND_FAILED if failed else Keeping.RESULTS
            entries = [(row.id, text) for row, text in zip(rows, payloads, strict=True)]
            existed = [rows[i] for i in sorted(self._sent(entries, rows, keeping))]
        self._next = last
        for at, result in stored.items():
            if result is not None:
                self._results[at] = result
                self.progress.done += 1
                self.progress.found += 1
        if existed:
            self._observe(existed)
            self.progress.found += sum(row.is_done for row in existed)

    def _sent(
        self, entries: Sequence[tuple[str, bytes]], rows: Sequence[Row], keeping: Keeping
    ) -> frozenset[int]:
        """Has these sent, as `Send` does. An interrupt may come before the answer."""
        self._in_doubt = rows
        try:
            existed = self._office.send(entries, rows, keeping)
        except RunqyError as error:
            if not isinstance(error, ConnectionFailedError) or error.is_refusal:
                self._in_doubt = ()
            raise
        self._in_flight.update(dict.fromkeys(rows, time.monotonic()))
        self._in_doubt = ()
        return existed

    def _arrive(self, row: Row) -> None:
        """Called on whatever thread tells that a row is done."""
        self._arrived.append(row)
        if not self._is_looking:
            self._told_at = time.monotonic()
        if len(self._arrived) >= self._ring_at:
            self.rung.set()

    def _collect(self) -> None:
        """Takes the rows that are done."""
        while self._arrived:
            row = self._arrived.popleft()
            if self._in_flight.pop(row, None) is None:
                continue  # of a sending whose answer was lost
            self._heard_at, self.progress.remark = time.monotonic(), ""
            self.progress.done += 1
            if row.failure is None:
                self._results[row.position] = row.text
                continue
            self.progress.failed += 1
            if self._options.errors == "raise":
                raise self._failed(row.position, row.failure)
            self._errors[row.position] = row.why

    def _failed(self, position: int, failure: RunqyError) -> RowFailedError:
        return RowFailedError(self._rows.name_of(position), position, failure)

    def _look(self) -> None:
        """Asks Redis for rows that have been on their way for some time, and that nobody told of:
        those first that were asked for longest ago.
        """
        now = time.monotonic()
        if now < self._next_look:
            return
        some = list(islice(self._in_flight.items(), LOOK_AT))
        is_told = now - self._told_at < LOOK_AFTER and not self._pays
        least = OVERDUE if is_told else LOOK_AFTER
        old = [row for row, since in some if now - since >= least]
        if old:
            self._observe(old)
            for row in old:
                self._in_flight[row] = self._in_flight.pop(row)  # to the end of the line
            self._pays = 2 * sum(row.is_done for row in old) >= len(old)
            self._interval = FIRST_LOOK if self._pays else min(2 * self._interval, LAST_LOOK)
        self._next_look = time.monotonic() + self._interval

    def _observe(self, rows: Sequence[Row]) -> None:
        standings = self._office.standings([row.id for row in rows])
        self._is_looking = True
        for row, standing in zip(rows, standings, strict=True):
            row.observe(standing)
        self._is_looking = False

    def _remark(self) -> None:
        """Where nothing has been heard for some time, tells what a person can do about it."""
        now = time.monotonic()
        if now - self._heard_at < REMARK_AFTER or now < self._next_remark:
            return
        self._next_remark = now + REMARK_AGE
        told: Any = self._office.why_waiting(self.progress.queue)
        self.progress.remark = "" if told.startswith("It goes on") else told
