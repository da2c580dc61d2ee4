"""Handlers of cells in processes of their own, in a real kernel."""

from __future__ import annotations

from tests.notebook.kernels import Kernel

CELL = """
import os, time
from runqy_notebook import current, current_task, load, task
heard = []
listening = current.session().listen(heard.append)
FACTOR = 2

@load(queue='q')
def setup():
    return {'made in': os.getpid()}

def helper(n):
    return n * FACTOR

@task(queue='q')
def double(payload, ctx):
    print('printed for', current_task().id)
    current_task().progress(1, 2, 'half')
    return helper(payload['n']), ctx['made in'] == os.getpid(), os.getpid()

def run(task_id):
    return current.session().enqueue('q', {'n': 4}, id=task_id).result(20)

def lines(task_id):
    return [line for e in heard if e.task_id == task_id for line in e.lines]
"""


def test_a_handler_of_a_cell_runs_in_a_process_and_is_swapped_while_it_lives(
    kernel: Kernel,
) -> None:
    kernel.run(CELL)

    started = kernel.run("%runqy worker start q --executor process").stdout
    first = kernel.run("value, is_loaded, pid = run('one'); print(value, is_loaded)")
    there = kernel.run("print(pid != os.getpid(), lines('one'), [e.note for e in heard if e.note])")
    kernel.run("FACTOR = 3")
    second = kernel.run("value, _, again = run('two'); print(value, again == pid)")
    kernel.run("@task(queue='q')\ndef double(payload, ctx): return 'new', os.getpid()")
    third = kernel.run("value, last = run('three'); print(value, last == pid)")
    status = kernel.run("%runqy worker status").stdout
    kernel.run("%runqy worker stop")

    assert started == (
        "Worker serves q (q_default), 1 task at a time, each in a process of its own.\n"
    )
    assert first.stdout == "8 True\n"
    assert there.stdout == "True ['printed for one'] ['half']\n"
    assert second.stdout == "12 True\n"
    assert third.stdout == "new True\n"
    assert "0 of 1 slots busy, each in a process of its own, 3 completed" in status
    assert "printed for" not in "".join(ran.stdout for ran in (first, second, third))


def test_a_handler_that_cannot_be_sent_is_one_line_in_the_cell(kernel: Kernel) -> None:
    kernel.run(
        "import threading\nfrom runqy_notebook import task\nlock = threading.Lock()\n"
        "@task(queue='q')\ndef locks(payload):\n    with lock: pass"
    )

    ran = kernel.try_run("%runqy worker start q --executor process")
    mistake = kernel.try_run("%runqy worker start q --executor proces")

    assert ran.error == (
        "HandlerError: The handler 'locks' cannot run in another process: it uses 'lock' (a lock). "
        "Make that in the handler or in @load, or use --executor thread."
    )
    assert "Did you mean 'process'?" in mistake.error
