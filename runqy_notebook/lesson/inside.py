"""The program of a lesson's worker: `python -m runqy_notebook.lesson.inside`.

Orders come on its stdin, what it did goes to its stdout. It ends with its stdin, and then its
guardian gives back what it holds.
"""

from __future__ import annotations

import importlib
import os
import queue
import sys
import threading
import time
from typing import Any, Final

from runqy_notebook import adopt
from runqy_notebook.errors import ConnectionFailedError
from runqy_notebook.lesson.orders import Orders, Way
from runqy_notebook.lesson.worker import Worker
from runqy_notebook.worker.capture import CAPTURE
from runqy_notebook.worker.inside import take_streams
from runqy_notebook.worker.run import describe

_GUARDIANS_TIME: Final = 1.0  # seconds that a handler runs on where the lesson is gone


def _receive(requests: Way, way: Way, worker: Worker, inbox: queue.SimpleQueue[Any]) -> None:
    """Hands orders on; the last one is not for a thread that may be in a handler."""
    while (request := requests.receive()) is not None:
        if request == ("leave",):
            way.send(*_done(worker, request))
            os._exit(0)
        inbox.put(request)
    inbox.put(None)
    time.sleep(_GUARDIANS_TIME)
    os._exit(1)  # a handler is running: its task is the guardian's to give back


def main() -> None:
    requests, replies = take_streams()
    way, inbox = Way(replies), queue.SimpleQueue[Any]()
    incoming = Way(requests)
    first = incoming.receive()
    if first is None:
        return
    orders: Orders = first[0]
    sys.path[:] = orders.path
    if os.path.isdir(orders.folder):
        os.chdir(orders.folder)
    adopt.take_over(lambda *names, **options: None)
    importlib.import_module("cloudpickle")
    CAPTURE.start(tee=False)
    try:
        worker = Worker(orders, way, inbox)
    except Exception as error:  # noqa: BLE001 - told to the lesson
        way.send("fault", describe(error))
        return
    way.send("ready", worker.facts)
    threading.Thread(target=_receive, args=(incoming, way, worker, inbox), daemon=True).start()
    while (request := inbox.get()) is not None:
        way.send(*_done(worker, request))


def _done(worker: Worker, request: tuple[Any, ...]) -> tuple[Any, ...]:
    """The answer to an order."""
    word, *rest = request
    try:
        answer: tuple[Any, ...] = getattr(worker, word)(*rest)
    except ConnectionFailedError as error:
        return "lost", error.cause
    except Exception as error:  # noqa: BLE001 - told to the lesson
        return "fault", describe(error)
    return answer


if __name__ == "__main__":
    main()
