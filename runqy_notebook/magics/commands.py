"""What the `%runqy` commands do: each calls the session and gives what the cell shows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runqy_notebook import current
from runqy_notebook.errors import (
    ConnectionFailedError,
    RunqyError,
    UsageError,
    did_you_mean,
    one_line,
)
from runqy_notebook.handles import TaskGroup, TaskHandle
from runqy_notebook.magics.body import payloads
from runqy_notebook.session import Session
from runqy_notebook.tasks import REGISTRY
from runqy_notebook.ui.live import Live
from runqy_notebook.wire.states import State

if TYPE_CHECKING:
    from runqy_notebook.ui.cards import ShowNew
    from runqy_notebook.worker.worker import Worker


@dataclass(frozen=True, slots=True)
class Cell:
    """Where a command was typed. `evaluate` runs a Python expression in the notebook's names,
    `live` is what can show there; a quiet one, which ends in a semicolon, gets no card.
    """

    evaluate: Callable[[str], object]
    body: str | None = None
    live: Live | None = None
    is_quiet: bool = False


def say_where() -> None:
    """Prints the line that says where the session is connected."""
    session = current.session()
    unfinished = session.unfinished()
    left = f", {counted(unfinished, 'task')} from before" if unfinished else ""
    print(f"{session.server.title}{left}")
    for killer in session.killers()[:3]:
        print(
            f"Task {one_line(killer.task_id, 80)} in {killer.queue} was running when its kernel or "
            "worker died; it runs in a process of its own from now on."
        )


def connect(cell: Cell, url: str | None, embedded: bool) -> None:
    """Connects anew; tells where."""
    if url and embedded:
        raise UsageError("Give either a URL or --embedded, not both.")
    current.connect(url, **({"embedded": True} if embedded else {}))
    say_where()


def disconnect(cell: Cell) -> None:
    if not current.has_session():
        print("Not connected.")
        return
    worker = current.session().worker
    current.disconnect()
    print(f"Disconnected{' and the worker stopped' if worker else ''}; the tasks stay in Redis.")


def status(cell: Cell) -> None:
    """Prints the connection and the worker, a line each."""
    if not current.has_session():
        print("Not connected: %runqy connect.")
        return
    session = current.session()
    try:
        unfinished = counted(session.unfinished(), "unfinished task")
        print(f"Connected to {session.server.title}, {unfinished}.")
    except RunqyError as error:
        print(error)
    worker_status(cell)


def enqueue(
    cell: Cell, queue: str, payload: str | None, wait: bool, timeout: float | None, **options: Any
) -> object:
    """Puts the payload, or a list of them, into the queue; the cell shows a card."""
    if payload is None and cell.body is None and isinstance(options["unique"], str):
        payload, options["unique"] = options["unique"], True  # `--unique {...}` without a key
    given = payloads(payload, cell.body, cell.evaluate)
    chosen = {name: value for name, value in options.items() if value is not None}
    session = opened()
    if isinstance(given, list):
        if "id" in chosen:
            raise UsageError("--id names one task; this is a list of payloads.")
        with _showing(cell, session, queue) as show:
            group = session.enqueue_many(queue, given, timeout=timeout, **chosen)
            show(group)
        return group.results() if wait else group
    with _showing(cell, session, queue) as show:
        handle = session.enqueue(queue, given, timeout=timeout, **chosen)
        show(handle)
    return handle.result() if wait else handle


def worker_start(cell: Cell, queue: list[str], **options: Any) -> None:
    """Starts the worker, or has the running one serve these queues too; tells which it serves."""
    session = opened()
    before = session.worker
    worker = session.start_worker(*queue, **options)
    found = worker.status
    word = "runs already; it serves" if worker is before else "serves"
    slots = f"{counted(found.concurrency, 'task')} at a time{_where(found.executor)}"
    print(f"Worker {word} {', '.join(found.names)} ({', '.join(found.queues)}), {slots}.")
    if found.without_handler:
        hints = [did_you_mean(name, REGISTRY.queues()) for name in queue]
        print(
            f"No handler yet for {', '.join(found.without_handler)}: tasks wait there until a "
            f"@task is defined.{next(filter(None, hints), '')}"
        )


def _where(executor: str) -> str:
    """Where handlers run, where that is worth a word."""
    words = {"thread": "", "process": ", each in a process of its own"}
    return words.get(executor, f", in a {executor}")


def worker_stop(cell: Cell, timeout: float | None) -> None:
    session = current.session() if current.has_session() else None
    stopped = session.stop_worker(timeout) if session else None
    print(stopped or "No worker is running in this kernel.")


def worker_pause(cell: Cell) -> None:
    _worker().pause()
    print("Worker paused: it claims nothing more; running tasks go on.")


def worker_resume(cell: Cell) -> None:
    _worker().resume()
    print("Worker resumed.")


def worker_status(cell: Cell) -> None:
    """Prints what the worker of this kernel is doing."""
    worker = current.session().worker if current.has_session() else None
    if worker is None:
        print(_NO_WORKER)
        return
    found = worker.status
    words = ["paused" if found.is_paused else "running", "" if found.is_healthy else "(Redis away)"]
    print(
        f"Worker {found.id} {' '.join(filter(None, words))}: serves {', '.join(found.names)} "
        f"({', '.join(found.queues)}), {len(found.running)} of {found.concurrency} slots busy"
        f"{_where(found.executor)}, "
        f"{found.completed} completed, {counted(found.failed, 'failed attempt')}."
    )
    for task_id, seconds in found.running.items():
        print(f"  {task_id} has run for {seconds:.1f} s")
    for handler, seconds in found.starved.items():
        print(
            f"  the handler {handler} held Python's lock for {seconds:.1f} s; start the worker "
            "with --executor process"
        )
    if found.abandoned:
        print(f"  {found.abandoned} handler(s) past their time limit still run in the background")
    if found.without_handler:
        print(f"  no handler for {', '.join(found.without_handler)}")
    for text in list(worker.notices)[-5:]:
        print(f"  notice: {text}")


def tasks(state: State | None) -> Callable[..., object]:
    """The command that lists tasks of this state, or of the one asked for."""

    def listed(cell: Cell, queue: str | None, limit: int | None, **asked: Any) -> object:
        wanted = state if state is not None else asked["state"]
        return opened().tasks(queue, wanted, limit)

    return listed


def queues(cell: Cell, queue: str | None) -> object:
    return opened().queues(queue)


def workers(cell: Cell) -> object:
    return opened().workers()


def deliveries(cell: Cell, limit: int | None, retry: str | None) -> object:
    """The deliveries; with `retry` one is attempted again, and nothing is shown."""
    session = opened()
    if retry is not None:
        session.retry_delivery(retry)
        print(f"Delivery {one_line(retry, 80)} is attempted again.")
        return None
    return session.deliveries(limit or 1_000)


def task(cell: Cell, id: str) -> TaskHandle:
    return opened().task(id)


def result(cell: Cell, id: str, timeout: float) -> object:
    return opened().wait_for_result(id, timeout)


def wait(cell: Cell, id: list[str], timeout: float | None) -> object:
    session = opened()
    handles = [session.task(one) for one in id]
    group = TaskGroup(handles, session.source).wait(timeout)
    return handles[0] if len(handles) == 1 else group


def doctor(cell: Cell, repair: bool, patience: float) -> None:
    """Prints why nothing happens, and how to mend it."""
    try:
        session = opened()
    except ConnectionFailedError as error:
        print(f"problem: {error}")
        return
    findings = session.doctor(repair=repair, patience=patience)
    findings.sort(key=lambda finding: finding.is_note)
    for finding in findings[:_MOST_FINDINGS]:
        mark = "note" if finding.is_note else "problem"
        done = f"Done: {finding.result}." if finding.result else finding.remedy
        print(f"{mark}: {finding.what} {done}")
    if len(findings) > _MOST_FINDINGS:
        print(f"... and {len(findings) - _MOST_FINDINGS} more: session.doctor() gives them all.")
    if all(finding.is_note for finding in findings):
        print("Nothing is wrong.")


_MOST_FINDINGS = 50

_NO_WORKER = "No worker is running in this kernel: %runqy worker start QUEUE."


def opened() -> Session:
    """The session; where there is none, one is opened and announced."""
    if not current.has_session():
        current.connect()
        say_where()
    return current.session()


def _showing(cell: Cell, session: Session, queue: str) -> AbstractContextManager[ShowNew]:
    """Within it a card can be made of what is enqueued; it is no more than a no-op elsewhere."""
    if cell.live is None or not cell.live.is_on:
        return nullcontext(lambda made: None)
    cards = cell.live.cards
    return nullcontext(cards.hide) if cell.is_quiet else cards.enqueueing(session, queue)


def _worker() -> Worker:
    worker = current.session().worker if current.has_session() else None
    if worker is None:
        raise UsageError(_NO_WORKER)
    return worker


def counted(number: int, thing: str) -> str:
    """`1 task`, `3 tasks`."""
    return f"{number} {thing}{'s' * (number != 1)}"
