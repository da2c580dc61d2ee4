"""One move of a lesson: what was done, by which commands, and what it changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from runqy_notebook.broker.monitor import Command
from runqy_notebook.lesson.changes import Change
from runqy_notebook.lesson.scene import Scene


class Kind(str, Enum):
    """What a move is: one of the worker's own, or a fault."""

    START = "a worker starts"
    CLAIM = "claim"
    RUN = "run the handler"
    ACKNOWLEDGE = "acknowledge"
    AGAIN = "ask again"
    SWEEP = "sweep"
    NOTHING = "nothing to do"
    DIED = "the worker dies"
    KILL = "kill the worker"
    KILL_BOTH = "kill worker and guardian"
    LOSE = "drop an acknowledgement"
    FREEZE = "freeze the server"
    ORPHAN = "push an orphan id"

    def __str__(self) -> str:
        return self.value

    @property
    def is_fault(self) -> bool:
        return self in FAULTS


FAULTS = (Kind.KILL, Kind.KILL_BOTH, Kind.LOSE, Kind.FREEZE, Kind.ORPHAN)
"""What goes wrong, on a button."""

_BETWEEN = frozenset({"renew", "beat", "note"})
"""Scripts that a worker calls whatever move it makes."""


@dataclass(frozen=True, slots=True, repr=False)
class Move:
    """A move that was made. `told` is what happened, in a sentence or two; `unheard` why there are
    no commands; `lines` what the handler printed.
    """

    number: int
    kind: Kind
    told: str
    before: Scene
    after: Scene
    commands: tuple[Command, ...] = ()
    meanwhile: tuple[Command, ...] = ()
    changes: tuple[Change, ...] = ()
    unheard: str = ""
    lines: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        return f"<{self.title}. {self.told}>"

    @property
    def title(self) -> str:
        return f"{'Fault' if self.kind.is_fault else 'Move'} {self.number}: {self.kind}"

    @property
    def writes(self) -> tuple[Command, ...]:
        """The commands that changed keys, also those inside of scripts."""
        return tuple(write for command in self.commands for write in command.writes)


def parted(
    commands: Iterable[Command], kind: Kind
) -> tuple[tuple[Command, ...], tuple[Command, ...]]:
    """A worker's commands that make the move, and those that it would have sent anyway."""
    moves: list[Command] = []
    between: list[Command] = []
    for command in commands:
        is_between = command.script in _BETWEEN and kind is not Kind.START
        (between if is_between else moves).append(command)
    return tuple(moves), tuple(between)
