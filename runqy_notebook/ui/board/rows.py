"""A list in a panel: rows of widgets that are made once and show now this, now that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from runqy_notebook.ui.board.panel import OwnChanges, set_trait


@dataclass(frozen=True, slots=True)
class Entry:
    """What one row shows: `label` is its button's, `told` is HTML of ours beside it."""

    key: str
    label: str
    told: str
    is_open: bool = False
    is_ticked: bool = False


class Rows:
    """`on_open` is told the key of the row whose button was clicked; with `on_tick` each row has a
    box to tick, too. `width` is that of the buttons.
    """

    def __init__(
        self,
        on_open: Callable[[str], None],
        on_tick: Callable[[str, bool], None] | None = None,
        *,
        width: str = "13em",
    ) -> None:
        import ipywidgets

        self._on_open = on_open
        self._on_tick = on_tick
        self._width = width
        self._rows: list[_Row] = []
        self.widget = ipywidgets.VBox([], layout={"width": "100%"})

    def show(self, entries: Sequence[Entry]) -> None:
        """Shows these; a row that shows the same already is left alone."""
        if len(entries) > len(self._rows):
            while len(entries) > len(self._rows):
                self._rows.append(_Row(self._on_open, self._on_tick, self._width))
            self.widget.children = tuple(row.widget for row in self._rows)
        for n, row in enumerate(self._rows):
            row.show(entries[n] if n < len(entries) else None)


def set_pale(control: Any, *, is_pale: bool) -> None:
    """Shows that a control would do nothing now; it is not disabled, as what is disabled loses the
    focus.
    """
    if is_pale and _PALE not in control._dom_classes:
        control.add_class(_PALE)
    elif not is_pale and _PALE in control._dom_classes:
        control.remove_class(_PALE)


_PALE = "runqy-pale"


class _Row:
    def __init__(
        self,
        on_open: Callable[[str], None],
        on_tick: Callable[[str, bool], None] | None,
        width: str,
    ) -> None:
        import ipywidgets

        self._key = ""
        self._own = OwnChanges()
        self._button = ipywidgets.Button(layout={"width": width, "flex": f"0 1 {width}"})
        self._button.add_class("runqy-row")
        self._button.on_click(lambda button: on_open(self._key))
        self._told = ipywidgets.HTML(layout={"flex": "1 1 14em", "min_width": "0"})
        self._told.add_class("runqy-told")
        self._box: Any = None
        if on_tick is not None:
            self._box = ipywidgets.Checkbox(
                indent=False, description="", layout={"width": "auto", "flex": "0 0 auto"}
            )
            self._box.add_class("runqy-tick")
            self._box.observe(self._ticked(on_tick), names="value")
        parts = [self._button, self._told]
        self.widget = ipywidgets.HBox(
            [self._box, *parts] if self._box else parts,
            layout={"align_items": "baseline", "grid_gap": "0 8px", "width": "100%"},
        )

    def show(self, entry: Entry | None) -> None:
        set_trait(self.widget.layout, "display", None if entry else "none")
        if entry is None:
            self._key = ""
            return
        self._key = entry.key
        mark = "▸ " if entry.is_open else ""
        set_trait(self._button, "description", mark + entry.label)
        set_trait(self._told, "value", entry.told)
        if self._box is not None:
            with self._own:
                set_trait(self._box, "value", entry.is_ticked)
                set_trait(self._box, "description", f"Tick {entry.label}")  # for who does not see

    def _ticked(self, on_tick: Callable[[str, bool], None]) -> Callable[[Any], None]:
        def ticked(change: Any) -> None:
            if not self._own.are_made and self._key:
                on_tick(self._key, bool(change["new"]))

        return ticked
