"""`%runqy stream`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from runqy_notebook import current
from runqy_notebook.errors import UsageError
from runqy_notebook.magics.commands import Cell
from runqy_notebook.magics.parser import Command
from runqy_notebook.magics.values import count, duration, some_of
from runqy_notebook.wire.events import Kind

KINDS: Final = tuple(kind.value for kind in Kind)


def stream(
    cell: Cell,
    queue: Sequence[str],
    only: Sequence[str] | None,
    task: str | None,
    limit: int | None,
    seconds: float | None,
    wait: bool,
    stop: bool,
) -> None:
    """Shows events in this cell, which ends at once unless it is to wait; in a terminal, prints
    them until interrupted.
    """
    live = cell.live
    if live is None:
        raise UsageError("A stream needs a notebook or IPython to show in.")
    if stop:
        n = live.cards.stop_streams("stopped")
        print(f"{n} stream{'s' * (n != 1)} stopped." if n else "No stream is running.")
        return
    from runqy_notebook.ui.stream import Wanted  # with all that is live

    kinds = frozenset(map(Kind, only or ()))
    wanted = Wanted(tuple(queue), kinds, task or "", limit, seconds)
    made = live.cards.stream(current.session(), wanted)
    if not live.is_on:
        made.print_all(print)
    elif wait or seconds is not None:
        made.show_and_wait()
    else:
        made.show()


def stream_commands() -> Iterable[Command]:
    """How it is written."""
    command = Command(("stream",), "what happens, as it happens, in this cell", stream)
    command.argument("queue", nargs="*", metavar="QUEUE", help="only these with their sub-queues")
    kinds = list(KINDS)
    command.argument(
        "--only", type=some_of(kinds), metavar="KIND,...", help=f"of {', '.join(kinds)}"
    )
    command.argument("--task", metavar="ID", help="only of this task")
    command.argument("--limit", type=count, metavar="N", help="end after so many")
    command.argument(
        "--for", dest="seconds", type=duration, metavar="DURATION", help="wait in the cell so long"
    )
    command.argument("--wait", action="store_true", help="wait in the cell until interrupted")
    yield command.argument("--stop", action="store_true", help="end the streams of this notebook")
