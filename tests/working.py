"""Workers of tests: handlers of a registry of their own, and an oracle of what ran."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import redis as redis_py

from runqy_notebook.broker.broker import Broker
from runqy_notebook.broker.connect import open_client
from runqy_notebook.broker.exchanges import Retention
from runqy_notebook.events import Events
from runqy_notebook.registry import Handler, Loader, Registry
from runqy_notebook.settings import Settings
from runqy_notebook.wire.outcomes import Outcome
from runqy_notebook.worker.worker import Worker

QUICK = Settings(retry_delay=0.0, shutdown_timeout=0.5)
KEPT = Retention(completed_ttl=3600, completed_cap=1000, archived_ttl=3600, archived_cap=1000)


def registry_of(
    function: Callable[..., Any] | None = None, queue: str | None = None, **options: Any
) -> Registry:
    """A registry with this one handler."""
    registry = Registry()
    if function is not None:
        add(registry, function, queue, **options)
    return registry


def add(
    registry: Registry, function: Callable[..., Any], queue: str | None = None, **options: Any
) -> None:
    registry.add(Handler(function, queue, **options))


def add_loader(registry: Registry, function: Callable[..., Any], queue: str | None = None) -> None:
    registry.add_loader(Loader(function, queue))


def new_worker(
    server: str | redis_py.Redis,
    registry: Registry,
    *names: str,
    priorities: Mapping[str, int] | None = None,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
    on_notice: Callable[[str], None] = lambda text: None,
    events: Events | None = None,
    executor: str | Executor = "thread",
    **settings: Any,
) -> Worker:
    """A worker that was not started yet."""
    is_named = isinstance(executor, str)
    client = open_client(server) if isinstance(server, str) else server
    return Worker(
        Broker(client, "the test server", KEPT),
        names or ("mail",),
        replace(QUICK, **settings, **({"executor": executor} if is_named else {})),
        registry=registry,
        priorities=priorities,
        on_outcome=on_outcome,
        on_notice=on_notice,
        events=events,
        executor=None if isinstance(executor, str) else executor,
    )


@contextmanager
def working(
    server: str | redis_py.Redis, registry: Registry, *names: str, **options: Any
) -> Iterator[Worker]:
    """A worker that serves these queues ("mail" by default) and is stopped at the end."""
    worker = new_worker(server, registry, *names, **options)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


class Log:
    """What handlers did, by payload or task id, in order; the oracle outside the queue."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self._lock = threading.Lock()
        self._now = 0
        self.most_at_once = 0

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, entry: Any) -> None:
        with self._lock:
            self.entries.append(entry)

    def note(self, payload: Any) -> None:
        """A handler that notes the id of its task."""
        self.add(payload.get("task_id"))

    @contextmanager
    def running(self, entry: Any) -> Iterator[None]:
        with self._lock:
            self.entries.append(entry)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1


def told(worker: Worker, text: str) -> list[str]:
    """The notices that contain this text."""
    return [notice for notice in list(worker.notices) if text in notice]
