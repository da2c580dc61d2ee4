"""What the enqueue script is told of new tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from runqy_notebook.broker.exchanges import Keeping
from runqy_notebook.wire.layout import Layout, to_bytes

Entries: TypeAlias = Sequence[tuple[str, bytes]]
"""Id and payload JSON of each task."""

_LOOKS: Final = 7  # the place among the script's arguments of whether it looks


@dataclass(frozen=True, slots=True)
class Writing:
    """The parts of a call of the enqueue script that are the same for all tasks of a queue."""

    keys: tuple[str, str]
    terms: tuple[object, ...]
    shared: tuple[object, ...]  # fields and values, after their number

    @classmethod
    def of(
        cls,
        layout: Layout,
        queue: str,
        fields: Mapping[str, str],
        unique_age: float | None,
        keeping: Keeping | None,
        due: str,
    ) -> Writing:
        """See `Broker.enqueue` for these."""
        shared = {**fields, "queue": queue}
        kept = keeping.value if keeping else "0" if unique_age is None else "1"
        pairs = (text for pair in shared.items() for text in pair)
        return cls(
            (layout.queue(queue).base, layout.queues),
            (layout.tasks, layout.results, queue, kept, unique_age or 0, due),
            (len(shared), *pairs),
        )

    def arguments(self, entries: Entries, news: bytes, looks: bool) -> list[object]:
        """The script's, after its keys. `looks`: at the types of the queue's keys."""
        arguments = [*self.terms, news, int(looks), *self.shared]
        for task_id, text in entries:
            arguments += (to_bytes(task_id), text)
        return arguments


def has_looked(arguments: Sequence[object]) -> bool:
    """Whether a call with these looked at the types of the queue's keys."""
    return bool(arguments[_LOOKS])
