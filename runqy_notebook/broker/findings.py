"""What the doctor tells: one sentence on what is wrong, one on what to do about it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import Enum

from runqy_notebook.errors import one_line

REPAIR = "%runqy doctor --repair"


class Kind(str, Enum):
    """What is the matter."""

    SERVER = "server"  # the server as a whole
    WRONG_TYPE = "wrong type"  # somebody else's key where a queue or a task belongs
    UNSERVED = "unserved"  # tasks wait, no worker serves their queue
    NO_HANDLER = "no handler"  # the worker here serves the queue, but has no handler for it
    PAUSED = "paused"  # a paused queue with tasks
    OVERDUE = "overdue"  # due tasks that nobody moves to pending
    LOST = "lost"  # an unfinished task in no list
    LEFTOVER = "leftover"  # a hash without a payload, in no list
    LATE_HASH = "late hash"  # archived for want of a hash, which came after all
    TWICE = "twice"  # the same id in two places, which workers put up with
    FOREIGN = "foreign"  # under way in a foreign worker, hence without a lease
    ABANDONED = "abandoned"  # the same, but no foreign worker lives that serves the queue
    UNLEASED = "unleased"  # claimed by one of ours, but its lease is gone
    UNLISTED = "unlisted"  # a lease, but no entry in active
    LATER = "later"  # all that there is waits for its time
    WORKER = "worker"  # the worker of this process does not run tasks
    STARVED = "starved"  # a handler keeps everything else in this process waiting
    KERNEL = "kernel"  # this process is a kernel that is not fit for it
    DOUBT = "doubt"  # seen for the first time; may be on its way from one list to another

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be; a note is one that harms nobody by itself."""

    kind: Kind
    queue: str | None
    task_id: str | None  # exact, hence not always printable
    what: str
    remedy: str  # something that a person can type
    can_repair: bool = False
    is_note: bool = False
    result: str = ""  # what the repair came to, where one was tried


def redis_cli(*words: str) -> str:
    """The command as typed in a shell, or what to use for keys that cannot be typed there."""
    line = shlex.join(["redis-cli", *words])
    if not line.isprintable():
        return f"a Redis client: {one_line(words[0])} that key, whose name cannot be typed"
    return line


def named(task_id: str) -> str:
    """The id, quoted and fit to be shown."""
    return repr(one_line(task_id, 80))


def counted(number: int, state: str = "") -> str:
    """`1 task`, `3 pending tasks`."""
    words = f"{state} task" if state else "task"
    return f"{number} {words}{'' if number == 1 else 's'}"
