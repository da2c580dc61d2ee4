"""A form for a payload: an input for each field that the handler's hints tell of."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from runqy_notebook.hints.field import MISSING, Field, Kind, spelled
from runqy_notebook.hints.reading import value_of
from runqy_notebook.ui.board.panel import OwnChanges, set_trait
from runqy_notebook.ui.text import cleaned_line

LEFT_OUT: Final = "(left out)"
MOST_FIELDS: Final = 40
"""Fields that get an input; the others are for the JSON."""


class Form:
    """The inputs, made once for these fields. `on_input` is told the field and its new value,
    MISSING for none, or the sentence that says why the text is no value.
    """

    def __init__(
        self, fields: Sequence[Field], on_input: Callable[[Field, Any, str], None]
    ) -> None:
        import ipywidgets

        self.fields = tuple(fields)
        self._on_input = on_input
        self._own = OwnChanges()
        self._inputs = [(field, _input(field)) for field in self.fields[:MOST_FIELDS]]
        for field, control in self._inputs:
            control.observe(self._typed(field), names="value")
        left = len(self.fields) - len(self._inputs)
        more = [ipywidgets.HTML(f"and {left} more, as JSON")] if left else []
        self.widget = ipywidgets.VBox([*(control for _, control in self._inputs), *more])

    def load(self, payload: Mapping[str, Any]) -> None:
        """Shows the parts of a payload; tells nobody."""
        with self._own:
            for field, control in self._inputs:
                set_trait(control, "value", _shown(field, payload.get(field.name, MISSING)))

    def _typed(self, field: Field) -> Callable[[Any], None]:
        def typed(change: Any) -> None:
            if self._own.are_made:
                return
            try:
                self._on_input(field, _meant(field, change["new"]), "")
            except ValueError as error:
                self._on_input(field, MISSING, f"{cleaned_line(field.name, 60)}: {error}")

        return typed


def starter(fields: Sequence[Field]) -> dict[str, Any]:
    """A payload with what must be there, to be filled in."""
    return {field.name: _empty(field) for field in fields if field.is_required}


def _empty(field: Field) -> Any:
    if field.kind is Kind.CHOICE:
        return field.choices[0]
    if field.kind is Kind.OBJECT:
        return starter(field.fields)
    empty = {Kind.TEXT: "", Kind.INTEGER: 0, Kind.NUMBER: 0, Kind.BOOLEAN: False, Kind.ARRAY: []}
    return empty.get(field.kind)


def _input(field: Field) -> Any:
    import ipywidgets

    name = cleaned_line(field.name, 40)
    common = {
        "description": name + (" *" if field.is_required else ""),
        "tooltip": cleaned_line(" · ".join(filter(None, [field.words, field.help])), 300),
        "style": {"description_width": "8em"},
        "layout": {"width": "auto", "min_width": "0"},
    }
    if field.kind is Kind.CHOICE or field.kind is Kind.BOOLEAN:
        return ipywidgets.Dropdown(options=_options(field), **common)
    hint = cleaned_line(field.words, 80)
    if field.kind in (Kind.OBJECT, Kind.ARRAY):
        return ipywidgets.Textarea(placeholder=f"JSON: {hint}", rows=2, **common)
    return ipywidgets.Text(placeholder=hint, **common)


def _options(field: Field) -> list[tuple[str, str]]:
    choices = (True, False) if field.kind is Kind.BOOLEAN else field.choices
    texts = [
        (each if isinstance(each, str) else spelled(each), json.dumps(each)) for each in choices
    ]
    null = [("null", "null")] if field.is_nullable else []
    return [(LEFT_OUT, ""), *((cleaned_line(name, 60), value) for name, value in texts), *null]


def _shown(field: Field, value: Any) -> str:
    """What an input shows of a value: of what it cannot show, nothing."""
    if value is MISSING:
        return ""
    if field.kind in (Kind.CHOICE, Kind.BOOLEAN):
        text = json.dumps(value)
        return text if text in [each for _, each in _options(field)] else ""
    if isinstance(value, str) and field.kind in (Kind.TEXT, Kind.ANY):
        return value
    return json.dumps(value, ensure_ascii=False)


def _meant(field: Field, text: str) -> Any:
    """The value of an input; an empty one is left out, but for a text that must be there."""
    if not text:
        return "" if field.kind is Kind.TEXT and field.is_required else MISSING
    if field.kind in (Kind.CHOICE, Kind.BOOLEAN):
        return json.loads(text)
    return value_of(field, text)
