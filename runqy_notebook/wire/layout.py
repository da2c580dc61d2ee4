"""The one place that spells a Redis key.

Three layouts of these keys exist in the world (docs/wire.md); this is the documented one,
`asynq:Q:pending` and `asynq:t:ID` without literal braces. What the others would change is a
queue's *base* and a task's *prefix*; the last parts (`pending`, `active`, `lease`, ...) are the
same in all of them, so scripts are handed bases and prefixes and append only those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runqy_notebook.wire.states import State


def to_text(raw: bytes) -> str:
    """Bytes from Redis as text; what is not UTF-8 survives the way back through `to_bytes`."""
    return raw.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """The inverse of `to_text`."""
    return text.encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class QueueKeys:
    """The keys of one queue, all beginning with `base`."""

    base: str

    @property
    def pending(self) -> str:
        return self.base + "pending"

    @property
    def paused(self) -> str:
        return self.base + "paused"

    @property
    def lease(self) -> str:
        return self.base + "lease"

    def of(self, state: State) -> str:
        """The list or sorted set that holds the ids in this state."""
        return self.base + state.value


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything lies. `ours` is the prefix of the helper keys that only we read."""

    root: str = "asynq:"

    @property
    def tasks(self) -> str:
        return self.root + "t:"

    @property
    def results(self) -> str:
        return self.root + "result:"

    @property
    def queues(self) -> str:
        return self.root + "queues"

    @property
    def workers(self) -> str:
        return self.root + "workers"

    @property
    def ours(self) -> str:
        return self.root + "nb:"

    def reply(self, slot: str) -> str:
        """Where the last answer to a worker's slot is kept, to be given again."""
        return f"{self.ours}reply:{slot}"

    @property
    def outbox(self) -> str:
        return self.ours + "outbox"

    @property
    def leftovers(self) -> tuple[str, str, str]:
        """What the keys begin with that a task has beside its hash: result, log, and what else is
        known of the log.
        """
        return self.results, self.ours + "log:", self.ours + "said:"

    @property
    def pending_pattern(self) -> str:
        """A SCAN pattern that finds the queues outsiders created."""
        return self.root + "*:pending"

    def queue(self, name: str) -> QueueKeys:
        return QueueKeys(f"{self.root}{name}:")

    def queue_of_base(self, base: str) -> str:
        """The queue's name back from its base."""
        return base.removeprefix(self.root).removesuffix(":")

    def task(self, task_id: str) -> bytes:
        return to_bytes(self.tasks + task_id)

    def result(self, task_id: str) -> bytes:
        return to_bytes(self.results + task_id)

    def log(self, task_id: str) -> bytes:
        """The list of what a task's handler printed."""
        return to_bytes(f"{self.ours}log:{task_id}")

    def said(self, task_id: str) -> bytes:
        """The hash beside that list: its true length, and the progress."""
        return to_bytes(f"{self.ours}said:{task_id}")

    def map(self, digest: str) -> str:
        """Where the beginning of a map's task ids is kept."""
        return f"{self.ours}map:{digest}"

    def worker(self, worker_id: str) -> str:
        return f"{self.root}workers:{worker_id}"


DOCUMENTED: Final = Layout()
