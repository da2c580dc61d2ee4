"""Where a lesson is given: its worker, what is known of the queue, and how a move is recorded."""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from runqy_notebook.broker.detour import upstream_of
from runqy_notebook.broker.exchanges import Retention
from runqy_notebook.broker.keys import Keys, Snapshot
from runqy_notebook.broker.monitor import Monitor
from runqy_notebook.broker.server import Server
from runqy_notebook.lesson import words
from runqy_notebook.lesson.changes import changes
from runqy_notebook.lesson.moves import Kind, Move, parted
from runqy_notebook.lesson.orders import Orders
from runqy_notebook.lesson.proxy import Proxy
from runqy_notebook.lesson.scene import At, Scene, scene_of
from runqy_notebook.lesson.stepper import DeadError, Stepper
from runqy_notebook.settings import Settings

MOST_MOVES: Final = 200
_MOST_IDS: Final = 12


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of a move: words, or what says them of the keys as they are after it; the move's
    kind where that is another one than was begun; what the handler printed.
    """

    words: str | Callable[[Snapshot], str]
    kind: Kind | None = None
    lines: tuple[str, ...] = ()


class Stage:
    """Shared by what makes moves and what makes faults, on the lesson's one thread; others may
    read, and wait with `stopping` set.
    """

    def __init__(
        self, server: Server, queue: str, settings: Settings, retention: Retention
    ) -> None:
        self.server = server
        self.queue = queue
        self.settings = settings
        self.keys = Keys(server.client, server.where, queue)
        upstream = upstream_of(server.client)
        self.proxy = Proxy(upstream) if upstream is not None else None
        self.worker: Stepper | None = None
        self.workers: set[str] = set()  # the ids of those that there were
        self.loses_reply = False  # the next acknowledgement's
        self.looks_around = False  # the next move is a sweep, as something went wrong
        self.killed: Kind | None = None  # a worker that ran a handler was, so
        self.moves: deque[Move] = deque(maxlen=MOST_MOVES)
        self.scene = Scene(queue, {}, {})
        self.doing = ""  # what goes on just now
        self.stopping = threading.Event()
        self.listeners: list[Callable[[], None]] = []
        self._retention = retention
        self._name = f"runqy-lesson-{secrets.token_hex(4)}"
        self._slot = ""  # where the worker's last answer is kept
        self._ids: dict[str, None] = {}  # tasks that were moved, the latest last
        self._is_dead = False
        self._number = 0

    # --- the worker -----------------------------------------------------------------------------

    def start_worker(self) -> Stepper:
        """Starts a worker."""
        self.worker = worker = Stepper(self._orders())
        self._is_dead = False
        self.workers.add(worker.id)
        self._slot = f"{worker.id}/1"
        return worker

    def lose_worker(self) -> Stepper:
        """Takes leave of a dead worker."""
        worker, self.worker = self.worker, None
        assert worker is not None  # noqa: S101 - there was one
        self._is_dead, self.killed = True, None
        worker.close()
        return worker

    # --- moves ----------------------------------------------------------------------------------

    def move(
        self, kind: Kind, act: Callable[[Snapshot], Said], monitor: Monitor | None = None
    ) -> Move:
        """Makes a move: the keys are read before and after, and what the server is asked meanwhile
        is recorded. A worker that dies of it is the move, too.
        """
        if not self.doing:
            self.say(str(kind))
        before = self.read()
        start = self.seen(before)
        monitor = monitor or self.monitor()
        with monitor:
            try:
                said = act(before)
            except DeadError:
                said = Said(words.died(self.worker.task if self.worker else None))
            if self.worker is not None and not monitor.mark:
                monitor.mark = self.worker.id
        if self.worker is not None and self.worker.task is not None:
            self.remember(self.worker.task.id)
        after = self.read()
        self.scene = self.seen(after)
        kind = said.kind or kind
        commands, meanwhile = parted(monitor.commands, kind)
        self._number += 1
        made = Move(
            self._number,
            kind,
            said.words if isinstance(said.words, str) else said.words(after),
            start,
            self.scene,
            commands,
            meanwhile,
            changes(before, after),
            monitor.refusal,
            said.lines,
        )
        self.moves.append(made)
        return made

    def monitor(self) -> Monitor:
        """Records what the worker asks, and what others do in its name."""
        return Monitor(self.server.client, self._name, self.worker.id if self.worker else "")

    def read(self) -> Snapshot:
        """The keys now; raises ConnectionFailedError."""
        return self.keys.read(list(reversed(self._ids)), slot=self._slot)

    def seen(self, snapshot: Snapshot) -> Scene:
        """The scene that these keys show."""
        worker = self.worker
        holds = worker.task.id if worker and worker.task else ""
        return scene_of(self.queue, snapshot, self._at(), holds, loses_reply=self.loses_reply)

    def remember(self, task_id: str) -> None:
        """Has this task looked at in what follows, wherever it stands."""
        self._ids.pop(task_id, None)
        self._ids[task_id] = None
        while len(self._ids) > _MOST_IDS:
            del self._ids[next(iter(self._ids))]

    def pause(self, seconds: float) -> None:
        """Waits, unless the lesson is stopped."""
        if seconds > 0:
            self.stopping.wait(seconds)

    def say(self, what: str) -> None:
        """Tells what goes on."""
        self.doing = what
        self.tell()

    def tell(self) -> None:
        """Calls whoever watches."""
        for listener in list(self.listeners):
            listener()

    # --- inside ---------------------------------------------------------------------------------

    def _at(self) -> At:
        worker = self.worker
        if worker is None:
            return At.DEAD if self._is_dead else At.NONE
        if worker.is_unanswered:
            return At.UNANSWERED
        if worker.outcome is not None:
            return At.DONE
        if worker.is_running:
            return At.RUNS
        return At.HOLDS if worker.task is not None else At.IDLE

    def _orders(self) -> Orders:
        assert self.server.url is not None  # noqa: S101 - a lesson begins only with one
        by = self.proxy.address if self.proxy else None
        return Orders(
            self.server.url,
            by,
            self._name,
            self.queue,
            self.settings,
            self._retention,
            tuple(sys.path),
            os.getcwd(),
        )
