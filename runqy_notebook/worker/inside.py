"""The program of a process that runs handlers for a slot: `python -m runqy_notebook.worker.inside`.

Requests come on its stdin, answers go to its stdout, each as its length and a pickle; what handlers
print goes to stderr. It ends with its stdin, which tells that the slot needs it no more, or that
the kernel died.

It notes on the guardian's page when it calls a handler, and when that came to its end. So when the
kernel dies, its guardian can tell a process that had died of its task from one that still ran it,
and ends the latter. Without a guardian it ends by itself soon after.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import io
import os
import pickle
import queue
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, cast

from runqy_notebook import adopt
from runqy_notebook.broker.guardian import APART, CLAIMED
from runqy_notebook.deliver import outlet
from runqy_notebook.deliver.away import Away
from runqy_notebook.registry import Loader
from runqy_notebook.running import CURRENT, CurrentTask
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.payload import decode_payload
from runqy_notebook.worker.contexts import Contexts, SlotLoop
from runqy_notebook.worker.leash import Ending, Leash

LENGTH = struct.Struct("<Q")
END = b"\0\x1dthe end of a task\x1d\0"
"""Written to stderr after each task, so that the kernel knows when it has read all of it."""

_GUARDIANS_TIME = 3
"""Seconds that a process waits, once its kernel died, for the guardian to look how it fares and to
end it. It is the number of the signal by which it learns of that, too (SIGQUIT).
"""


@dataclass(frozen=True, slots=True)
class Errand:
    """One task to run. `handler` is the key of a handler that was sent before, `loader` the number
    of the loader that makes its context, `mark` the place on the guardian's page.
    """

    handler: bytes
    loader: int | None
    task: Task
    seconds: float
    mark: tuple[int, int] | None


class Replies:
    """The way to the kernel, and a handler's report: its progress goes that way, its lines with
    what it prints.
    """

    def __init__(self, replies: IO[bytes]) -> None:
        self._replies = replies
        self._lock = threading.Lock()

    def send(self, *words: object) -> None:
        text = pickle.dumps(words)
        with self._lock:
            self._replies.write(LENGTH.pack(len(text)) + text)
            self._replies.flush()

    def write(self, stream: str, text: str) -> None:
        print(text, end="", flush=True)

    def progress(self, done: float, total: float, note: str) -> None:
        self.send("progress", done, total, note)

    def show(self, data: Mapping[str, str], display_id: str = "") -> None:
        self.send("show", dict(data), display_id)


class Inside:
    """Does what the kernel asks for, on the main thread."""

    def __init__(self, replies: Replies) -> None:
        self._unwanted = threading.Event()  # the task under way is
        self._leash = Leash()  # of an async handler
        self._replies = replies
        self._handlers: dict[bytes, Any] = {}  # the function and whether it takes a context
        self._loaders: dict[int, Loader] = {}
        self._contexts = Contexts()
        self._loop = SlotLoop()

    def do(self, word: str, *rest: Any) -> None:
        """One request."""
        acts: dict[str, Callable[..., None]] = {
            "at": self._at,
            "handler": self._handler,
            "load": self._load,
            "run": self._run,
        }
        acts[word](*rest)

    def heed(self, *, is_cancelled: bool) -> None:
        """Tells the handler under way that its task is unwanted; called on another thread."""
        self._unwanted.set()
        if is_cancelled:
            self._leash.pull(Ending.CANCELLED)

    def close(self) -> None:
        self._loop.close()

    def _at(self, path: list[str], folder: str) -> None:
        sys.path[:] = path
        with contextlib.suppress(OSError):
            os.chdir(folder)

    def _handler(self, key: bytes, text: bytes, forget: bool) -> None:
        if forget:
            self._handlers.clear()
        self._handlers[key] = text

    def _load(self, number: int, text: bytes, forgotten: list[int]) -> None:
        """Runs a loader; what those made that it replaces is let go of before."""
        for each in forgotten:
            self._loaders.pop(each, None)
        self._contexts.forget_others(set(self._loaders.values()))

        def load() -> tuple[object, ...]:
            function, _ = pickle.loads(text)  # noqa: S301 - from our own kernel
            loader = self._loaders[number] = Loader(function)
            self._contexts.of(loader, self._loop)
            return ("loaded",)

        self._answer(load)

    def _run(self, errand: Errand) -> None:
        from runqy_notebook.worker.run import within_its_time

        def run() -> tuple[object, ...]:
            function, takes_context = self._function(errand.handler)
            arguments: list[Any] = [decode_payload(errand.task.payload, errand.task.id)]
            if takes_context:
                loader = self._loaders[errand.loader] if errand.loader is not None else None
                arguments.append(self._contexts.of(loader, self._loop))
            self._replies.send("began")
            _note(errand, APART)
            try:
                value = function(*arguments)
                if inspect.isawaitable(value):
                    value = within_its_time(self._loop, value, errand.seconds, self._leash)
            finally:
                _note(errand, CLAIMED)
            return "value", *_sendable(value)

        self._unwanted.clear()
        self._leash = Leash()
        CURRENT.set(CurrentTask(errand.task, self._replies, self._unwanted.is_set))
        self._answer(run)
        CURRENT.set(None)

    def _function(self, key: bytes) -> Any:
        found = self._handlers[key]
        if isinstance(found, bytes):
            try:
                found = self._handlers[key] = pickle.loads(found)  # noqa: S301 - see above
            except Exception as error:
                raise _UnreadableError(error) from error
        return found

    def _answer(self, act: Callable[[], tuple[object, ...]]) -> None:
        from runqy_notebook.worker.run import describe, traceback_of

        try:
            answer = act()
        except _UnreadableError as error:
            answer = ("unreadable", describe(error.args[0]))
        except BaseException as error:  # noqa: BLE001 - a handler may raise anything
            answer = ("raised", describe(error), traceback_of(error), *_sendable(error)[:1])
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # the handler may have closed or replaced it
                stream.flush()
        try:
            os.write(2, END)
            has_marked = True
        except OSError:
            has_marked = False
        self._replies.send(has_marked, *answer)


class _UnreadableError(Exception):
    """What was sent could not be read here."""


def _sendable(value: object) -> tuple[bytes | None, str]:
    """A value as it is sent, or None and why it cannot be."""
    import cloudpickle

    try:
        return cloudpickle.dumps(value), ""
    except Exception as error:  # noqa: BLE001 - told to the kernel
        return None, f"{type(error).__name__}: {error}"


def _note(errand: Errand, state: int) -> None:
    """Tells the guardian's page how far we are."""
    if errand.mark is not None:
        page, place = errand.mark
        os.pwrite(page, bytes([state]), place)


