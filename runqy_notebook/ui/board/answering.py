"""Has widgets go on being heard while a cell awaits.

ipywidgets' page sends a widget's next change only when the kernel was idle after the last one.
ipykernel 7.4 takes what a page sends while a cell awaits, and tells no such status: of a field only
the first change would arrive, then none any more. So we tell it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runqy_notebook.ui.publish import Publisher


class Answering:
    """Sees to it for the widgets that it was shown."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._known: set[str] = set()

    def see_to(self, widget: Any) -> None:
        """Answers for this widget and all that is in it now."""
        if widget.comm is not None and widget.comm.comm_id not in self._known:
            self._known.add(widget.comm.comm_id)
            widget.comm.on_msg(self._answering(widget._handle_msg))
        for child in getattr(widget, "children", ()):
            self.see_to(child)

    def _answering(self, handle: Callable[[Any], None]) -> Callable[[Any], None]:
        def handled(message: Any) -> None:
            try:
                handle(message)
            finally:
                self._publisher.answered(message)

        return handled
