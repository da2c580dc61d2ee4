"""What the panels of a board have in common."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from runqy_notebook.errors import RunqyError
from runqy_notebook.handles import TaskGroup, TaskHandle
from runqy_notebook.session import Session
from runqy_notebook.ui.board.place import Place
from runqy_notebook.ui.board.pulse import Pulse
from runqy_notebook.ui.publish import Publisher


@dataclass(frozen=True, slots=True)
class Context:
    """What a panel works with. `show_card` shows the card of a handle or group in a place, instead
    of the one that was there; `say` tells the person something, in the board's one status line.
    """

    session: Session
    shell: Any
    publisher: Publisher
    pulse: Pulse
    show_card: Callable[[TaskHandle | TaskGroup, Place], None]
    say: Callable[[str], None]


class Control(Protocol):
    """A widget that begins something."""

    def add_class(self, name: str) -> object: ...
    def remove_class(self, name: str) -> object: ...


class Panel:
    """One tab of a board. `refresh` comes on the board's own thread, everything else on any."""

    title = ""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._widget: Any = None
        self._busy: list[Control] = []
        self._beginning = threading.Lock()

    @property
    def widget(self) -> Any:
        """Its ipywidgets widget, always the same."""
        if self._widget is None:
            self._widget = self.make()
        return self._widget

    def make(self) -> Any:
        """Makes the widget."""
        raise NotImplementedError

    def look(self) -> None:
        """Asks Redis for what it shows, where it is time to. Comes before `refresh`, and now and
        then for the stills while it is not looked at.
        """

    def refresh(self) -> None:
        """Writes what is different now into the widgets that are there; called while it is looked
        at, when something changed or a second passed.
        """

    def html(self) -> str:
        """A still of it: HTML of ours, with strangers' texts escaped. Empty: nothing to keep."""
        return ""

    def text(self) -> str:
        """The same as plain text."""
        return ""

    def close(self) -> None:
        """Takes the widgets back; a panel with more to end does that first."""
        if self._widget is not None:
            close_widgets(self._widget)

    def act(self, action: Callable[[], str | None], *controls: Control) -> None:
        """Does something that may take long or ask Redis, away from the kernel's main thread; says
        what it gives, or its RunqyError. Until then these controls are pale and begin nothing more;
        they are not disabled, as what is disabled loses the focus.
        """
        with self._beginning:
            if any(control in self._busy for control in controls):
                return
            self._busy += controls
        threading.Thread(
            target=self._do, args=(action, controls), name="runqy-board-act", daemon=True
        ).start()

    def is_busy(self, control: Control) -> bool:
        """Whether what this control began goes on still."""
        return control in self._busy

    def _do(self, action: Callable[[], str | None], controls: Sequence[Control]) -> None:
        for control in controls:
            control.add_class("runqy-busy")
        try:
            self.context.say(action() or "")
        except RunqyError as error:
            self.context.say(str(error))
        except Exception as error:  # noqa: BLE001 - a thread's edge
            self.context.say(f"That failed: {type(error).__name__}: {error}")
        finally:
            for control in controls:
                self._busy.remove(control)
                control.remove_class("runqy-busy")
            self.context.pulse.wake()


class OwnChanges(threading.local):
    """Marks the changes of widgets made inside `with`, so that observers can tell them from a
    person's, which may come on another thread at the same moment.
    """

    are_made = False  # by this thread, now

    def __enter__(self) -> None:
        self.are_made = True

    def __exit__(self, *error: object) -> None:
        self.are_made = False


def set_trait(widget: Any, name: str, value: object) -> None:
    """Writes a trait where its value differs: what is equal is not sent to the page."""
    if getattr(widget, name) != value:
        setattr(widget, name, value)


def set_pale(control: Any, *, is_pale: bool) -> None:
    """Shows that a control would do nothing now; it is not disabled, as what is disabled loses the
    focus.
    """
    if is_pale and _PALE not in control._dom_classes:
        control.add_class(_PALE)
    elif not is_pale and _PALE in control._dom_classes:
        control.remove_class(_PALE)


_PALE: Final = "runqy-pale"


def offer(dropdown: Any, options: Sequence[tuple[str, object]]) -> None:
    """Has a Dropdown offer these labels and values; what was chosen stays so where it can."""
    if tuple(options) == tuple(dropdown.options):
        return
    chosen, values = dropdown.value, [value for _, value in options]
    dropdown.options = tuple(options)
    if values:
        dropdown.value = chosen if chosen in values else values[0]


def close_widgets(widget: Any) -> None:
    """Closes a widget and all in it, with their layouts and styles."""
    for child in getattr(widget, "children", ()):
        close_widgets(child)
    for name in ("layout", "style"):
        if (part := getattr(widget, name, None)) is not None:
            part.close()
    widget.close()
