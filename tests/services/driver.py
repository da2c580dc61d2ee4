"""A process that delivers, to be killed: `python -m tests.services.driver REDIS_URL SINK_URL`.

It ends in good order when its stdin is closed, and so ends with the test that started it.
"""

from __future__ import annotations

import sys

from runqy_notebook.session import Session


def main() -> None:
    """Delivers what is for the destination named store until stdin ends."""
    url, sink = sys.argv[1:]
    with Session(url, deliver_deadline=1.0, guardian=False) as session:
        session.destination("store", sink)
        session.start_worker("idle")
        sys.stdin.read()


if __name__ == "__main__":
    main()
