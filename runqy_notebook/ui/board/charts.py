"""Charts as SVG text: numbers in, a picture out; nobody's text is in them but ours.

A line differs from the others by its colour, its pattern and the sample beside its name. The
colours are Okabe and Ito's (jfly.uni-koeln.de/color), those of them that keep a contrast of 3 on
white and on JupyterLab's dark page.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, TypeAlias

BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
GREEN: Final = "#009E73"

Points: TypeAlias = Sequence[float | None]
"""A value for each step of time, the newest last; None where there is none."""

_WIDTH, _HEIGHT = 300, 125  # of the drawing; it is shown as wide as there is room
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 6, 10, 22
_THEME: Final = "var(--jp-content-font-color2, gray)"
_GREY: Final = "#808080"  # readable on both pages: a picture file knows no theme


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart, or its bars; `now` is its present value in words."""

    name: str
    points: Points
    colour: str
    now: str = ""
    dashes: str = ""
    is_bars: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over the same time, from `since` (in words) until now."""

    title: str
    unit: str  # behind the numbers of the axis
    since: str
    lines: tuple[Line, ...]

    @property
    def words(self) -> str:
        """What it says, for those who do not see it."""
        figures = ", ".join(f"{line.name} {line.now}" for line in self.lines)
        return f"{self.title}, the last {self.since}: {figures}; the axis ends at {self.most}"

    @property
    def most(self) -> str:
        return f"{tidy(self.top)}{self.unit}"

    @property
    def top(self) -> float:
        """The upper end of the axis: a round number that no value is above."""
        values = [value for line in self.lines for value in line.points if value is not None]
        return _rounded_up(max(values, default=0.0))

    def svg(self, *, is_file: bool = False) -> str:
        """The drawing; in colours of the theme, or of a picture file that knows none."""
        ink = _GREY if is_file else _THEME
        drawn = [_axis(self, ink), *(_drawn(line, self.top) for line in self.lines)]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            f'aria-label="{escape(self.words)}" style="width:100%;max-width:25rem;display:block">'
            f"{''.join(drawn)}</svg>"
        )

    def picture(self) -> str:
        """The same as base64, for an `img`: untrusted notebooks lose inline SVG."""
        return base64.b64encode(self.svg(is_file=True).encode()).decode()


def sample(line: Line) -> str:
    """The little piece of the line that stands beside its name."""
    mark = (
        f'<rect x="2" y="2" width="4" height="8" fill="{line.colour}"/>'
        f'<rect x="9" y="5" width="4" height="5" fill="{line.colour}"/>'
        if line.is_bars
        else f'<path d="M0 6H22" stroke="{line.colour}" stroke-width="3"{_dashed(line)}/>'
    )
    return f'<svg width="22" height="12" aria-hidden="true">{mark}</svg>'


def sparkline(points: Sequence[float], words: str) -> str:
    """Bars without an axis, as high as a line of text."""
    top = max(points, default=0.0) or 1.0
    step = 120 / max(1, len(points))
    bars = "".join(
        f"M{i * step + step / 2:.1f} 20v{-max(2.0, 18 * value / top):.1f}"
        for i, value in enumerate(points)
        if value
    )
    return (
        f'<svg width="120" height="21" role="img" aria-label="{escape(words)}" '
        'style="vertical-align:middle">'
        f'<path d="M0 20.5H120" stroke="{_THEME}" stroke-width="1"/>'
        f'<path d="{bars}" stroke="{BLUE}" stroke-width="{step * 0.7:.1f}"/></svg>'
    )


def tidy(value: float) -> str:
    """A number of an axis: at most three digits that say something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _axis(chart: Chart, ink: str) -> str:
    label = f'font-size="12" font-family="sans-serif" fill="{ink}"'
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    rules = "".join(
        f'<path d="M{_LEFT} {y:.0f}H{_WIDTH - _RIGHT}" stroke="{ink}" stroke-width="1" '
        f'opacity="{strength}"/>'
        for y, strength in ((_TOP, 0.25), (middle, 0.25), (_HEIGHT - _BOTTOM, 0.8))
    )
    return (
        f"{rules}"
        f'<text x="{_LEFT - 5}" y="{_TOP + 4}" text-anchor="end" {label}>{chart.most}</text>'
        f'<text x="{_LEFT - 5}" y="{_HEIGHT - _BOTTOM + 4}" text-anchor="end" {label}>0</text>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 6}" {label}>{escape(chart.since)} ago</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 6}" text-anchor="end" {label}>now</text>'
    )


def _drawn(line: Line, top: float) -> str:
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    step = width / max(1, len(line.points) - (not line.is_bars))
    drawn = _bars if line.is_bars else _strokes
    heights = [None if value is None else height * value / top for value in line.points]
    stroke = max(1.5, step * 0.7) if line.is_bars else 2
    return (
        f'<path d="{drawn(heights, step)}" fill="none" stroke="{line.colour}" '
        f'stroke-width="{stroke:.1f}" stroke-linejoin="round"{_dashed(line)}/>'
    )


def _bars(heights: Points, step: float) -> str:
    return "".join(
        f"M{_LEFT + (i + 0.5) * step:.1f} {_HEIGHT - _BOTTOM}v{-max(2.0, up):.1f}"
        for i, up in enumerate(heights)
        if up
    )


def _strokes(heights: Points, step: float) -> str:
    """A stroke through what is known; a value that stands alone is a short one."""
    parts = []
    for i, up in enumerate(heights):
        if up is None:
            continue
        x, y = _LEFT + i * step, _HEIGHT - _BOTTOM - up
        is_first = i == 0 or heights[i - 1] is None
        is_last = i + 1 == len(heights) or heights[i + 1] is None
        if is_first and is_last:
            parts.append(f"M{x - 2.5:.1f} {y:.1f}h5")
        else:
            parts.append(f"{'M' if is_first else 'L'}{x:.1f} {y:.1f}")
    return "".join(parts)


def _dashed(line: Line) -> str:
    return f' stroke-dasharray="{line.dashes}"' if line.dashes else ""


def _rounded_up(value: float) -> float:
    if value <= 0:
        return 1.0
    size = 1e-3
    while True:
        for factor in (1, 2, 5):
            if value <= factor * size:
                return factor * size
        size *= 10
