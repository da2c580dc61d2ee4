"""Pausing, resuming and purging a queue from the board."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from runqy_notebook.broker.records import QueueRecord
from runqy_notebook.errors import one_line
from runqy_notebook.session import Session
from runqy_notebook.ui.board.panel import offer, set_trait
from runqy_notebook.ui.text import counted
from runqy_notebook.wire.states import State


class QueueControls:
    """A row of controls for the queue that is chosen, and a question below it before a purge.

    `act` is a panel's: it does something away from the main thread and says what that gives;
    `wake` has the panel refreshed.
    """

    def __init__(
        self,
        session: Session,
        act: Callable[..., None],
        say: Callable[[str], None],
        wake: Callable[[], None],
    ) -> None:
        import ipywidgets

        self._session = session
        self._act = act
        self._say = say
        self._asked: tuple[str, State] | None = None
        auto, narrow = {"width": "auto"}, {"width": "15rem", "max_width": "calc(100% - 4px)"}
        self._queue = ipywidgets.Dropdown(description="Queue", layout=dict(narrow))
        self._pause = ipywidgets.Button(description="Pause", layout=dict(auto))
        self._state = ipywidgets.Dropdown(
            description="Tasks",
            options=[state.value for state in State if state is not State.ACTIVE],
            value=State.ARCHIVED.value,
            layout=dict(narrow),
        )
        self._purge = ipywidgets.Button(description="Purge…", layout=dict(auto))
        self._question = ipywidgets.Label()
        self._delete = ipywidgets.Button(
            description="Delete for good", button_style="danger", layout=dict(auto)
        )
        self._keep = ipywidgets.Button(description="Keep them", layout=dict(auto))
        self._asking = ipywidgets.HBox(
            [self._question, self._delete, self._keep],
            layout={"display": "none", "flex_flow": "row wrap"},
        )
        row = ipywidgets.HBox(
            [self._queue, self._pause, self._state, self._purge],
            layout={"flex_flow": "row wrap"},
        )
        self.widget: Any = ipywidgets.VBox([row, self._asking])
        self._queue.observe(lambda change: wake(), names="value")
        self._pause.on_click(lambda _: self._act(self._switched, self._pause))
        self._purge.on_click(lambda _: self._act(self._ask, self._purge))
        self._delete.on_click(lambda _: self._act(self._purged, self._delete))
        self._keep.on_click(lambda _: self._kept())

    def refresh(self, records: Sequence[QueueRecord]) -> None:
        """Offers the queues that there are now, and what can be done with the one chosen."""
        names = [(one_line(record.queue, 60), record.queue) for record in records]
        offer(self._queue, names)
        is_any = bool(names)
        paused = {record.queue for record in records if record.is_paused}
        word = "Resume" if self._queue.value in paused else "Pause"  # one button: it has the focus
        set_trait(self._pause, "description", word)
        for control in (self._queue, self._state):
            set_trait(control, "disabled", not is_any)

    def _switched(self) -> str:
        """Does what the button says."""
        return self._resumed() if self._pause.description == "Resume" else self._paused()

    def _paused(self) -> str:
        names = self._session.pause_queue(self._queue.value or "")
        foreign = self._session.foreign_workers(names)
        others = f" Foreign workers take no notice of it: {_listed(foreign)}." if foreign else ""
        return f"Paused {_listed(names)}: nothing more is claimed there.{others}"

    def _resumed(self) -> str:
        return f"Resumed {_listed(self._session.resume_queue(self._queue.value or ''))}."

    def _ask(self) -> str:
        queue, state = self._queue.value or "", State(self._state.value)
        there = {name: n for name, n in self._session.count(queue, state).items() if n}
        if not there:
            self._kept()
            return f"There are no {state} tasks in {one_line(queue, 60)}."
        number = counted(sum(there.values()), f"{state} task")
        self._asked = queue, state
        self._question.value = f"Delete {number} of {_listed(list(there))} for good?"
        self._asking.layout.display = ""
        self._keep.focus()
        return ""

    def _purged(self) -> str:
        asked, self._asked = self._asked, None
        self._asking.layout.display = "none"
        self._purge.focus()
        if asked is None:
            return ""
        queue, state = asked
        return f"Deleted {counted(self._session.purge(queue, state), f'{state} task')}."

    def _kept(self) -> None:
        self._asked = None
        self._asking.layout.display = "none"
        self._say("Nothing was deleted.")
        self._purge.focus()


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(one_line(name, 60) for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
