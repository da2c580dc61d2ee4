"""The card of a group: counts, pace, the failures first."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from runqy_notebook.broker.records import Standing
from runqy_notebook.errors import one_line
from runqy_notebook.handles import TaskGroup, TaskHandle
from runqy_notebook.ui import html
from runqy_notebook.ui.buttons import Buttons
from runqy_notebook.ui.card import BUTTONS_AFTER, LINGER, SILENT_AFTER
from runqy_notebook.ui.publish import Bundle, Output, Surface
from runqy_notebook.ui.tally import Summary, Tally, in_order
from runqy_notebook.ui.text import cleaned, counted, duration
from runqy_notebook.wire.events import Event, Kind
from runqy_notebook.wire.states import State

_MOST_PASSED: Final = 2_000  # handles asked in a round whether they know more than we


@dataclass(frozen=True, slots=True)
class Failure:
    """A line of the table."""

    id: str
    error: str


@dataclass(frozen=True, slots=True)
class GroupText:
    """A group card's texts, all of them clean."""

    tone: str
    title: str
    queue: str
    facts: str
    finished: int
    total: int
    pace: str
    failures: tuple[Failure, ...]
    remedy: str

    def html(self) -> str:
        return html.rendered("group.html", group=self)

    def plain(self) -> str:
        """The same for those who see no HTML."""
        parts = [f"{self.title} in {self.queue}: {self.facts}", self.pace]
        parts += [f"  {failure.id}: {failure.error}" for failure in self.failures]
        return "\n".join([*parts, *filter(None, [self.remedy])])


def group_text(
    queue: str, summary: Summary, ending: str, remedy: str, n_echoes: int = 0
) -> GroupText:
    """What there is to say of a group."""
    queue = one_line(queue, 80)
    is_done = summary.finished == summary.total
    parts = [f"{n:,} {state}" for state, n in in_order(summary.counts)]
    parts += [f"{counted(n_echoes, 'webhook')} received"] if n_echoes else []
    pace = [f"{100 * summary.finished // max(1, summary.total)} %"]
    if summary.rate:
        pace.append(f"{summary.rate:,.{0 if summary.rate >= 10 else 1}f} tasks/s")
    if is_done:
        pace.append(f"in {duration(summary.seconds)}")
    elif summary.left and not ending:
        pace.append(f"about {duration(summary.left)} left")
    if summary.last_note and not is_done:
        pace.append(summary.last_note)
    more = summary.failed - len(summary.failures)
    if more > 0:
        remedy = f"… and {counted(more, 'further failure')}: %runqy tasks {queue} --state archived"
    tone = "bad" if summary.failed else "good" if is_done else "faint" if ending else "busy"
    return GroupText(
        tone=tone,
        title=f"{counted(summary.total, 'task')}{f' ({ending})' if ending else ''}",
        queue=queue,
        facts=" · ".join(parts),
        finished=summary.finished,
        total=max(1, summary.total),
        pace=" · ".join(pace),
        failures=tuple(
            Failure(one_line(task_id, 40), error) for task_id, error in summary.failures
        ),
        remedy=remedy,
    )


