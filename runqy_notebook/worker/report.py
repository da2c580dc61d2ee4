"""What a worker tells about itself."""

from __future__ import annotations

from dataclasses import dataclass

from runqy_notebook.errors import one_line


@dataclass(frozen=True, slots=True)
class Stopped:
    """What a stop left behind: tasks given back although their handlers were still running."""

    released: tuple[str, ...]

    def __str__(self) -> str:
        if not self.released:
            return "Worker stopped; nothing was left running."
        return (
            f"Worker stopped. {len(self.released)} task(s) were still running and went back to "
            f"their queue; they may run twice: {', '.join(map(one_line, self.released[:10]))}."
        )


@dataclass(frozen=True, slots=True)
class Status:
    """A worker at one moment. `running` maps task ids to the seconds they have run, `starved`
    handlers to the longest time (seconds) for which they kept the whole process waiting.
    """

    id: str
    names: list[str]
    queues: list[str]
    without_handler: list[str]
    concurrency: int
    executor: str
    is_paused: bool
    is_healthy: bool
    completed: int
    failed: int
    abandoned: int
    starved: dict[str, float]
    running: dict[str, float]
