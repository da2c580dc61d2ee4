"""The lesson's end of its worker's process: starting it, telling it to move, killing it."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from runqy_notebook.lesson.orders import Orders, Sent, Way
from runqy_notebook.registry import Loader, Registry
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.outcomes import Outcome
from runqy_notebook.worker.portable import packed

START: Final = 30.0  # seconds that its process may take to be there
ANSWER: Final = 15.0  # and to make a move of ours
FAREWELL: Final = 6.0
_TICK: Final = 0.1


class DeadError(Exception):
    """The worker's process is dead."""


@dataclass(slots=True)
class Ran:
    """How a handler ended: its outcome, what it said last, and how long it ran."""

    outcome: Outcome
    lines: tuple[str, ...]
    seconds: float


class Stepper:
    """One worker, from its start to its end. Used by one thread, but for `kill` and `is_alive`.

    `task` is what it holds, `outcome` what became of that, `is_unanswered` whether it waits for
    the answer to what it asked last.
    """

    def __init__(self, orders: Orders) -> None:
        self.task: Task | None = None
        self.outcome: Outcome | None = None
        self.is_unanswered = False
        self.is_running = False
        self._given_back = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "runqy_notebook.lesson.inside"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # an interrupt of the kernel is not meant for it
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert self._process.stdin is not None  # noqa: S101 - asked for
        assert self._process.stdout is not None  # noqa: S101 - asked for
        self._orders, self._answers = Way(self._process.stdin), Way(self._process.stdout)
        try:
            self._send(orders)
            facts = self._answer("ready", START)[0]
        except BaseException:
            self.kill()
            self._reap()
            raise
        self.id: str = facts["id"]
        self.guardian: int | None = facts["guardian"]

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def define(self, registry: Registry, queue: str) -> None:
        """Has it use the handlers of this queue as they are now; raises NotPortableError."""
        handlers = [
            Sent(
                packed(handler).text,
                handler.queue,
                handler.type,
                handler.timeout,
                handler.store_result,
                handler.deliver_to,
            )
            for handler in registry.handlers_of(queue)
        ]
        loader: Loader | None = registry.loader_for(queue)
        sent = Sent(packed(loader).text, loader.queue) if loader else None
        self._ask("definitions", handlers, sent)

    def claim(self) -> dict[str, Any]:
        """Has it claim; what it was answered."""
        return self._settled("claim")

    def run(self, halt: Callable[[], bool] = lambda: False) -> Ran | None:
        """Has it call the handler, to its end; None where `halt` says stop when the handler has
        been called, before its first line.
        """
        self._send("run")
        self.is_running = True
        word, *rest = self._receive(None)
        if word == "began":
            if halt():
                return None
            if self.task and not self.task.is_suspect:  # one that runs apart passes no gate
                self._send("go")
            word, *rest = self._receive(None)
        self.is_running = False
        if word == "left":  # it was asked to, meanwhile
            self._given_back = rest[0]
            raise DeadError
        if word != "ran":
            raise RuntimeError(f"the lesson's worker said {word!r}: {rest}")
        text, lines, seconds = rest
        self.outcome = pickle.loads(text)  # noqa: S301 - from our own process
        return Ran(self.outcome, lines, seconds)

    def acknowledge(self, parcel: object) -> dict[str, Any]:
        """Has it write the outcome down."""
        return self._settled("acknowledge", parcel)

    def again(self) -> dict[str, Any]:
        """Has it ask once more what got no answer."""
        return self._settled("again")

    def sweep(self) -> list[tuple[str, str]]:
        """Has it look after the queue; what it found, each with a task's id."""
        word, *rest = self._ask("sweep")
        return rest[0] if word == "swept" else []

    def leave(self) -> str:
        """Ends it; the id of a task that it gave back."""
        given_back = self._given_back
        with contextlib.suppress(OSError, DeadError, RuntimeError):
            self._send("leave")
            gives_up_at = time.monotonic() + FAREWELL
            while time.monotonic() < gives_up_at:
                word, *rest = self._receive(gives_up_at - time.monotonic())
                if word == "left":
                    given_back = rest[0]
                    break
        self.kill()
        self._reap()
        return given_back

    def ask_to_leave(self) -> None:
        """Has it give back what it runs and end; called on another thread, while it runs."""
        with contextlib.suppress(OSError, DeadError):
            self._send("leave")

    def kill(self) -> None:
        """SIGKILL: whatever it was doing, it does no more."""
        with contextlib.suppress(OSError):
            self._process.kill()

    def kill_guardian(self) -> None:
        """SIGKILL to its guardian, too."""
        if self.guardian is not None:
            with contextlib.suppress(OSError):
                os.kill(self.guardian, signal.SIGKILL)

    def close(self) -> None:
        """Takes leave of a dead process."""
        self.kill()
        self._reap()

    # --- inside ---------------------------------------------------------------------------------

    def _settled(self, word: str, *rest: object) -> dict[str, Any]:
        self.is_unanswered = True
        said, *facts = self._ask(word, *rest)
        if said != "settled":
            return {"lost": facts[0]}
        self.is_unanswered = False
        told: dict[str, Any] = facts[0]
        if told["answers"]:
            self.task = self.outcome = None
        if told["tasks"]:
            (self.task,) = told["tasks"]
        return told

    def _ask(self, *words: object) -> tuple[Any, ...]:
        self._send(*words)
        answer = self._receive(ANSWER)
        while answer[0] == "began":  # told late, of a handler that ran apart
            answer = self._receive(ANSWER)
        if answer[0] == "fault":
            raise RuntimeError(f"the lesson's worker failed: {answer[1]}")
        return answer

    def _answer(self, wanted: str, patience: float) -> tuple[Any, ...]:
        word, *rest = self._receive(patience)
        if word != wanted:
            raise RuntimeError(f"the lesson's worker did not start: {rest}")
        return tuple(rest)

    def _send(self, *words: object) -> None:
        try:
            self._orders.send(*words)
        except (OSError, ValueError) as error:  # its end of the pipe is closed, or ours
            raise DeadError from error

    def _receive(self, patience: float | None) -> tuple[Any, ...]:
        """What it says next; raises DeadError where it died, RuntimeError where it says nothing."""
        assert self._process.stdout is not None  # noqa: S101 - asked for
        gives_up_at = None if patience is None else time.monotonic() + patience
        fd = self._process.stdout
        while not select.select([fd], [], [], _TICK)[0]:
            if gives_up_at is not None and time.monotonic() > gives_up_at:
                raise RuntimeError("the lesson's worker does not answer")
        said = self._answers.receive()
        if said is None:
            self._process.wait()
            raise DeadError
        return said

    def _reap(self) -> None:
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
