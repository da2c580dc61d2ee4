"""The part of a session that teaches: one lesson at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runqy_notebook import adopt
from runqy_notebook.delivering import Delivering
from runqy_notebook.naming import Names
from runqy_notebook.tasks import REGISTRY

if TYPE_CHECKING:
    from runqy_notebook.lesson.lesson import Lesson


class Teaching(Delivering):
    """What gives lessons."""

    lesson: Lesson | None = None
    _names: Names

    def step(self, queue: str) -> Lesson:
        """The lesson on this queue: a worker that makes one move at a time (`lesson.next()`), and
        faults to try it with. The one that goes on there, or a new one; one elsewhere is ended.
        Raises LessonError where none can be given, QueueNameError.
        """
        from runqy_notebook.lesson.lesson import Lesson  # few need it

        adopt.collect(REGISTRY)
        target = self._names.target(queue)
        if self.lesson is not None and self.lesson.queue == target and not self.lesson.is_over:
            return self.lesson
        self.stop_lesson()
        self.lesson = Lesson(
            self.server,
            target,
            self.settings,
            self._broker.retention,
            addressing=self._addressing(),
            on_outcome=self._inbox.deliver,
            is_served=lambda: self._serves(target),
        )
        return self.lesson

    def stop_lesson(self) -> str:
        """Ends the lesson, if there is one: what its worker holds goes back. Gives what there is to
        tell.
        """
        lesson, self.lesson = self.lesson, None
        return lesson.stop() if lesson is not None else ""

    def _serves(self, queue: str) -> bool:
        """Whether the worker of this process takes tasks from the queue."""
        worker = self.worker
        return bool(worker and not worker.is_paused and worker.serving.selects(queue))
