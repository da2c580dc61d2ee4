"""The `%runqy` commands: each parses, calls the session, and gives what the cell shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from runqy_notebook import current
from runqy_notebook.errors import RunqyError, UsageError
from runqy_notebook.handles import TaskGroup, TaskHandle
from runqy_notebook.magics import parser
from runqy_notebook.magics.body import payloads
from runqy_notebook.magics.parser import Command
from runqy_notebook.wire.states import State


@dataclass(frozen=True, slots=True)
class Cell:
    """Where a command was typed. `evaluate` runs a Python expression in the notebook's names."""

    evaluate: Callable[[str], object]
    body: str | None = None
    connect_options: Callable[[], dict[str, Any]] = dict


def connect(cell: Cell, url: str | None, embedded: bool) -> None:
    """Connects anew; tells where."""
    if url and embedded:
        raise UsageError("Give either a URL or --embedded, not both.")
    options = cell.connect_options()
    current.connect(url, **({**options, "embedded": True} if embedded else options))
    say_where()


def say_where() -> None:
    """Prints the line that says where the session is connected."""
    session = current.session()
    unfinished = session.unfinished()
    left = f", {unfinished} task{'s' * (unfinished != 1)} from before" if unfinished else ""
    print(f"{session.server.title}{left}")


def disconnect(cell: Cell) -> None:
    current.disconnect()
    print("Disconnected; the tasks stay where they are.")


def status(cell: Cell) -> None:
    """Prints the connection and the worker, a line each."""
    if not current.has_session():
        print("Not connected: %runqy connect.")
        return
    session = current.session()
    try:
        session.ping()
        print(f"Connected to {session.server.title}, {session.unfinished()} unfinished task(s).")
    except RunqyError as error:
        print(error)
    worker_status(cell)


def enqueue(
    cell: Cell, queue: str, payload: str | None, wait: bool, timeout: float | None, **options: Any
) -> object:
    """Puts the payload, or a list of them, into the queue."""
    if payload is None and cell.body is None and isinstance(options["unique"], str):
        payload, options["unique"] = options["unique"], True  # `--unique {...}` without a key
    given = payloads(payload, cell.body, cell.evaluate)
    chosen = {name: value for name, value in options.items() if value is not None}
    session = current.session()
    if isinstance(given, list):
        if "id" in chosen:
            raise UsageError("--id names one task; this is a list of payloads.")
        group = session.enqueue_many(queue, given, timeout=timeout, **chosen)
        return group.results() if wait else group
    handle = session.enqueue(queue, given, timeout=timeout, **chosen)
    return handle.result() if wait else handle


def worker_start(cell: Cell, queue: list[str], **options: Any) -> None:
    session = current.session()
    before = session.worker
    worker = session.start_worker(*queue, **options)
    found = worker.status
    word = "now serves" if worker is before else "serves"
    slots = f"{found.concurrency} task{'s' * (found.concurrency != 1)} at a time"
    print(f"Worker {word} {', '.join(found.names)} ({', '.join(found.queues)}), {slots}.")
    if found.without_handler:
        print(
            f"No handler yet for {', '.join(found.without_handler)}: tasks wait there until a "
            "@task is defined."
        )


def worker_stop(cell: Cell, timeout: float | None) -> None:
    stopped = current.session().stop_worker(timeout)
    print(stopped or "No worker is running in this kernel.")


def worker_pause(cell: Cell) -> None:
    _worker().pause()
    print("Worker paused: it claims nothing more; running tasks go on.")


def worker_resume(cell: Cell) -> None:
    _worker().resume()
    print("Worker resumed.")


def worker_status(cell: Cell) -> None:
    """Prints what the worker of this kernel is doing."""
    worker = current.session().worker
    if worker is None:
        print("No worker is running in this kernel: %runqy worker start QUEUE.")
        return
    found = worker.status
    words = ["paused" if found.is_paused else "running", "" if found.is_healthy else "(Redis away)"]
    print(
        f"Worker {found.id} {' '.join(filter(None, words))}: serves {', '.join(found.names)} "
        f"({', '.join(found.queues)}), {len(found.running)} of {found.concurrency} slots busy, "
        f"{found.completed} completed, {found.failed} failed attempts."
    )
    for task_id, seconds in found.running.items():
        print(f"  {task_id} has run for {seconds:.1f} s")
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
        return current.session().tasks(queue, wanted, limit)

    return listed


