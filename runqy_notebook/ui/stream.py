"""`%runqy stream`: what happens, as it happens, in the cell that asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from runqy_notebook.broker.records import Standing
from runqy_notebook.handles import TaskHandle
from runqy_notebook.ui.foreign import ForeignTasks
from runqy_notebook.ui.publish import Bundle, Output, Publisher
from runqy_notebook.ui.stream_text import row, stream_text
from runqy_notebook.wire.events import Event, Kind

MOST_SHOWN: Final = 40
MOST_UNPRINTED: Final = 10_000  # lines that a terminal is behind before the rest is only counted
QUIET: Final = frozenset({Kind.LOG, Kind.DISPLAYED})
"""Left out unless asked for: they are a card's."""

SAID: Final = frozenset({Kind.PROGRESS, Kind.LOG, Kind.DISPLAYED})
"""What handlers say: timed by their machine, everything else by Redis."""

_LATEST: Final = MOST_SHOWN  # places that an event may be late
_TICK: Final = 0.1  # seconds; an interrupt gets through between two


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events, and for how long: until `limit` of them, or `seconds`, have passed."""

    names: tuple[str, ...] = ()
    kinds: frozenset[Kind] = field(default_factory=frozenset)
    task_id: str = ""
    limit: int | None = None
    seconds: float | None = None

    def takes(self, event: Event) -> bool:
        if self.task_id and event.task_id != self.task_id:
            return False
        return event.kind in self.kinds if self.kinds else event.kind not in QUIET

    @property
    def words(self) -> str:
        """What it is a stream of."""
        kinds = ", ".join(sorted(kind.value for kind in self.kinds))
        where = ", ".join(self.names) or "all queues"
        return " · ".join(filter(None, [self.task_id, where, kinds]))


def put_by_time(events: list[Event], event: Event) -> None:
    """Puts an event where its time belongs: a worker of this process tells that a task has started
    before the session that wrote the task has told of that. What a handler says has the time of
    another clock, and stays where it comes.
    """
    at = len(events)
    if event.kind not in SAID:
        for n in range(len(events) - 1, max(-1, len(events) - 1 - _LATEST), -1):
            if events[n].kind not in SAID and _is_later(events[n], event):
                at = n
    events.insert(at, event)


def _is_later(one: Event, event: Event) -> bool:
    """Whether `one`, which was told before, happened after it: Redis tells milliseconds."""
    is_its_start = one.kind is Kind.STARTED and one.task_id == event.task_id
    is_in_turn = event.kind is Kind.ENQUEUED and is_its_start
    return one.at >= event.at if is_in_turn else one.at > event.at


class Stream:
    """One output of the newest events. Any thread may call any method."""

    def __init__(self, wanted: Wanted, publisher: Publisher, foreign: ForeignTasks) -> None:
        self.wanted = wanted
        self.n_seen = 0
        self.is_ended = False
        self._note = ""
        self._foreign = foreign
        self._newest: list[Event] = []
        self._unprinted: list[Event] = []
        self._ends_at = None if wanted.seconds is None else time.monotonic() + wanted.seconds
        self._lock = threading.Lock()
        self._output = Output(publisher, self._bundle)

    def show(self) -> None:
        """Shows it in the running cell."""
        self._output.show()

    def take(self, event: Event) -> None:
        """Takes an event, of whatever kind."""
        if not self.wanted.takes(event):
            return
        with self._lock:
            if self.is_ended:
                return
            self.n_seen += 1
            for events, most in ((self._newest, MOST_SHOWN), (self._unprinted, MOST_UNPRINTED)):
                put_by_time(events, event)
                del events[: max(0, len(events) - most)]
            self.is_ended = self.n_seen == self.wanted.limit
        self._output.changed()

    def end(self, why: str = "") -> None:
        """Takes nothing more."""
        if not self.is_ended:
            self.is_ended, self._note = True, why
            self._output.changed()

    def show_and_wait(self) -> None:
        """Returns when it has ended; an interrupt ends it, and is none of the cell's."""
        try:
            self.show()
            while not self.is_over:
                time.sleep(_TICK)
        except KeyboardInterrupt:
            self.end("interrupted")

    def print_all(self, say: Callable[[str], None]) -> None:
        """Says each event as a line until it has ended: where nothing shown can change. A line is
        held for a tick, so that one that comes late stands before it all the same.
        """
        n_ripe = 0
        try:
            while not self.is_over or self._unprinted:
                with self._lock:
                    ripe = self._unprinted[: None if self.is_ended else n_ripe]
                    del self._unprinted[: len(ripe)]
                    n_ripe = len(self._unprinted)
                for event in ripe:
                    say(row(event).plain())
                time.sleep(_TICK)
        except KeyboardInterrupt:
            self.end()

    # --- what the watch asks --------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        if self._ends_at is not None and time.monotonic() > self._ends_at:
            self.end()
        return self.is_ended

    @property
    def waits_in(self) -> str:
        return ""

    def tick(self) -> None:
        """Nothing changes with time."""

    def unheard(self, limit: int) -> list[TaskHandle]:
        """Has a look at workers that send no events; asks for no tasks."""
        for event in self._foreign.look():
            self.take(event)
        return []

    def observe(self, standing: Standing) -> None:
        """It asked for none."""

    def say(self, text: str) -> None:
        """Cards are told what to do, streams are not."""

    def learn_whether_paused(self, is_paused: bool) -> None:
        """It has no buttons."""

    def close(self) -> None:
        """Paints the end."""
        self._output.changed()

    def _bundle(self) -> Bundle:
        with self._lock:
            events, n_seen = list(self._newest), self.n_seen
        text = stream_text(self.wanted.words, events, n_seen, self._note, is_over=self.is_ended)
        return {"text/html": text.html(), "text/plain": text.plain()}
