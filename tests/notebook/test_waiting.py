"""Handles in cells: what they show, how they are awaited and interrupted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
import redis as redis_py

from tests.notebook.kernels import Kernel
from tests.waiting import wait_until

WORKER = """
import threading
from runqy_notebook import task
go = threading.Event()
@task(queue="q")
def act(payload):
    if payload.get("hold"):
        go.wait(60)
    return {"got": payload["n"]}
%runqy worker start q
"""


@pytest.fixture
def working(kernel: Kernel) -> Kernel:
    """The shared kernel with a worker, whose handler holds on until `go` where asked to."""
    kernel.run(WORKER)
    return kernel


def test_a_handle_shows_as_its_card_and_what_enqueues_quietly_shows_nothing(
    working: Kernel,
) -> None:
    assigned = working.run("t = %runqy enqueue q {'n': 1};")
    working.run("t.wait(10);")

    shown = working.run("t")

    assert assigned.outputs == []
    assert shown.outputs == ["display_data", "display_data"]
    assert shown.value.endswith('{"got": 1}')
    assert "completed -> {'got': 1}" in working.run("print(t)").stdout


def test_an_enqueue_that_is_not_assigned_shows_its_card_once(working: Kernel) -> None:
    assert working.run("%runqy enqueue q {'n': 1}").outputs.count("display_data") == 2
    assert working.run("%runqy enqueue q [{'n': 1}, {'n': 2}]").value.startswith("2 tasks in q")


@pytest.mark.parametrize("cell", ["await t", "t.result(timeout=10)", "%runqy result {t.id}"])
def test_a_result_can_be_had_in_three_ways(working: Kernel, cell: str) -> None:
    working.run("t = %runqy enqueue q {'n': 5}")

    assert working.run(cell).value == "{'got': 5}"


def test_many_are_awaited_together(working: Kernel) -> None:
    working.run("g = %runqy enqueue q [{'n': n} for n in range(20)]")

    assert working.run("sum(r['got'] for r in await g)").value == "190"


def test_a_task_finished_long_ago_is_waited_for_by_id(working: Kernel) -> None:
    working.run("for n in range(3):\n    %runqy enqueue q {'n': n} --id n{n}")

    shown = working.run("%runqy wait n0 n1 n2 --timeout 10")

    assert shown.value.startswith("3 tasks in q_default: 3 completed")
    assert "completed" in working.run("%runqy task n1").value


def test_a_failed_task_shows_the_handlers_traceback_and_one_line(working: Kernel) -> None:
    working.run("t = %runqy enqueue q {} --max-retry 0")

    for cell in ("await t", "t.result(timeout=10)"):
        ran = working.try_run(cell)
        assert ran.status == "error"
        assert ran.reply["ename"] == "TaskFailedError"
        assert "KeyError: 'n'" in ran.error
        assert ran.error.splitlines()[-1].startswith("TaskFailedError: Task ")
    assert working.run("t.error").value == "\"KeyError: 'n'\""


def test_a_timeout_is_one_line_that_names_state_and_remedy(kernel: Kernel) -> None:
    kernel.run("t = %runqy enqueue q {'n': 1}")

    line = kernel.fail("t.result(timeout=0.2)")

    assert "is still pending after 0.2 s" in line
    assert "No worker serves q" in line
    assert "%runqy worker start q" in line


@pytest.mark.any_kernel
@pytest.mark.parametrize("waiting", ["t.result()", "await t", "g.results()", "await g"])
def test_an_interrupt_ends_the_wait_at_once_and_the_worker_goes_on(
    working: Kernel, waiting: str
) -> None:
    working.try_run("1/0")  # the first traceback of a kernel imports for most of a second
    working.run("t = %runqy enqueue q {'n': 1, 'hold': True}\ng = %runqy enqueue q [{'n': 2}]")
    cell = working.begin(f"print('waiting')\n{waiting}")
    working.wait_for_output(cell, "waiting")

    asked_at = time.monotonic()
    working.interrupt()
    interrupted = working.finish(cell)
    took = time.monotonic() - asked_at
    working.run("go.set()")

    assert interrupted.status == "error"
    assert interrupted.reply["ename"] in ("KeyboardInterrupt", "CancelledError")
    assert took < 10  # of the minute that the task holds on
    assert "The wait was interrupted. " in interrupted.stdout
    assert "on: wait again, or end it with %runqy cancel." in interrupted.stdout
    assert working.run("await t, await g").value == "({'got': 1}, [{'got': 2}])"
    assert " running: serves q" in working.run("%runqy worker status").stdout


def test_an_interrupt_during_a_long_load_starts_no_worker(kernel: Kernel) -> None:
    kernel.run(
        "import threading\nfrom runqy_notebook import load, task\ngo = threading.Event()\n"
        "@load(queue='slow')\ndef setup(): go.wait(60)\n"
        "@task(queue='slow')\ndef act(payload, ctx): return 'done'"
    )
    cell = kernel.begin("print('waiting')\n%runqy worker start slow")
    kernel.wait_for_output(cell, "waiting")

    kernel.interrupt()
    interrupted = kernel.finish(cell)
    status = kernel.run("go.set()\n%runqy worker status").stdout

    assert interrupted.reply["ename"] == "KeyboardInterrupt"
    assert status.startswith("No worker is running")
    kernel.run("%runqy worker start slow\nt = %runqy enqueue slow {}")
    assert kernel.run("t.result(timeout=10)").value == "'done'"


def test_a_running_task_goes_back_to_its_queue_when_the_kernel_is_shut_down(
    start_kernel: Callable[..., Kernel], url: str, redis: redis_py.Redis
) -> None:
    kernel = start_kernel(RUNQY_REDIS_URL=url)
    kernel.run("%load_ext runqy_notebook" + WORKER)
    kernel.run("%runqy enqueue q {'n': 1, 'hold': True} --id held")
    kernel.run("%runqy enqueue q {'n': 2} --id next")
    wait_until(lambda: redis.llen("asynq:q_default:active"), "the task did not start")

    kernel.manager.shutdown_kernel(now=False)

    assert redis.lrange("asynq:q_default:active", 0, -1) == []
    assert redis.lrange("asynq:q_default:pending", 0, -1) == [b"next", b"held"]
    assert redis.hget("asynq:t:held", "state") == b"pending"
    assert redis.hget("asynq:t:held", "retry") == b"0"


def test_frames_show_once_and_are_given_when_assigned(kernel: Kernel) -> None:
    kernel.run("g = %runqy enqueue q [{'n': n} for n in range(5)];")  # a card may change meanwhile

    shown = kernel.run("%runqy pending q --limit 3")
    assigned = kernel.run("frame = %runqy pending q")

    assert shown.outputs == ["execute_result"]
    assert "text/html" in shown.shown[0]
    assert assigned.outputs == []
    facts = kernel.run("print([type(frame).__name__, len(frame), list(frame.payload)[0]['n']])")
    assert json.loads(facts.stdout.replace("'", '"')) == ["DataFrame", 5, 0]


@pytest.mark.parametrize("command", ["active", "tasks", "queues", "workers", "tasks --state retry"])
def test_every_frame_is_one_output_even_when_empty(kernel: Kernel, command: str) -> None:
    assert kernel.run(f"%runqy {command}").outputs == ["execute_result"]
