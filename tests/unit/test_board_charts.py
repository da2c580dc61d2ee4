"""The board's pictures and tables, without a notebook."""

from __future__ import annotations

import base64
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runqy_notebook.broker.health import ServerHealth
from runqy_notebook.broker.records import QueueRecord, WorkerRecord
from runqy_notebook.ui.board import history, queue_table
from runqy_notebook.ui.board.charts import BLUE, Chart, Line, sample, sparkline
from runqy_notebook.ui.board.seconds import Second
from runqy_notebook.ui.board.worker_text import MOST_WORKERS, worker_text
from tests.hostile import HOSTILE

HEALTHY = ServerHealth("Valkey 9.1.2", 0.0004, 3_725, 2_500_000, 0, 3, "each second", "")


def record(queue: str, pending: int = 0, *, is_paused: bool = False) -> QueueRecord:
    counts = {"active": 0, "scheduled": 0, "retry": 0, "completed": 7, "archived": 0}
    return QueueRecord(
        queue, queue, "default", pending=pending, **counts, processed=9, failed=2,
        processed_today=9, failed_today=2, is_paused=is_paused,
        oldest_pending_s=12.0 if pending else None, trimmed=0, workers=None,
    )  # fmt: skip


def rows(*records: QueueRecord) -> list[queue_table.Row]:
    return queue_table.rows(records, lambda n, queue: [Second(at, completed=2) for at in range(n)])


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e7)), max_size=90), st.booleans())
def test_every_chart_is_well_formed_and_tells_its_figures(
    points: list[float | None], is_bars: bool
) -> None:
    line = Line("waiting <b>", points, BLUE, "4 s", "7 3", is_bars)
    chart = Chart("Latency", " s", "1 min", (line,))

    drawn = ElementTree.fromstring(chart.svg())
    ElementTree.fromstring(base64.b64decode(chart.picture()))
    ElementTree.fromstring(sample(line))
    ElementTree.fromstring(sparkline([p or 0 for p in points], "<none>"))

    label = drawn.get("aria-label")
    assert label is not None
    assert label.startswith("Latency, the last 1 min: waiting <b> 4 s")
    assert chart.top >= max([p for p in points if p is not None], default=0)


def test_a_value_that_stands_alone_is_seen() -> None:
    chart = Chart("Latency", " s", "1 min", (Line("running", [None, 2.0, None], BLUE),))

    assert "h5" in chart.svg()


def test_the_three_charts_name_what_they_show_and_what_is_now() -> None:
    seconds = [Second(at, enqueued=4, completed=2, failed=1, waited=3.0, n_waited=2)
               for at in range(60)]  # fmt: skip

    words = [chart.words for chart in history.charts(seconds, "1 min")]

    assert words == [
        "Throughput, the last 1 min: completed 2.0/s, enqueued 4.0/s; the axis ends at 5/s",
        "Latency, the last 1 min: waiting 1.5 s, running -; the axis ends at 2 s",
        "Failures, the last 1 min: failed attempts 60 in 1 min; the axis ends at 1/s",
    ]


def test_queues_stand_by_name_with_their_counts_in_words_and_html() -> None:
    found = rows(record("mail", 1_234, is_paused=True), record("images"))

    text = queue_table.table_text(found, 0).splitlines()
    html = queue_table.table_html(found, 0, is_still=False)

    assert text[0].split()[:3] == ["queue", "pending", "active"]
    assert " ".join(text[1].split()) == "images 0 0 0 0 0 7 9 2 - 2.0"
    assert " ".join(text[2].split()) == "mail (paused) 1,234 0 0 0 0 7 9 2 12 s 2.0"
    assert "paused" in html
    assert "120 attempts ended in the last minute, now 2.0 a second" in html


def test_of_a_thousand_queues_those_are_shown_in_which_something_waits() -> None:
    many = [record(f"q{n:04}", pending=n == 999) for n in range(1_000)]

    found = rows(*many)

    assert len(found) == queue_table.MOST_ROWS
    assert found[-1].queue == "q0999"
    assert "950 more queues not shown: %runqy queues" in queue_table.table_text(found, 950)


def test_no_queues_is_a_sentence() -> None:
    assert queue_table.table_text([], 0) == "No queues yet."
    assert "No queues yet" in queue_table.table_html([], 0, is_still=True)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_workers_say_of_themselves_is_text(text: str) -> None:
    worker = WorkerRecord(text, text, 1, ("mail",), 2, text, active_task=text)

    told = worker_text(None, [worker], HEALTHY, "embedded Valkey 9.1.2")

    assert "<script" not in told.html().lower()
    assert "<img" not in told.html().lower()
    assert all(c.isprintable() or c == "\n" for c in told.plain())


def test_a_crowd_of_workers_is_cut_and_counted() -> None:
    crowd = [WorkerRecord(f"host:{n}", "host", n) for n in range(MOST_WORKERS + 5)]

    told = worker_text(None, crowd, HEALTHY, "embedded Valkey 9.1.2")

    assert told.plain().endswith("5 more workers: %runqy workers")
    assert told.headline == "No worker runs in this kernel."
    assert told.health == (
        "embedded Valkey 9.1.2 · answers in 1 ms · up 1 h 2 min · 2.4 MB in use · 3 clients · "
        "saves to disk: each second"
    )
