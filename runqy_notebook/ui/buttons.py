"""The buttons below a card: widgets, so that they live on after a page reload and while a cell
awaits; gone in the end, as a dead widget shows as "Loading widget..." in a saved file.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Any, Final

from runqy_notebook.errors import RunqyError
from runqy_notebook.ui.publish import Bundle
from runqy_notebook.wire.states import State

_ACTIONS: Final = {
    "run_now": ("Run now", "Makes the task the next one to run"),
    "cancel": ("Cancel", "Has the task end, or never run"),
    "retry": ("Retry", "Runs the task once more"),
    "delete": ("Delete", "Removes the task for good"),
    "pause_queue": ("Pause queue", "Has nothing more claimed from the queue"),
    "resume_queue": ("Resume queue", "Has the queue claimed from again"),
}

OF_QUEUE: Final = frozenset({"pause_queue", "resume_queue"})
"""What is done to a task's queue, not to the task."""

OF_TASK: Final = {
    State.PENDING: ("cancel",),
    State.ACTIVE: ("cancel",),
    State.SCHEDULED: ("run_now", "cancel"),
    State.RETRY: ("run_now", "cancel"),
    State.ARCHIVED: ("retry", "delete"),
}
"""What a task's card offers, by its state."""


class Buttons:
    """`act` is told the name of what was clicked, on a thread of its own, as the click may come on
    the kernel's main thread or on another; its RunqyError is said by `say`.
    """

    def __init__(self, act: Callable[[str], None], say: Callable[[str], None]) -> None:
        self._act = act
        self._say = say
        self._row: Any = None
        self._buttons: dict[str, Any] = {}

    def bundle(self, offered: Collection[str], *, is_cancelling: bool = False) -> Bundle:
        """The row with these buttons."""
        if self._row is None:
            self._make()
        for name, button in self._buttons.items():
            display = "" if name in offered else "none"
            if button.layout.display != display:
                button.layout.display = display
        self._buttons["cancel"].disabled = is_cancelling
        made = self._row._repr_mimebundle_()
        bundle: Bundle = made[0] if isinstance(made, tuple) else made
        return {**bundle, "text/plain": ""}

    def close(self) -> None:
        """Takes the widgets back; does nothing where there are none."""
        if self._row is None:
            return
        for widget in (self._row, *self._buttons.values()):
            widget.layout.close()
            if getattr(widget, "style", None) is not None:
                widget.style.close()
            widget.close()
        self._row, self._buttons = None, {}

    def _make(self) -> None:
        import ipywidgets  # late: a second that nobody without a frontend needs to wait

        for name, (label, tooltip) in _ACTIONS.items():
            layout = ipywidgets.Layout(width="auto", height="26px", margin="2px 6px 2px 0")
            button = ipywidgets.Button(description=label, tooltip=tooltip, layout=layout)
            button.on_click(self._clicked(name))
            self._buttons[name] = button
        self._row = ipywidgets.HBox(
            list(self._buttons.values()), layout=ipywidgets.Layout(margin="0 0 0 15px")
        )

    def _clicked(self, name: str) -> Callable[[Any], None]:
        def clicked(button: Any) -> None:
            button.disabled = True
            threading.Thread(target=self._do, args=(name, button), daemon=True).start()

        return clicked

    def _do(self, name: str, button: Any) -> None:
        try:
            self._act(name)
        except RunqyError as error:
            self._say(str(error))
        finally:
            button.disabled = False  # whether it is offered still, the next bundle tells
