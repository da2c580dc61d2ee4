"""The session that is meant where none is named, and `run()`."""

from __future__ import annotations

import builtins
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from runqy_notebook import adopt
from runqy_notebook.config_file import read_worker_file
from runqy_notebook.errors import HandlerError
from runqy_notebook.session import Session
from runqy_notebook.tasks import REGISTRY

_session: Session | None = None
_defaults: Callable[[], Mapping[str, Any]] = dict


def open_with(defaults: Callable[[], Mapping[str, Any]]) -> None:
    """What `Session` is given, from now on, beside what `connect` is told."""
    global _defaults
    _defaults = defaults


def connect(url: str | None = None, **settings: Any) -> Session:
    """Opens a session and makes it the current one; the one before is closed.

    Raises what `Session` raises; the session before then stays.
    """
    global _session
    opened = Session(url, **{**_defaults(), **settings})
    before, _session = _session, opened
    if before is not None:
        before.close()
    return opened


def disconnect() -> None:
    """Closes the current session, if there is one."""
    global _session
    before, _session = _session, None
    if before is not None:
        before.close()


def session() -> Session:
    """The current session, opened by the settings where there is none yet."""
    return _session or connect()


def has_session() -> bool:
    """Whether there is a current session."""
    return _session is not None


def run(*queues: str, **options: Any) -> None:
    """Works the queues of the handlers defined so far.

    In a cell it starts the in-kernel worker and returns; in a script it works in the foreground
    until interrupted (Ctrl-C, SIGTERM). A plain handler has no queue of its own: name one here,
    in the setting `queue`, or in the setting `config_file` (a worker's config.yml). Raises
    HandlerError where there is neither.
    """
    adopt.collect(REGISTRY)
    opened = session()
    names = queues or _queues_to_run(opened)
    if hasattr(builtins, "__IPYTHON__"):  # how IPython tells code that it runs it
        worker = opened.start_worker(*names, **options)
        print(f"Worker serves {', '.join(worker.serving.names)}.")
    else:
        work_until_interrupted(opened, names, print_to_stderr, **options)


def work_until_interrupted(
    opened: Session, names: tuple[str, ...], say: Callable[[str], None], **options: Any
) -> None:
    """Runs a worker until SIGINT or SIGTERM, then stops it cleanly.

    While the @load functions run, the signals do what they always do: these can be long.
    """
    worker = opened.start_worker(*names, **options)
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        say(f"{worker.id} serves {', '.join(worker.serving.names)} of {opened.server.title}.")
        while not stopping.wait(0.2):
            pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        say(str(opened.stop_worker()))


def print_to_stderr(text: str) -> None:
    """Says something without touching what the program prints."""
    print(text, file=sys.stderr, flush=True)


def _queues_to_run(opened: Session) -> tuple[str, ...]:
    settings = opened.settings
    names = [*REGISTRY.queues()]
    if REGISTRY.has_plain_handler() or not names:
        names += [settings.queue] if settings.queue else []
        names += read_worker_file(settings.config_file).queues if settings.config_file else []
    if not names:
        raise HandlerError(
            "run() does not know which queue to work: write @task(queue='inference'), "
            "run('inference'), or set one (%config Runqy.queue = 'inference', RUNQY_QUEUE, or "
            "RUNQY_CONFIG_FILE=config.yml)."
            if REGISTRY.has_plain_handler()
            else "run() found no handler: mark a function with @task first."
        )
    return tuple(dict.fromkeys(names))
