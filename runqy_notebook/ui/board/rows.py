"""A list in a panel: what its rows say is one widget, however many of them change at once.

The controls of a row are made once and never change: they are named by its place, as the row is
("row 3"). So a click names a place, and goes to what the person saw there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from markupsafe import Markup

from runqy_notebook.ui import html
from runqy_notebook.ui.board.panel import OwnChanges, set_trait
from runqy_notebook.ui.board.showings import Showings

MOST: Final = 50
"""Rows that a list may have: the style sheet knows so many places."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one row shows: `label` is what one clicks on, `told` its other cells, HTML of ours."""

    key: str
    label: str
    told: str
    is_open: bool = False
    is_ticked: bool = False


class Rows:
    """`on_open` is told the key of the row that was clicked; with `on_tick` each row has a box to
    tick, too. Both are told None where it is not known what the person saw there. `late` says how
    many seconds ago a click may have been made that comes now.
    """

    def __init__(
        self,
        what: str,
        on_open: Callable[[str | None], None],
        on_tick: Callable[[str | None, bool], None] | None = None,
        *,
        late: Callable[[], float],
    ) -> None:
        import ipywidgets

        self._what = what
        self._on_open = on_open
        self._on_tick = on_tick
        self._late = late
        self._own = OwnChanges()
        self._showings = Showings()
        self._class = f"runqy-rows-{uuid4().hex[:8]}"
        self._told = ipywidgets.HTML(_dom_classes=("runqy-told",))
        self._places: list[tuple[Any, ...]] = []  # the controls of each: a box, a button
        self._making = threading.Lock()
        self.widget = ipywidgets.Box([self._told], _dom_classes=("runqy-rows", self._class))

    def show(self, entries: Sequence[Entry], answer: int = 0) -> None:
        """Shows these; a list that shows the same already is left alone. Another `answer` is
        another list that the person asked for.
        """
        with self._making:
            while len(entries) > len(self._places):
                self._places.append(self._made(len(self._places)))
            controls = [each for place in self._places for each in place]
            if len(controls) >= len(self.widget.children):
                self.widget.children = (self._told, *controls)
        told = html.rendered(
            "board/rows.html",
            what=self._what,
            scope=self._class,
            first_hidden=2 + len(entries) * (2 if self._on_tick else 1),
            entries=[(each, Markup(each.told)) for each in entries],  # noqa: S704 - ours
        )
        set_trait(self._told, "value", told)
        self._showings.add([each.key for each in entries], answer)
        for n, (*boxes, _) in enumerate(self._places):
            for box in boxes:
                with self._own:
                    set_trait(box, "value", n < len(entries) and entries[n].is_ticked)

    def seen(self) -> Sequence[str] | None:
        """The keys of all rows as the person saw them who clicks now; None: that is not known."""
        return self._showings.all_seen(self._late())

    def _made(self, n: int) -> tuple[Any, ...]:
        """The controls of one place."""
        import ipywidgets

        place = f"runqy-at-{n + 1}"
        button = ipywidgets.Button(
            description=f"Show row {n + 1}",
            _dom_classes=("runqy-open", place),
            **self._as_the_first(-1),
        )
        button.on_click(lambda _: self._on_open(self._showings.seen(n, self._late())))
        if self._on_tick is None:
            return (button,)
        box = ipywidgets.Checkbox(
            description=f"Select row {n + 1}",
            indent=False,
            _dom_classes=("runqy-tick", place),
            **self._as_the_first(0),
        )
        box.observe(self._ticked(n, self._on_tick), names="value")
        return box, button

    def _as_the_first(self, which: int) -> dict[str, Any]:
        """Layout and style of the first row's control: one for all, each else is one to send."""
        if not self._places:
            return {}
        first = self._places[0][which]
        return {"layout": first.layout, "style": first.style}

    def _ticked(self, n: int, on_tick: Callable[[str | None, bool], None]) -> Callable[[Any], None]:
        def ticked(change: Any) -> None:
            if not self._own.are_made:
                on_tick(self._showings.seen(n, self._late()), bool(change["new"]))

        return ticked
