"""Has widgets go on being heard while a cell awaits.

ipywidgets' page sends a widget's next change only when the kernel was idle after the last one.
ipykernel 7.4 takes what a page sends while a cell awaits, and tells no such status: of a field only
the first change would arrive, then none any more. So we tell it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runqy_notebook.ui.publish import Publisher


def answer(widget: Any, publisher: Publisher) -> None:
    """Sees to it for a widget and all in it."""
    comm = getattr(widget, "comm", None)
    if comm is not None:
        comm.on_msg(_answering(widget._handle_msg, publisher))
    for child in getattr(widget, "children", ()):
        answer(child, publisher)


def _answering(handle: Callable[[Any], None], publisher: Publisher) -> Callable[[Any], None]:
    def handled(message: Any) -> None:
        try:
            handle(message)
        finally:
            publisher.answered(message)

    return handled
