"""What a session shows of its Redis; it changes nothing but what a repair is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from runqy_notebook import selfcheck
from runqy_notebook.broker.boundary import explained
from runqy_notebook.broker.findings import Finding, Kind
from runqy_notebook.broker.health import ServerHealth, server_health
from runqy_notebook.broker.inspect import Inspector
from runqy_notebook.broker.killers import Killer, killers
from runqy_notebook.broker.notes import Said
from runqy_notebook.broker.paging import Pager, SearchPage, TaskPage
from runqy_notebook.broker.records import QueueRecord, Standing, TaskRecord, WorkerRecord
from runqy_notebook.broker.server import Server
from runqy_notebook.broker.story import Story, read_story
from runqy_notebook.broker.tally import tally
from runqy_notebook.errors import ConnectionFailedError, SettingsError, UnknownTaskError, one_line
from runqy_notebook.tasks import REGISTRY
from runqy_notebook.wire import queues
from runqy_notebook.wire.states import State

if TYPE_CHECKING:
    import pandas as pd

    from runqy_notebook.worker.worker import Worker


class Looking:
    """The reading part of a session. Its methods raise ConnectionFailedError."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.worker: Worker | None = None
        self._inspector = Inspector(server.client)
        self._pager = Pager(self._inspector)

    def pending(self, queue: str | None = None, limit: int | None = None) -> pd.DataFrame:
        """Pending tasks, the next to run first; `queue` covers its sub-queues."""
        return self.tasks(queue, state=State.PENDING, limit=limit)

    def active(self, queue: str | None = None, limit: int | None = None) -> pd.DataFrame:
        """Tasks that a worker holds, the newest first."""
        return self.tasks(queue, state=State.ACTIVE, limit=limit)

    def tasks(
        self,
        queue: str | None = None,
        state: State | str | None = None,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """Tasks of one state or, without one, of all; see docs/frames.md for order and columns.

        Raises UnknownQueueError, QueueNameError, SettingsError for an unknown state.
        """
        from runqy_notebook import frames

        wanted = None if state is None else state_named(state)
        if wanted is State.PENDING:
            with explained(self.server.where):
                columns = self._inspector.pending(queue, limit)
            if columns is not None:
                return frames.pending(columns)
        return frames.tasks(self.records(queue, wanted, limit), wanted)

    def history(
        self,
        queue: str | None = None,
        limit: int | None = None,
        *,
        flatten: bool = True,
        state: State | str | None = None,
    ) -> pd.DataFrame:
        """Finished tasks, the newest first, with a column for each part of their payloads; see
        docs/frames.md. `state` is completed or archived; both without.

        Raises UnknownQueueError, QueueNameError, SettingsError for any other state.
        """
        from runqy_notebook import frames

        wanted = [s for s in State if s.is_finished] if state is None else [state_named(state)]
        if not all(s.is_finished for s in wanted):
            raise SettingsError(f"History is of completed and archived tasks, not of {state} ones.")
        with explained(self.server.where):
            records = [r for s in wanted for r in self._inspector.tasks(queue, s, limit)]
        long_ago = datetime.min.replace(tzinfo=timezone.utc)
        records.sort(key=lambda record: record.finished_at or long_ago, reverse=True)
        return frames.history(records[:limit], flatten=flatten)

    def queues(self, name: str | None = None) -> pd.DataFrame:
        """How many tasks each queue has in each state, and what it has done."""
        from runqy_notebook import frames

        with explained(self.server.where):
            return frames.queues(self._inspector.queue_records(name))

    def workers(self) -> pd.DataFrame:
        """The workers that gave a sign of life, ours and foreign ones."""
        from runqy_notebook import frames

        with explained(self.server.where):
            return frames.workers(self._inspector.workers())

    def worker_records(self) -> list[WorkerRecord]:
        """The rows of `workers`: the live ones first."""
        with explained(self.server.where):
            return self._inspector.workers()

    def server_health(self) -> ServerHealth:
        """How the server is doing, by what it says itself."""
        with explained(self.server.where):
            return server_health(self.server.client)

    def records(
        self, queue: str | None, state: State | None, limit: int | None = None
    ) -> list[TaskRecord]:
        """The rows of `tasks`; raises UnknownQueueError, QueueNameError."""
        with explained(self.server.where):
            return self._inspector.tasks(queue, state, limit)

    def page(
        self,
        state: State | str,
        queue: str | Sequence[str] | None = None,
        *,
        offset: int = 0,
        size: int = 25,
    ) -> TaskPage:
        """`size` tasks of one state behind the first `offset`, in bounded time however many there
        are; `queue` selects as everywhere, several names are those of the queues themselves.

        Raises UnknownQueueError, QueueNameError, SettingsError for an unknown state.
        """
        with explained(self.server.where):
            return self._pager.page(queue, state_named(state), offset, size)

    def search(
        self,
        text: str,
        state: State | str,
        queue: str | Sequence[str] | None = None,
        *,
        offset: int = 0,
        size: int = 25,
    ) -> SearchPage:
        """Tasks of one state with `text` in their id, type or queue, up to `size` of the next
        20,000 behind the first `offset`; goes on with `offset=found.reached`. Raises what `page`
        does.
        """
        with explained(self.server.where):
            return self._pager.search(text, queue, state_named(state), offset, size)

    def record(self, task_id: str) -> TaskRecord:
        """What Redis holds of a task; raises UnknownTaskError."""
        with explained(self.server.where):
            return self._inspector.task(task_id)

    def story(self, task_id: str) -> Story:
        """All that Redis tells of a task, for its card; raises UnknownTaskError."""
        with explained(self.server.where):
            return read_story(self._inspector, task_id)

    def unfinished(self) -> int:
        """How many tasks wait or run, over all queues that are known."""
        with explained(self.server.where):
            records = self._inspector.queue_records(scan=False)
        return sum(r.pending + r.active + r.scheduled + r.retry for r in records)

    def known_queues(self, *, scan: bool = False) -> list[str]:
        """The queues that somebody enqueued to or serves; with `scan` also those that foreign
        programs alone know, as far as the first 100,000 keys show them.
        """
        with explained(self.server.where):
            return self._inspector.known_queues(scan=scan)

    def tallied(self, names: Sequence[str]) -> list[QueueRecord]:
        """What these queues hold and have done: three round trips for however many."""
        with explained(self.server.where):
            found = tally(self.server.client, self._inspector.layout, names, None)
        return [record for record in found.values() if record is not None]

    def selected(self, name: str) -> list[str]:
        """The queues that `name` selects; raises UnknownQueueError, QueueNameError."""
        with explained(self.server.where):
            return self._inspector.select(name)

    def count(self, name: str, state: State) -> dict[str, int]:
        """How many tasks of this state each queue has that `name` selects; raises the same."""
        with explained(self.server.where):
            return self._inspector.lengths(name, state)

    def foreign_workers(self, names: Iterable[str]) -> list[str]:
        """The live foreign workers that serve one of these queues."""
        with explained(self.server.where):
            workers = [w for w in self._inspector.workers() if w.is_live and not w.is_ours]
        chosen = list(names)
        return [worker.id for worker in workers if any(map(worker.serves, chosen))]

    def find_tasks(self, prefix: str) -> list[str]:
        """Ids that begin so, for completion; at most 50."""
        with explained(self.server.where):
            return self._inspector.find(prefix, scan=False)

    def killers(self) -> list[Killer]:
        """Unfinished tasks that were running when their worker died, the latest first: they run in
        a process of their own from then on.
        """
        with explained(self.server.where):
            return killers(self.server.client)

    def doctor(self, *, repair: bool = False, patience: float = 60.0) -> list[Finding]:
        """Why nothing happens: what is wrong with the server, the queues, the worker here and its
        kernel, and how to mend it; with `repair` it is mended where that is certain. What may be a
        task on its way counts only when a second call, `patience` seconds later or more, sees it
        again. A Redis that does not answer is a finding too.
        """
        from runqy_notebook.broker.doctor import Doctor

        served = self.worker.serving.names if self.worker else ()
        try:
            found = Doctor(self.server.client, self.server.where).examine(
                repair=repair,
                patience=patience,
                served=served,
                has_handler=REGISTRY.serves,
                handled=REGISTRY.queues(),
            )
            with explained(self.server.where):
                here = [*selfcheck.of_tasks(self._inspector, self.worker, REGISTRY)]
            return [*found, *selfcheck.of_kernel(), *here]
        except ConnectionFailedError as error:
            what = f"{error.where}: {error.cause}."
            down = Finding(Kind.SERVER, None, None, what, error.remedy)
            return [down, *selfcheck.of_kernel(), *selfcheck.of_worker(self.worker, {})]

    def said(self, task_id: str) -> Said:
        """What Redis keeps of what the task's handler said, for a day: its newest 1,000 lines, how
        many came before these, and its last progress.
        """
        with explained(self.server.where):
            return self._inspector.said(task_id)

    def ping(self) -> None:
        """Raises ConnectionFailedError where Redis does not answer."""
        with explained(self.server.where):
            self.server.client.ping()

    def standings(self, ids: Sequence[str]) -> list[Standing]:
        """How far these tasks have come, in their order."""
        with explained(self.server.where):
            return self._inspector.standings(ids)

    def stored_results(self, ids: Sequence[str]) -> list[bytes | None]:
        """The stored result of each of these tasks as JSON, None where there is none."""
        with explained(self.server.where):
            return self._inspector.results(ids)

    def is_paused(self, queue: str) -> bool:
        """Whether nothing is claimed from this queue."""
        with explained(self.server.where):
            return self._inspector.is_paused(queue)

    def why_waiting(self, queue: str, task_id: str = "") -> str:
        """What a person should do about a task of `queue` that is not done."""
        with explained(self.server.where):
            serving = [w for w in self._inspector.workers() if w.is_live and w.serves(queue)]
            is_paused = self._inspector.is_paused(queue)
        if due := self._due(task_id):
            return due
        if is_paused:
            return f"The queue is paused: %runqy resume {queue}."
        if not serving:
            return (
                f"No worker serves {queue}: start one with %runqy worker start "
                f"{queues.parent_of(queue)}."
            )
        if self.worker and queue in self.worker.status.without_handler:
            return f"The worker has no handler for {queue}: mark one with @task."
        if self.worker and self.worker.is_paused and len(serving) == 1:
            return "The worker is paused: %runqy worker resume."
        names = ", ".join(worker.id for worker in serving[:3])
        return f"It goes on; {names} serves {queue}: wait longer, or look at %runqy active."

    def _due(self, task_id: str) -> str:
        """When a task comes due that waits for its time."""
        try:
            record = self.record(task_id)
        except UnknownTaskError:
            return ""
        if record.due_at is None:
            return ""
        left = max(0.0, (record.due_at - datetime.now(timezone.utc)).total_seconds())
        what = "it is" if record.state is State.SCHEDULED else "its next attempt is"
        at = record.due_at.astimezone()
        day = "" if left < _A_DAY else f" on {at:%Y-%m-%d}"
        return (
            f"It goes on; {what} due in {spelled(left)}, at {at:%H:%M:%S}{day}: wait longer, or "
            f"make it the next to run with %runqy run {one_line(task_id, 80)}."
        )


_A_DAY = 86_400.0


def spelled(seconds: float) -> str:
    """A duration as a person says it: 45 s, 10 min, 3 h, 2 days."""
    for size, unit in ((_A_DAY, "days"), (3_600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def state_named(name: State | str) -> State:
    """The state of that name; raises SettingsError."""
    try:
        return State(str(name))
    except ValueError:
        states = ", ".join(state.value for state in State)
        raise SettingsError(f"There is no state {name!r}; the states are {states}.") from None
