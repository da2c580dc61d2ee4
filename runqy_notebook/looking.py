"""What a session shows of its Redis; it changes nothing but what a repair is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from runqy_notebook.broker.boundary import explained
from runqy_notebook.broker.inspect import Inspector
from runqy_notebook.broker.killers import Killer, killers
from runqy_notebook.broker.notes import Said
from runqy_notebook.broker.records import Standing, TaskRecord
from runqy_notebook.broker.server import Server
from runqy_notebook.errors import SettingsError
from runqy_notebook.tasks import REGISTRY
from runqy_notebook.wire import queues
from runqy_notebook.wire.states import State
from runqy_notebook.worker.worker import Worker

if TYPE_CHECKING:
    import pandas as pd

    from runqy_notebook.broker.findings import Finding


class Looking:
    """The reading half of a session. Its methods raise ConnectionFailedError."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.worker: Worker | None = None
        self._inspector = Inspector(server.client)

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

        wanted = None if state is None else _state(state)
        with explained(self.server.where):
            records = self._inspector.tasks(queue, wanted, limit)
        return frames.tasks(records, wanted)

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

    def record(self, task_id: str) -> TaskRecord:
        """What Redis holds of a task; raises UnknownTaskError."""
        with explained(self.server.where):
            return self._inspector.task(task_id)

    def unfinished(self) -> int:
        """How many tasks wait or run, over all queues that are known."""
        with explained(self.server.where):
            records = self._inspector.queue_records(scan=False)
        return sum(r.pending + r.active + r.scheduled + r.retry for r in records)

    def known_queues(self) -> list[str]:
        """The queues that somebody enqueued to or serves."""
        with explained(self.server.where):
            return self._inspector.known_queues(scan=False)

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
        """What is wrong with the queues and how to mend it; with `repair` it is mended where that
        is certain. What may be a task on its way counts only when a second call, `patience`
        seconds later or more, sees it again.
        """
        from runqy_notebook.broker.doctor import Doctor

        served = self.worker.serving.names if self.worker else ()
        return Doctor(self.server.client, self.server.where).examine(
            repair=repair, patience=patience, served=served, has_handler=REGISTRY.serves
        )

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

    def why_waiting(self, queue: str) -> str:
        """What a person should do about a task of `queue` that is not done."""
        with explained(self.server.where):
            serving = [w for w in self._inspector.workers() if w.is_live and w.serves(queue)]
        if not serving:
            return (
                f"No worker serves {queue}: start one with %runqy worker start "
                f"{queues.parent_of(queue)}."
            )
        if self.worker and queue in self.worker.status.without_handler:
            return f"The worker has no handler for {queue}: mark one with @task."
        names = ", ".join(worker.id for worker in serving[:3])
        return f"It goes on; {names} serves {queue}: wait longer, or look at %runqy active."


def _state(name: State | str) -> State:
    try:
        return State(str(name))
    except ValueError:
        states = ", ".join(state.value for state in State)
        raise SettingsError(f"There is no state {name!r}; the states are {states}.") from None
