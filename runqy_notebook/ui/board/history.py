"""The board's charts: throughput, failures, and how long tasks wait and run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from markupsafe import Markup

from runqy_notebook.ui import html
from runqy_notebook.ui.board.charts import BLUE, GREEN, VERMILION, Chart, Line, sample
from runqy_notebook.ui.board.queue_table import rate
from runqy_notebook.ui.board.seconds import Second, together
from runqy_notebook.ui.text import duration

SPANS: Final = {"1 min": 60, "5 min": 300, "10 min": 600}
"""Over which time the charts may be, in seconds."""

_POINTS: Final = 60


def charts(seconds: list[Second], since: str) -> list[Chart]:
    """The three charts of these seconds, the first of which was `since` ago."""
    size = max(1, len(seconds) // _POINTS)
    pieces = together(seconds, size)

    def each(count: Callable[[Second], int]) -> list[float]:
        return [count(piece) / size for piece in pieces]

    return [
        Chart(
            "Throughput",
            "/s",
            since,
            (
                Line("completed", each(_completed), BLUE, f"{rate(seconds, _completed)}/s"),
                Line("enqueued", each(_enqueued), GREEN, f"{rate(seconds, _enqueued)}/s", "2 4"),
            ),
        ),
        Chart(
            "Latency",
            " s",
            since,
            (
                _means("waiting", pieces, _waited, VERMILION, "7 3"),
                _means("running", pieces, _ran, BLUE),
            ),
        ),
        Chart(
            "Failures",
            "/s",
            since,
            (
                Line(
                    "failed attempts",
                    each(_failed),
                    VERMILION,
                    f"{sum(map(_failed, seconds)):,} in {since}",
                    is_bars=True,
                ),
            ),
        ),
    ]


def charts_html(found: Sequence[Chart], *, is_still: bool) -> str:
    """Side by side where there is room; in a still they are picture files."""

    def drawn(chart: Chart) -> Markup:
        return Markup(chart.svg())  # noqa: S704 - numbers and words of ours

    def marked(line: Line) -> Markup:
        return Markup(sample(line))  # noqa: S704

    return html.rendered(
        "board/charts.html", charts=found, drawn=drawn, sample=marked, is_still=is_still
    )


def _means(
    name: str,
    pieces: Sequence[Second],
    measured: Callable[[Second], tuple[float, int]],
    colour: str,
    dashes: str = "",
) -> Line:
    """The mean duration in each piece; nothing where none was measured."""
    means = [total / n if n else None for total, n in map(measured, pieces)]
    known = [mean for mean in means if mean is not None]
    return Line(name, means, colour, duration(known[-1]) if known else "-", dashes)


def _completed(second: Second) -> int:
    return second.completed


def _enqueued(second: Second) -> int:
    return second.enqueued


def _failed(second: Second) -> int:
    return second.failed


def _waited(second: Second) -> tuple[float, int]:
    return second.waited, second.n_waited


def _ran(second: Second) -> tuple[float, int]:
    return second.ran, second.n_ran
