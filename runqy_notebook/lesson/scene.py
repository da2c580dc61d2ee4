"""Where the tasks of a queue are, and what the lesson's worker is at: what the picture shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from runqy_notebook.broker.keys import Snapshot
from runqy_notebook.wire.states import State

MOST_CHIPS = 12
"""Ids of one place that are kept: those that move next, or moved last."""


class Place(str, Enum):
    """Where an id can stand: the states, and the waiting room of ids without a hash."""

    SCHEDULED = "scheduled"
    PENDING = "pending"
    ACTIVE = "active"
    RETRY = "retry"
    COMPLETED = "completed"
    ARCHIVED = "archived"
    WAITING = "waiting room"

    def __str__(self) -> str:
        return self.value


class At(str, Enum):
    """What the lesson's worker is at: the gates where it stops, and otherwise."""

    NONE = "not started"
    IDLE = "waits to claim"
    HOLDS = "holds a task"
    RUNS = "runs the handler"
    DONE = "is to acknowledge"
    UNANSWERED = "got no answer"
    DEAD = "dead"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Scene:
    """The ids in each place, of `counts` so many, and the worker with what it holds."""

    queue: str
    places: dict[Place, tuple[str, ...]]
    counts: dict[Place, int]
    worker: At = At.NONE
    holds: str = ""
    is_paused: bool = False
    loses_reply: bool = False  # the next acknowledgement's answer will be lost

    def place_of(self, task_id: str) -> Place | None:
        """Where the id stands; None where it is not seen."""
        return next((place for place, ids in self.places.items() if task_id in ids), None)

    def moved_to(self, later: Scene) -> dict[str, tuple[Place | None, Place | None]]:
        """The ids that stand elsewhere in a later scene, or are new or gone there."""
        ids = dict.fromkeys(
            i for scene in (self, later) for each in scene.places.values() for i in each
        )
        ways = {i: (self.place_of(i), later.place_of(i)) for i in ids}
        return {
            i: (before, after)
            for i, (before, after) in ways.items()
            if before is not after and not self._is_hidden(before, after, later)
        }

    def _is_hidden(self, before: Place | None, after: Place | None, later: Scene) -> bool:
        """Whether the id may have been there all the time, among those that are not kept."""
        if before is None and after is not None:
            return self.counts[after] > len(self.places[after])
        if after is None and before is not None:
            return later.counts[before] > len(later.places[before])
        return False


def scene_of(
    queue: str, seen: Snapshot, worker: At, holds: str = "", *, loses_reply: bool = False
) -> Scene:
    """The scene that a snapshot shows."""
    places: dict[Place, tuple[str, ...]] = {}
    counts: dict[Place, int] = {}
    for state in State:
        place = Place(state.value)
        places[place] = seen.places[state][:MOST_CHIPS]
        counts[place] = seen.counts[state]
    places[Place.WAITING] = tuple(seen.waiting)[:MOST_CHIPS]
    counts[Place.WAITING] = len(seen.waiting)
    return Scene(queue, places, counts, worker, holds, seen.is_paused, loses_reply)


def short(task_id: str, length: int = 8) -> str:
    """An id as it is named in a sentence or on a chip: random ones by their beginning."""
    is_random = len(task_id) == 36 and task_id.count("-") == 4
    text = task_id[:8] if is_random else task_id
    return text if len(text) <= max(length, 8) else text[: max(length, 8) - 1] + "…"
