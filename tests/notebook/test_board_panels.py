"""The board's panels in a kernel: what was worked there leaves nothing, and is seen in a still."""

from __future__ import annotations

from tests.notebook.kernels import Kernel
from tests.notebook.test_board import LEFT, WIDGETS

UNTIL = """
import time
def until(holds):
    for _ in range(500):
        if holds():
            return True
        time.sleep(0.02)
    return False
def is_at(name):
    return lambda: name in tasks._rows._told.value and tasks.list.tasks[0].id == name
"""
WORK = f"""{UNTIL}
from tests.boarding import named, parts
enqueue, tasks, echoes = b.panels[1], b.panels[2], b.panels[4]
for n in (1, 2, 4):
    b._tab.selected_index = n
    assert until(lambda: any(parts(b.panels[n].widget)))
b._tab.selected_index = 1
named(enqueue, "Queue").value = "nobody"
assert until(lambda: enqueue._goes_to)
named(enqueue, "Enqueue").click()
assert until(lambda: enqueue._place.widget.outputs)
assert until(lambda: len(enqueue._place.widget.outputs) == 2)  # the card's buttons come
b._tab.selected_index = 2
assert until(tasks._rows.seen)  # a click sooner may be meant for what stood there before
tasks._rows._places[0][-1].click()
assert until(lambda: len(tasks._place.widget.outputs) == 2)
"""


def test_panels_that_were_worked_leave_no_thread_no_subscription_and_no_widget(
    kernel: Kernel,
) -> None:
    kernel.run("import sys; sys.path.insert(0, '.')")
    kernel.run("from runqy_notebook import current; s = current.session()")
    before = kernel.run(LEFT).stdout
    shown = kernel.run_as_a_person("b = s.board()\nb").shown

    worked = kernel.run(WORK)
    kernel.run("b.close()")

    assert WIDGETS in shown[0]
    assert worked.status == "ok", worked.error
    assert kernel.run(LEFT).stdout == before


def test_a_still_shows_the_tasks_that_wait(kernel: Kernel) -> None:
    kernel.run('%runqy enqueue nobody {"n": "<b>1</b>"} --id first;')

    (first, *_) = kernel.run("b = %runqy board\nb").shown

    assert "&lt;b&gt;1&lt;/b&gt;" in first["text/html"]
    assert "1 to 1 of 1 pending task" in first["text/plain"]
    assert "first" in first["text/plain"]


def test_a_click_that_waited_for_a_cell_while_the_list_changed_ticks_nothing(
    kernel: Kernel,
) -> None:
    """The page showed `first` in that row, and `second` stands there when the click is heard."""
    for name in ("first", "second"):
        kernel.run(f"%runqy enqueue nobody {{}} --id {name};")
    kernel.run("from runqy_notebook import current; s = current.session()")
    kernel.run_as_a_person("b = s.board()\nb")
    kernel.run(
        f"{UNTIL}\ntasks = b.panels[2]; b._tab.selected_index = 2\nassert until(is_at('first'))"
    )
    box = kernel.run("print(tasks._rows._places[0][0].comm.comm_id)").stdout.strip()

    running = kernel.begin("s.delete('first'); assert until(is_at('second')); time.sleep(0.6)")
    kernel.send("comm_msg", comm_id=box, data={"method": "update", "state": {"value": True}})
    ran = kernel.finish(running)
    heard = kernel.run("print(until(lambda: 'Nothing was ticked' in b._said))").stdout

    assert ran.status == "ok", ran.error
    assert heard == "True\n"
    assert kernel.run("print(tasks._actions.ticked)").stdout == "{}\n"
    kernel.run("b.close()")
