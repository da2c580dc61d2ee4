"""A worker process, to be killed: `python -m tests.chaos.driver URL --concurrency 4 ...`.

It ends in good order when its stdin is closed, and so ends with the test that started it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from runqy_notebook.errors import ConnectionFailedError
from runqy_notebook.session import Session
from tests.chaos import clock, handlers
from tests.chaos.journal import note
from tests.measured import measure_children

T = TypeVar("T")

NOTICE = "notice: "
OPENS_WITHIN = 30.0  # seconds that it waits for a server that is away


def main() -> None:
    """Works until stdin ends."""
    asked = _parser().parse_args()
    clock.shift_if_asked()
    measure_children()
    settings = {"lease": asked.lease, "crash_limit": asked.crash_limit}
    settings |= {"store_results": True, "retry_delay": 0.2}
    session = _patiently(lambda: Session(asked.url, on_notice=_say, **settings))
    _patiently(lambda: session.start_worker(handlers.PARENT, concurrency=asked.concurrency))
    note("ready", "-")
    sys.stdin.read()
    session.close()


def _patiently(attempt: Callable[[], T]) -> T:
    """Tries until the server is there, as a supervisor would that starts the process again."""
    gives_up_at = time.monotonic() + OPENS_WITHIN
    while True:
        try:
            return attempt()
        except ConnectionFailedError:
            if time.monotonic() > gives_up_at:
                raise
            time.sleep(0.1)


def _say(text: str) -> None:
    print(f"{NOTICE}{text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--lease", type=float, default=15.0)
    parser.add_argument("--crash-limit", type=int, default=3)
    return parser


if __name__ == "__main__":
    main()
