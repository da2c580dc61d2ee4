"""`df.runqy.map` in cells: what shows, how it is interrupted, and what a killed kernel leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import redis as redis_py

from tests.notebook.kernels import Kernel, kernel_environment
from tests.waiting import wait_until

HANDLER = """
import os, threading, time
import pandas as pd
from runqy_notebook import task
go = threading.Event()

@task(queue="q", max_retry=0)
def act(payload):
    with open("log", "a") as log:
        log.write(f"{payload['n']}\\n")
    if payload.get("held"):
        go.wait(60)
    time.sleep(payload["seconds"])
    if payload["n"] == -1:
        raise ValueError("negative")
    return payload["n"] * 2

%runqy worker start q --concurrency 2
def frame(rows, seconds=0.0, held_from=10_000):
    held = [n >= held_from for n in range(rows)]
    return pd.DataFrame({"n": range(rows), "seconds": seconds, "held": held})
"""


def card(kernel: Kernel, cell: str) -> str:
    """The map's card as it was left."""
    kernel.run(cell)
    shown = [m for m in kernel.said if m["msg_type"] in ("display_data", "update_display_data")]
    return str(shown[-1]["content"]["data"]["text/plain"])


@pytest.fixture
def working(kernel: Kernel) -> Kernel:
    """The shared kernel with a worker."""
    kernel.run(HANDLER)
    return kernel


def test_the_cell_shows_one_card_and_at_the_end_what_came_of_it(working: Kernel) -> None:
    first = card(working, "out = frame(700).runqy.map('q')")
    again = card(working, "again = frame(700).runqy.map('q')")

    assert first.splitlines()[0] == "map of 700 rows in q_default: 700 done"
    assert first.splitlines()[2] == "Results stay in Redis for 24 h: mapping again takes them."
    assert again.startswith(
        "map of 700 rows in q_default: 700 done · 700 of them from an earlier run\n100 % · in "
    )
    assert again.endswith("mapping again takes them, fresh=True runs all rows anew.")
    assert working.run("int(out.result.sum()), again.equals(out)").value == "(489300, True)"


def test_the_card_is_the_only_output_beside_the_value(working: Kernel) -> None:
    ran = working.run("frame(3).runqy.map('q')")

    kinds = [kind for kind in ran.outputs if kind != "update_display_data"]
    assert kinds == ["display_data", "execute_result"]
    assert "<progress" in ran.shown[0]["text/html"]
    assert working.run("frame(3, 0.001).runqy.map('q', progress=False)").outputs == [
        "execute_result"
    ]


def test_failures_and_a_missing_worker_are_told_on_the_card(working: Kernel) -> None:
    failed = card(working, "pd.DataFrame({'n': [-1], 'seconds': 0}).runqy.map('q');")
    working.run("%runqy worker stop")
    cell = working.begin("frame(5).runqy.map('q')")
    working.wait_for_update(_card_id(working), "No worker serves q_default: start one with")
    working.interrupt()
    left = working.finish(cell)

    assert "1 done · 1 failed" in failed
    assert left.status == "error"
    assert left.error == (
        "MapInterrupted: 0 of 5 rows are done, and 5 more were sent and go on. Run it again, and "
        "it takes up where it was."
    )


def _card_id(kernel: Kernel) -> str:
    kernel.wait_for_display("map of 5 rows")
    (display,) = [m for m in kernel.said if "map of 5 rows" in str(m["content"])][-1:]
    return str(display["content"]["transient"]["display_id"])


@pytest.mark.parametrize(
    "cell", ["frame(600, 0.01, 100).runqy.map('q')", "await frame(600, 0.01, 100).runqy.amap('q')"]
)
def test_an_interrupt_ends_it_at_once_and_the_cell_run_again_takes_it_up(
    start_kernel: Callable[..., Kernel], url: str, tmp_path: Path, cell: str
) -> None:
    kernel = start_kernel(RUNQY_REDIS_URL=url)
    kernel.run("%load_ext runqy_notebook" + HANDLER)
    kernel.run("print(flush := True)")
    running = kernel.begin(cell)
    wait_until(lambda: len(_logged(tmp_path)) > 20, "nothing is run")

    kernel.interrupt()
    ran = kernel.finish(running)
    n_run = len(_logged(tmp_path))
    kernel.run("go.set()")
    again = kernel.run(
        cell.replace("frame", "out = frame") if "await" not in cell else f"out = {cell}"
    )
    summed = kernel.run("len(out), int(out.result.sum()), bool(out.error.isna().all())").value

    assert n_run < 600  # it did not wait for the rest
    assert len(ran.error.splitlines()) == 1
    assert "rows are done, and " in ran.error
    assert "Run it again, and it takes up where it was." in ran.error
    assert again.status == "ok"
    assert summed == f"(600, {sum(2 * n for n in range(600))}, True)"
    assert sorted(_logged(tmp_path)) == list(range(600))


