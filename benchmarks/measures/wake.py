"""From a line written to redis-cli to the handler of an idle worker, against a bare BLMOVE."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import redis

from benchmarks import ours, raw
from benchmarks.harness import Bench, Figures, Goal, Row, quantile, row
from benchmarks.measures.latency import REST

GOAL = Goal("p50 <= 1.5x bare BLMOVE", at_most=1.5)


class Woken:
    """When the other side heard of the task."""

    def __init__(self) -> None:
        self.at = 0.0
        self.happened = threading.Event()

    def now(self, payload: Any = None) -> None:
        self.at = time.perf_counter()
        self.happened.set()


def _woken_by_cli(url: str, tasks: int, woken: Woken) -> Iterator[Figures]:
    """Microseconds; one redis-cli is kept open, so that its start does not count."""
    where = urlsplit(url)
    command = ["redis-cli", "-p", str(where.port), "-n", where.path.strip("/")]
    cli = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert cli.stdin
    try:
        while True:
            took = []
            for number in range(tasks):
                woken.happened.clear()
                begins = time.perf_counter()
                cli.stdin.write(
                    f"HSET asynq:t:w{number} type task payload {{}} retry 0 max_retry 3 "
                    f"queue {raw.QUEUE}\nLPUSH {raw.PENDING} w{number}\n"
                )
                cli.stdin.flush()
                assert woken.happened.wait(10)
                took.append((woken.at - begins) * 1e6)
                time.sleep(REST)
            yield {"p50": quantile(took, 0.5), "p99": quantile(took, 0.99)}
    finally:
        cli.stdin.close()
        cli.wait()


def bare_blmove(url: str, tasks: int) -> Iterator[Figures]:
    # Others have their turn meanwhile, so it may wait for long.
    client, woken = redis.Redis.from_url(url, socket_timeout=None), Woken()

    def work() -> None:
        while True:
            client.blmove(raw.PENDING, raw.ACTIVE, 0, "RIGHT", "LEFT")
            woken.now()

    threading.Thread(target=work, daemon=True).start()
    yield from _woken_by_cli(url, tasks, woken)


def runqy(url: str, tasks: int) -> Iterator[Figures]:
    woken = Woken()
    with ours.session(url) as session:
        ours.serve(session, woken.now).resume()
        yield from _woken_by_cli(url, tasks, woken)


def measure(bench: Bench) -> list[Row]:
    if not shutil.which("redis-cli"):
        print("There is no redis-cli here: the wake-up is not measured.")
        return []
    how = {"tasks": bench.size(500, 100)}
    duel = bench.duel(
        __name__, {"bare BLMOVE": ("bare_blmove", how), "runqy_notebook": ("runqy", how)}
    )
    return [
        row(f"wake-up, {part}", name, duel, part, "us", against="bare BLMOVE", goal=goal)
        for part, bound in (("p50", GOAL), ("p99", None))
        for name, goal in (("bare BLMOVE", None), ("runqy_notebook", bound))
    ]
