"""Tasks page by page, and a search through them: each call is bounded work, however many there are.

The pages of several queues follow one another, higher priorities first; within a queue the order
is that of `Inspector.tasks`. Tasks move while one turns the pages: an id may be missed or come
twice, as everywhere where Redis is read in parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from runqy_notebook.broker import listing
from runqy_notebook.broker.inspect import Inspector
from runqy_notebook.broker.listing import Listed, Page
from runqy_notebook.broker.records import TaskRecord
from runqy_notebook.broker.scripts import SEEK
from runqy_notebook.errors import UnknownTaskError
from runqy_notebook.wire import queues
from runqy_notebook.wire.layout import to_bytes
from runqy_notebook.wire.states import State

SLICE: Final = 1_000
"""Ids that one script call looks at: the server is busy with them for about a millisecond."""

REACH: Final = 20_000
"""Ids that one search looks at before it says how far it came."""

LARGEST_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Some tasks of `total`: those behind the first `offset`."""

    tasks: Sequence[TaskRecord]
    offset: int
    total: int


@dataclass(frozen=True, slots=True)
class SearchPage:
    """What a search found between `offset` and `reached`, of `total` ids; it goes on from there.

    `exact` is the task whose id is the text itself, whatever its queue and state.
    """

    tasks: Sequence[TaskRecord]
    offset: int
    reached: int
    total: int
    exact: TaskRecord | None = None

    @property
    def is_through(self) -> bool:
        """Whether there is nothing left to look at."""
        return self.reached >= self.total


class Pager:
    """Turns the pages of one Redis. Threads may share it."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector
        self._client, self._layout = inspector.client, inspector.layout

    def page(
        self, queue: str | Sequence[str] | None, state: State, offset: int, size: int
    ) -> TaskPage:
        """`size` tasks behind the first `offset`: two to four round trips.

        `queue` selects as everywhere, but among the queues that are known without a search; several
        names are those of the queues themselves. Raises UnknownQueueError, QueueNameError,
        WrongTypeError.
        """
        lengths = self._lengths(queue, state)
        total = sum(lengths.values())
        size = max(0, min(size, LARGEST_PAGE))
        pages = list(_pages(lengths, max(0, offset), size))
        found = listing.read(self._client, self._layout, state, pages) if pages else []
        return TaskPage([record for _, record in found], max(0, offset), total)

    def search(
        self,
        text: str,
        queue: str | Sequence[str] | None,
        state: State,
        offset: int,
        size: int,
        reach: int = REACH,
    ) -> SearchPage:
        """Up to `size` tasks with `text` in their id, type or queue, in upper or lower case, out
        of the `reach` behind the first `offset`; raises what `page` does.
        """
        lengths = self._lengths(queue, state)
        total = sum(lengths.values())
        sought, exact = to_bytes(text).lower(), None if offset else self._exact(text)
        tasks: list[TaskRecord] = []
        reached = offset
        for part in _pages(lengths, offset, reach, SLICE):
            looked_at, listed = self._seek(part, state, sought, size - len(tasks))
            found = listing.records_of(self._client, self._layout, state, listed, {})
            tasks += (record for _, record in found if exact is None or record.id != exact.id)
            # What left meanwhile counts as looked at, unless the page is full.
            reached += looked_at if len(tasks) >= size else part.size
            if len(tasks) >= size:
                break
        return SearchPage(tasks, offset, min(reached, total), total, exact)

    def _seek(self, part: Page, state: State, sought: bytes, most: int) -> tuple[int, list[Listed]]:
        """How many ids of this part were looked at, and those found."""
        is_all = sought in part.queue.encode().lower()
        kind = "list" if state.is_list else "zset"
        is_turned = int(listing.is_read_backwards(state))
        arguments = (kind, is_turned, part.offset, part.size, b"" if is_all else sought, most)
        keys = [self._layout.queue(part.queue).of(state)]
        looked_at, *hits = SEEK(self._client, keys, [self._layout.tasks, *arguments])
        each = iter(hits)
        return int(looked_at), [
            Listed(position, part.queue, task_id, float(score) if score else None)
            for position, task_id, score in zip(each, each, each, strict=True)
        ]

    def _exact(self, text: str) -> TaskRecord | None:
        if not text or not self._client.exists(self._layout.task(text)):
            return None
        try:
            return self._inspector.task(text)
        except UnknownTaskError:  # gone meanwhile
            return None

    def _lengths(self, queue: str | Sequence[str] | None, state: State) -> Mapping[str, int]:
        """The lengths of the queues, in the order of their pages."""
        if queue is None or isinstance(queue, str):
            chosen = self._inspector.select(queue, scan=False)
        else:
            chosen = list(queue)
        known = self._inspector.lengths_of(queue if isinstance(queue, str) else None, chosen, state)
        ordered = [name for tier in queues.tiers(known) for name in tier]
        return {name: known[name] for name in ordered}


def _pages(
    lengths: Mapping[str, int], offset: int, size: int, largest: int = LARGEST_PAGE
) -> Iterator[Page]:
    """The parts of the queues in which ids `offset` to `offset + size` of all of them stand."""
    before, end = 0, offset + size
    for queue, length in lengths.items():
        at, last = max(0, offset - before), min(length, end - before)
        while at < last:
            part = min(largest, last - at)
            yield Page(queue, at, part)
            at += part
        before += length
