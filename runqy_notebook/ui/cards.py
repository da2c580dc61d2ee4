"""The cards and streams of a notebook: which belongs to which handle, and who hears what."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from runqy_notebook.errors import UnknownTaskError
from runqy_notebook.events import Subscription
from runqy_notebook.handles import TaskGroup, TaskHandle
from runqy_notebook.session import Session
from runqy_notebook.ui.buttons import OF_QUEUE
from runqy_notebook.ui.card import TaskCard
from runqy_notebook.ui.early import Early
from runqy_notebook.ui.foreign import ForeignTasks
from runqy_notebook.ui.group_card import GroupCard
from runqy_notebook.ui.publish import Publisher, Surface
from runqy_notebook.ui.resting import Resting
from runqy_notebook.ui.stream import Stream, Wanted
from runqy_notebook.ui.view import TaskView, of_record, with_result, with_said
from runqy_notebook.ui.watch import Watch

MOST_CARDS: Final = 20
"""Cards that one run of a cell gets by enqueueing; a loop's further tasks are handles only."""

Made: TypeAlias = TaskHandle | TaskGroup
Card: TypeAlias = TaskCard | GroupCard | Stream
ShowNew: TypeAlias = Callable[[Made], None]


class Cards:
    """Those of one shell, for one session at a time."""

    def __init__(self, shell: Any, publisher: Publisher) -> None:
        self.publisher = publisher
        self._shell = shell
        self._session: Session | None = None
        self._watch: Watch | None = None
        self._resting: Resting | None = None
        self._cards: weakref.WeakKeyDictionary[Made, TaskCard | GroupCard] = (
            weakref.WeakKeyDictionary()
        )
        self._subscriptions: dict[Card, Subscription] = {}
        self._shown_in: weakref.WeakKeyDictionary[Made, object] = weakref.WeakKeyDictionary()
        self._cell: object = None
        self._n_in_cell = 0

    @contextmanager
    def enqueueing(self, session: Session, queue: str) -> Iterator[ShowNew]:
        """Listens to a queue while a task is written there, so that its card misses nothing; gives
        what shows the card.
        """
        self._use(session)
        # Of this process's hub: `enqueue` itself sees to it that others are heard of the queue.
        early = Early(session.events, queue)
        try:
            yield lambda made: self._show_new(session, made, early)
        finally:
            early.end()

    def show(self, session: Session, made: Made, early: Early | None = None) -> None:
        """Shows the card of a handle or group in this cell: the one there is, or a new one."""
        self._use(session)
        if self._shown_in.get(made, _NOWHERE) is self.publisher.cell:
            return
        self._shown_in[made] = self.publisher.cell
        card = self._cards.get(made)
        if card is None:
            card = self._cards[made] = self._new(session, made, self.publisher, early)
        card.show()
        if card not in self._subscriptions and not card.is_over:
            self._hear(session, card, *_of(made))  # it has buttons once more

    def show_on(self, session: Session, made: Made, surface: Surface) -> Callable[[], None]:
        """Shows a card of its own there; gives what lets go of it."""
        self._use(session)
        card = self._new(session, made, surface)
        card.show()

        def leave() -> None:
            if self._watch is not None:
                self._watch.forget(card)
            if card in self._subscriptions:
                self._over(card)
            if self._resting is not None:
                self._resting.forget(card)
            card.take_away()

        return leave

    def hide(self, made: Made) -> None:
        """Shows nothing of it in this cell."""
        self._shown_in[made] = self.publisher.cell

    def stream(self, session: Session, wanted: Wanted) -> Stream:
        """A stream that takes events from now on; not shown yet."""
        self._use(session)
        for running in self._streams():
            if running.wanted == wanted:  # a cell run again
                running.end()
                self._over(running)
        foreign = ForeignTasks(session, wanted.names)
        foreign.look()  # who is there already
        stream = Stream(wanted, self.publisher, foreign)
        ids = (wanted.task_id,) if wanted.task_id else ()
        self._hear(session, stream, wanted.names, ids)
        return stream

    def stop_streams(self, why: str) -> int:
        """Ends all streams; how many there were."""
        running = self._streams()
        for stream in running:
            stream.end(why)
            self._over(stream)
        return len(running)

    def leave(self, why: str) -> None:
        """Freezes what is live."""
        for card in list(self._subscriptions):
            card.end(why)
            self._over(card)
        self._session = None
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        if self._resting is not None:
            self._resting.leave()
            self._resting = None

    # --- inside ---------------------------------------------------------------------------------

    def _streams(self) -> list[Stream]:
        return [c for c in list(self._subscriptions) if isinstance(c, Stream) and not c.is_ended]

    def _show_new(self, session: Session, made: Made, early: Early) -> None:
        """Shows the card of what a cell enqueued; not of the twenty-first."""
        if self._cell is not self.publisher.cell:
            self._cell, self._n_in_cell = self.publisher.cell, 0
        self._n_in_cell += 1
        if self._n_in_cell <= MOST_CARDS:
            self.show(session, made, early)
            return
        self.hide(made)
        if self._n_in_cell == MOST_CARDS + 1:
            print(f"The tasks after these {MOST_CARDS} get no card: %runqy stream shows all.")

    def _new(
        self, session: Session, made: Made, surface: Surface, early: Early | None = None
    ) -> TaskCard | GroupCard:
        card: TaskCard | GroupCard
        queues, ids = _of(made)
        has_heard = early is not None and early.has_heard  # before the card takes it
        if isinstance(made, TaskHandle):
            knows = early is not None and early.knows_of(ids)
            view = self._first_view(session, made, is_heard=knows)
            card = self._new_task_card(session, made, view, surface)
        else:
            card = self._new_group_card(session, made, queues, surface)
        self._hear(session, card, queues, ids, early)
        for event in session.echoed(made.id) if isinstance(made, TaskHandle) else ():
            card.take(event)  # those it heard just now it takes once
        card.begin()
        if isinstance(card, TaskCard) and card.view.is_done and not has_heard:
            self._over(card)
        return card

    def _new_task_card(
        self, session: Session, handle: TaskHandle, view: TaskView, surface: Surface
    ) -> TaskCard:
        # Cards are known by handles that somebody holds: not by this.
        task_id, queue = handle.id, handle.queue

        def act(action: str) -> None:
            if action == "retry":
                self._cards[card.run_again(lambda: session.run_now(task_id))] = card
            elif action in OF_QUEUE:
                getattr(session, action)(queue)
            else:
                getattr(session, action)(task_id)

        card = TaskCard(handle, view, surface, self._shell, act)
        return card

    def _new_group_card(
        self,
        session: Session,
        group: TaskGroup,
        queues: tuple[str, ...],
        surface: Surface,
    ) -> GroupCard:
        def act(action: str) -> None:
            if action == "cancel":
                session.cancel_many(card.unfinished)
            else:
                getattr(session, action)(queues[0])

        card = GroupCard(group, surface, act)
        if len(queues) == 1:
            card.learn_whether_paused(session.is_paused(queues[0]))
        return card

    def _first_view(self, session: Session, handle: TaskHandle, *, is_heard: bool) -> TaskView:
        """What Redis says and keeps of the task; where all of it was heard, that tells it."""
        try:
            if is_heard:
                view = of_record(session.record(handle.id))
                if handle.is_done:
                    return view
                return TaskView(
                    view.id, view.queue, attempts=view.attempts, enqueued_at=view.enqueued_at
                )
            story = session.story(handle.id)
        except UnknownTaskError:
            return TaskView(handle.id, handle.queue)
        view = of_record(story.record)
        if story.result is not None and not handle.is_done:
            view = with_result(view, story.result)
        return with_said(view, story.said)

    def _hear(
        self,
        session: Session,
        card: Card,
        names: tuple[str, ...],
        ids: frozenset[str] | tuple[str, ...],
        early: Early | None = None,
    ) -> None:
        """Has the card take these events, first those heard already; none twice."""
        if early is None:
            self._subscriptions[card] = session.listen(card.take, names=names, ids=ids)
        else:
            self._subscriptions[card] = early.give(card.take, names, ids)
        if self._resting is not None and not isinstance(card, Stream):
            self._resting.forget(card)
        if self._watch is not None:
            self._watch.add(card)

    def _use(self, session: Session) -> None:
        if session is not self._session:
            self.leave("disconnected")
            self._session, self._resting = session, Resting(session)
            self._watch = Watch(session, self._over, self._lost)

    def _lost(self) -> None:
        """The session is not the current one any more."""
        self.leave("disconnected")

    def _over(self, card: Any) -> None:
        """Has a finished card hear of webhooks only; it lets go of handle and result, which would
        never be forgotten otherwise.
        """
        card.close()
        subscription = self._subscriptions.pop(card, None)
        if subscription is not None and self._session is not None:
            if self._resting is not None and not isinstance(card, Stream):
                self._resting.add(card, card.ids, subscription)
            self._session.unlisten(subscription)


_NOWHERE: Final = object()


def _of(made: Made) -> tuple[tuple[str, ...], frozenset[str]]:
    """The queues and the ids of its tasks."""
    if isinstance(made, TaskHandle):
        return (made.queue,), frozenset({made.id})
    return tuple(sorted({handle.queue for handle in made})), frozenset(made.ids)
