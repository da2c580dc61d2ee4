"""The faults of a lesson, each a real one."""

from __future__ import annotations

from runqy_notebook.broker import faults
from runqy_notebook.broker.keys import Snapshot
from runqy_notebook.errors import LessonError
from runqy_notebook.lesson import words
from runqy_notebook.lesson.burying import buried, died
from runqy_notebook.lesson.moves import Kind, Move
from runqy_notebook.lesson.stage import Said, Stage
from runqy_notebook.lesson.turns import Turns


class Faults:
    """Makes faults between the moves."""

    def __init__(self, stage: Stage, turns: Turns) -> None:
        self._stage = stage
        self._turns = turns

    def why_not(self, kind: Kind) -> str:
        """Why this fault cannot be made here; empty where it can."""
        if kind is Kind.FREEZE:
            return faults.why_not(self._stage.server)
        if kind is Kind.LOSE and self._stage.proxy is None:
            return "the connection is encrypted (TLS), so nobody in between can pick a reply"
        if kind is Kind.KILL_BOTH and not self._stage.settings.guardian:
            return "workers have no guardian here (setting guardian)"
        return ""

    def make(self, kind: Kind) -> Move:
        """Makes it; raises LessonError where it cannot be made."""
        if reason := self.why_not(kind):
            raise LessonError(f"This fault cannot be made here: {reason}.")
        if kind is Kind.LOSE:
            return self._lose()
        if kind is Kind.FREEZE:
            return self._freeze()
        return self._push_orphan() if kind is Kind.ORPHAN else self._kill(kind)

    def kill_at_once(self, kind: Kind) -> None:
        """Kills a worker that runs a handler; called on another thread than the lesson's."""
        stage = self._stage
        worker, stage.killed = stage.worker, kind
        if worker is not None:
            if kind is Kind.KILL_BOTH:
                worker.kill_guardian()
            worker.kill()

    def _kill(self, kind: Kind) -> Move:
        stage = self._stage
        worker = stage.worker
        if worker is None:
            raise LessonError("There is no worker to kill: Next starts one.")
        if not worker.is_alive:
            return died(stage)
        is_to_run = bool(worker.task) and worker.outcome is None and not worker.is_unanswered
        if is_to_run:
            self._turns.define(worker)

        def act(before: Snapshot) -> Said:
            when = "before the acknowledgement, when the handler had run"
            if worker.is_unanswered:
                when = "before it asked again"
            if is_to_run:
                stage.say("the handler is called")
                is_over = worker.run(halt=lambda: True) is not None
                when = "just when the handler had ended" if is_over else "in the middle of the task"
            both = kind is Kind.KILL_BOTH
            if both:
                worker.kill_guardian()
            worker.kill()
            return Said(buried(stage, before, "was killed (SIGKILL)", when, both=both))

        return stage.move(kind, act)

    def _lose(self) -> Move:
        worker = self._stage.worker
        if worker is not None and worker.is_alive and worker.outcome and not worker.is_unanswered:
            return self._turns.acknowledge(worker, loses=True)
        self._stage.loses_reply = True
        return self._stage.move(Kind.LOSE, lambda before: Said(words.will_lose()))

    def _freeze(self) -> Move:
        stage = self._stage
        lease = stage.settings.lease
        seconds = lease + 1.0

        def act(before: Snapshot) -> Said:
            stage.say(f"the server is frozen for {seconds:g} s")
            faults.freeze(stage.server, seconds, stage.pause)
            stage.looks_around = True
            held = stage.worker.task if stage.worker else None
            return Said(words.frozen(seconds, lease, held))

        return stage.move(Kind.FREEZE, act)

    def _push_orphan(self) -> Move:
        stage = self._stage
        monitor = stage.monitor()

        def act(before: Snapshot) -> Said:
            monitor.mark = task_id = faults.push_orphan(stage.server, stage.queue)
            stage.remember(task_id)
            return Said(words.pushed(task_id))

        return stage.move(Kind.ORPHAN, act, monitor)
