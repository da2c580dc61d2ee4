"""What becomes of what a worker held that died."""

from __future__ import annotations

import time
from typing import Final

from runqy_notebook.broker.keys import Snapshot
from runqy_notebook.lesson import words
from runqy_notebook.lesson.moves import Kind, Move
from runqy_notebook.lesson.stage import Said, Stage

_GIVE_BACK: Final = 10.0  # seconds that a guardian may take
_LOOK: Final = 0.02


def buried(stage: Stage, before: Snapshot, how: str, when: str, *, both: bool) -> str:
    """Waits for what the guardian does, unless it died too; tells what became of the task."""
    worker = stage.lose_worker()
    held, layout = worker.task, stage.keys.layout
    had = has = words.hash_of(before, layout, held)
    if held is not None and not both and worker.guardian is not None:
        stage.say("the guardian gives back")
        token = held.token.decode("utf-8", "surrogateescape")
        gives_up_at = time.monotonic() + _GIVE_BACK
        while time.monotonic() < gives_up_at:
            has = words.hash_of(stage.keys.read([held.id]), layout, held)
            if has.get("claim", "") != token or stage.stopping.is_set():
                break
            stage.pause(_LOOK)
    return words.killed(held, how, when, had, has, both=both)


def died(stage: Stage) -> Move:
    """The worker's process is dead, and nobody here killed it."""

    def act(before: Snapshot) -> Said:
        return Said(buried(stage, before, "died", "by itself", both=False))

    return stage.move(Kind.DIED, act)
