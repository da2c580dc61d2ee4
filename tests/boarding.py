"""A panel of a board without a notebook: its widgets are real, only no page shows them."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, TypeVar

from runqy_notebook.session import Session
from runqy_notebook.ui.board.panel import Context, Panel
from runqy_notebook.ui.board.pulse import Pulse
from runqy_notebook.ui.publish import Publisher
from tests.waiting import wait_until

P = TypeVar("P", bound=Panel)


class Clock(threading.local):
    """One that a test moves: for its own thread alone, as events come meanwhile on others."""

    def __init__(self) -> None:
        self.now = 1_000.5

    def __call__(self) -> float:
        return self.now


class Seen:
    """What a panel told its board: what it said, and whose cards it showed."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.cards: list[Any] = []


@contextmanager
def opened(
    kind: Callable[[Context], P], session: Session, names: dict[str, Any] | None = None
) -> Iterator[tuple[P, Seen]]:
    """The panel, made and refreshed once; `names` are those of its notebook."""
    pulse, seen = Pulse(session), Seen()
    pulse.open()
    shell = SimpleNamespace(user_ns=names or {}, display_pub=None)
    panel = kind(
        Context(
            session,
            shell,
            Publisher(shell),
            pulse,
            lambda made, place: seen.cards.append(made),
            seen.said.append,
        )
    )
    try:
        assert panel.widget is panel.widget
        looked_at(panel)
        yield panel, seen
    finally:
        panel.close()
        pulse.close()


def looked_at(panel: Panel) -> None:
    """One round of the board."""
    panel.context.pulse.look()
    panel.look()
    panel.refresh()


def until(panel: Panel, holds: Callable[[], bool], why: str) -> None:
    """Rounds of the board until something holds."""

    def round_of_the_board() -> bool:
        looked_at(panel)
        return holds()

    wait_until(round_of_the_board, why)


def parts(widget: Any) -> Iterator[Any]:
    """A widget and all in it that is not hidden."""
    if widget.layout.display == "none":
        return
    yield widget
    for child in getattr(widget, "children", ()):
        yield from parts(child)


def named(panel: Panel, name: str) -> Any:
    """The visible control of that description."""
    found = [
        each for each in parts(panel.widget) if getattr(each, "description", "").strip(" *") == name
    ]
    assert len(found) == 1, f"{len(found)} controls are called {name!r}: {names_of(panel)}"
    return found[0]


def names_of(panel: Panel) -> list[str]:
    return [each.description for each in parts(panel.widget) if getattr(each, "description", "")]


def rows(panel: Any) -> list[str]:
    """What one may click on in the rows of its list."""
    import html5lib

    found = html5lib.parseFragment(panel._rows._told.value, namespaceHTMLElements=False)
    names = (each for each in found.iter() if "runqy-name" in each.get("class", ""))
    return ["".join(each.itertext()) for each in names]


def place(panel: Any, label: str) -> int:
    """The number of the row with this label, or with that of what is open."""
    return [each.removeprefix("▸ ") for each in rows(panel)].index(label) + 1


def is_pale(control: Any) -> bool:
    """Whether it shows that it would do nothing now."""
    return "runqy-pale" in control._dom_classes


def told(panel: Panel) -> str:
    """All the HTML that is to be seen in it."""
    import ipywidgets

    return "\n".join(e.value for e in parts(panel.widget) if isinstance(e, ipywidgets.HTML))


ELEMENTS = {"div", "span", "strong", "pre", "code", "table", "tbody", "tr", "th", "td"}
ATTRIBUTES = {"style", "role", "class", "aria-label", "aria-current"}


def assert_is_dead(html: str) -> None:
    """Nothing but our own elements, with none but our attributes, and text that acts on nothing."""
    import html5lib

    for node in html5lib.parseFragment(html, namespaceHTMLElements=False).iter():
        if node.tag != "DOCUMENT_FRAGMENT":
            assert node.tag in ELEMENTS, node.tag
            assert set(node.attrib) <= ATTRIBUTES, node.attrib
            assert "url(" not in node.attrib.get("style", "")
    assert_is_readable(html)


def assert_is_readable(text: str) -> None:
    odd = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in "\n\t"}
    assert not odd, odd


def _without_our_style(html: str) -> str:
    return html.partition("</style>")[2] if html.startswith("<style>") else html


def assert_shows_text_only(panel: Panel) -> None:
    """All that a panel shows, now and as a still, is text."""
    import ipywidgets

    for each in parts(panel.widget):
        if isinstance(each, ipywidgets.HTML):
            assert_is_dead(_without_our_style(each.value))
        for trait in ("description", "tooltip", "placeholder"):
            text = getattr(each, trait, None) or ""
            assert_is_readable(text.replace("\u200b", ""))  # ipywidgets' own
    assert_is_dead(panel.html())
    assert_is_readable(panel.text())
