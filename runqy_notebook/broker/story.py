"""All that Redis tells of one task: what is shown of it after a restart, or in another kernel."""

from __future__ import annotations

from dataclasses import dataclass

from runqy_notebook.broker.inspect import Inspector
from runqy_notebook.broker.notes import Said
from runqy_notebook.broker.records import TaskRecord


@dataclass(frozen=True, slots=True)
class Story:
    """A task's record, what its handler said last, and its result as JSON, not yet trusted, where
    it is completed and the result was stored.
    """

    record: TaskRecord
    said: Said
    result: bytes | None = None


def read_story(inspector: Inspector, task_id: str) -> Story:
    """What is known of the task now; raises UnknownTaskError and WrongTypeError."""
    record = inspector.task(task_id)
    (standing,) = inspector.standings([task_id])
    is_there = record.state.is_finished and standing.state is record.state
    return Story(record, inspector.said(task_id), standing.result if is_there else None)
