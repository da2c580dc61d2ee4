"""Running a task in a process of its own.

A task that was lost with its worker may be what killed it. Its next attempts run here, one at a
time: if it kills again, only this child dies, and the kernel with all it holds lives on. Handlers
travel by cloudpickle, so those defined in cells do too.

The child notes on the guardian's page when it calls the handler, and when that came to its end. So
when the kernel dies too, its guardian can tell a child that had died of its task from one that
still ran it, and ends the latter. Without a guardian the child ends by itself soon after.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import IO, Any, cast

from runqy_notebook.broker.guardian import APART, CLAIMED
from runqy_notebook.broker.ledger import Entry
from runqy_notebook.running import CURRENT, CurrentTask, reporting_task
from runqy_notebook.tasks import Handler, Loader
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.payload import decode_payload
from runqy_notebook.worker.leash import Leash
from runqy_notebook.worker.overheard import Replies, listen

_ONE_AT_A_TIME = threading.Lock()
_GUARDIANS_TIME = 3
"""Seconds that a child waits, once its kernel died, for the guardian to look how it fares and to
end it. It is the number of the signal by which it learns of that, too (SIGQUIT).
"""
_LOOK = 0.2  # seconds between looks whether a task that waits for its turn is still wanted


class DiedError(Exception):
    """The child died of the task."""

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code
        how = f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
        super().__init__(f"the process that ran it apart died ({how})")


class UnwantedError(Exception):
    """The task was told to end before there was an answer."""


class NotPortableError(Exception):
    """The handler, or something it uses, cannot be sent to another process."""


class RaisedError(Exception):
    """The handler raised in the child; its error and traceback as text."""

    def __init__(self, error: str, traceback_text: str) -> None:
        self.error, self.traceback_text = error, traceback_text
        super().__init__(error)


@dataclass(frozen=True, slots=True)
class _Errand:
    """What the child is sent."""

    handler: Handler
    loader: Loader | None
    task: Task
    mark: tuple[int, int] | None


def run_apart(
    handler: Handler, loader: Loader | None, task: Task, seconds: float, leash: Leash, entry: Entry
) -> object:
    """The handler's value for this task; the loader runs anew in the child.

    Raises RaisedError, DiedError, NotPortableError, TimeoutError after `seconds`, and UnwantedError
    when the leash is pulled.
    """
    import cloudpickle  # seldom needed, so not loaded with the worker

    try:
        sent = _Errand(handler, loader, task, entry.mark_of_a_child)
        errand = cloudpickle.dumps((sys.path, sent))
    except Exception as error:
        raise NotPortableError(f"{type(error).__name__}: {error}") from error
    while not _ONE_AT_A_TIME.acquire(timeout=_LOOK):
        if leash.is_pulled:
            raise UnwantedError
    try:
        return _sent(errand, seconds, leash, entry)
    finally:
        _ONE_AT_A_TIME.release()


def _sent(errand: bytes, seconds: float, leash: Leash, entry: Entry) -> object:
    """The child's answer. Its stdin stays open until it ended: the end of it tells the child that
    the kernel died, and that the task is somebody else's.
    """
    mark = entry.mark_of_a_child
    child = subprocess.Popen(
        [sys.executable, "-m", "runqy_notebook.worker.apart"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=mark[:1] if mark else (),
        start_new_session=True,  # an interrupt of the kernel is not meant for it
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert child.stdin is not None  # noqa: S101 - asked for
    assert child.stdout is not None  # noqa: S101 - asked for
    listening = listen(child)
    overdue = threading.Timer(seconds, child.kill)
    overdue.daemon = True
    overdue.start()
    entry.lent(child.pid)
    answer: tuple[Any, ...] | None = None
    try:
        with leash.ending(child.kill):
            with contextlib.suppress(OSError):  # it died before it had read everything
                child.stdin.write(errand)
                child.stdin.flush()
            answer = _answer(child.stdout)
            child.wait()
    finally:
        in_time = overdue.is_alive()
        overdue.cancel()
        child.kill()
        child.wait()
        with contextlib.suppress(OSError):
            child.stdin.close()
        child.stdout.close()
        if answer or leash.is_pulled or not in_time:
            entry.ended()
        else:
            entry.died_apart()
        listening.join()
    if not answer and leash.is_pulled:
        raise UnwantedError
    if not answer and not in_time:
        raise TimeoutError
    if not answer:
        raise DiedError(child.returncode)
    word, *rest = answer
    if word == "value":
        return rest[0]
    if word == "unreadable":
        raise NotPortableError(rest[0])
    raise RaisedError(*rest)


def _answer(replies: IO[bytes]) -> tuple[Any, ...] | None:
    """The last thing that the child has to say; what it says before is its progress."""
    task = reporting_task()
    while True:
        try:
            word, *rest = pickle.load(replies)  # noqa: S301 - from our own child
        except (EOFError, pickle.UnpicklingError):  # it died, perhaps within a word
            return None
        if word != "progress":
            return (word, *rest)
        if task is not None and task.report is not None:
            task.report.progress(*rest)


def _run(errand: _Errand) -> object:
    arguments: list[Any] = [decode_payload(errand.task.payload, errand.task.id)]
    if errand.handler.takes_context:
        arguments.append(_finished(errand.loader.function()) if errand.loader else None)
    return _finished(errand.handler.function(*arguments))


def _finished(value: Any) -> object:
    if not inspect.isawaitable(value):
        return value
    import asyncio

    async def awaited() -> object:
        return await value

    return asyncio.run(awaited())


def _wait_for_the_end() -> None:
    """Ends this process when its stdin did, unless the guardian does before."""
    os.read(0, 1)
    time.sleep(_GUARDIANS_TIME)
    os._exit(1)


def _end_soon_after_the_kernel() -> None:
    """On Linux also when a handler holds the GIL, so that no thread sees stdin end: the kernel's
    death sends a signal, whose handler is alarm(2) itself and takes the signal's number for
    seconds; no Python is needed.
    """
    if sys.platform == "linux":
        import ctypes

        libc = ctypes.CDLL(None)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        libc.signal(_GUARDIANS_TIME, ctypes.cast(libc.alarm, ctypes.c_void_p))
        libc.prctl(1, _GUARDIANS_TIME)  # PR_SET_PDEATHSIG; the thread that forked waits for us


def _note(errand: _Errand, state: int) -> None:
    """Tells the guardian's page how far we are."""
    if errand.mark is not None:
        page, place = errand.mark
        os.pwrite(page, bytes([state]), place)


