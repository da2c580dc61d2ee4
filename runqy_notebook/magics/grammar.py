"""Every `%runqy` command and how it is written, in the order of the help."""

from __future__ import annotations

from collections.abc import Iterable

from runqy_notebook.magics import commands
from runqy_notebook.magics.board_command import board_commands
from runqy_notebook.magics.control import control_commands
from runqy_notebook.magics.hooks import hook_commands
from runqy_notebook.magics.parser import Command
from runqy_notebook.magics.step_command import step_commands
from runqy_notebook.magics.stream_command import stream_commands
from runqy_notebook.magics.values import count, count_or_zero, duration, moment, one_of
from runqy_notebook.wire.states import State

_STATES = [state.value for state in State]
_EXECUTORS = ["thread", "process"]


def all_commands() -> list[Command]:
    return [
        *_connection(),
        *_enqueueing(),
        *_working(),
        *_looking(),
        *_one_task(),
        *control_commands(),
        *hook_commands(),
        *stream_commands(),
        *board_commands(),
        *step_commands(),
    ]


def _connection() -> Iterable[Command]:
    connect = Command(
        ("connect",), "connect to a Redis, or to the embedded server", commands.connect
    )
    connect.argument("url", nargs="?", metavar="URL", help="redis://, rediss:// or unix://")
    yield connect.argument("--embedded", action="store_true", help="the embedded server")
    yield Command(("disconnect",), "stop the worker and close the connection", commands.disconnect)
    yield Command(("status",), "the connection and the worker, in a few lines", commands.status)
    doctor = Command(("doctor",), "what is wrong with the queues, and the remedy", commands.doctor)
    doctor.argument("--repair", action="store_true", help="mend what can be mended for certain")
    yield doctor.argument(
        "--patience",
        type=duration,
        default=60.0,
        metavar="DURATION",
        help="what may be on its way is a problem when seen twice, so far apart (default: 60 s)",
    )


def _enqueueing() -> Iterable[Command]:
    put = Command(
        ("enqueue",),
        "put a task, or one for each item of a list or DataFrame, into a queue",
        commands.enqueue,
        takes_body=True,
        payloads=("payload", "unique"),
    )
    put.argument("queue", metavar="QUEUE", help="a queue, or a parent: its default sub-queue")
    put.argument("payload", nargs="?", metavar="PAYLOAD", help="JSON or a Python expression")
    put.argument("--max-retry", type=count_or_zero, metavar="N", help="retries after a failure")
    put.argument("--timeout", type=duration, metavar="DURATION", help="how long a run may take")
    put.argument("--in", dest="delay", type=duration, metavar="DURATION", help="due so much later")
    put.argument("--at", type=moment, metavar="TIME", help="due at 18:30, or 2030-01-31T18:30")
    put.argument("--id", metavar="ID", help="a name of your own for the task")
    put.argument("--type", metavar="TYPE", help="for handlers of that type")
    put.argument(
        "--unique",
        nargs="?",
        const=True,
        metavar="KEY",
        help="give back the task of this queue with the same payload (or KEY), if there is one",
    )
    put.argument(
        "--unique-ttl", type=duration, metavar="DURATION", help="also when it ended so long ago"
    )
    put.argument("--store", action="store_true", default=None, help="keep the result in Redis")
    put.argument(
        "--no-store", dest="store", action="store_false", default=None, help="do not keep it"
    )
    put.argument("--webhook", metavar="URL", help="for a handler that delivers by itself")
    put.argument(
        "--deliver-to",
        action="append",
        metavar="URL",
        help="send the result there, signed and retried; or a destination's name; may be repeated",
    )
    yield put.argument("--wait", action="store_true", help="wait, and give the result")


def _working() -> Iterable[Command]:
    start = Command(
        ("worker", "start"), "serve queues in a thread of this kernel", commands.worker_start
    )
    start.argument("queue", nargs="*", metavar="QUEUE", help="each with all its sub-queues")
    start.argument("--concurrency", type=count, metavar="N", help="tasks that run at a time")
    start.argument(
        "--executor",
        type=one_of(_EXECUTORS),
        choices=_EXECUTORS,
        metavar="WHERE",
        help="thread, or process: where handlers run",
    )
    start.argument(
        "--store-results", action="store_true", default=None, help="keep results in Redis"
    )
    start.argument(
        "--lease",
        type=duration,
        metavar="DURATION",
        help="silent for so long, a worker has lost its tasks",
    )
    yield start.argument("--config", metavar="FILE", help="a runqy worker's config.yml")
    yield Command(
        ("worker", "stop"), "let running tasks end, give back the rest", commands.worker_stop
    ).argument("--timeout", type=duration, metavar="DURATION", help="how long they may take")
    yield Command(("worker", "pause"), "claim nothing more for now", commands.worker_pause)
    yield Command(("worker", "resume"), "claim again", commands.worker_resume)
    yield Command(("worker", "status"), "what the worker is doing", commands.worker_status)


def _looking() -> Iterable[Command]:
    yield _list("pending", "waiting tasks, the next to run first", State.PENDING)
    yield _list("active", "tasks that a worker holds", State.ACTIVE)
    yield _list("tasks", "tasks of one state, or all", None).argument(
        "--state", type=one_of(_STATES), choices=_STATES, metavar="STATE", help=", ".join(_STATES)
    )
    yield Command(("queues",), "how many tasks are where", commands.queues).argument(
        "queue", nargs="?", metavar="QUEUE", help="only this one with its sub-queues"
    )
    yield Command(("workers",), "who serves what, ours and others", commands.workers)
    deliveries = Command(("deliveries",), "what was and is to be delivered", commands.deliveries)
    deliveries.argument("--limit", type=count, metavar="N", help="at most so many (default: 1000)")
    yield deliveries.argument("--retry", metavar="ID", help="attempt this one again, at once")


def _list(name: str, told: str, state: State | None) -> Command:
    command = Command((name,), told, commands.tasks(state))
    command.argument("queue", nargs="?", metavar="QUEUE", help="only this one with its sub-queues")
    return command.argument("--limit", type=count, metavar="N", help="at most so many")


def _one_task() -> Iterable[Command]:
    patience = {"type": duration, "metavar": "DURATION"}
    yield Command(("task",), "a task's handle, which shows as its card", commands.task).argument(
        "id", metavar="ID"
    )
    yield (
        Command(("result",), "wait for a task's result", commands.result)
        .argument("id", metavar="ID")
        .argument("--timeout", default=30.0, help="how long (default: 30 s)", **patience)
    )
    yield (
        Command(("wait",), "wait until tasks are done", commands.wait)
        .argument("id", nargs="+", metavar="ID")
        .argument("--timeout", help="how long in all (default: as long as it takes)", **patience)
    )
