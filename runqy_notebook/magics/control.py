"""The `%runqy` commands that change tasks and queues: how they are written, what they do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from runqy_notebook.errors import RunqyError, UsageError, one_line
from runqy_notebook.handles import TaskGroup, TaskHandle
from runqy_notebook.magics.commands import Cell, counted, opened
from runqy_notebook.magics.parser import Command
from runqy_notebook.magics.values import count, one_of
from runqy_notebook.wire.states import State

_PURGED = [state.value for state in State if state is not State.ACTIVE]
_FINISHED = [state.value for state in State if state.is_finished]
_SELECTS = {"metavar": "QUEUE", "help": "a queue, or a parent with all its sub-queues"}


def control_commands() -> Iterable[Command]:
    """Each command with its arguments, in the order of the help."""
    ids: dict[str, Any] = {"nargs": "+", "metavar": "ID"}
    yes: dict[str, Any] = {"action": "store_true", "help": "do not ask"}
    past = Command(("history",), "finished tasks with the parts of their payloads", history)
    past.argument("queue", nargs="?", metavar="QUEUE", help="only this one with its sub-queues")
    past.argument("--limit", type=count, metavar="N", help="at most so many, the newest")
    yield past.argument(
        "--state", type=one_of(_FINISHED), choices=_FINISHED, metavar="STATE", help="only these"
    )
    yield Command(("attach",), "a task's card, after a restart or a closed tab", attach).argument(
        "id", metavar="ID"
    )
    yield Command(
        ("run",), "make tasks the next to run; finished ones run once more", run
    ).argument("id", **ids)
    yield Command(("cancel",), "have tasks end, or never run", cancel).argument("id", **ids)
    yield (
        Command(("delete",), "remove tasks that are not running", delete)
        .argument("id", **ids)
        .argument("--yes", **yes)
    )
    yield Command(("pause",), "have nothing claimed from a queue", pause).argument(
        "queue", **_SELECTS
    )
    yield Command(("resume",), "have a paused queue claimed from again", resume).argument(
        "queue", **_SELECTS
    )
    yield (
        Command(("purge",), "delete all tasks of one state in a queue", purge)
        .argument("queue", **_SELECTS)
        .argument(
            "--state",
            required=True,
            type=one_of(_PURGED),
            choices=_PURGED,
            metavar="STATE",
            help=", ".join(_PURGED),
        )
        .argument("--yes", **yes)
    )


def history(cell: Cell, queue: str | None, limit: int | None, state: str | None) -> object:
    return opened().history(queue, limit, state=state)


def attach(cell: Cell, id: str) -> TaskHandle:
    return opened().attach(id)


def run(cell: Cell, id: list[str]) -> object:
    """Gives the handle of the run, or a group of them."""
    session = opened()
    handles = [session.run_now(task_id) for task_id in dict.fromkeys(id)]
    return handles[0] if len(handles) == 1 else TaskGroup(handles, session.source)


def cancel(cell: Cell, id: list[str]) -> None:
    """Tells of each what became of it; of a single one that cannot be cancelled by an error."""
    session = opened()
    words = session.cancel_many(id)
    grace = f"{session.settings.cancel_grace:g} s"
    for task_id, word in words.items():
        if isinstance(word, Exception):
            if len(words) == 1:
                raise word
            print(word)
        elif word == "cancelled":
            print(f"Task {one_line(task_id, 80)} is cancelled; it never runs.")
        else:
            print(
                f"Task {one_line(task_id, 80)} is running: its handler is told to end, and is left "
                f"behind after {grace}."
            )


def delete(cell: Cell, id: list[str], yes: bool) -> None:
    session = opened()
    ids = list(dict.fromkeys(id))
    for task_id in ids:
        session.record(task_id)  # nothing is asked about, or deleted, where one is unknown
    if not confirmed(f"Delete {counted(len(ids), 'task')} for good?", yes):
        print("Nothing was deleted.")
        return
    gone = 0
    for task_id in ids:
        try:
            session.delete(task_id)
            gone += 1
        except RunqyError as error:
            if len(ids) == 1:
                raise
            print(error)
    print(f"Deleted {counted(gone, 'task')}.")


def pause(cell: Cell, queue: str) -> None:
    session = opened()
    paused = session.pause_queue(queue)
    print(
        f"Paused {_listed(paused)}: nothing more is claimed there, running tasks go on. "
        f"%runqy resume {queue} ends it."
    )
    if foreign := session.foreign_workers(paused):
        print(f"Foreign workers take no notice of it: {_listed(foreign)}.")


def resume(cell: Cell, queue: str) -> None:
    session = opened()
    resumed = session.resume_queue(queue)
    waiting = sum(sum(session.count(name, State.PENDING).values()) for name in resumed)
    print(f"Resumed {_listed(resumed)}; {counted(waiting, 'pending task')}.")


def purge(cell: Cell, queue: str, state: str, yes: bool) -> None:
    session = opened()
    there = {name: n for name, n in session.count(queue, State(state)).items() if n}
    number = sum(there.values())
    if not number:
        print(f"There are no {state} tasks in {queue}.")
        return
    question = f"Delete {counted(number, f'{state} task')} of {_listed(list(there))} for good?"
    if not confirmed(question, yes):
        print("Nothing was deleted.")
        return
    print(f"Deleted {counted(session.purge(queue, state), f'{state} task')}.")


def confirmed(question: str, yes: bool) -> bool:
    """Whether the person wants it; raises UsageError where nobody can be asked."""
    if yes:
        return True
    try:
        answer = input(f"{question} [y/N] ")
    except (EOFError, NotImplementedError):  # IPython's StdinNotImplementedError is one of these
        raise UsageError(
            f"{question} Nobody can be asked in this notebook: add --yes to say so."
        ) from None
    return answer.strip().lower() in ("y", "yes")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(one_line(name, 80) for name in names[:10])
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown
