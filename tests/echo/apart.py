"""A receiver in a process of its own, so that its threads and memory can be told from the test's.

Prints its URL; then, for each line that it reads, how it is.
"""

from __future__ import annotations

import json
import sys

import psutil

from runqy_notebook.echo.webhooks import Webhooks


def main() -> None:
    webhooks, process = Webhooks(), psutil.Process()
    print(webhooks.start(), flush=True)
    for _ in sys.stdin:
        how = {
            "threads": process.num_threads(),
            "rss": process.memory_info().rss,
            "arrived": webhooks.receipts.arrived,
        }
        print(json.dumps(how), flush=True)


if __name__ == "__main__":
    main()
