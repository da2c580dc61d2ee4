"""What can be done to the tasks that are ticked on the board."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from runqy_notebook.broker.records import TaskRecord
from runqy_notebook.errors import RunqyError, one_line
from runqy_notebook.ui import html
from runqy_notebook.ui.board.panel import Context, set_pale, set_trait
from runqy_notebook.ui.text import counted
from runqy_notebook.wire.states import State

_OFFERED: Final = {
    "Run now": frozenset({State.PENDING, State.SCHEDULED, State.RETRY}),
    "Retry": frozenset({State.ARCHIVED, State.COMPLETED}),
    "Cancel": frozenset({State.PENDING, State.ACTIVE, State.SCHEDULED, State.RETRY}),
    "Delete": frozenset(State) - {State.ACTIVE},
}
_HINTS: Final = {
    "Run now": "Makes the ticked tasks the next to run",
    "Retry": "Runs the ticked tasks once more",
    "Cancel": "Has the ticked tasks end, or never run",
    "Delete": "Removes the ticked tasks for good; asks first",
}


class TaskActions:
    """A box that ticks the whole page, a button for each thing that can be done, and a question
    before anything is deleted.

    `act` is a panel's: it does something away from the main thread and says what that gives.
    `tasks` gives those that are shown; `on_all` is told whether all of them are to be ticked, and
    `on_done` when they are not what they were.
    """

    def __init__(
        self,
        context: Context,
        act: Callable[..., None],
        tasks: Callable[[], Sequence[TaskRecord]],
        on_all: Callable[[bool], None],
        on_done: Callable[[], None],
    ) -> None:
        import ipywidgets

        self.ticked: dict[str, State] = {}
        self._context = context
        self._act = act
        self._tasks = tasks
        self._on_done = on_done
        auto = {"width": "auto"}
        self._all = ipywidgets.Checkbox(
            description="All on this page", indent=False, layout=dict(auto)
        )
        self._all.observe(lambda change: on_all(bool(change["new"])), names="value")
        self._buttons = {
            name: ipywidgets.Button(description=name, tooltip=hint, layout=dict(auto))
            for name, hint in _HINTS.items()
        }
        for name, button in self._buttons.items():
            button.on_click(partial(self._clicked, name))
        self._yes = ipywidgets.Button(
            description="Yes, delete", button_style="danger", layout=dict(auto)
        )
        self._no = ipywidgets.Button(description="Keep", layout=dict(auto))
        self._yes.on_click(lambda button: self._delete())
        self._no.on_click(lambda button: self._kept())
        self._question = ipywidgets.HTML()
        wrap = {"flex_flow": "row wrap", "grid_gap": "0 4px", "align_items": "center"}
        self._asking = ipywidgets.HBox(
            [self._question, self._yes, self._no], layout={**wrap, "display": "none"}
        )
        row = ipywidgets.HBox([self._all, *self._buttons.values()], layout=wrap)
        self.widget: Any = ipywidgets.VBox([row, self._asking])

    def refresh(self) -> None:
        """Shows what can be done with those that are ticked now."""
        states = set(self.ticked.values())
        for name, button in self._buttons.items():
            set_pale(button, is_pale=not states & _OFFERED[name])
        if self._all.value and not self.ticked:
            self._all.value = False

    def tick(self, *ids: str) -> None:
        """Takes tasks in that are shown."""
        found = {task.id: task.state for task in self._tasks() if task.id in ids}
        self.ticked = {**self.ticked, **found}
        self._changed()

    def untick(self, task_id: str | None) -> None:
        """Takes a task out."""
        self.ticked = {each: state for each, state in self.ticked.items() if each != task_id}
        self._changed()

    def clear(self) -> None:
        """Takes all out."""
        self.ticked = {}
        self._changed()

    # --- what is clicked ------------------------------------------------------------------------

    def _changed(self) -> None:
        self._ask_whether(None)
        self._context.pulse.wake()

    def _clicked(self, name: str, button: Any) -> None:
        chosen = self._chosen(name)
        if not chosen:
            what = "None of these can be" if self.ticked else "Tick some tasks"
            self._context.say(f"{what}: {_HINTS[name][:1].lower()}{_HINTS[name][1:]}.")
        elif name == "Delete":
            self._ask_whether(chosen)
            self._no.focus()
        else:
            action = self._cancel if name == "Cancel" else self._run
            self._act(lambda: self._done(action(chosen)), button)

    def _chosen(self, name: str) -> list[str]:
        """The ticked tasks with which this can be done."""
        return [each for each, state in self.ticked.items() if state in _OFFERED[name]]

    def _ask_whether(self, chosen: list[str] | None) -> None:
        """Asks before anything is deleted; None takes the question back."""
        if chosen:
            words = f"Delete {counted(len(chosen), 'task')} for good?"
            self._question.value = html.rendered("board/caption.html", words=words)
        set_trait(self._asking.layout, "display", None if chosen else "none")

    def _kept(self) -> None:
        self._ask_whether(None)
        self._buttons["Delete"].focus()
        self._context.say("Nothing was deleted.")

    def _delete(self) -> None:
        chosen = self._chosen("Delete")
        self._ask_whether(None)
        self._buttons["Delete"].focus()
        delete = self._context.session.delete
        self._act(lambda: self._done(_each(delete, chosen, "Deleted")), self._yes)

    def _run(self, chosen: list[str]) -> str:
        return _each(self._context.session.run_now, chosen, "Next to run:")

    def _cancel(self, chosen: list[str]) -> str:
        words = self._context.session.cancel_many(chosen)
        errors = [word for word in words.values() if isinstance(word, Exception)]
        return _told("Cancelled", len(words) - len(errors), errors)

    def _done(self, told: str) -> str:
        self.clear()
        self._on_done()
        return told


def _each(action: Callable[[str], object], ids: list[str], done: str) -> str:
    """Does it to each; tells to how many, and why not to the first other one."""
    errors: list[Exception] = []
    for task_id in ids:
        try:
            action(task_id)
        except RunqyError as error:
            errors.append(error)
    return _told(done, len(ids) - len(errors), errors)


def _told(done: str, n: int, errors: list[Exception]) -> str:
    parts = [f"{done} {counted(n, 'task')}."] if n or not errors else []
    if errors:
        parts.append(one_line(errors[0], 300))
    if len(errors) > 1:
        parts.append(f"And {len(errors) - 1} more could not be.")
    return " ".join(parts)
