"""The picture of a lesson: where the tasks are, and which way they went, as SVG.

The live one follows the page's colours and moves; the still one has its own ground, for it is shown
as a picture in whatever page. Nothing is told by colour alone.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from runqy_notebook.errors import one_line
from runqy_notebook.lesson.scene import At, Place, Scene, short
from runqy_notebook.ui import html
from runqy_notebook.ui.lesson.layout import CHIP, NARROW, WIDE, Box, Layout, arrow
from runqy_notebook.ui.text import cleaned_line

_COLOURS: Final = {  # Okabe and Ito's, which the colour-blind tell apart
    Place.SCHEDULED: "#56B4E9",
    Place.PENDING: "#E69F00",
    Place.ACTIVE: "#0072B2",
    Place.RETRY: "#D55E00",
    Place.COMPLETED: "#009E73",
    Place.ARCHIVED: "#CC79A7",
    Place.WAITING: "#8C8C8C",
}
_WAYS: Final = (
    (Place.SCHEDULED, Place.PENDING),
    (Place.RETRY, Place.PENDING),
    (Place.PENDING, Place.ACTIVE),
    (Place.ACTIVE, Place.COMPLETED),
    (Place.ACTIVE, Place.RETRY),
    (Place.ACTIVE, Place.ARCHIVED),
    (Place.PENDING, Place.WAITING),
)
"""The ways that tasks go, drawn faintly."""

_MARKS: Final = {At.DEAD: "✕", At.NONE: "·", At.UNANSWERED: "?"}


@dataclass(frozen=True, slots=True)
class Paint:
    """The colours of the ground, of text, of lines and of chips."""

    ground: str
    text: str
    muted: str
    line: str
    chip: str


LIVE: Final = Paint(
    "none",
    "var(--jp-content-font-color1, #222)",
    "var(--jp-content-font-color2, #555)",
    "var(--jp-border-color1, #bbb)",
    "var(--jp-layout-color2, #f2f2f2)",
)
STILL: Final = Paint("#ffffff", "#222222", "#555555", "#bbbbbb", "#f2f2f2")


@dataclass(frozen=True, slots=True)
class Chip:
    """A task: where it stands, and where it came from."""

    text: str
    full: str
    x: float
    y: float
    x0: float
    y0: float
    colour: str
    is_moved: bool
    is_new: bool


@dataclass(frozen=True, slots=True)
class Drawn:
    """One box as it is drawn."""

    box: Box
    name: str
    count: str
    more: str
    colour: str


def live_picture(before: Scene | None, scene: Scene) -> str:
    """Both forms, of which the page shows the one that it has room for; chips that stand elsewhere
    than `before` move there.
    """
    return "".join(_svg(layout, before, scene, LIVE) for layout in (WIDE, NARROW))


def still_picture(before: Scene | None, scene: Scene) -> str:
    """An <img>, which also a page shows that takes drawings apart."""
    text = _svg(WIDE, before, scene, STILL)
    return html.rendered(
        "lesson/still.html",
        source=base64.b64encode(text.encode()).decode(),
        words=in_words(scene),
    )


def in_words(scene: Scene) -> str:
    """What the picture shows."""
    parts = []
    for place in Place:
        ids, count = scene.places.get(place, ()), scene.counts.get(place, 0)
        names = ", ".join(_named(task_id) for task_id in ids[:4])
        more = f" and {count - 4} more" if count > 4 else ""
        parts.append(f"{place} {count}{f' ({names}{more})' if names else ''}")
    return f"{' · '.join(parts)} · worker: {_worker(scene)}"


def _svg(layout: Layout, before: Scene | None, scene: Scene, paint: Paint) -> str:
    ways = before.moved_to(scene) if before else {}
    drawn = [_drawn(layout, scene, place, ways) for place in Place]
    going = {(one, other) for one, other in ways.values() if one and other}
    return html.rendered(
        "lesson/picture.svg",
        layout=layout,
        paint=paint,
        is_live=paint is LIVE,
        boxes=drawn,
        chips=_chips(layout, before, scene, ways),
        ways=[
            arrow(layout.boxes[one], layout.boxes[other])
            for one, other in _ways(layout)
            if not {(one, other), (other, one)} & going
        ],
        going=[arrow(layout.boxes[one], layout.boxes[other]) for one, other in sorted(going)],
        chip=(layout.chip_width, CHIP),
        worker=layout.worker,
        hold=arrow(layout.worker, layout.boxes[Place.ACTIVE]) if layout is WIDE else None,
        is_dead=scene.worker is At.DEAD,
        holds=bool(scene.holds) and scene.worker not in (At.DEAD, At.NONE),
        mark=_MARKS.get(scene.worker, "✓"),
        state=str(scene.worker),
        note=_note(scene, layout.chip_letters * layout.columns),
        words=in_words(scene),
    )


def _ways(layout: Layout) -> tuple[tuple[Place, Place], ...]:
    """Those that have nothing else in between."""
    return _WAYS if layout is WIDE else _WAYS[:-1]


def _drawn(
    layout: Layout, scene: Scene, place: Place, ways: dict[str, tuple[Place | None, Place | None]]
) -> Drawn:
    count = scene.counts.get(place, 0)
    left = count - len(layout.chips(scene, place, ways))
    return Drawn(
        layout.boxes[place],
        str(place),
        str(count),
        f"+{left:,}" if left > 0 else "",
        _COLOURS[place],
    )


def _chips(
    layout: Layout,
    before: Scene | None,
    scene: Scene,
    ways: dict[str, tuple[Place | None, Place | None]],
) -> list[Chip]:
    spots = layout.spots(scene, ways)
    had = layout.spots(before) if before else {}
    found = []
    for task_id, (x, y) in spots.items():
        place = scene.place_of(task_id)
        came_from = before.place_of(task_id) if before else place
        x0, y0 = had.get(task_id) or _middle(layout, came_from) or (x, y)
        is_new = before is not None and came_from is None
        colour = _COLOURS[place or Place.PENDING]
        moved = task_id in ways
        name = _named(task_id, layout.chip_letters)
        found.append(Chip(name, _named(task_id, 80), x, y, x0, y0, colour, moved, is_new))
    return found


def _middle(layout: Layout, place: Place | None) -> tuple[float, float] | None:
    if place is None:
        return None
    x, y = layout.boxes[place].middle
    return x - layout.chip_width / 2, y


def _worker(scene: Scene) -> str:
    holds = f" ({_named(scene.holds)})" if scene.holds and scene.worker is not At.DEAD else ""
    return f"{scene.worker}{holds}"


def _note(scene: Scene, letters: int) -> str:
    if scene.loses_reply:
        return "loses next reply"
    if scene.is_paused:
        return "queue paused"
    return _named(scene.holds, letters) if scene.holds and scene.worker is not At.DEAD else ""


def _named(task_id: str, length: int = 8) -> str:
    return short(cleaned_line(one_line(task_id, 200)), length)
