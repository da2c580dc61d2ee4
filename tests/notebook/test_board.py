"""The board in a kernel: shown, closed, unloaded, and as text."""

from __future__ import annotations

import re

import pytest

from tests.notebook.kernels import Kernel, Ran
from tests.notebook.test_cards import HANDLER, last_state

WIDGETS = "application/vnd.jupyter.widget-view+json"

LEFT = (
    "import threading, ipywidgets\n"
    "print(sorted(t.name for t in threading.enumerate() if 'board' in t.name),"
    " len(ipywidgets.widgets.widget._instances), len(s.events.subscriptions))"
)


def display_ids(ran: Ran) -> list[str]:
    return [
        m["content"]["transient"]["display_id"]
        for m in ran.messages
        if m["msg_type"] == "display_data"
    ]


@pytest.mark.any_kernel
def test_without_a_person_the_board_is_a_still_that_goes_on(kernel: Kernel) -> None:
    kernel.run("%runqy enqueue q {};")

    ran = kernel.run("b = %runqy board\nb")

    (still,) = ran.shown
    assert WIDGETS not in still
    assert "<table" in still["text/html"]
    assert re.search(r"^q +1 +0", still["text/plain"], re.MULTILINE)
    kernel.run("%runqy enqueue another {};")
    kernel.wait_for_update(display_ids(ran)[0], "another ")


@pytest.mark.any_kernel
def test_closing_leaves_no_thread_no_subscription_and_no_widget(kernel: Kernel) -> None:
    kernel.run("from runqy_notebook import current; s = current.session()")
    before = kernel.run(LEFT).stdout

    ran = kernel.run_as_a_person("b = s.board()\nb")
    opened = kernel.run(LEFT).stdout
    kernel.run("b.close(); b.close()")

    assert WIDGETS in ran.shown[0]
    assert opened != before
    assert kernel.run(LEFT).stdout == before
    assert "closed" in kernel.run("print(b.html())").stdout
    assert last_state(kernel, display_ids(ran)[0]).startswith("board: redis://")


def test_a_board_that_is_not_shown_holds_nothing(kernel: Kernel) -> None:
    kernel.run("from runqy_notebook import current; s = current.session()")
    before = kernel.run(LEFT).stdout

    kernel.run("b = %runqy board")

    assert kernel.run(LEFT).stdout == before
    assert kernel.run("%runqy board --close").stdout == "No board is open.\n"


def test_a_cell_run_again_has_one_board(kernel: Kernel) -> None:
    kernel.run("from runqy_notebook import current; s = current.session()")
    kernel.run_as_a_person("b = %runqy board\nb")
    once = kernel.run(LEFT).stdout

    kernel.run_as_a_person("b = %runqy board\nb")

    assert kernel.run(LEFT).stdout == once
    assert kernel.run("%runqy board --close").stdout == "1 board closed.\n"


def test_unloading_freezes_the_board(kernel: Kernel) -> None:
    ran = kernel.run_as_a_person("b = %runqy board\nb")

    kernel.run("%unload_ext runqy_notebook")

    assert last_state(kernel, display_ids(ran)[0]).startswith("board: redis://")
    assert "the extension was unloaded" in kernel.run("print(b.html())").stdout
    kernel.run("%load_ext runqy_notebook")


def test_leaving_the_session_freezes_the_board(kernel: Kernel) -> None:
    ran = kernel.run_as_a_person("b = %runqy board\nb")

    kernel.run("%runqy disconnect")

    kernel.wait_for_update(display_ids(ran)[0], "board: redis://")
    assert "disconnected" in kernel.run("print(b.html())").stdout


def test_a_card_in_the_board_follows_its_task_and_is_let_go(kernel: Kernel) -> None:
    kernel.run(HANDLER)
    kernel.run(
        "from runqy_notebook import current; s = current.session()\n"
        "from runqy_notebook.ui.board.place import Place\n"
        "def shown():\n"
        "    place.paint()\n"
        "    return ' | '.join(o['data']['text/plain'] for o in place.widget.outputs)\n"
        "b = s.board(); place = Place(lambda: None)"
    )
    before = kernel.run(LEFT).stdout

    kernel.run(
        "t = s.enqueue('q', {'waits': 1, 'n': 7}); b.panels[0].context.show_card(t, place)\n"
        "u = s.enqueue('q', {'n': 8}); u.wait(10);\n"
        "import time\n"
        "while t.state != 'active' or 'running' not in shown(): time.sleep(0.01)"
    )
    running = kernel.run("print(shown())").stdout
    kernel.run("gate.set(); t.wait(10);")
    done = kernel.run("print(shown())").stdout
    kernel.run("b.panels[0].context.show_card(u, place)")
    other = kernel.run("print(shown())").stdout
    kernel.run("place.clear()")

    assert "running" in running
    assert '{"n": 7}' in done
    assert '{"n": 8}' in other
    assert '{"n": 7}' not in other
    assert kernel.run("print(repr(shown()))").stdout == "''\n"
    assert kernel.run(LEFT).stdout == before