def queues(cell: Cell, queue: str | None) -> object:
    return current.session().queues(queue)


def workers(cell: Cell) -> object:
    return current.session().workers()


def task(cell: Cell, id: str) -> TaskHandle:
    return current.session().task(id)


def result(cell: Cell, id: str, timeout: float) -> object:
    return current.session().wait_for_result(id, timeout)


def wait(cell: Cell, id: list[str], timeout: float | None) -> object:
    session = current.session()
    handles = [session.task(one) for one in id]
    for handle in handles:
        handle.wait(timeout)
    return handles[0] if len(handles) == 1 else TaskGroup(handles, session.source)


def _worker() -> Any:
    worker = current.session().worker
    if worker is None:
        raise UsageError("No worker is running in this kernel: %runqy worker start QUEUE.")
    return worker


def all_commands() -> list[Command]:
    """Every command, in the order of the help."""
    return [*_connection(), *_work(), *_looking(), *_one_task()]


def _connection() -> Iterable[Command]:
    yield (
        Command(("connect",), "connect to a Redis, or to the embedded server", connect)
        .argument("url", nargs="?", metavar="URL")
        .argument("--embedded", action="store_true")
    )
    yield Command(("disconnect",), "close the connection and stop the worker", disconnect)
    yield Command(("status",), "the connection and the worker, in a few lines", status)


def _work() -> Iterable[Command]:
    put = Command(("enqueue",), "put a task, or a list of them, into a queue", enqueue, True)
    put.argument("queue", metavar="QUEUE").argument("payload", nargs="?", metavar="PAYLOAD")
    put.argument("--max-retry", type=parser.count_or_zero, metavar="N")
    put.argument("--timeout", type=parser.duration, metavar="DURATION")
    put.argument("--in", dest="delay", type=parser.duration, metavar="DURATION")
    put.argument("--at", type=parser.moment, metavar="TIME")
    put.argument("--id", metavar="ID").argument("--type", metavar="TYPE")
    put.argument("--unique", nargs="?", const=True, metavar="KEY")
    put.argument("--unique-ttl", type=parser.duration, metavar="DURATION")
    put.argument("--store", action="store_true", default=None)
    put.argument("--no-store", dest="store", action="store_false", default=None)
    yield put.argument("--wait", action="store_true")

    start = Command(("worker", "start"), "serve queues in a thread of this kernel", worker_start)
    start.argument("queue", nargs="*", metavar="QUEUE")
    start.argument("--concurrency", type=parser.count, metavar="N")
    start.argument("--store-results", action="store_true", default=None)
    start.argument("--lease", type=parser.duration, metavar="DURATION")
    yield start.argument("--config", metavar="FILE")
    yield Command(
        ("worker", "stop"), "let running tasks end, give back the rest", worker_stop
    ).argument("--timeout", type=parser.duration, metavar="DURATION")
    yield Command(("worker", "pause"), "claim nothing more for now", worker_pause)
    yield Command(("worker", "resume"), "claim again", worker_resume)
    yield Command(("worker", "status"), "what the worker is doing", worker_status)


def _looking() -> Iterable[Command]:
    for state, told in (
        (State.PENDING, "waiting tasks, the next to run first"),
        (State.ACTIVE, "tasks that a worker holds"),
    ):
        yield _list(Command((state.value,), told, tasks(state)))
    yield _list(Command(("tasks",), "tasks of one state, or all", tasks(None))).argument(
        "--state", choices=[state.value for state in State], metavar="STATE"
    )
    yield Command(("queues",), "how many tasks are where", queues).argument(
        "queue", nargs="?", metavar="QUEUE"
    )
    yield Command(("workers",), "who serves what, ours and others", workers)


def _one_task() -> Iterable[Command]:
    yield Command(("task",), "the handle of a task", task).argument("id", metavar="ID")
    yield (
        Command(("result",), "wait for a task's result", result)
        .argument("id", metavar="ID")
        .argument("--timeout", type=parser.duration, default=30.0, metavar="DURATION")
    )
    yield (
        Command(("wait",), "wait until tasks are done", wait)
        .argument("id", nargs="+", metavar="ID")
        .argument("--timeout", type=parser.duration, metavar="DURATION")
    )


def _list(command: Command) -> Command:
    return command.argument("queue", nargs="?", metavar="QUEUE").argument(
        "--limit", type=parser.count, metavar="N"
    )