def main() -> None:
    """The child: an errand on stdin, the answer on what was stdout."""
    import cloudpickle

    from runqy_notebook.worker.run import describe, traceback_of

    reply = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the handler prints is no answer
    for stream in (sys.stdout, sys.stderr):
        cast(io.TextIOWrapper, stream).reconfigure(line_buffering=True, errors="backslashreplace")
    _end_soon_after_the_kernel()
    try:
        path, errand = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own kernel
        if select.select([0], [], [], 0)[0]:
            os._exit(1)  # nothing else is ever sent: this is the end, the kernel died meanwhile
        threading.Thread(target=_wait_for_the_end, daemon=True).start()
    except Exception as error:  # noqa: BLE001 - told to the parent
        answer: tuple[object, ...] = ("unreadable", f"{type(error).__name__}: {error}")
    else:
        sys.path[:] = path
        CURRENT.set(CurrentTask(errand.task, Replies(reply)))
        _note(errand, APART)
        try:
            answer = ("value", _run(errand))
        except BaseException as error:  # noqa: BLE001 - a handler may raise anything
            answer = ("raised", describe(error), traceback_of(error))
        _note(errand, CLAIMED)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # the handler may have closed or replaced it
            stream.flush()
    with reply:
        try:
            told = cloudpickle.dumps(answer)
        except Exception as error:  # noqa: BLE001 - told to the parent
            told = cloudpickle.dumps(("raised", f"its result cannot be sent back: {error}", ""))
        reply.write(told)
    os._exit(0)  # the kernel waits for our end, and taking Python down costs 60 ms


if __name__ == "__main__":
    main()
