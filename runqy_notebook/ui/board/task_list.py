"""Which tasks the Tasks panel shows: a page of one state, or of what a search found so far."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from runqy_notebook.broker.records import TaskRecord
from runqy_notebook.session import Session
from runqy_notebook.wire.states import State

SIZES: Final = (10, 20, 50)
LOOK_EVERY: Final = 1.0  # seconds between two looks at a page, where something changed
LOOK_ANYHOW: Final = 3.0  # and where no event came: foreign workers send none
SEARCH_EVERY: Final = 5.0  # seconds between two searches for the same
_PAGES_KEPT: Final = 10  # that were shown lately, of those asked for last


class TaskList:
    """Any thread may ask; `look`, which reads, is called by one at a time."""

    def __init__(self, session: Session, clock: Callable[[], float] = time.monotonic) -> None:
        self.state = State.PENDING
        self.names: tuple[str, ...] | None = None  # of queues; None: all
        self.text = ""
        self.size = SIZES[0]
        self.offset = 0  # tasks before this page; in a search: ids looked at before
        self.tasks: Sequence[TaskRecord] = ()
        self.total = 0  # tasks of the state in these queues
        self.reached = 0  # how many of them a search looked at
        self.is_known = False  # whether what is asked for was read
        self.is_held = False  # whether it stays as it is until something else is asked for
        self.answer = 0  # grows with each question that was answered
        self._session = session
        self._clock = clock
        self._before: list[int] = []  # where a search's earlier pages begin
        self._looked_at = float("-inf")
        self._version = -1
        self._asked = 0  # grows with each question
        self._lately: deque[Sequence[TaskRecord]] = deque(maxlen=_PAGES_KEPT)
        self._lock = threading.RLock()

    # --- asking ---------------------------------------------------------------------------------

    def ask(
        self,
        state: State | None = None,
        names: tuple[str, ...] | None = (),
        text: str | None = None,
        size: int | None = None,
    ) -> None:
        """Asks for other tasks, from the first page; what is not named stays. An empty `names`
        stays too, None is all queues.
        """
        with self._lock:
            self.state = self.state if state is None else state
            self.names = self.names if names == () else names
            self.text = self.text if text is None else text.strip()
            self.size = self.size if size is None else size
            self._begin_at(0)
            self._before = []

    def turn(self, pages: int) -> None:
        """So many pages on, or back."""
        with self._lock:
            if not self.text:
                self._begin_at(min(max(0, self.offset + pages * self.size), self._last))
            elif pages > 0 and self.has_next:
                self._before.append(self.offset)
                self._begin_at(self.reached)
            elif pages < 0 and self._before:
                self._begin_at(self._before.pop())

    def turn_to(self, page: int) -> None:
        """To this page, the first is 1."""
        with self._lock:
            if not self.text:
                self._begin_at(min(max(0, (page - 1) * self.size), self._last))

    def ask_again(self) -> None:
        """Asks for the same page as it is now."""
        with self._lock:
            self._asked += 1
            self.is_known = False
            self._looked_at = float("-inf")

    def hold(self, ids: Sequence[str]) -> bool:
        """Holds still, with these tasks on the page: as it was when it last had all of them.
        Whether there was such a page.
        """
        with self._lock:
            for tasks in (self.tasks, *reversed(self._lately)):
                if {task.id for task in tasks}.issuperset(ids):
                    if tasks is not self.tasks:
                        self._asked += 1
                        self.tasks, self.answer = tasks, self._asked
                    self.is_held = True
                    return True
            return False

    # --- what is there --------------------------------------------------------------------------

    @property
    def page(self) -> int:
        """The number of this page."""
        return len(self._before) + 1 if self.text else self.offset // self.size + 1

    @property
    def pages(self) -> int:
        """How many pages there are, at least 1."""
        return self._last // self.size + 1

    @property
    def has_previous(self) -> bool:
        return bool(self._before) if self.text else self.offset > 0

    @property
    def has_next(self) -> bool:
        if self.text:
            return self.is_full and self.reached < self.total
        return self.offset + self.size < self.total

    @property
    def is_full(self) -> bool:
        """Whether the page of a search holds what fits."""
        return len(self.tasks) >= self.size

    @property
    def is_seeking(self) -> bool:
        """Whether the search goes on by itself."""
        return (
            bool(self.text)
            and not self.is_full
            and not (self.is_known and self.reached >= self.total)
        )

    @property
    def caption(self) -> str:
        """What is shown, in words."""
        what = f"{self.state} task{'s' * (self.total != 1)}"
        if self.text:
            seen = f"looked at {min(self.reached, self.total):,} of {self.total:,} {what}"
            return f"{len(self.tasks):,} found, {seen}{' …' if self.is_seeking else ''}"
        if not self.total:
            return f"No {self.state} tasks." if self.is_known else "Looking …"
        last = min(self.offset + self.size, self.total)
        return f"{self.offset + 1:,} to {last:,} of {self.total:,} {what}"

    # --- reading --------------------------------------------------------------------------------

    def look(self, version: int) -> None:
        """Reads what is due: a page where something may have changed (`version` differs then), a
        bounded piece of a search; raises what `Session.page` raises.
        """
        with self._lock:
            if self.is_held and self.is_known:
                return
            age = self._clock() - self._looked_at
            every = SEARCH_EVERY if self.text else LOOK_EVERY
            is_due = age >= every and (version != self._version or age >= max(every, LOOK_ANYHOW))
            if not is_due and not self.is_seeking:
                return
            is_anew = is_due or not self.is_known
            asked, begin = self._asked, self.offset if is_anew else self.reached
            known = () if is_anew else self.tasks
            state, names, text, size = self.state, self.names, self.text, self.size
            if is_anew:
                self._version, self._looked_at = version, self._clock()
        tasks: Sequence[TaskRecord]
        if text:
            found = self._session.search(text, state, names, offset=begin, size=size - len(known))
            exact = [found.exact] if found.exact else []
            there = {task.id for task in known}
            fresh = [task for task in found.tasks if task.id not in there]
            tasks, total, reached = [*known, *exact, *fresh], found.total, found.reached
        else:
            page = self._session.page(state, names, offset=begin, size=size)
            tasks, total, reached = page.tasks, page.total, page.total
        with self._lock:
            if asked != self._asked or (self.is_held and self.is_known):
                return  # somebody asks for something else by now, or holds what is shown
            if self.answer != asked:
                self._lately.clear()
            elif self.tasks != tasks:
                self._lately.append(self.tasks)
            self.answer = asked
            self.tasks, self.total, self.reached, self.is_known = tasks, total, reached, True
            if not text and begin > self._last:  # they are fewer by now
                self._begin_at(self._last)

    @property
    def _last(self) -> int:
        """Where the last page begins."""
        return max(0, self.total - 1) // self.size * self.size

    def _begin_at(self, offset: int) -> None:
        self._asked += 1
        self.offset = self.reached = offset
        self.is_known = False
        self._looked_at = float("-inf")
        if self.text:
            self.tasks = ()
