"""`%runqy stream`: what happens, as it happens, in the cell that asked."""

from __future__ import annotations

import threading
import time
from collections import deque
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


class Stream:
    """One output of the newest events. Any thread may call any method."""

    def __init__(self, wanted: Wanted, publisher: Publisher, foreign: ForeignTasks) -> None:
        self.wanted = wanted
        self.n_seen = 0
        self.is_ended = False
        self._note = ""
        self._foreign = foreign
        self._newest: deque[Event] = deque(maxlen=MOST_SHOWN)
        self._unprinted: deque[Event] = deque(maxlen=MOST_UNPRINTED)
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
            self._newest.append(event)
            self._unprinted.append(event)
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
        """Says each event as a line until it has ended: where nothing shown can change."""
        try:
            while not self.is_over or self._unprinted:
                while self._unprinted:
                    say(row(self._unprinted.popleft()).plain())
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

    def close(self) -> None:
        """Paints the end."""
        self._output.changed()

    def _bundle(self) -> Bundle:
        with self._lock:
            events, n_seen = list(self._newest), self.n_seen
        text = stream_text(self.wanted.words, events, n_seen, self._note, is_over=self.is_ended)
        return {"text/html": text.html(), "text/plain": text.plain()}
