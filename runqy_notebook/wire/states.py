"""The states of a task, as written to its hash and as keys of its queue."""

from __future__ import annotations

from enum import Enum


class State(str, Enum):
    """Where a task is. The value is the last part of the queue key that holds its id."""

    PENDING = "pending"
    ACTIVE = "active"
    SCHEDULED = "scheduled"
    RETRY = "retry"
    COMPLETED = "completed"
    ARCHIVED = "archived"

    def __str__(self) -> str:
        return self.value

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen to the task by itself."""
        return self in (State.COMPLETED, State.ARCHIVED)

    @property
    def is_list(self) -> bool:
        """Whether its key is a Redis list (pending, active); the others are sorted sets."""
        return self in (State.PENDING, State.ACTIVE)
