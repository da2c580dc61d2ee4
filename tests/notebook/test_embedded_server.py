"""The embedded server outlives whatever happens to the kernel that started it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from runqy_notebook.broker import embedded
from tests.notebook.kernels import Kernel

StartKernel = Callable[[], Kernel]

DOUBLE = """
from runqy_notebook import task
@task(queue="double")
def double(payload):
    return payload["n"] * 2
"""


def test_tasks_outlive_an_interrupt_and_both_kinds_of_restart(
    start_embedded: StartKernel, tmp_path: Path
) -> None:
    kernel = start_embedded()
    first = kernel.run("%load_ext runqy_notebook").stdout
    server = embedded.ensure(tmp_path / "state")
    kernel.run("for n in range(3):\n    %runqy enqueue double {'n': n} --id n{n}")

    busy = kernel.begin("print('busy')\nwhile True: pass")
    kernel.wait_for_output(busy, "busy")
    kernel.interrupt()
    interrupted = kernel.finish(busy)
    pending = kernel.run("%runqy pending").value
    kernel.restart(now=False)
    restarted = kernel.run("%load_ext runqy_notebook").stdout
    kernel.restart(now=True)
    killed = kernel.run("%load_ext runqy_notebook").stdout
    kernel.run(f"{DOUBLE}\n%runqy worker start double\ng = %runqy wait n0 n1 n2 --timeout 10")

    assert re.fullmatch(r"embedded (Valkey|Redis) \d+\.\d+\.\d+\n", first)
    assert interrupted.reply["ename"] == "KeyboardInterrupt"
    assert pending.count("double") == 3
    assert restarted == killed == first.replace("\n", ", 3 tasks from before\n")
    assert kernel.run("g.results()").value == "[0, 2, 4]"
    assert embedded.ensure(tmp_path / "state").pid == server.pid


def test_two_kernels_share_the_server_and_one_runs_the_others_tasks(
    start_embedded: StartKernel,
) -> None:
    worker, client = start_embedded(), start_embedded()
    client.run("%load_ext runqy_notebook")
    client.run("g = %runqy enqueue double [{'n': 1}, {'n': 2}] --store")

    loaded = worker.run("%load_ext runqy_notebook").stdout
    seen = worker.run("frame = %runqy pending\nlist(frame.payload)").value
    worker.run(f"{DOUBLE}\n%runqy worker start double")

    assert loaded.endswith(", 2 tasks from before\n")
    assert seen == "[{'n': 1}, {'n': 2}]"
    assert client.run("g.results(timeout=10)").value == "[2, 4]"
    assert client.run("w = %runqy workers\nlist(w.queues)").value == "['double']"


def test_a_kernel_that_comes_and_goes_starts_no_second_server(
    start_embedded: StartKernel, tmp_path: Path
) -> None:
    kernel = start_embedded()
    kernel.run("%load_ext runqy_notebook")
    server = embedded.ensure(tmp_path / "state")

    for _ in range(3):
        kernel.run("%reload_ext runqy_notebook")
    kernel.run("%runqy connect --embedded")

    assert embedded.ensure(tmp_path / "state").pid == server.pid


def test_its_password_is_never_shown(start_embedded: StartKernel, tmp_path: Path) -> None:
    kernel = start_embedded()
    kernel.run("%load_ext runqy_notebook")
    password = embedded.ensure(tmp_path / "state").url.split(":")[2].partition("@")[0]

    kernel.run("%runqy status\n%runqy workers\n%config Runqy")
    kernel.run("from runqy_notebook.current import session\nsession()")
    embedded.stop(tmp_path / "state")
    gone = kernel.fail("%runqy pending")

    assert len(password) > 10
    assert "embedded" in gone
    assert password not in kernel.everything_said()
