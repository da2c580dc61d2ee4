"""The board while much happens: few updates, a page that answers, and memory that stays.

`make soak` has it take ten minutes instead of 20 seconds (RUNQY_SOAK: how many).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import redis as redis_py

from runqy_notebook import task
from runqy_notebook.session import Session
from tests.browser.boards import BoardOnPage
from tests.browser.lab import Notebook
from tests.waiting import wait_until

Open = Callable[..., Notebook]

CELLS = [
    "%load_ext runqy_notebook",
    "b = %runqy board\nb",
    "import os, gc; print(os.getpid(), gc.collect())",
]
PENDING = 100_000
TASKS = 200  # a second; each is enqueued, started and completed
WINDOW = 2_000  # milliseconds that each of two tabs is looked at, in turn
SOAK = float(os.environ.get("RUNQY_SOAK", "20"))  # seconds
HEAP_GROWTH = 6e6  # bytes of the page's JavaScript
KERNEL_GROWTH = 25e6  # bytes of the kernel

_WATCH = """
window.longest = 0; window.told = [];
new PerformanceObserver(list => list.getEntries().forEach(
    each => { window.longest = Math.max(window.longest, each.duration); }
)).observe({type: 'longtask'});
panel.sessionContext.session.kernel.iopubMessage.connect((_, message) => {
    if (['comm_msg', 'update_display_data', 'display_data'].includes(message.header.msg_type))
        window.told.push(performance.now());
});
"""


@contextmanager
def busy(session: Session, redis: redis_py.Redis) -> Iterator[Callable[[], int]]:
    """Tasks run in this process all the while; gives how many events that has made so far."""

    @task(queue="busy")
    def act(payload: dict[str, Any]) -> None:
        pass

    session.start_worker("busy")
    stopping = threading.Event()

    def feed() -> None:
        while not stopping.wait(0.1):
            session.enqueue_many("busy", [{"n": n} for n in range(TASKS // 10)])

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        yield lambda: 3 * int(redis.get("asynq:busy_default:processed") or 0)
    finally:
        stopping.set()
        feeder.join()


def most_in_a_second(moments: list[float]) -> int:
    """The largest number of these moments (milliseconds) within one second."""
    return max((sum(at <= each < at + 1000 for each in moments) for at in moments), default=0)


def test_much_that_happens_leaves_the_page_and_its_memory_alone(
    open_notebook: Open, session: Session, redis: redis_py.Redis
) -> None:
    """With 100,000 tasks waiting and 500 events a second: fewer than ten updates a second, never
    200 ms in which the page does not answer, and memory that stays. Others use the machine too, so
    half of the time may be worse.
    """
    session.enqueue_many("many", [{"n": n} for n in range(PENDING)])
    notebook = open_notebook("busy.ipynb", CELLS)
    notebook.run(0, 1, 2)
    kernel = psutil.Process(int(notebook.text(2).split()[0]))
    devtools = notebook.page.context.new_cdp_session(notebook.page)
    devtools.send("Performance.enable")
    board = BoardOnPage(notebook.page)

    def used() -> tuple[float, float, float]:
        """Bytes and nodes of the page, bytes of the kernel, without what is garbage."""
        notebook.run(2)
        devtools.send("HeapProfiler.collectGarbage")
        told = devtools.send("Performance.getMetrics")["metrics"]
        page = {each["name"]: each["value"] for each in told}
        return page["JSHeapUsedSize"], page["Nodes"], kernel.memory_info().rss

    with busy(session, redis) as events:
        board.count("many", "pending", f"{PENDING:,}")
        wait_until(lambda: events() > 1_500, "nothing ran")
        notebook.js(_WATCH)
        heap, nodes, rss = used()
        seen: list[tuple[float, int, float]] = []
        ends = time.monotonic() + SOAK
        while time.monotonic() < ends:
            notebook.js("window.longest = 0; window.told = [];")
            before, began = events(), time.monotonic()
            for title in ("Worker", "Overview"):
                board.tab(title)
                notebook.page.wait_for_timeout(WINDOW)
            told, longest = notebook.js("return [window.told, window.longest];")
            pace = (events() - before) / (time.monotonic() - began)
            seen.append((pace, most_in_a_second(told), longest))
        heap_after, nodes_after, rss_after = used()

    paces, updates, blocked = (sorted(each) for each in zip(*seen, strict=True))
    middle = len(seen) // 2
    print(
        f"{SOAK:g} s, {paces[middle]:.0f} events/s: at most {updates[middle]} updates in a second "
        f"(once {updates[-1]}), blocked for {blocked[middle]:.0f} ms (once {blocked[-1]:.0f}); "
        f"page {heap / 1e6:.1f} -> {heap_after / 1e6:.1f} MB, {nodes:g} -> {nodes_after:g} nodes; "
        f"kernel {rss / 1e6:.1f} -> {rss_after / 1e6:.1f} MB"
    )
    assert paces[middle] > 500
    assert 0 < updates[middle] < 10
    assert blocked[middle] <= 200
    assert heap_after - heap < HEAP_GROWTH
    assert nodes_after - nodes < 6_000  # a round of the board makes some 300
    assert rss_after - rss < KERNEL_GROWTH
