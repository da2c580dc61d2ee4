"""What a session does with DataFrames: a task for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from runqy_notebook.broker.boundary import explained
from runqy_notebook.broker.exchanges import Keeping
from runqy_notebook.broker.map_ids import beginning
from runqy_notebook.broker.writing import Entries
from runqy_notebook.enqueueing import Enqueueing
from runqy_notebook.handles import TaskHandle
from runqy_notebook.options import TaskOptions
from runqy_notebook.tasks import REGISTRY

if TYPE_CHECKING:
    import pandas as pd

    from runqy_notebook.maps.map import Map


class MappingFrames(Enqueueing):
    """The mapping part of a session."""

    def map(
        self,
        frame: pd.DataFrame | pd.Series[Any],
        queue: str,
        columns: object = None,
        **options: Any,
    ) -> pd.DataFrame:
        """Puts a task for each row of a frame into a queue, waits for all of them and gives their
        results, a row each in the same order and under the same labels: an object's parts as
        columns, any other result in the column `result`.

        `columns` are those that go into the payload; all unless told. Options: see `MapOptions`.
        Run again after an interrupt or a crash it sends only what is missing, for results stay in
        Redis for a day. Raises UsageError, PayloadError, QueueNameError, RowFailedError,
        ConnectionFailedError.
        """
        from runqy_notebook.maps import driving

        return driving.done(self._map(frame, queue, columns, options))

    async def amap(
        self,
        frame: pd.DataFrame | pd.Series[Any],
        queue: str,
        columns: object = None,
        **options: Any,
    ) -> pd.DataFrame:
        """`map` to be awaited: the event loop, and so the kernel, is free meanwhile."""
        from runqy_notebook.maps import driving

        return await driving.awaited(self._map(frame, queue, columns, options))

    # --- inside ---------------------------------------------------------------------------------

    def _put(
        self,
        queue: str,
        options: TaskOptions,
        entries: Entries,
        rows: Sequence[TaskHandle],
        keeping: Keeping,
    ) -> frozenset[int]:
        """Writes the tasks of a map's rows; the positions of those that existed and were kept."""
        self._subscriber.hear_queue(queue)  # before they are written, as in `expected`
        self._inbox.expect(*rows)
        if options.deliver_to:
            self._expect_echoes(rows)
        handler = REGISTRY.handler_for(queue, options.type)
        fields = options.fields(handler, self.settings)
        enqueued = self._broker.enqueue(queue, entries, fields, keeping=keeping)
        if options.deliver_to or (handler and handler.deliver_to):
            self._courier.start()
        self._tell_enqueued(rows, enqueued, options)
        return enqueued.existed

    def _map(self, frame: Any, queue: str, columns: object, options: Mapping[str, Any]) -> Map:
        from runqy_notebook.maps.map import Map, Office
        from runqy_notebook.maps.options import MapOptions
        from runqy_notebook.maps.row import Row
        from runqy_notebook.maps.rows import Rows

        asked, rows = MapOptions.of(options), Rows(frame, columns)
        target, wanted = self._names.target(queue), TaskOptions.of(self._resolved(asked.of_tasks))
        office = Office(
            make=lambda task_id, position: Row(task_id, target, self.source, position),
            beginning=self._map_beginning,
            send=partial(self._put, target, wanted),
            results=self.stored_results,
            standings=self.standings,
            why_waiting=self.why_waiting,
        )
        return Map(rows, target, asked, office)

    def _map_beginning(self, digest: str, seconds: float, fresh: bool) -> str:
        with explained(self.server.where):
            return beginning(self.server.client, digest, seconds, fresh=fresh)
