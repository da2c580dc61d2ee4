"""The Python API: everything below, put together.

The magics parse, call a session and display; a script does the same without them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runqy_notebook import adopt
from runqy_notebook.broker.broker import Broker, Retention
from runqy_notebook.broker.guard import explained
from runqy_notebook.broker.inspect import Inspector
from runqy_notebook.broker.killers import Killer, killers
from runqy_notebook.broker.records import Standing, TaskRecord
from runqy_notebook.broker.server import Server, open_server
from runqy_notebook.config_file import WorkerFile, read_worker_file
from runqy_notebook.errors import HandlerError, PayloadError, SettingsError
from runqy_notebook.handles import Source, TaskGroup, TaskHandle
from runqy_notebook.inbox import Inbox
from runqy_notebook.naming import Names
from runqy_notebook.options import TaskOptions
from runqy_notebook.settings import Settings, converted, resolve
from runqy_notebook.tasks import REGISTRY, RunqyNotice
from runqy_notebook.wire import queues
from runqy_notebook.wire.payload import encode_payload, size_warning
from runqy_notebook.wire.states import State
from runqy_notebook.worker.sweeper import Sweeper
from runqy_notebook.worker.worker import Stopped, Worker

if TYPE_CHECKING:
    import pandas as pd

    from runqy_notebook.broker.findings import Finding

BATCH = 500  # tasks written by one script call


class Session:
    """One connection to a Redis, the tasks put there, and at most one worker in this process.

    `url` and `settings` (see `runqy_notebook.settings.Settings`) go before `%config`, environment
    and pyproject.toml. Raises ConnectionFailedError, SettingsError, EmbeddedServerError.
    Use it as a context manager, or `close` it.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        config: Mapping[str, object] | None = None,
        on_notice: Callable[[str], None] | None = None,
        **settings: object,
    ) -> None:
        self._arguments = {"url": url, **settings}
        self.settings: Settings = resolve(self._arguments, config)
        self.server: Server = open_server(self.settings)
        self.worker: Worker | None = None
        self._on_notice = on_notice or (lambda text: None)
        self._inbox = Inbox()
        self._inspector = Inspector(self.server.client)
        self._broker = Broker(self.server.client, self.server.where, _retention(self.settings))
        self._sweeper = Sweeper(self._broker, self.settings.lease, self._on_notice)
        self._names = Names(self.settings.separator, self._known_queues)
        self.source = Source(self._standings, self._why_waiting)

    def configure(self, config: Mapping[str, object]) -> None:
        """Takes changed settings for what is done from now on; the connection stays."""
        self.settings = resolve(self._arguments, config)
        self._broker.retention = _retention(self.settings)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Session {self.server.title}>"

    # --- enqueueing -----------------------------------------------------------------------------

    def enqueue(
        self,
        queue: str,
        payload: object,
        *,
        id: str | None = None,
        **options: Any,
    ) -> TaskHandle:
        """Puts one task into a queue, in one round trip, and gives its handle.

        `payload` is anything that makes a JSON object. `id` names the task yourself. Options:
        see `TaskOptions`. Raises QueueNameError, PayloadError, TaskConflictError, UsageError,
        ConnectionFailedError.
        """
        target, wanted = self._names.target(queue), TaskOptions.of(options)
        text = _encoded(payload)
        task_id = wanted.id_for(target, text, id)
        return self._enqueue(target, [(task_id, text)], wanted)[0]

    def enqueue_many(self, queue: str, payloads: Iterable[object], **options: Any) -> TaskGroup:
        """Puts a task for each payload, 500 a round trip, and gives their handles in order.

        Nothing is sent before every payload was found to be JSON. Raises what `enqueue` raises.
        """
        target, wanted = self._names.target(queue), TaskOptions.of(options)
        texts = [_encoded(payload, f"payloads[{i}]") for i, payload in enumerate(payloads)]
        entries = [(wanted.id_for(target, text, None), text) for text in texts]
        handles: list[TaskHandle] = []
        for at in range(0, len(entries), BATCH):
            handles += self._enqueue(target, entries[at : at + BATCH], wanted)
        return TaskGroup(handles, self.source)

    def task(self, task_id: str) -> TaskHandle:
        """The handle of a task that exists already, whoever enqueued it; raises UnknownTaskError
        where neither Redis nor this process knows it.
        """
        if known := self._inbox.handle_of(task_id):
            return known  # type: ignore[return-value]
        queue = self.record(task_id).queue
        return self._inbox.adopt(task_id, lambda: TaskHandle(task_id, queue, self.source))  # type: ignore[return-value]

    def wait_for_result(self, task_id: str, timeout: float = 30.0) -> Any:
        """The task's result, waiting at most `timeout` seconds; raises what
        `TaskHandle.result` raises, and UnknownTaskError.
        """
        return self.task(task_id).result(timeout)

    # --- worker ---------------------------------------------------------------------------------

    def start_worker(
        self,
        *names: str,
        concurrency: int | None = None,
        store_results: bool | None = None,
        config: str | Path | None = None,
        **options: object,
    ) -> Worker:
        """Starts the worker, or has the running one serve these queues too.

        A name covers the queue itself and all sub-queues of that parent. `config` is a runqy
        worker's config.yml, whose values the arguments override. Raises LoadError when a @load
        function raises, HandlerError when no queue is named anywhere, SettingsError.
        """
        adopt.collect(REGISTRY)
        path = config or self.settings.config_file
        file = read_worker_file(path) if path else WorkerFile(())
        asked = {"concurrency": concurrency, "store_results": store_results, **options}
        values = {**file.settings, **{k: v for k, v in asked.items() if v is not None}}
        settings = _with(self.settings, values)
        serve = names or file.queues or _named(self.settings.queue)
        if not serve:
            raise HandlerError(
                "No queue to serve: name one (start_worker('inference'), %runqy worker start "
                "inference), or set one (%config Runqy.queue = 'inference', RUNQY_QUEUE)."
            )
        if self.worker is None:
            worker = self._new_worker(serve, settings, file.priorities)
            worker.start()
            self.worker = worker
        else:
            self.worker.serve(serve)
            if "concurrency" in values:
                self.worker.resize(settings.concurrency)
        self._names.served.update(serve)
        return self.worker

    def stop_worker(self, seconds: float | None = None) -> Stopped | None:
        """Stops the worker, if one runs: running tasks get `seconds` (by default the setting
        shutdown_timeout) to end, then go back to their queue.
        """
        worker, self.worker = self.worker, None
        self._names.served.clear()
        return worker.stop(seconds) if worker else None

    # --- looking --------------------------------------------------------------------------------

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
        return sorted(self._known_queues())

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

    def ping(self) -> None:
        """Raises ConnectionFailedError where Redis does not answer."""
        with explained(self.server.where):
            self.server.client.ping()

    def close(self) -> None:
        """Stops the worker and ends the connections; tasks stay where they are."""
        self.stop_worker()
        self._sweeper.stop()
        self.server.client.close()

    # --- inside ---------------------------------------------------------------------------------

    def _enqueue(
        self, queue: str, entries: Sequence[tuple[str, bytes]], options: TaskOptions
    ) -> list[TaskHandle]:
        handles = [TaskHandle(task_id, queue, self.source) for task_id, _ in entries]
        for handle in handles:
            self._inbox.expect(handle)  # before it is written: it may be done before we return
        handler = REGISTRY.handler_for(queue, options.type)
        existed = self._broker.enqueue(
            queue,
            entries,
            options.fields(handler, self.settings),
            unique_age=options.unique_age(self.settings),
            due=options.due,
        )
        if options.is_for_later:
            self._sweeper.look_after(queue)
        return [
            self._inbox.same(handle) if i in existed else handle for i, handle in enumerate(handles)
        ]

    def _new_worker(
        self, names: Sequence[str], settings: Settings, priorities: Mapping[str, int]
    ) -> Worker:
        return Worker(
            self._broker,
            names,
            settings,
            priorities=priorities,
            on_outcome=self._inbox.deliver,
            on_notice=self._on_notice,
        )

    def _known_queues(self) -> list[str]:
        with explained(self.server.where):
            return self._inspector.known_queues(scan=False)

    def _standings(self, ids: Sequence[str]) -> list[Standing]:
        with explained(self.server.where):
            return self._inspector.standings(ids)

    def _why_waiting(self, queue: str) -> str:
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


def _encoded(payload: object, root: str = "payload") -> bytes:
    try:
        text = encode_payload(payload)
    except PayloadError as error:
        raise PayloadError(root + error.path.removeprefix("payload"), error.problem) from None
    if warning := size_warning(len(text)):
        warnings.warn(warning, RunqyNotice, stacklevel=4)
    return text


def _retention(settings: Settings) -> Retention:
    return Retention(
        settings.completed_ttl,
        settings.completed_cap,
        settings.archived_ttl,
        settings.archived_cap,
        settings.crash_limit,
    )


def _named(queue: str | None) -> tuple[str, ...]:
    return (queue,) if queue else ()


def _with(settings: Settings, values: Mapping[str, object]) -> Settings:
    checked: dict[str, Any] = {n: converted(n, v, "an argument") for n, v in values.items()}
    return replace(settings, **checked)


def _state(name: State | str) -> State:
    try:
        return State(str(name))
    except ValueError:
        states = ", ".join(state.value for state in State)
        raise SettingsError(f"There is no state {name!r}; the states are {states}.") from None
