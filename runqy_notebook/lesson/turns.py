"""The moves of a lesson's worker, in their order."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from runqy_notebook.broker.keys import Snapshot
from runqy_notebook.errors import HandlerError, LessonError
from runqy_notebook.lesson import words
from runqy_notebook.lesson.burying import buried, died
from runqy_notebook.lesson.due import due_in, is_due, waiting_for_their_time
from runqy_notebook.lesson.moves import Kind, Move
from runqy_notebook.lesson.stage import Said, Stage
from runqy_notebook.lesson.stepper import DeadError, Stepper
from runqy_notebook.registry import Registry
from runqy_notebook.wire.outcomes import Outcome
from runqy_notebook.wire.states import State
from runqy_notebook.worker.addressing import Addressing
from runqy_notebook.worker.portable import NotPortableError

MOST_WAITED: Final = 15.0
"""Seconds that Next waits for what comes due; what is further off is only told."""

_SWEEP_EVERY: Final = 0.45  # seconds: sooner a sweep passes the queue over


class Turns:
    """Makes the worker's moves. `on_outcome` is told what was written down; `is_served` tells
    whether a worker of this kernel takes the tasks.
    """

    def __init__(
        self,
        stage: Stage,
        registry: Registry,
        addressing: Addressing,
        on_outcome: Callable[[Outcome], None],
        is_served: Callable[[], bool],
    ) -> None:
        self._stage = stage
        self._registry = registry
        self._addressing = addressing
        self._on_outcome = on_outcome
        self._is_served = is_served
        self._unanswered: Outcome | None = None  # it was written down, and the reply lost
        self._swept_at = 0.0

    def next(self) -> Move:
        """The move that comes next."""
        stage = self._stage
        worker = stage.worker
        if worker is None:
            return self._start()
        if not worker.is_alive:
            return died(stage)
        if worker.is_unanswered:
            return self._again(worker)
        if stage.looks_around:
            return self._sweep(worker)
        if worker.outcome is not None:
            return self.acknowledge(worker)
        if worker.task is not None:
            return self._run(worker)
        seen = stage.read()
        due = (seen, stage.keys, stage.workers, stage.settings.lease)
        if is_due(*due):
            return self._sweep(worker)
        has_handler = self._registry.serves(stage.queue)
        if seen.counts[State.PENDING] and not seen.is_paused and has_handler:
            return self._claim(worker)
        wait = due_in(*due)
        if wait is not None and wait <= MOST_WAITED and not seen.is_paused:
            return self._sweep(worker, wait)
        told = words.nothing(seen, stage.queue, wait, has_handler=has_handler)
        return stage.move(Kind.NOTHING, lambda before: Said(told))

    def acknowledge(self, worker: Stepper, *, loses: bool = False) -> Move:
        """Has the outcome written down; with `loses` its reply is lost."""
        stage, outcome = self._stage, worker.outcome
        assert outcome is not None  # noqa: S101 - asked before
        addressed = self._addressing.addressed(outcome)
        loses |= stage.loses_reply

        def act(before: Snapshot) -> Said:
            if loses and stage.proxy is not None:
                stage.proxy.lose_reply()
            stage.loses_reply = False
            told = worker.acknowledge(getattr(addressed, "parcel", None))
            if stage.proxy is not None:
                stage.proxy.spare_reply()
            if "lost" in told:
                self._unanswered = addressed
                return Said(words.unanswered() if loses else words.failed(told["lost"]))
            self._settled(addressed, told["answers"])
            return Said(words.acknowledged(outcome, told, again=False))

        return stage.move(Kind.LOSE if loses else Kind.ACKNOWLEDGE, act)

    def define(self, worker: Stepper) -> None:
        """Has the worker use the handlers as they are now; raises HandlerError."""
        queue = self._stage.queue
        try:
            worker.define(self._registry, queue)
        except NotPortableError as error:
            raise HandlerError(
                f"The handler for {queue} cannot run in the lesson's process: {error}. Make what "
                "it needs in the handler, or in @load."
            ) from None

    def leave(self, worker: Stepper) -> str:
        """Has what was done written down; the worker gives back the rest, and ends. The id of a
        task that went back.
        """
        outcome = worker.outcome
        if worker.is_alive and outcome is not None:
            addressed = self._unanswered or self._addressing.addressed(outcome)
            if worker.is_unanswered:
                told = worker.again()
            else:
                told = worker.acknowledge(getattr(addressed, "parcel", None))
            if "lost" not in told:
                self._settled(addressed, told["answers"])
        return worker.leave()

    # --- inside ---------------------------------------------------------------------------------

    def _start(self) -> Move:
        stage = self._stage
        if self._is_served():
            raise LessonError(
                f"The worker of this kernel serves {stage.queue} and is quicker than any lesson: "
                "%runqy worker pause, or stop."
            )

        def act(before: Snapshot) -> Said:
            worker = stage.start_worker()
            return Said(words.started(worker.id, worker.pid, worker.guardian))

        return stage.move(Kind.START, act)

    def _claim(self, worker: Stepper) -> Move:
        def act(before: Snapshot) -> Said:
            told = worker.claim()
            if "lost" in told:
                return Said(words.failed(told["lost"]))
            if worker.task:
                return Said(words.claimed([worker.task], self._stage.settings.lease))
            return Said(lambda after: words.not_claimed(list(after.waiting), told["unsound"]))

        return self._stage.move(Kind.CLAIM, act)

    def _run(self, worker: Stepper) -> Move:
        stage, task = self._stage, worker.task
        assert task is not None  # noqa: S101 - asked before
        self.define(worker)

        def act(before: Snapshot) -> Said:
            stage.say("the handler runs")
            try:
                ran = worker.run()
            except DeadError:
                if stage.stopping.is_set():
                    raise LessonError("The lesson was stopped while the handler ran.") from None
                killed = stage.killed
                how = "was killed (SIGKILL)" if killed else "died"
                both = killed is Kind.KILL_BOTH
                told = buried(stage, before, how, "while the handler ran", both=both)
                return Said(told, killed or Kind.DIED)
            assert ran is not None  # noqa: S101 - nothing halts it
            return Said(words.ran(task, ran.outcome, ran.seconds), lines=ran.lines)

        return stage.move(Kind.RUN, act)

    def _again(self, worker: Stepper) -> Move:
        def act(before: Snapshot) -> Said:
            outcome = worker.outcome
            told = worker.again()
            if "lost" in told:
                return Said(words.failed(told["lost"]))
            if outcome is not None:
                self._settled(self._unanswered or outcome, told["answers"])
                return Said(words.acknowledged(outcome, told, again=True))
            tasks, lease = told["tasks"], self._stage.settings.lease
            return Said(words.claimed(tasks, lease) if tasks else words.not_claimed([]))

        return self._stage.move(Kind.AGAIN, act)

    def _sweep(self, worker: Stepper, wait: float = 0.0) -> Move:
        stage = self._stage

        def act(before: Snapshot) -> Said:
            found = worker.sweep()
            self._swept_at = time.monotonic()
            why = words.nothing_lost(worker.task) if stage.looks_around else ""
            stage.looks_around = False
            later = waiting_for_their_time(before, stage.keys)

            def told(after: Snapshot) -> str:
                due = [task_id for task_id in later if task_id in after.places[State.PENDING]]
                return words.swept(found, due, after, why)

            return Said(told)

        if wait > 0:
            stage.say(f"waits {wait:.1f} s for what comes due")
            stage.pause(wait + 0.02)
        stage.pause(self._swept_at + _SWEEP_EVERY - time.monotonic())
        return stage.move(Kind.SWEEP, act)

    def _settled(self, addressed: Outcome, answers: list[str]) -> None:
        self._unanswered = None
        self._addressing.posted((addressed,), answers[:1])
        if answers[:1] == ["OK"]:
            self._on_outcome(addressed)
