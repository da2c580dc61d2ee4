"""Where everything stands in the picture of a lesson, in the units of its drawing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from runqy_notebook.lesson.scene import Place, Scene

HEAD: Final = 26.0  # of a box: its name
CHIP: Final = 24.0
GAP: Final = 6.0


@dataclass(frozen=True, slots=True)
class Box:
    """A place in the picture."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True, slots=True)
class Layout:
    """A form of the picture: the boxes, and how many chips stand beside each other in one."""

    name: str
    width: float
    height: float
    boxes: dict[Place, Box]
    worker: Box
    columns: int
    rows: int = 2

    @property
    def chip_width(self) -> float:
        inner = self.worker.width - 2 * GAP
        return (inner - (self.columns - 1) * GAP) / self.columns

    @property
    def chip_letters(self) -> int:
        return int(self.chip_width / 8.6)

    def chips(self, scene: Scene, place: Place, first: Collection[str]) -> list[str]:
        """The ids shown in a place: as many as there is room for, these among them."""
        ids = scene.places.get(place, ())
        room = self.columns * self.rows
        if len(ids) <= room:
            return list(ids)
        kept = list(ids[:room])
        for late in [i for i in ids[room:] if i in first][:room]:
            at = next((n for n in reversed(range(room)) if kept[n] not in first), None)
            if at is not None:
                del kept[at]
                kept.append(late)
        return kept

    def spots(self, scene: Scene, first: Collection[str] = ()) -> dict[str, tuple[float, float]]:
        """Where each chip stands: its upper left corner."""
        found: dict[str, tuple[float, float]] = {}
        for place, box in self.boxes.items():
            for n, task_id in enumerate(self.chips(scene, place, first)):
                row, column = divmod(n, self.columns)
                x = box.x + GAP + column * (self.chip_width + GAP)
                y = box.y + HEAD + 4 + row * (CHIP + GAP)
                found.setdefault(task_id, (x, y))
        return found


def _layout(
    name: str,
    columns: int,
    size: tuple[float, float],
    box: tuple[float, float],
    places: dict[str, tuple[float, float]],
) -> Layout:
    boxes = {which: Box(x, y, *box) for which, (x, y) in places.items()}
    return Layout(
        name, *size, {place: boxes[place.value] for place in Place}, boxes["worker"], columns
    )


WIDE: Final = _layout(
    "wide",
    2,
    (760, 388),
    (210, 92),
    {
        "scheduled": (12, 12), "retry": (275, 12), "archived": (538, 12),
        "pending": (12, 148), "active": (275, 148), "completed": (538, 148),
        "waiting room": (12, 284), "worker": (275, 284),
    },
)  # fmt: skip
NARROW: Final = _layout(
    "narrow",
    1,
    (350, 436),
    (158, 92),
    {
        "scheduled": (6, 6), "retry": (186, 6),
        "pending": (6, 116), "active": (186, 116),
        "archived": (6, 226), "completed": (186, 226),
        "waiting room": (6, 336), "worker": (186, 336),
    },
)  # fmt: skip


def arrow(one: Box, other: Box) -> tuple[float, float, float, float]:
    """From the edge of one box to that of another, along the line between their middles."""
    (x1, y1), (x2, y2) = one.middle, other.middle
    dx, dy = x2 - x1, y2 - y1
    return (*_edge(one, dx, dy, 2.0), *_edge(other, -dx, -dy, 5.0))


def _edge(box: Box, dx: float, dy: float, air: float) -> tuple[float, float]:
    """Where a line from the middle in this direction leaves the box, with some air."""
    x, y = box.middle
    reach = min(
        (box.width / 2 + air) / abs(dx) if dx else float("inf"),
        (box.height / 2 + air) / abs(dy) if dy else float("inf"),
    )
    return round(x + dx * reach, 1), round(y + dy * reach, 1)