class GroupCard:
    """Two outputs for a group: the card, and below it the buttons. Any thread may call any method.

    `act` is told which button was clicked.
    """

    def __init__(
        self,
        group: TaskGroup,
        surface: Surface,
        act: Callable[[str], None],
    ) -> None:
        queues = sorted({handle.queue for handle in group})
        self._queue = queues[0] if len(queues) == 1 else counted(len(queues), "queue")
        self._queues = queues
        self._handles = {handle.id: handle for handle in group}
        self.ids = frozenset(self._handles)
        self._n_echoes = 0
        self._tally = Tally(self._handles, time.time())
        self._ending = self._remedy = ""
        self._made_at = self._heard_at = time.monotonic()
        self._is_paused = False
        self._surface = surface
        self._done_at: float | None = None
        self._lock = threading.Lock()
        self._output = Output(surface, self._card)
        self._below = Output(surface, self._what_is_below)
        self._buttons = Buttons(act, self.say)

    def show(self) -> None:
        """Shows it in the running cell, and from now on there too."""
        self._ask(self._handles.values())
        self._output.show()
        self._below.show()

    def begin(self) -> None:
        """Learns what the handles know already."""
        self._ask(self._handles.values())

    def take(self, event: Event) -> None:
        """Takes an event of one of the tasks."""
        self._heard_at = time.monotonic()
        with self._lock:
            self._n_echoes += event.kind is Kind.ECHO
            self._tally.take(event, time.time())
            self._remedy = ""
        if event.kind in (Kind.PAUSED, Kind.RESUMED):
            self.learn_whether_paused(event.kind is Kind.PAUSED)
        self._changed()

    def learn_whether_paused(self, is_paused: bool) -> None:
        """Has the button below pause the group's queue, or resume it."""
        if is_paused is not self._is_paused:
            self._is_paused = is_paused
            self._below.changed()

    def say(self, text: str) -> None:
        """Tells something that no event does, such as what to do."""
        if text != self._remedy:
            self._remedy = cleaned(text)
            self._changed()

    def end(self, why: str) -> None:
        """Freezes the card although not all are done."""
        if not self._tally.is_done:
            self._ending, self._done_at = why, time.monotonic()
            self._changed()

    def observe(self, standing: Standing) -> None:
        """Takes what Redis says, where no event did."""
        handle = self._handles.get(standing.id)
        if handle is not None:
            handle.observe(standing)
            self._ask([handle])
        if standing.state is not None and not standing.state.is_finished:
            self._put(standing.id, standing.state, standing.error or "")
        self._changed()

    # --- what the watch asks --------------------------------------------------------------------

    def tick(self) -> None:
        """Asks some handles whether they know more, and has the pace go on."""
        with self._lock:
            some = self._tally.next_unfinished(_MOST_PASSED)
        self._ask([handle for task_id in some if (handle := self._handles.get(task_id))])
        self._output.changed()
        self._below.changed()

    @property
    def unfinished(self) -> list[str]:
        """The ids of the tasks that are not done, as far as is known here."""
        with self._lock:
            return self._tally.next_unfinished(len(self._handles))

    @property
    def is_over(self) -> bool:
        return self._done_at is not None and time.monotonic() - self._done_at > LINGER

    def unheard(self, limit: int) -> list[TaskHandle]:
        """The handles, at most so many, of tasks that are not done, if none makes events."""
        if time.monotonic() - self._heard_at <= SILENT_AFTER or self._ending:
            return []
        with self._lock:
            some = self._tally.next_unfinished(limit)
        return [handle for task_id in some if (handle := self._handles.get(task_id))]

    @property
    def waits_in(self) -> str:
        """The queue in which all that is left has been waiting for long; empty: it has not."""
        is_long = time.monotonic() - self._heard_at > SILENT_AFTER
        return self._queues[0] if is_long and len(self._queues) == 1 and not self._done_at else ""

    def close(self) -> None:
        """Lets go of the handles; the output stays as it is."""
        self._handles = {}

    def take_away(self) -> None:
        """Lets go of its buttons too: it is not to be seen any more."""
        self.close()
        self._buttons.close()

    # --- inside ---------------------------------------------------------------------------------

    def _ask(self, handles: Iterable[TaskHandle]) -> None:
        for handle in handles:
            if handle.is_done:
                self._put(handle.id, *_known(handle))

    def _put(self, task_id: str, state: State | None, error: str) -> None:
        with self._lock:
            self._tally.put(task_id, state, error, time.time())
        self._changed()

    def _changed(self) -> None:
        if self._tally.is_done and self._done_at is None:
            self._done_at = time.monotonic()
        self._output.changed()
        if self._done_at is not None:
            self._below.changed()

    def _what_is_below(self) -> Bundle:
        if self._done_at is not None:
            self._buttons.close()
            return {}
        is_old = time.monotonic() - self._made_at > BUTTONS_AFTER
        if not (is_old and self._surface.is_attended):
            return {}
        switch = "resume_queue" if self._is_paused else "pause_queue"
        return self._buttons.bundle(("cancel", switch) if len(self._queues) == 1 else ("cancel",))

    def _card(self) -> Bundle:
        with self._lock:
            summary = self._tally.summary(time.time())
        text = group_text(self._queue, summary, self._ending, self._remedy, self._n_echoes)
        return {"text/html": text.html(), "text/plain": text.plain()}


def _known(handle: TaskHandle) -> tuple[State | None, str]:
    """The state of a handle that is done, and its error; no round trip."""
    return handle.ended_in, handle.error or ""
