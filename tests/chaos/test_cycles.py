"""Worker and extension leave nothing behind in their process, however often they come and go."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from runqy_notebook import task
from runqy_notebook.session import Session
from tests.chaos.fleet import Fleet
from tests.chaos.handlers import QUEUE, act
from tests.chaos.holdings import Holdings, holdings
from tests.chaos.journal import VARIABLE
from tests.chaos.report import Row
from tests.chaos.scale import size
from tests.chaos.servers import Server
from tests.notebook.kernels import Kernel, running_kernel
from tests.waiting import wait_until

CYCLES = size(short=20, full=50)

KERNEL_CYCLE = """
from runqy_notebook import task
from tests.chaos.holdings import holdings

get_ipython().history_manager.enabled = False  # it opens a file of its own now and then

@task(queue="cycle")
def handle(payload):
    return "fine"

def cycle():
    get_ipython().run_line_magic("load_ext", "runqy_notebook")
    get_ipython().run_line_magic("runqy", "worker start cycle")
    handle = get_ipython().run_line_magic("runqy", "enqueue cycle {}")
    assert handle.result(timeout=10) == "fine"
    get_ipython().run_line_magic("unload_ext", "runqy_notebook")
"""


def test_a_worker_that_comes_and_goes_leaves_nothing_in_the_process(
    server: Server,
    fleet: Fleet,
    judge: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, str(fleet.journal.path))
    task(queue=QUEUE)(act)  # each test begins with no handler
    with Session(server.url) as session:
        cycle(session)
        server.client.ping()
        before = held_beside_the_pool(session)

        for _ in range(CYCLES):
            cycle(session)
        with suppress(AssertionError):  # the figures say it
            wait_until(lambda: held_beside_the_pool(session) == before, "", 3)
        after = held_beside_the_pool(session)

    given = f"a worker started and stopped {CYCLES} times in one process, a task each"
    judge(row("comings and goings", given, before, after))


def test_an_extension_that_is_loaded_and_unloaded_leaves_nothing_in_the_kernel(
    server: Server, tmp_path: Path, judge: Callable[..., None]
) -> None:
    with running_kernel(tmp_path, RUNQY_REDIS_URL=server.url) as kernel:
        kernel.run(KERNEL_CYCLE)
        for _ in range(3):  # what is imported, or opened once for good
            kernel.run("cycle()")
        before = held_by(kernel)

        for _ in range(CYCLES):
            kernel.run("cycle()")
        with suppress(AssertionError):  # the figures say it
            # ipykernel looks every 10 s which threads that published have ended, and closes theirs
            wait_until(lambda: held_by(kernel) == before, "", 25)
        after = held_by(kernel)

    given = f"extension loaded and unloaded, worker started and stopped in it {CYCLES} times"
    judge(row("extension loaded and unloaded", given, before, after))


def row(name: str, given: str, before: Holdings, after: Holdings) -> Row:
    """The row of what there is more than before."""
    more = {name: after[i] - before[i] for i, name in enumerate(Holdings._fields)}
    return Row(name, given, more, dict.fromkeys(more, 0))


def held_beside_the_pool(session: Session) -> Holdings:
    """What this process has open, but for connections that lie idle in the session's pool: how many
    were ever needed at once is chance.
    """
    session.server.client.connection_pool.disconnect(inuse_connections=False)
    return holdings()


def held_by(kernel: Kernel) -> Holdings:
    """What the kernel's process has open."""
    return Holdings(*json.loads(kernel.run("print(list(holdings()))").stdout))


def cycle(session: Session) -> None:
    """One worker's life: it runs one task."""
    session.start_worker(QUEUE, concurrency=4)
    session.enqueue(QUEUE, {"act": "nap"}).result(10)
    session.stop_worker()
