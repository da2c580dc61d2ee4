"""Loading, reloading and unloading: nothing doubles, nothing stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis as redis_py

from tests.notebook.kernels import Kernel
from tests.servers import RunningServer, free_port
from tests.waiting import wait_until

SNAPSHOT = """
import gc, json, psutil, sys, threading
def snapshot():
    ip, me = get_ipython(), psutil.Process()
    return {
        "threads": [t.name for t in threading.enumerate() if t.name.startswith("runqy")],
        "callbacks": {name: len(found) for name, found in ip.events.callbacks.items()},
        "matchers": len(ip.Completer.custom_matchers),
        "configurables": sum(type(c).__name__ == "Runqy" for c in ip.configurables),
        "magics": [k for k, found in ip.magics_manager.magics.items() if "runqy" in found],
        "importers": [type(finder).__name__ for finder in sys.meta_path],
        "stand-ins": [name for name in ("runqy_task", "runqy_python") if name in sys.modules],
        "children": [child.pid for child in me.children(recursive=True)],
        "streams": [type(sys.stdout).__name__, type(sys.stderr).__name__],
        "alive": alive(),
    }
def alive():  # whatever is still registered somewhere, with atexit too
    gc.collect()
    ours = ("Extension", "Runqy", "Session", "Worker")
    kinds = [type(thing) for thing in gc.get_objects()]
    return sorted(k.__name__ for k in kinds if k.__name__ in ours and "runqy" in k.__module__)
def counters():
    return [psutil.Process().num_fds(), threading.active_count()]
"""
A_ROUND_OF_WORK = """
from runqy_task import task
@task(queue="inference")
def double(payload):
    return payload["n"] * 2
%runqy worker start inference
t = %runqy enqueue inference {"n": 21}
assert t.result(timeout=10) == 42
"""


def told(kernel: Kernel, expression: str) -> Any:
    return json.loads(kernel.run(f"print(json.dumps({expression}))").stdout)


def test_ten_rounds_of_load_work_and_unload_leave_nothing_behind(
    start_kernel: Callable[..., Kernel], url: str
) -> None:
    kernel = start_kernel(RUNQY_REDIS_URL=url)
    kernel.run(SNAPSHOT)
    before = told(kernel, "snapshot()")
    counted = []

    for _ in range(10):
        kernel.run("%load_ext runqy_notebook" + A_ROUND_OF_WORK)
        kernel.run("%unload_ext runqy_notebook\ndel t")  # a handle holds its session
        assert told(kernel, "snapshot()") == before
        counted.append(told(kernel, "counters()"))

    (files, threads), (_, threads_at_last) = counted[1], counted[-1]
    assert threads_at_last == threads
    # The kernel's own come and go: ten seconds after a thread that displayed something is over,
    # ipykernel closes the socket by which it did.
    wait_until(lambda: told(kernel, "counters()")[0] <= files + 2, "files stay open", 30)


def test_loading_registers_everything_once_however_often(kernel: Kernel) -> None:
    kernel.run(SNAPSHOT)
    once = told(kernel, "snapshot()")

    second = kernel.run("%load_ext runqy_notebook")
    reloaded = [kernel.run("%reload_ext runqy_notebook").stdout for _ in range(3)]

    assert "already loaded" in second.stdout
    assert told(kernel, "snapshot()") == once
    assert all(line.count("redis://") == 1 for line in reloaded)


def test_a_reload_stops_the_worker_and_keeps_the_handlers(kernel: Kernel) -> None:
    kernel.run(A_ROUND_OF_WORK)

    kernel.run("%reload_ext runqy_notebook")

    assert kernel.run("%runqy worker status").stdout.startswith("No worker is running")
    kernel.run("%runqy worker start inference\nt = %runqy enqueue inference {'n': 4}")
    assert kernel.run("t.result(timeout=10)").value == "8"


def test_unloading_twice_and_loading_again_is_fine(kernel: Kernel) -> None:
    kernel.run("%unload_ext runqy_notebook")

    assert "not loaded" in kernel.run("%unload_ext runqy_notebook").stdout
    assert "not found" in kernel.try_run("%runqy status").stderr
    assert "ModuleNotFoundError" in kernel.try_run("from runqy_task import no_such_name").error
    assert kernel.run("%load_ext runqy_notebook").stdout.startswith("redis://")


def test_loading_imports_neither_pandas_nor_ipywidgets(
    start_kernel: Callable[..., Kernel], url: str
) -> None:
    kernel = start_kernel(RUNQY_REDIS_URL=url)
    heavy = "{'pandas', 'numpy', 'ipywidgets', 'fakeredis', 'sklearn', 'matplotlib'}"
    kernel.run("import json, sys; before = set(sys.modules)")

    kernel.run("%load_ext runqy_notebook")
    kernel.run("from runqy_notebook import connect, load, run, task, Session, TaskHandle")

    assert told(kernel, f"sorted({heavy} & (set(sys.modules) - before))") == []


def test_one_line_says_where_it_is_connected(
    shared_kernel: Kernel, redis: redis_py.Redis, server: RunningServer
) -> None:
    where = f"redis://127.0.0.1:{server.port}/0"

    assert shared_kernel.run("%load_ext runqy_notebook").stdout == f"{where}\n"

    shared_kernel.run("for n in range(3):\n    %runqy enqueue q {'n': n}")
    shared_kernel.run("%unload_ext runqy_notebook")
    again = shared_kernel.run("%load_ext runqy_notebook")
    shared_kernel.run("%unload_ext runqy_notebook")
    assert again.stdout == f"{where}, 3 tasks from before\n"
    assert again.outputs == ["stream"]


def test_without_redis_it_loads_says_so_in_one_line_and_connects_later(
    start_kernel: Callable[..., Kernel], url: str
) -> None:
    kernel = start_kernel(RUNQY_REDIS_URL=f"redis://:geheim@127.0.0.1:{free_port()}/0")

    loaded = kernel.run("%load_ext runqy_notebook")
    failed = kernel.fail("%runqy pending")
    status = kernel.run("%runqy status").stdout
    connected = kernel.run(f"%runqy connect {url}").stdout

    assert loaded.stdout.startswith("Not connected. redis://:***@127.0.0.1:")
    assert "connection refused" in loaded.stdout
    assert loaded.stdout.count("\n") == 1
    assert loaded.outputs == ["stream"]
    assert "connection refused" in failed
    assert status == "Not connected: %runqy connect.\n"
    assert connected == f"{url}\n"
    assert len(kernel.run("%runqy pending").shown) == 1
    assert "geheim" not in kernel.everything_said()


def test_a_bad_setting_in_the_environment_is_one_line(
    start_kernel: Callable[..., Kernel], url: str
) -> None:
    kernel = start_kernel(RUNQY_REDIS_URL=url, RUNQY_CONCURRENCY="many")

    loaded = kernel.run("%load_ext runqy_notebook").stdout

    assert loaded.startswith("Not connected. The setting concurrency wants a whole number")
    assert loaded.count("\n") == 1


@pytest.mark.parametrize("command", ["%runqy status", "%runqy disconnect", "%runqy worker stop"])
def test_unloading_works_whatever_came_before(kernel: Kernel, command: str) -> None:
    kernel.run(A_ROUND_OF_WORK + command)

    kernel.run("%unload_ext runqy_notebook")

    assert "not found" in kernel.try_run("%runqy status").stderr
