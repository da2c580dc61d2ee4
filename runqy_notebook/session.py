"""The Python API: everything below, put together.

The magics parse, call a session and display; a script does the same without them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runqy_notebook import adopt
from runqy_notebook.boarding import Boarding
from runqy_notebook.broker.boundary import explained
from runqy_notebook.broker.exchanges import Retention
from runqy_notebook.broker.server import open_server
from runqy_notebook.config_file import WorkerFile, read_worker_file
from runqy_notebook.controlling import Controlling
from runqy_notebook.delivering import checked, url_lane
from runqy_notebook.errors import (
    ConnectionFailedError,
    HandlerError,
    tell,
)
from runqy_notebook.handles import Source
from runqy_notebook.mapping import MappingFrames
from runqy_notebook.naming import Names
from runqy_notebook.settings import Settings, converted, resolve
from runqy_notebook.tasks import REGISTRY
from runqy_notebook.teaching import Teaching
from runqy_notebook.wire.documented import Task
from runqy_notebook.worker.inline import Inline
from runqy_notebook.worker.sweeper import Sweeper

if TYPE_CHECKING:
    from runqy_notebook.worker.report import Stopped
    from runqy_notebook.worker.worker import Worker


class Session(Controlling, MappingFrames, Boarding, Teaching):
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
        self.settings: Settings = checked(resolve(self._arguments, config))
        super().__init__(
            open_server(self.settings), _retention(self.settings), on_notice or (lambda text: None)
        )
        self._open_outbox()
        self._sweeper = Sweeper(self._broker, self.settings.lease, self._on_notice)
        self._names = Names(self.settings.separator, self.known_queues)
        self._inline = Inline(REGISTRY)
        self.is_closed = False
        self.source = Source(self.standings, self.why_waiting, self, self.events.is_ending)

    def configure(self, config: Mapping[str, object]) -> None:
        """Takes changed settings for what is done from now on; the connection stays."""
        self.settings = checked(resolve(self._arguments, config))
        self._broker.retention = _retention(self.settings)
        self._reconfigure_outbox()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Session {self.server.title}>"

    def wait_for_result(self, task_id: str, timeout: float = 30.0) -> Any:
        """The task's result, waiting at most `timeout` seconds; raises what
        `TaskHandle.result` raises, and UnknownTaskError.
        """
        return self.task(task_id).result(timeout)

    def rerun_inline(self, task_id: str) -> Any:
        """Runs the handler on the task's payload here, in the calling thread, and gives its value;
        what it raises is raised as it is, so that `%debug` shows where. Nothing changes in Redis.

        `ctx` is the running worker's, where a plain @load function made one. Raises
        UnknownTaskError where the task's record is gone, HandlerError, PayloadError.
        """
        adopt.collect(REGISTRY)
        record = self.record(task_id)
        task = Task(
            record.id,
            record.queue,
            b"",
            record.payload,
            record.type,
            record.retry,
            record.max_retry,
        )
        return self._inline.run(task, self.worker.contexts if self.worker else None)

    # --- worker ---------------------------------------------------------------------------------

    def start_worker(
        self,
        *names: str,
        concurrency: int | None = None,
        store_results: bool | None = None,
        executor: str | Executor | None = None,
        config: str | Path | None = None,
        **options: object,
    ) -> Worker:
        """Starts the worker, or has the running one serve these queues too.

        A name covers the queue itself and all sub-queues of that parent. `config` is a runqy
        worker's config.yml, whose values the arguments override. `executor` says where handlers
        run: "thread", "process", or an executor of yours, which stays yours. Raises LoadError when
        a @load function raises, HandlerError when no queue is named anywhere or a handler cannot
        run there, SettingsError.
        """
        adopt.collect(REGISTRY)
        path = config or self.settings.config_file
        file = read_worker_file(path) if path else WorkerFile(())
        asked = {"concurrency": concurrency, "store_results": store_results, **options}
        lent = executor if isinstance(executor, Executor) else None
        if lent is None:
            asked["executor"] = executor
        values = {**file.settings, **{k: v for k, v in asked.items() if v is not None}}
        settings = _with(self.settings, values)
        serve = names or file.queues or _named(self.settings.queue)
        if not serve:
            raise HandlerError(
                "No queue to serve: name one (start_worker('inference'), %runqy worker start "
                "inference), or set one (%config Runqy.queue = 'inference', RUNQY_QUEUE)."
            )
        if self.worker is None:
            worker = self._new_worker(serve, settings, file.priorities, lent)
            worker.start()
            self.worker = worker
            self._subscriber.hear_channel(self._broker.channels.control, self._asked)
        else:
            self.worker.serve(serve)
            _warn_of_what_stays(
                self.worker.settings, {**values, "executor": lent} if lent else values
            )
            if "concurrency" in values:
                self.worker.resize(settings.concurrency)
        self._names.serve(serve)
        self._courier.start()
        return self.worker

    def stop_worker(self, seconds: float | None = None) -> Stopped | None:
        """Stops the worker, if one runs: running tasks get `seconds` (by default the setting
        shutdown_timeout) to end, then go back to their queue.
        """
        stopped = self._stop_worker(seconds)
        if stopped is not None:
            self._look_after_what_waits()
        return stopped

    def close(self) -> None:
        """Stops worker, lesson, receiver, and ends the connections; tasks stay where they are."""
        self.is_closed = True
        self.stop_lesson()
        self._stop_worker(None)
        self.webhooks.stop()
        self._sweeper.stop()
        self._inline.close()
        self._close_outbox()
        self._subscriber.stop()
        self.server.client.close()

    # --- inside ---------------------------------------------------------------------------------

    def _stop_worker(self, seconds: float | None) -> Stopped | None:
        worker, self.worker = self.worker, None
        self._names.serve_nothing()
        return worker.stop(seconds) if worker else None

    def _look_after_what_waits(self) -> None:
        """Sees to it that retries and scheduled tasks come due although our worker is gone."""
        try:
            with explained(self.server.where):
                records = self._inspector.queue_records(scan=False)
        except ConnectionFailedError:
            return
        for record in records:
            if record.retry or record.scheduled:
                self._sweeper.look_after(record.queue)

    def _new_worker(
        self,
        names: Sequence[str],
        settings: Settings,
        priorities: Mapping[str, int],
        executor: Executor | None,
    ) -> Worker:
        from runqy_notebook.worker.worker import Worker  # with all that it needs

        return Worker(
            self._broker,
            names,
            settings,
            priorities=priorities,
            on_outcome=self._inbox.deliver,
            on_notice=self._on_notice,
            events=self.events,
            addressing=self._addressing(),
            executor=executor,
        )


def _retention(settings: Settings) -> Retention:
    return Retention(
        settings.completed_ttl,
        settings.completed_cap,
        settings.archived_ttl,
        settings.archived_cap,
        settings.crash_limit,
        settings.deliveries_ttl,
        settings.deliveries_cap,
        url_lane(settings),
    )


def _named(queue: str | None) -> tuple[str, ...]:
    return (queue,) if queue else ()


def _warn_of_what_stays(settings: Settings, values: Mapping[str, object]) -> None:
    stays = [n for n, v in values.items() if n != "concurrency" and getattr(settings, n) != v]
    if stays:
        tell(
            f"A worker is running already and keeps its {', '.join(stays)}: stop it first "
            "(%runqy worker stop) to start one with others."
        )


def _with(settings: Settings, values: Mapping[str, object]) -> Settings:
    checked: dict[str, Any] = {n: converted(n, v, "an argument") for n, v in values.items()}
    return replace(settings, **checked)
