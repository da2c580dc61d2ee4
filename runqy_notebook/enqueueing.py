"""How a session puts tasks into queues."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from runqy_notebook.broker.exchanges import Enqueued, Retention
from runqy_notebook.broker.server import Server
from runqy_notebook.broker.writing import Entries, Writing
from runqy_notebook.echoing import Echoing
from runqy_notebook.errors import PayloadError, UsageError, tell
from runqy_notebook.handles import TaskGroup, TaskHandle
from runqy_notebook.naming import Names
from runqy_notebook.options import NO_OPTIONS, TaskOptions
from runqy_notebook.settings import Settings
from runqy_notebook.tasks import REGISTRY, Handler
from runqy_notebook.waiting import Source
from runqy_notebook.wire.payload import encode_payload, size_warning
from runqy_notebook.worker.sweeper import Sweeper

if TYPE_CHECKING:
    from runqy_notebook.worker.worker import Worker

BATCH = 500  # tasks written by one script call


class Enqueueing(Echoing):
    """The enqueueing part of a session."""

    source: Source
    _names: Names
    _sweeper: Sweeper
    worker: Worker | None

    def __init__(
        self, server: Server, retention: Retention, on_notice: Callable[[str], None]
    ) -> None:
        super().__init__(server, retention, on_notice)
        self._plain: dict[str, tuple[Handler | None, Settings, Writing]] = {}  # by queue

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
        target, wanted = self._names.target(queue), TaskOptions.of(self._resolved(options))
        text = _encoded(payload)
        task_id = wanted.id_for(target, text, id)
        entries = [(task_id, wanted.payload_for(task_id, text))]
        return self._enqueue(target, [entries], wanted)[0]

    def target(self, queue: str) -> str:
        """The queue that a task for this name goes to: itself, or a parent's default sub-queue.
        Raises QueueNameError, ConnectionFailedError.
        """
        return self._names.target(queue)

    def enqueue_many(self, queue: str, payloads: Iterable[object], **options: Any) -> TaskGroup:
        """Puts a task for each payload, 500 a round trip, and gives their handles in order.

        Nothing is sent before every payload was found to be JSON. Raises what `enqueue` raises;
        what was sent before that stays.
        """
        target, wanted = self._names.target(queue), TaskOptions.of(self._resolved(options))
        texts = _all_encoded(_each(payloads))
        parts = [texts[at : at + BATCH] for at in range(0, len(texts), BATCH)]
        batches = (_entries(target, part, wanted) for part in parts)
        return TaskGroup(self._enqueue(target, batches, wanted, len(parts)), self.source)

    # --- inside ---------------------------------------------------------------------------------

    def _enqueue(
        self, queue: str, batches: Iterable[Entries], options: TaskOptions, n_batches: int = 1
    ) -> list[TaskHandle]:
        self._subscriber.hear_queue(queue)  # before they are written, as `_expect` is called
        handler = REGISTRY.handler_for(queue, options.type)
        writing = self._writing(queue, options, handler)
        handles: list[TaskHandle] = []
        if n_batches == 1:
            (entries,) = batches
            handles = self._expect(queue, entries, options)
            worker = self.worker
            sent = partial(worker.expect, queue) if worker and not options.is_for_later else None
            handles = self._enqueued(handles, self._broker.write(writing, entries, sent), options)
        else:
            waiting: deque[list[TaskHandle]] = deque()

            def expected() -> Iterator[Entries]:
                for entries in batches:
                    waiting.append(self._expect(queue, entries, options))
                    yield entries

            for enqueued in self._broker.write_each(writing, expected()):
                handles += self._enqueued(waiting.popleft(), enqueued, options)
        if options.is_for_later:
            self._sweeper.look_after(queue)
        if options.deliver_to or (handler and handler.deliver_to):
            self._courier.start()
        return handles

    def _writing(self, queue: str, options: TaskOptions, handler: Handler | None) -> Writing:
        """What all tasks of a call have in common; without options it is made once for many."""
        known = self._plain.get(queue)
        if options is NO_OPTIONS and known and known[:2] == (handler, self.settings):
            return known[2]
        writing = self._broker.writing(
            queue,
            options.fields(handler, self.settings),
            unique_age=options.unique_age(self.settings),
            due=options.due,
        )
        if options is NO_OPTIONS:
            self._plain[queue] = (handler, self.settings, writing)
        return writing

    def _expect(self, queue: str, entries: Entries, options: TaskOptions) -> list[TaskHandle]:
        """Handles of tasks that are written next: they may be done before that call returns."""
        handles = [TaskHandle(task_id, queue, self.source) for task_id, _ in entries]
        self._inbox.expect(*handles)
        if options.webhook or options.deliver_to:
            self._expect_echoes(handles)
        return handles

    def _enqueued(
        self, handles: list[TaskHandle], enqueued: Enqueued, options: TaskOptions
    ) -> list[TaskHandle]:
        """Tells of the tasks that were written; a handle of each, the one there was before of those
        that existed.
        """
        self._tell_enqueued(handles, enqueued, options)
        if enqueued.existed:
            for i in sorted(enqueued.existed):
                handles[i] = self._inbox.same(handles[i])
        return handles


def _each(payloads: Any) -> Iterable[object]:
    """The payloads in what was given: the rows of a DataFrame, the items of anything else."""
    if isinstance(payloads, (Mapping, str, bytes)):
        raise UsageError(
            "enqueue_many takes several payloads, such as a list; use enqueue for one."
        )
    is_table = hasattr(payloads, "columns") and hasattr(payloads, "to_dict")
    rows: Iterable[object] = payloads.to_dict("records") if is_table else payloads
    return rows


def _entries(queue: str, texts: Sequence[bytes], options: TaskOptions) -> Entries:
    ids = options.ids_for(queue, texts)
    return list(zip(ids, map(options.payload_for, ids, texts), strict=True))


def _encoded(payload: object) -> bytes:
    text = encode_payload(payload)
    if warning := size_warning(len(text)):
        tell(warning)
    return text


def _all_encoded(payloads: Iterable[object]) -> list[bytes]:
    texts: list[bytes] = []
    try:
        for payload in payloads:
            texts.append(_encoded(payload))  # noqa: PERF401 - its length tells which one is wrong
    except PayloadError as error:
        path = f"payloads[{len(texts)}]" + error.path.removeprefix("payload")
        raise PayloadError(path, error.problem) from None
    return texts
