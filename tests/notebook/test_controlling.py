"""Tasks and queues controlled by magics, as a notebook shows it."""

from __future__ import annotations

import pytest
import redis as redis_py

from tests.notebook.kernels import PATIENCE, Kernel
from tests.servers import RunningServer

BUSY = """
from runqy_notebook import task
import threading
gate = threading.Event()
@task(queue='q')
def act(payload):
    gate.wait()
    return payload['n']
%runqy worker start q
"""


def test_a_waiting_task_is_cancelled_run_and_deleted(kernel: Kernel) -> None:
    kernel.run("t = %runqy enqueue q {'n': 1} --id t1 --in 10m")

    assert kernel.run("%runqy cancel t1").stdout == "Task t1 is cancelled; it never runs.\n"
    assert kernel.run("t").value.startswith("Task t1 in q: cancelled")
    assert kernel.run("%runqy run t1").value.startswith("Task t1 in q: waiting")
    assert kernel.run("%runqy delete t1 --yes").stdout == "Deleted 1 task.\n"
    kernel.run("del t")
    assert kernel.fail("%runqy delete t1 --yes").startswith("UnknownTaskError: No task 't1'")


@pytest.mark.parametrize("when", ["--in 10m", "--at 2099-01-31T18:30"])
def test_a_scheduled_task_says_when_it_is_due_and_runs_when_told(kernel: Kernel, when: str) -> None:
    kernel.run(BUSY + f"gate.set()\nt = %runqy enqueue q {{'n': 7}} --id t1 {when}")

    late = kernel.fail("t.result(0)")

    assert late.startswith("WaitTimeoutError: Task 't1' is still scheduled after 0 s. It goes on; ")
    assert "%runqy run t1" in late
    assert kernel.run("frame = %runqy tasks q --state scheduled\nlen(frame)").value == "1"
    kernel.run("t2 = %runqy run {t.id}")
    assert kernel.run("t2.result(10), t.result(10)").value == "(7, 7)"


def test_a_running_task_is_told_to_end(kernel: Kernel) -> None:
    kernel.run("%config Runqy.cancel_grace = 0.1")
    kernel.run(BUSY + "t = %runqy enqueue q {'n': 1} --id t1")
    kernel.run("import time\nwhile t.state != 'active': time.sleep(0.01)")

    said = kernel.run("%runqy cancel t1").stdout

    assert said == (
        "Task t1 is running: its handler is told to end, and is left behind after 0.1 s.\n"
    )
    failed = kernel.try_run("t.result(timeout=10)")
    assert "Task 't1' in q_default was cancelled." in failed.error
    kernel.run("gate.set()")


