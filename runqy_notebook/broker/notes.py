"""What handlers say while they run, as Redis keeps it: the newest lines and the last progress."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import redis

from runqy_notebook.broker.listing import answers
from runqy_notebook.broker.records import shown
from runqy_notebook.wire.documented import count
from runqy_notebook.wire.events import Event, encode_event
from runqy_notebook.wire.layout import Layout, to_bytes

LINES: Final = 1_000
"""Lines kept of a task, the newest."""

LIFE: Final = 86_400
"""Seconds that they are kept after the last of them."""


@dataclass(frozen=True, slots=True)
class Note:
    """What a handler said since its last note, in the worker `by`. `dropped` counts lines that are
    not in `lines`; `events` is the same as news for whoever listens.
    """

    by: str
    lines: tuple[str, ...] = ()
    dropped: int = 0
    progress: Event | None = None
    events: tuple[Event, ...] = ()

    def arguments(self, news: bytes, queue: str) -> list[Any]:
        """What the note script takes after the claim's token."""
        told = self.progress
        progress = json.dumps([told.done, told.total, told.note]) if told else ""
        head = (LINES, LIFE, self.dropped, progress, news, queue, len(self.lines))
        return [*head, *map(to_bytes, self.lines), *map(encode_event, self.events)]


@dataclass(frozen=True, slots=True)
class Said:
    """What is kept of what a task's handler said. `dropped` older lines are not kept; `done` of
    `total` (0: unknown) is the last progress, None where none was told.
    """

    lines: tuple[str, ...] = ()
    dropped: int = 0
    done: float | None = None
    total: float = 0.0
    note: str = ""


def read_said(client: redis.Redis, layout: Layout, task_id: str) -> Said:
    """What is kept of this task, one round trip."""
    pipe = client.pipeline(transaction=False)
    pipe.lrange(layout.log(task_id), 0, -1)
    pipe.hmget(layout.said(task_id), ("lines", "progress"))
    kept, held = answers(pipe)
    lines = tuple(map(shown, kept or ()))
    said, progress = held or (None, None)
    done, total, note = _progress(progress)
    return Said(lines, max(0, count(said) - len(lines)), done, total, note)


def _progress(text: bytes | None) -> tuple[float | None, float, str]:
    """Anybody may have written it."""
    try:
        done, total, note = json.loads(text or b"")
        return float(done), float(total), str(note)
    except (ValueError, TypeError, RecursionError, OverflowError):
        return None, 0.0, ""
