"""The payload of the Enqueue panel: JSON text and the handler's form, kept in step."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any, Final

from runqy_notebook.hints.field import MISSING, Field
from runqy_notebook.hints.handler import Hints
from runqy_notebook.hints.reading import Mistake, problems, read
from runqy_notebook.ui import html
from runqy_notebook.ui.board.form import Form, starter
from runqy_notebook.ui.board.panel import OwnChanges, close_widgets, set_trait
from runqy_notebook.ui.text import cleaned, counted

MOST_TOLD: Final = 5
NOTHING: Final = "{}"

Payloads = dict[str, Any] | list[dict[str, Any]]


class Editor:
    """The JSON is what counts: the form writes into it, and shows what it says."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        import ipywidgets

        self.payloads: Payloads = {}
        self.is_json = self.is_sendable = True
        self._on_change = on_change
        self._hints = Hints()
        self._wrong: dict[str, str] = {}  # inputs whose text is no value, by field
        self._starter = NOTHING
        self._lock = threading.RLock()
        self._own = OwnChanges()
        self.text = ipywidgets.Textarea(
            NOTHING,
            description="Payload (JSON)",
            rows=9,
            layout={"width": "auto"},
            style={"description_width": "initial"},
        )
        self.text.add_class("runqy-json")
        self.text.observe(self._typed, names="value")
        self.verdict = ipywidgets.HTML()
        self._title = ipywidgets.HTML()
        self._form = Form((), self._filled_in)
        column = {"flex": "1 1 17em", "min_width": "0"}
        self._place = ipywidgets.VBox([self._title, self._form.widget], layout=column)
        left = ipywidgets.VBox([self.text, self.verdict], layout=column)
        self.widget = ipywidgets.HBox(
            [left, self._place],
            layout={"flex_flow": "row wrap", "width": "100%", "grid_gap": "8px"},
        )
        self._judge()

    def take(self, hints: Hints) -> None:
        """Has the form be that of this handler; a text that nobody changed begins anew."""
        with self._lock:
            if hints == self._hints:
                return
            is_new_form = hints.fields != self._hints.fields
            self._hints = hints
            if is_new_form:
                before, self._form = self._form, Form(hints.fields, self._filled_in)
                self._wrong.clear()
                self._place.children = (self._title, self._form.widget)
                close_widgets(before.widget)
                is_own = self.text.value == self._starter
                self._starter = _spelled(starter(hints.fields)) if hints.fields else NOTHING
                if is_own:
                    self._write(self._starter)
            set_trait(self._title, "value", html.rendered("board/form.html", hints=hints))
            self._judge()

    def problems_of(self, payload: dict[str, Any]) -> list[str]:
        """Where a payload is not what the handler's hints say."""
        return [str(each) for each in problems(self._hints.fields, payload, self._hints.model)]

    # --- inside ---------------------------------------------------------------------------------

    def _typed(self, change: Any) -> None:
        if self._own.are_made:
            return
        with self._lock:
            self._wrong.clear()
            self._judge()

    def _filled_in(self, field: Field, value: Any, problem: str) -> None:
        with self._lock:
            self._wrong.pop(field.name, None)
            if problem:
                self._wrong[field.name] = problem
            elif self.is_json and isinstance(self.payloads, dict):
                payload = {**self.payloads, field.name: value}
                if value is MISSING:
                    del payload[field.name]
                self._write(_spelled(payload))
            self._judge(is_from_form=True)

    def _write(self, text: str) -> None:
        with self._own:
            set_trait(self.text, "value", text)

    def _judge(self, *, is_from_form: bool = False) -> None:
        """Reads the text, tells what is wrong with it, and shows it in the form."""
        found = read(self.text.value)
        wrong, doubts, fine = list(self._wrong.values()), [], ""
        self.is_json = not isinstance(found, Mistake)
        if isinstance(found, Mistake):
            wrong = [str(found)]
        else:
            self.payloads, doubts, fine = found, self._doubts(found), _fine(found)
            if isinstance(found, dict) and not is_from_form:
                self._form.load(found)
        self.is_sendable = not wrong
        told = html.rendered(
            "board/verdict.html",
            wrong=[cleaned(each, 300) for each in wrong],
            doubts=[cleaned(each, 300) for each in doubts],
            fine=fine,
        )
        set_trait(self.verdict, "value", told)
        self._on_change()

    def _doubts(self, found: Payloads) -> list[str]:
        if isinstance(found, dict):
            every = self.problems_of(found)
        else:
            every = [
                f"item {n}: {each}"
                for n, payload in enumerate(found[:100], 1)
                for each in self.problems_of(payload)
            ]
        more = len(every) - MOST_TOLD
        return every[:MOST_TOLD] + ([f"and {more} more"] if more > 0 else [])


def _spelled(payload: Any) -> str:
    return json.dumps(payload, indent=2, ensure_ascii=False)


def _fine(found: Payloads) -> str:
    if isinstance(found, list):
        return f"A list: {counted(len(found), 'task')}."
    return f"A payload with {counted(len(found), 'field')}."
