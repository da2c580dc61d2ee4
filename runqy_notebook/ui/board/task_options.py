"""The options of the Enqueue panel: inputs, and the options of `Session.enqueue` that they mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from runqy_notebook.errors import UsageError
from runqy_notebook.options import TaskOptions, moment_named
from runqy_notebook.wire.documented import DEFAULT_TYPE

_INPUTS: Final = {
    "type": ("Type", "for handlers of that type"),
    "max_retry": ("Retries", "after a failure, such as 3"),
    "timeout": ("Timeout", "how long a run may take, such as 30s"),
    "delay": ("In", "due so much later, such as 10m"),
    "at": ("At", "due at 18:30, or 2030-01-31T18:30"),
    "id": ("Id", "a name of your own for the task"),
    "unique": ("Unique key", "in the place of the payload"),
    "unique_ttl": ("Unique for", "also when it ended so long ago, such as 1h"),
    "webhook": ("Webhook", "a URL for the handler, or echo"),
    "deliver_to": ("Deliver to", "URLs or destinations' names, or echo"),
}
_STORE: Final = (("as the worker does", ""), ("keep it", "keep"), ("do not keep it", "drop"))


class OptionInputs:
    """An input for each option, closed at first. `on_change` is told of every change."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        import ipywidgets

        common = {
            "style": {"description_width": "6.5em"},
            "layout": {"flex": "1 1 22em", "width": "auto", "min_width": "0", "max_width": "30em"},
        }
        self._texts = {
            name: ipywidgets.Text(description=label, placeholder=hint, tooltip=hint, **common)
            for name, (label, hint) in _INPUTS.items()
        }
        self._unique = ipywidgets.Checkbox(
            description="Unique: give back the task with the same payload, if there is one",
            indent=False,
            layout={"width": "auto", "flex": "1 1 100%"},
        )
        self._store = ipywidgets.Dropdown(description="Result", options=_STORE, **common)
        controls = [*self._texts.values(), self._store, self._unique]
        for control in controls:
            control.observe(lambda change: on_change(), names="value")
        self._switch = ipywidgets.ToggleButton(description="Options", tooltip="Shows more options")
        self._box = ipywidgets.HBox(controls, layout={"flex_flow": "row wrap", "display": "none"})
        self._switch.observe(self._switched, names="value")
        self.widget = ipywidgets.VBox([self._switch, self._box])

    def _switched(self, change: Any) -> None:
        self._box.layout.display = None if change["new"] else "none"

    @property
    def type_name(self) -> str:
        """The task type that is asked for, or the usual one."""
        return str(self._texts["type"].value.strip()) or DEFAULT_TYPE

    def chosen(self) -> dict[str, Any]:
        """What was chosen, by name as `Session.enqueue` takes it; raises UsageError and
        DestinationError, which name the option and the value.
        """
        texts = {name: control.value.strip() for name, control in self._texts.items()}
        found: dict[str, Any] = {name: text for name, text in texts.items() if text}
        if "max_retry" in found:
            found["max_retry"] = _whole("Retries", found["max_retry"])
        if "at" in found:
            found["at"] = _moment(found["at"])
        if "deliver_to" in found:
            found["deliver_to"] = found["deliver_to"].replace(",", " ").split()
        if self._unique.value:
            found.setdefault("unique", True)
        if self._store.value:
            found["store"] = self._store.value == "keep"
        named = {"id": None, "webhook": "echo"}  # which the session resolves
        TaskOptions.of({n: v for n, v in found.items() if n != "id" and named.get(n) != v})
        return found


def _whole(label: str, text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return int(text)
    raise UsageError(f"{label} is a whole number from 0, not {text!r}.")


def _moment(text: str) -> Any:
    try:
        return moment_named(text)
    except ValueError as error:
        raise UsageError(str(error)) from None
