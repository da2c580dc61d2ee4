"""Running a handler wherever an executor of the user's runs it: another thread, process, machine.

`carry` is what is submitted. It needs this package there, and nothing else of ours: no Redis.
"""

from __future__ import annotations

import inspect
import pickle
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from runqy_notebook.registry import Loader
from runqy_notebook.running import CURRENT, CurrentTask, Report
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.payload import decode_payload
from runqy_notebook.worker.capture import CAPTURE
from runqy_notebook.worker.contexts import Contexts, SlotLoop
from runqy_notebook.worker.leash import Leash

MOST_SAID = 10_000
"""Things that one task may say which are brought back: the newest."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One task to run. `loader` names the loader that makes its context, which is run where that
    was not yet done; `replaced` are those that it stands for.
    """

    function: Callable[..., Any]
    takes_context: bool
    task: Task
    seconds: float
    loader: str = ""
    load: Callable[[], Any] | None = None
    replaced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """How a handler ended, and what it said: names and arguments of calls of a report."""

    value: object = None
    error: BaseException | None = None
    error_text: str = ""
    traceback_text: str = ""
    said: tuple[tuple[Any, ...], ...] = ()


class _Gathered:
    """A report that keeps what is said until the task's end."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def write(self, stream: str, text: str) -> None:
        self._add("write", stream, text)

    def progress(self, done: float, total: float, note: str) -> None:
        self._add("progress", done, total, note)

    def show(self, data: Mapping[str, str], display_id: str = "") -> None:
        self._add("show", dict(data), display_id)

    def _add(self, *call: Any) -> None:
        self.said.append(call)
        if len(self.said) > MOST_SAID:
            del self.said[0]


_CONTEXTS = Contexts()
_LOADERS: dict[str, Loader] = {}
_LOCK = threading.Lock()
_is_capturing = False


def carry(text: bytes) -> bytes:
    """An Answer to a Parcel, each by cloudpickle."""
    import cloudpickle

    gathered = _Gathered()
    parcel: Parcel = pickle.loads(text)  # noqa: S301 - from the worker that submitted it
    _capture()
    answer = _run(parcel, gathered)
    try:
        return cloudpickle.dumps(answer)  # type: ignore[no-any-return]
    except Exception as error:  # noqa: BLE001 - told to the worker
        why = f"its result cannot be sent back: {type(error).__name__}: {error}"
        said = tuple(gathered.said)
        if answer.error is None:
            return cloudpickle.dumps(Answer(error_text=why, said=said))  # type: ignore[no-any-return]
        told = answer.error_text, answer.traceback_text
        return cloudpickle.dumps(Answer(None, None, *told, said))  # type: ignore[no-any-return]


def run_here(parcel: Parcel) -> Answer:
    """The same in this process, where what is said goes its usual way."""
    return _run(parcel, None)


def _run(parcel: Parcel, gathered: _Gathered | None) -> Answer:
    from runqy_notebook.worker.run import describe, traceback_of, within_its_time

    loop = SlotLoop()
    task = CURRENT.get()
    report: Report | None = gathered or (task.report if task else None)
    token = CURRENT.set(CurrentTask(parcel.task, report))
    try:
        arguments: list[Any] = [decode_payload(parcel.task.payload, parcel.task.id)]
        if parcel.takes_context:
            arguments.append(_CONTEXTS.of(_loader(parcel), loop))
        value = parcel.function(*arguments)
        if inspect.isawaitable(value):
            value = within_its_time(loop, value, parcel.seconds, Leash())
        answer = Answer(value)
    except BaseException as error:  # noqa: BLE001 - a handler may raise anything
        answer = Answer(None, error, describe(error), traceback_of(error))
    finally:
        CURRENT.reset(token)
        _CONTEXTS.forget_slot(loop)
        loop.close()
    said = tuple(gathered.said) if gathered else ()
    return Answer(answer.value, answer.error, answer.error_text, answer.traceback_text, said)


def _loader(parcel: Parcel) -> Loader | None:
    if parcel.load is None:
        return None
    with _LOCK:
        for name in parcel.replaced:
            _LOADERS.pop(name, None)
        loader = _LOADERS.setdefault(parcel.loader, Loader(parcel.load))
        _CONTEXTS.forget_others(set(_LOADERS.values()))
    return loader


def _capture() -> None:
    """Has what handlers print go to their tasks, in this process from now on."""
    global _is_capturing
    with _LOCK:
        if not _is_capturing:
            _is_capturing = True
            CAPTURE.start(tee=False)
