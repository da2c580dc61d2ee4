"""The table of what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

HEADER: Final = ("scenario", "given", "figures", "bound", "ok")


@dataclass(frozen=True, slots=True)
class Row:
    """A scenario's figures by name. `bounds` has the most that each may be; a figure without a
    bound is only told.
    """

    scenario: str
    given: str
    figures: Mapping[str, float]
    bounds: Mapping[str, float]

    @property
    def broken(self) -> list[str]:
        """The figures beyond their bound."""
        return [
            f"{name} is {self.figures[name]:g}, which is more than {most:g}"
            for name, most in self.bounds.items()
            if not self.figures[name] <= most
        ]

    @property
    def cells(self) -> tuple[str, ...]:
        """The texts of its columns."""
        return (
            self.scenario,
            self.given,
            ", ".join(f"{name} {value:g}" for name, value in self.figures.items()),
            ", ".join(_bound(name, most) for name, most in self.bounds.items()),
            "NO" if self.broken else "yes",
        )


def table(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [HEADER, ["---"] * len(HEADER), *(row.cells for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def percentile(values: Iterable[float], share: float) -> float:
    """The value that this share of the values does not exceed, to the millisecond."""
    ordered = sorted(values)
    at = min(len(ordered) - 1, int(share * len(ordered)))
    return round(ordered[at], 3)


def _bound(name: str, most: float) -> str:
    return f"{name} 0" if most == 0 else f"{name} <= {most:g}"
