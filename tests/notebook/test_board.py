"""The board in a kernel: shown, closed, unloaded, and as text."""

from __future__ import annotations

from tests.notebook.kernels import Kernel

WIDGETS = "application/vnd.jupyter.widget-view+json"

LEFT = (
    "import threading, ipywidgets\n"
    "print([t.name for t in threading.enumerate() if 'board' in t.name],"
    " len(ipywidgets.widgets.widget._instances), len(s.events.subscriptions))"
)


def test_without_a_person_the_board_is_a_still(kernel: Kernel) -> None:
    kernel.run("%runqy enqueue q {};")

    ran = kernel.run("b = %runqy board\nb")

    (first, *_) = ran.shown
    assert WIDGETS not in first
    assert "pending" in first["text/html"]
    assert "q" in first["text/plain"]


def test_closing_leaves_no_thread_no_subscription_and_no_widget(kernel: Kernel) -> None:
    kernel.run("from runqy_notebook import current; s = current.session()")
    kernel.run("import ipywidgets")
    before = kernel.run(LEFT).stdout

    ran = kernel.run(
        "get_ipython().display_pub  # a person's frontend names the cell\n"
        "from runqy_notebook.ui.board import boards\n"
        "boards.Boards._has_widgets = lambda self: True\n"
        "b = s.board()\nb"
    )
    kernel.run("b.close(); b.close()")

    assert WIDGETS in ran.shown[0]
    assert kernel.run(LEFT).stdout == before
