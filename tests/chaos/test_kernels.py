"""Real kernels on the embedded server, restarted, killed and interrupted with tasks under way."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis as redis_py

from runqy_notebook.broker import embedded
from runqy_notebook.wire.layout import DOCUMENTED
from runqy_notebook.wire.states import State
from tests.chaos.fleet import children
from tests.chaos.report import Row
from tests.chaos.scale import size
from tests.notebook.kernels import Kernel, running_kernel
from tests.waiting import wait_until

KEYS = DOCUMENTED.queue("held_default")
COMPLETED = KEYS.of(State.COMPLETED)
IN_FLIGHT, BEHIND = 4, 2
INTERRUPTS = 3  # their median counts: a machine stands still now and then
SLOW = 20.0  # seconds until a test gives up on what should take one
NO_SWEEP = 10.0  # seconds in which no lease of a dead kernel's tasks ends

HANDLER = """
import os, time
from runqy_notebook import task

@task(queue="held")
def hold(payload):
    while not os.path.exists("go"):
        time.sleep(0.02)
    return "done"
%runqy worker start held --concurrency 4
"""


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    """A kernel on an embedded server of the test's own, the extension loaded."""
    with running_kernel(tmp_path, RUNQY_EMBEDDED="1", RUNQY_EMBEDDED_TTL="60") as started:
        started.run("%load_ext runqy_notebook")
        yield started
    embedded.stop(tmp_path / "state")


@pytest.fixture
def redis(kernel: Kernel, tmp_path: Path) -> Iterator[redis_py.Redis]:
    """A client of that server."""
    client = redis_py.Redis.from_url(embedded.ensure(tmp_path / "state").url)
    yield client
    client.close()


def restart(kernel: Kernel) -> None:
    """The menu's Restart Kernel: it is asked to end."""
    kernel.restart(now=False)


def restart_now(kernel: Kernel) -> None:
    """It is killed and started again."""
    kernel.restart(now=True)


def exit_at_once(kernel: Kernel) -> None:
    """Its own code ends it; then it is started again."""
    kernel.begin("os._exit(3)")
    wait_until(lambda: not kernel.manager.is_alive(), "it lives")
    kernel.restart(now=True)


@pytest.mark.parametrize(
    ("name", "ends", "bound"),
    [
        ("kernel restarted", restart, 2.5),
        ("kernel restarted at once", restart_now, 1.0),
        ("kernel calls os._exit", exit_at_once, 1.0),
    ],
)
def test_the_tasks_of_a_kernel_that_ends_are_back_at_the_front_and_the_next_one_runs_them(
    name: str,
    ends: Callable[[Kernel], None],
    bound: float,
    kernel: Kernel,
    redis: redis_py.Redis,
    tmp_path: Path,
    judge: Callable[..., None],
) -> None:
    server = embedded.ensure(tmp_path / "state")
    kernel.run(HANDLER)
    total = IN_FLIGHT + BEHIND
    kernel.run(f"for n in range({total}):\n    %runqy enqueue held {{}} --id t{{n}}")
    wait_until(lambda: redis.llen(KEYS.of(State.ACTIVE)) == IN_FLIGHT, "they were not started")
    in_flight = set(redis.lrange(KEYS.of(State.ACTIVE), 0, -1))
    back = Watch(lambda: redis.llen(KEYS.pending) == total)

    ends(kernel)
    took = back.seconds()
    listed = redis.lrange(KEYS.pending, 0, -1)
    kernel.run("%load_ext runqy_notebook")
    (tmp_path / "go").touch()
    kernel.run(HANDLER)
    wait_until(lambda: redis.zcard(COMPLETED) == total, "not all were run", SLOW)

    judge(
        Row(
            name,
            f"{IN_FLIGHT} tasks in flight, {BEHIND} behind them, embedded server",
            {
                "back after s": took,
                "not at the front": len(in_flight.difference(listed[-IN_FLIGHT:])),
                "lost": total - redis.zcard(COMPLETED),
                "servers more or less than one": abs(len(servers(tmp_path)) - 1),
                "servers replaced": int(embedded.ensure(tmp_path / "state").pid != server.pid),
            },
            {
                "back after s": size(short=NO_SWEEP, full=bound),
                "not at the front": 0,
                "lost": 0,
                "servers more or less than one": 0,
                "servers replaced": 0,
            },
        )
    )


def test_an_interrupt_during_a_wait_for_many_tasks_ends_the_wait_alone(
    kernel: Kernel, redis: redis_py.Redis, tmp_path: Path, judge: Callable[..., None]
) -> None:
    many = 100
    server = embedded.ensure(tmp_path / "state")
    kernel.run(HANDLER)
    kernel.try_run("1/0")  # the first traceback of a kernel imports for most of a second
    kernel.run(f"g = %runqy enqueue held [{{}} for _ in range({many})]")
    helpers = guardians(kernel)
    took = []
    for _ in range(INTERRUPTS):
        cell = kernel.begin("print('waiting')\ng.results()")
        kernel.wait_for_output(cell, "waiting")

        asked_at = time.monotonic()
        kernel.interrupt()
        interrupted = kernel.finish(cell)
        took.append(time.monotonic() - asked_at)
        assert interrupted.reply["ename"] == "KeyboardInterrupt"
    status = kernel.run("%runqy worker status").stdout
    (tmp_path / "go").touch()
    kernel.run("g.results(timeout=30);")

    judge(
        Row(
            "kernel interrupted",
            f"a cell waits for {many} tasks, {IN_FLIGHT} in flight, embedded server",
            {
                "cell back after s": round(statistics.median(took), 2),
                "workers stopped": int(" running: serves held" not in status),
                "guardians gone": len(helpers - guardians(kernel)),
                "servers replaced": int(embedded.ensure(tmp_path / "state").pid != server.pid),
                "lost": many - redis.zcard(COMPLETED),
            },
            {
                "cell back after s": 0.5,
                "workers stopped": 0,
                "guardians gone": 0,
                "servers replaced": 0,
                "lost": 0,
            },
        )
    )
    assert len(helpers) == 1


class Watch:
    """Looks on a thread of its own when something becomes true, from now on."""

    def __init__(self, predicate: Callable[[], bool]) -> None:
        self._predicate = predicate
        self._began = time.monotonic()
        self._ended: float | None = None
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def seconds(self) -> float:
        """How long it took; infinite where it did not happen."""
        self._thread.join()
        return float("inf") if self._ended is None else round(self._ended - self._began, 2)

    def _look(self) -> None:
        wait_until(self._predicate, "it did not happen", SLOW)
        self._ended = time.monotonic()


def guardians(kernel: Kernel) -> set[int]:
    """The pids of the guardians of this kernel."""
    pid = kernel.manager.provisioner.pid
    return {child for child in children(pid) if b"guardian.py" in read(f"/proc/{child}/cmdline")}


def servers(folder: Path) -> list[int]:
    """The pids of the Redis servers that keep their data in this folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            folder_of_it = os.readlink(entry / "cwd")
        except OSError:  # it ended, or is another user's
            continue
        if folder_of_it.startswith(str(folder)) and b"-server" in read(f"{entry}/cmdline"):
            found.append(int(entry.name))
    return found


def read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:  # the process ended
        return b""
