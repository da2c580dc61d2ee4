"""The queues, a row each: from records and seconds to HTML and text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from runqy_notebook.broker.records import QueueRecord
from runqy_notebook.errors import one_line
from runqy_notebook.ui import html
from runqy_notebook.ui.board.charts import sparkline
from runqy_notebook.ui.board.seconds import Second, together
from runqy_notebook.ui.text import counted, duration
from runqy_notebook.wire.states import State

MOST_ROWS: Final = 50
STATES: Final = (
    State.PENDING,
    State.ACTIVE,
    State.SCHEDULED,
    State.RETRY,
    State.ARCHIVED,
    State.COMPLETED,
)
COLUMNS: Final = (*(state.value for state in STATES), "processed", "failed", "oldest waits")

_STEP: Final = 3  # seconds of a sparkline's bar
_RECENT: Final = 10  # seconds of which the rate is the mean


@dataclass(frozen=True, slots=True)
class Row:
    """A queue in words; `cells` are of COLUMNS, in their order."""

    queue: str
    is_paused: bool
    cells: tuple[str, ...]
    rate: str
    spark: Markup


def rows(
    records: Sequence[QueueRecord], seconds: Callable[[int, str | None], list[Second]]
) -> list[Row]:
    """The queues by name, as rows that change places cannot be read; where there are more than 50,
    those in which something is to be done.
    """
    some = sorted(records, key=lambda r: (not (r.pending or r.active), r.queue))[:MOST_ROWS]
    some.sort(key=lambda record: record.queue)
    return [_row(record, seconds(60, record.queue)) for record in some]


def table_html(found: Sequence[Row], hidden: int, *, is_still: bool) -> str:
    """The table; a still has no sparklines, which untrusted notebooks would lose."""
    return html.rendered(
        "board/queues.html", columns=COLUMNS, rows=found, hidden=_rest(hidden), is_still=is_still
    )


def table_text(found: Sequence[Row], hidden: int) -> str:
    """The same as plain text."""
    if not found:
        return "No queues yet."
    lines = [("queue", *COLUMNS, "a second")]
    for row in found:
        name = f"{row.queue} (paused)" if row.is_paused else row.queue
        lines.append((name, *row.cells, row.rate))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    told = [
        "  ".join([name.ljust(widths[0]), *map(str.rjust, cells, widths[1:])]).rstrip()
        for name, *cells in lines
    ]
    return "\n".join([*told, *filter(None, [_rest(hidden)])])


def rate(seconds: Sequence[Second], count: Callable[[Second], int]) -> str:
    """How many a second of late: the mean of ten."""
    some = seconds[-_RECENT:]
    each = sum(map(count, some)) / max(1, len(some))
    return "0" if not each else f"{each:,.0f}" if each >= 10 else f"{each:.1f}"


def _row(record: QueueRecord, seconds: Sequence[Second]) -> Row:
    counts = [f"{getattr(record, state.value):,}" for state in STATES]
    waits = "" if record.oldest_pending_s is None else duration(record.oldest_pending_s)
    now = rate(seconds, lambda second: second.completed + second.failed)
    ended = [piece.completed + piece.failed for piece in together(list(seconds), _STEP)]
    words = f"{counted(sum(ended), 'attempt')} ended in the last minute, now {now} a second"
    return Row(
        queue=one_line(record.queue, 60),
        is_paused=record.is_paused,
        cells=(*counts, f"{record.processed:,}", f"{record.failed:,}", waits or "-"),
        rate=now,
        spark=Markup(sparkline(ended, words)),  # noqa: S704 - numbers of ours
    )


def _rest(hidden: int) -> str:
    return f"{counted(hidden, 'more queue')} not shown: %runqy queues" if hidden else ""
