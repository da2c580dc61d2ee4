"""A place for a card inside a widget, where cards elsewhere have outputs of a cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runqy_notebook.ui.publish import Bundle, Output


class Place:
    """Takes the outputs of one card at a time, in an ipywidgets Output of its own; painted by
    whoever calls `paint`, as often as that is called. To a card it is what a Publisher is.
    """

    is_live = True
    is_attended = True  # a person looks at a board

    def __init__(self, wake: Callable[[], None]) -> None:
        import ipywidgets

        self.widget = ipywidgets.Output()
        self.cell: object = None
        self.on_leave: Callable[[], None] | None = None  # lets go of the card that is here
        self._wake = wake
        self._outputs: list[Output] = []
        self._is_changed = False

    def show(self, output: Output) -> None:
        """Takes one more output of the card."""
        output.is_placed = True
        self._outputs.append(output)
        self.changed(output)

    def changed(self, output: Output) -> None:
        """Has it painted the next time."""
        if output in self._outputs:
            self._is_changed = True
            self._wake()

    def clear(self) -> None:
        """Lets the card go that is here."""
        leave, self.on_leave = self.on_leave, None
        self._outputs = []
        self._is_changed = True
        if leave is not None:
            leave()

    def paint(self) -> None:
        """Writes what is to be seen into the widget, where that changed."""
        if not self._is_changed:
            return
        self._is_changed = False
        bundles = filter(None, [dict(output.render()) for output in self._outputs])
        shown = tuple(map(_as_output, bundles))
        if shown != self.widget.outputs:
            self.widget.outputs = shown


def _as_output(bundle: Bundle) -> dict[str, Any]:
    return {"output_type": "display_data", "data": bundle, "metadata": {}}
