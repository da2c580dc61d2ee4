"""Puts tasks into the queue from a process of its own: `python -m tests.chaos.producer URL`."""

from __future__ import annotations

import os
import sys
from random import Random

from runqy_notebook.session import Session
from tests.chaos import clock
from tests.chaos.handlers import QUEUE
from tests.chaos.journal import note

AT_ONCE, SCHEDULED, ASKING_AGAIN = 150, 50, 50
SEED = 11


def main() -> None:
    """Three kinds of tasks; what is due when is noted by the monotonic clock."""
    clock.shift_if_asked()
    random = Random(SEED)
    with Session(sys.argv[1]) as session:

        def put(number: int, act: str, seconds: float, delay: float | None = None) -> None:
            task_id = f"{os.getpid()}-{number}"
            note("put", task_id)
            if delay is not None:
                note("due", task_id, later=delay)
            session.enqueue(QUEUE, {"act": act, "seconds": seconds}, id=task_id, delay=delay)

        for number in range(AT_ONCE):
            put(number, "nap", 0.01)
        for number in range(AT_ONCE, AT_ONCE + SCHEDULED):
            put(number, "nap", 0.01, delay=random.uniform(0.5, 3))
        for number in range(AT_ONCE + SCHEDULED, AT_ONCE + SCHEDULED + ASKING_AGAIN):
            put(number, "ask_again", random.uniform(0.5, 3))


if __name__ == "__main__":
    main()
