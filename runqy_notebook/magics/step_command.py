"""`%runqy step`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from runqy_notebook import current
from runqy_notebook.errors import UsageError
from runqy_notebook.magics.commands import Cell, opened
from runqy_notebook.magics.parser import Command
from runqy_notebook.magics.values import one_of

if TYPE_CHECKING:
    from runqy_notebook.lesson.moves import Move

_FAULTS: Final = {
    "kill": "KILL",
    "kill-both": "KILL_BOTH",
    "drop": "LOSE",
    "freeze": "FREEZE",
    "orphan": "ORPHAN",
}


_MOVES: Final = {
    "start": "START",
    "claim": "CLAIM",
    "run": "RUN",
    "acknowledge": "ACKNOWLEDGE",
    "sweep": "SWEEP",
}


def step(
    cell: Cell,
    queue: str | None,
    fault: str | None,
    until: str | None,
    once: bool,
    stop: bool,
) -> Move | None:
    """Shows the lesson, to be clicked; where nobody can click, and with an option, makes one move
    and shows that.
    """
    if stop:
        told = current.session().stop_lesson() if current.has_session() else ""
        print(told or "No lesson is going on.")
        return None
    if queue is None:
        raise UsageError("Name the queue: %runqy step QUEUE.")
    session = opened()
    lesson = session.step(queue)
    if fault or until:
        from runqy_notebook.lesson.moves import Kind

        if fault:
            return lesson.fault(Kind[_FAULTS[fault]])
        return lesson.until(Kind[_MOVES[until or ""]])
    if once or cell.live is None or not cell.live.lessons.has_widgets:
        return lesson.next()
    cell.live.lessons.show(session, lesson)
    return None


def step_commands() -> Iterable[Command]:
    """How it is written."""
    command = Command(("step",), "a lesson: a worker that makes one move at a time", step)
    command.argument("queue", nargs="?", metavar="QUEUE", help="the queue that the lesson is on")
    faults = list(_FAULTS)
    command.argument(
        "--fault",
        type=one_of(faults),
        choices=faults,
        metavar="FAULT",
        help=f"break something: {', '.join(faults)}",
    )
    moves = list(_MOVES)
    command.argument(
        "--until",
        type=one_of(moves),
        choices=moves,
        metavar="MOVE",
        help=f"make moves until this one: {', '.join(moves)}",
    )
    command.argument("--once", action="store_true", help="make one move, without buttons")
    yield command.argument("--stop", action="store_true", help="end the lesson")