def _receive(requests: IO[bytes], inside: Inside, inbox: queue.SimpleQueue[Any]) -> None:
    """Hands requests on, until their end: then this process ends, by itself where it has nothing
    to do, else soon.
    """
    with contextlib.suppress(EOFError, OSError, pickle.UnpicklingError):
        while True:
            request = pickle.load(requests)  # noqa: S301 - from our own kernel
            if request[0] == "unwanted":
                inside.heed(is_cancelled=request[1])
            else:
                inbox.put(request)
    inbox.put(None)
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


def take_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Where requests come from and answers go to. What handlers and their programs read is empty,
    and what they print is no answer.
    """
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        cast(io.TextIOWrapper, stream).reconfigure(line_buffering=True, errors="backslashreplace")
    return requests, replies


def main() -> None:
    requests, replies = take_streams()
    _end_soon_after_the_kernel()
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    way = Replies(replies)
    away = Away(functools.partial(way.send, "deliver"))  # held here, as outlets are weak
    outlet.opened(away.deliver)
    inside = Inside(way)
    threading.Thread(target=_receive, args=(requests, inside, inbox), daemon=True).start()
    adopt.take_over(
        lambda *names, **options: None
    )  # modules of handlers may import the SDK's names
    for module in ("cloudpickle", "runqy_notebook.worker.run"):
        importlib.import_module(module)  # now, not within the first task
    way.send("ready")
    while (request := inbox.get()) is not None:
        inside.do(*request)
    inside.close()


if __name__ == "__main__":
    main()
