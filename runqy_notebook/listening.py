"""What a session hears: from its own worker, and from whoever else works on its tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from runqy_notebook.broker.broker import Broker
from runqy_notebook.broker.exchanges import Enqueued, Retention
from runqy_notebook.broker.heartbeat import new_worker_id
from runqy_notebook.broker.records import Standing
from runqy_notebook.broker.server import Server
from runqy_notebook.broker.subscriber import Subscriber
from runqy_notebook.errors import one_line
from runqy_notebook.events import Events, Listener, Subscription
from runqy_notebook.handles import TaskHandle
from runqy_notebook.inbox import Inbox
from runqy_notebook.looking import Looking
from runqy_notebook.options import TaskOptions
from runqy_notebook.wire.events import Event, Kind
from runqy_notebook.wire.states import State


class Listening(Looking):
    """The hearing half of a session: `events` are handed to whoever asked, results to handles."""

    def __init__(
        self, server: Server, retention: Retention, on_notice: Callable[[str], None]
    ) -> None:
        super().__init__(server)
        self.id = new_worker_id()
        self.events = Events(self._fault)
        self._on_notice = on_notice
        self._inbox = Inbox()
        self._broker = Broker(server.client, server.where, retention, name=self.id)
        self._subscriber = Subscriber(
            server.client, self._broker.channels, self._heard, self._inbox.waits_in
        )

    def listen(
        self, listener: Listener, *, names: Iterable[str] = (), ids: Iterable[str] = ()
    ) -> Subscription:
        """Calls `listener` with every Event of the queues that `names` select, or of the tasks in
        `ids` that this session enqueued or has a handle of; without both, of all queues. It is
        called on any thread and is to be quick. `unlisten` ends it.
        """
        made = self.events.subscribe(listener, names=names, ids=ids)
        self._subscriber.hear_names(self._names_heard())
        return made

    def unlisten(self, subscription: Subscription) -> None:
        """Ends what `listen` began."""
        self.events.unsubscribe(subscription)
        self._subscriber.hear_names(self._names_heard())

    def _names_heard(self) -> set[str | None]:
        broad = [each for each in self.events.subscriptions if not each.ids]
        if any(not each.names for each in broad):
            return {None}
        return {name for each in broad for name in each.names}

    def _heard(self, event: Event) -> None:
        """Takes what others published."""
        if event.by and event.by in (self.id, self.worker and self.worker.id):
            return  # told already
        if event.kind is Kind.ECHO:
            return  # a receiver tells its own session alone: nobody else knows what it verified
        if event.kind is Kind.COMPLETED and event.result is not None:
            self._inbox.observe(Standing(event.task_id, State.COMPLETED, None, event.result))
        elif event.kind is Kind.ARCHIVED:
            self._inbox.observe(Standing(event.task_id, State.ARCHIVED, event.error, None))
        self.events.publish(event)

    def _tell_enqueued(
        self, handles: Sequence[TaskHandle], enqueued: Enqueued, options: TaskOptions
    ) -> None:
        """Tells the listeners of this process of the tasks that were written."""
        if self.events.subscriptions:
            state = State.SCHEDULED if options.is_for_later else State.PENDING
            due_at = options.due_at(enqueued.at)
            for i, handle in enumerate(handles):
                if i not in enqueued.existed:
                    told = (Kind.ENQUEUED, handle.id, handle.queue, enqueued.at, self.id, state)
                    self.events.publish(Event(*told, due_at=due_at))

    def _fault(self, error: BaseException) -> None:
        self._on_notice(f"Somebody who listens to events failed: {one_line(repr(error))}")