def test_several_are_cancelled_each_with_a_line(kernel: Kernel) -> None:
    kernel.run("for n in range(2):\n    %runqy enqueue q {'n': n} --id n{n}")

    lines = kernel.run("%runqy cancel n0 nope n1").stdout.splitlines()

    assert lines[0] == "Task n0 is cancelled; it never runs."
    assert lines[1].startswith("No task 'nope' in this Redis")
    assert lines[2] == "Task n1 is cancelled; it never runs."
    group = kernel.run("%runqy run n0 n1").value
    assert group.startswith("2 tasks in q: 2 pending")


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%runqy cancel nope", "UnknownTaskError: No task 'nope'"),
        ("%runqy run nope", "UnknownTaskError: No task 'nope'"),
        ("%runqy delete nope", "UnknownTaskError: No task 'nope'"),
        ("%runqy attach nope", "UnknownTaskError: No task 'nope'"),
        ("%runqy delete t1", "UsageError: Delete 1 task for good? Nobody can be asked"),
        ("%runqy purge q --state pending", "UsageError: Delete 1 pending task of q for good?"),
        ("%runqy purge q --state active", "UsageError: --state: 'active' is none of"),
        ("%runqy purge q", "UsageError: Missing: --state"),
        ("%runqy pause nope", "UnknownQueueError: No queue 'nope'"),
        ("%runqy history --state pending", "UsageError: --state: 'pending' is none of"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(kernel: Kernel, cell: str, said: str) -> None:
    kernel.run("%runqy enqueue q {'n': 1} --id t1")

    assert kernel.fail(cell).startswith(said)
    assert kernel.run("%runqy task t1").value.startswith("Task t1 in q: waiting")


def test_a_finished_task_is_not_cancelled(kernel: Kernel) -> None:
    kernel.run(BUSY + "gate.set()\nt = %runqy enqueue q {'n': 1} --id t1\nt.wait(10)")

    assert kernel.fail("%runqy cancel t1") == (
        "TaskStateError: Task 't1' is completed already: there is nothing to cancel."
    )


def test_a_queue_is_paused_and_resumed(kernel: Kernel, redis: redis_py.Redis) -> None:
    kernel.run(BUSY + "gate.set()\n%runqy pause q\nt = %runqy enqueue q {'n': 7}")
    redis.hset(
        "asynq:workers:host:1",
        mapping={"queues": "map[q_default:1]", "status": "running", "last_beat": "1"},
    )

    paused = kernel.run("%runqy pause q").stdout.splitlines()
    late = kernel.fail("t.result(0.2)")
    resumed = kernel.run("%runqy resume q").stdout

    assert paused[0] == (
        "Paused q_default: nothing more is claimed there, running tasks go on. %runqy resume q "
        "ends it."
    )
    assert paused[1] == "Foreign workers take no notice of it: host:1."
    assert "The queue is paused: %runqy resume q_default." in late
    assert resumed == "Resumed q_default; 1 pending task.\n"
    assert kernel.run("t.result(10)").value == "7"


def test_a_state_of_a_queue_is_purged(kernel: Kernel) -> None:
    kernel.run("%runqy enqueue q [{}, {}, {}]")

    said = [kernel.run("%runqy purge q --state pending --yes").stdout for _ in range(2)]

    assert said == ["Deleted 3 pending tasks.\n", "There are no pending tasks in q.\n"]


def test_a_notebook_that_can_be_asked_is_asked(kernel: Kernel) -> None:
    kernel.run("%runqy enqueue q {'n': 1} --id t1")

    for answer, said in (("no", "Nothing was deleted."), ("y", "Deleted 1 task.")):
        cell = str(kernel.client.execute("%runqy delete t1", allow_stdin=True))
        question = kernel.client.get_stdin_msg(timeout=PATIENCE)["content"]["prompt"]
        kernel.client.input(answer)
        assert question == "Delete 1 task for good? [y/N] "
        assert kernel.finish(cell).stdout.endswith(f"{said}\n")


def test_finished_tasks_are_a_frame_of_experiments(kernel: Kernel) -> None:
    kernel.run(
        BUSY + "gate.set()\nts = %runqy enqueue q [{'n': 1, 'opt': {'lr': 0.1}}]\nts.wait(10)"
    )

    kernel.run("past = %runqy history q --limit 5 --state completed")

    assert kernel.run("past['payload.opt.lr'].tolist(), past['state'].tolist()").value == (
        "([0.1], ['completed'])"
    )


def test_a_task_is_attached_to_after_a_restart(kernel: Kernel, server: RunningServer) -> None:
    kernel.run("%runqy enqueue q {'n': 1} --id t1")
    kernel.run("%reload_ext runqy_notebook")

    assert kernel.run("t = %runqy attach t1\nt.id, t.state").value == "('t1', 'pending')"


def test_the_doctor_says_why_nothing_happens(kernel: Kernel) -> None:
    kernel.run("%runqy enqueue q {'n': 1}")

    assert "problem: No worker serves q: 1 pending task." in kernel.run("%runqy doctor").stdout
    kernel.run(BUSY + "%runqy worker pause\n%runqy enqueue q {'n': 2}")
    told = kernel.run("%runqy doctor").stdout
    assert "problem: The worker is paused: it claims nothing; " in told
    assert "%runqy worker resume" in told
    kernel.run("gate.set()\n%runqy worker resume")


def test_the_doctor_tells_of_an_absent_redis_in_a_line(kernel: Kernel) -> None:
    kernel.run("%runqy disconnect\n%config Runqy.url = 'redis://127.0.0.1:1/0'")

    told = kernel.run("%runqy doctor").stdout

    assert told.startswith("problem: redis://127.0.0.1:1/0: no server listens there")
    assert told.count("\n") == 1


@pytest.mark.parametrize("typed", ["run ", "cancel ", "cancel n1 ", "delete ", "attach "])
def test_ids_are_offered(patient_kernel: Kernel, typed: str) -> None:
    patient_kernel.run("for n in range(2):\n    %runqy enqueue q {'n': n} --id n{n}")

    found = [line.rpartition(" ")[2] for line in patient_kernel.complete(f"%runqy {typed}")]

    assert sorted(found) == ["n0", "n1"]


@pytest.mark.parametrize("typed", ["pause ", "resume ", "purge ", "history "])
def test_queues_are_offered(patient_kernel: Kernel, typed: str) -> None:
    patient_kernel.run("%runqy enqueue images_high {'n': 1}")

    assert patient_kernel.complete(f"%runqy {typed}") == [f"%runqy {typed}images_high"]