def test_after_a_kernel_was_killed_a_second_run_sends_only_the_rest(
    start_kernel: Callable[..., Kernel], url: str, redis: redis_py.Redis, tmp_path: Path
) -> None:
    kernel = start_kernel(RUNQY_REDIS_URL=url)
    kernel.run("%load_ext runqy_notebook" + HANDLER)
    kernel.begin("frame(2000, 0.002, 1000).runqy.map('q', ahead=300)")
    wait_until(lambda: len(_logged(tmp_path)) > 500, "nothing is run", 30)

    os.kill(_pid(kernel), signal.SIGKILL)
    wait_until(lambda: not kernel.manager.is_alive(), "it lives")
    stored = len(redis.keys("asynq:result:map-*"))
    left = Counter(_logged(tmp_path))
    kernel.restart(now=True)
    kernel.run("%load_ext runqy_notebook" + HANDLER + "go.set()")
    told = card(kernel, "out = frame(2000, 0.002, 1000).runqy.map('q', ahead=300)")
    summed = kernel.run("len(out), int(out.result.sum()), bool(out.error.isna().all())").value

    logged = Counter(_logged(tmp_path))
    assert 400 <= stored < 2000  # the last of the 500 may have run and not been written down
    assert summed == f"(2000, {sum(2 * n for n in range(2000))}, True)"
    assert set(logged) == set(range(2000))
    # What two slots were running, or had run and not written down yet, is run twice and no more.
    twice = [n for n, times in logged.items() if times > 1]
    assert max(logged.values()) == 2 or not twice
    assert len(twice) <= len(left) - stored
    assert "done · " in told
    found = int(told.split(" done · ")[1].split(" of them")[0].replace(",", ""))
    assert stored <= found < 2000


def _logged(folder: Path) -> list[int]:
    path = folder / "log"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def _pid(kernel: Kernel) -> int:
    return int(kernel.manager.provisioner.pid)  # type: ignore[union-attr]


def test_a_kernel_elsewhere_does_the_work(
    start_kernel: Callable[..., Kernel], url: str, working: Kernel, tmp_path: Path
) -> None:
    working.run("%runqy worker stop")
    other = start_kernel(RUNQY_REDIS_URL=url)
    other.run("%load_ext runqy_notebook" + HANDLER)

    assert working.run("int(frame(600).runqy.map('q_default').result.sum())").value == "359400"
    assert len(_logged(tmp_path)) == 600


def test_the_kernel_is_free_while_a_map_is_awaited(working: Kernel) -> None:
    working.run("import asyncio; t = asyncio.create_task(frame(400, 0, 0).runqy.amap('q'))")

    between = working.run("t.done(), 1 + 1").value
    summed = working.run("go.set(); int((await t).result.sum())").value

    assert between == "(False, 2)"
    assert summed == "159600"


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("map('q', columns=['n', 'sec'])", "UsageError: There is no column 'sec' in the frame; it"),
        ("map('q', kep=3)", "UsageError: map has no option 'kep'; it has name, fresh, "),
        ("map('a b')", "QueueNameError: 'a b' is not a queue name"),
    ],
)
def test_a_mistake_is_one_line(working: Kernel, call: str, told: str) -> None:
    assert working.fail(f"frame(2).runqy.{call}").startswith(told)


def test_a_failure_that_is_raised_shows_the_handlers_traceback_and_the_row(working: Kernel) -> None:
    ran = working.try_run(
        "pd.DataFrame({'n': [-1], 'seconds': 0}, index=['x']).runqy.map('q', errors='raise')"
    )

    assert ran.error.splitlines()[0] == "Traceback (most recent call last):"
    assert "RowFailedError: The map stopped at row 'x' (position 0): ValueError: negative." in (
        ran.error
    )
    assert "site-packages/runqy_notebook" not in ran.error


def test_frames_know_runqy_while_the_extension_is_loaded(kernel: Kernel) -> None:
    kernel.run("import warnings; warnings.simplefilter('error'); import pandas as pd")
    asked = "[hasattr(kind, 'runqy') for kind in (pd.DataFrame, pd.Series)]"

    loaded = kernel.run(asked).value
    kernel.run("%unload_ext runqy_notebook")
    unloaded = kernel.run(asked).value
    kernel.run("%load_ext runqy_notebook")
    kernel.run("%reload_ext runqy_notebook")
    reloaded = kernel.run(asked).value
    kernel.run("warnings.resetwarnings()")

    assert [loaded, unloaded, reloaded] == ["[True, True]", "[False, False]", "[True, True]"]


@pytest.mark.parametrize("first", ["import pandas", "pass"])
def test_importing_the_package_is_enough_and_imports_no_pandas(tmp_path: Path, first: str) -> None:
    script = f"""
import json, sys
{first}
before = "pandas" in sys.modules
import runqy_notebook
is_imported = "pandas" in sys.modules
import pandas as pd
print(json.dumps([before == is_imported, hasattr(pd.DataFrame(), "runqy"), "redis" in sys.modules]))
"""
    command = [sys.executable, "-W", "error", "-c", script]
    environment = kernel_environment(tmp_path)
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    assert ran.stderr == ""
    assert json.loads(ran.stdout) == [True, True, False]
