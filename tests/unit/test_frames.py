"""The columns and dtypes of the DataFrames, with and without rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runqy_notebook import frames
from runqy_notebook.broker.records import (
    TASK_FIELDS,
    WORKER_FIELDS,
    Place,
    QueueRecord,
    TaskRecord,
    WorkerRecord,
    served_queues,
    task_record,
    worker_record,
)
from runqy_notebook.wire.layout import to_text
from runqy_notebook.wire.states import State

START = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=timezone.utc)
TASK = TaskRecord(
    id="t1",
    queue="images_high",
    state=State.COMPLETED,
    type="task",
    payload=b'{"n": [1, null]}',
    retry=1,
    max_retry=3,
    enqueued_at=START,
    started_at=START + timedelta(seconds=1),
    finished_at=START + timedelta(seconds=3.5),
    due_at=START,
    lease_expires_at=START,
    worker="vm:7",
    error="boom",
)
QUEUE = QueueRecord(
    queue="images_high",
    parent="images",
    sub_queue="high",
    pending=1,
    active=2,
    scheduled=3,
    retry=4,
    completed=5,
    archived=6,
    processed=7,
    failed=8,
    processed_today=9,
    failed_today=10,
    is_paused=True,
    oldest_pending_s=1.5,
    trimmed=11,
    workers=2,
    result_bytes=12,
)
WORKER = WorkerRecord(
    id="vm:7",
    host="vm",
    pid=7,
    queues=("images", "mail"),
    concurrency=4,
    status="running",
    is_healthy=True,
    started_at=START,
    last_beat=START,
    active_task="t1",
    is_ours=True,
)
STATES = [None, *State]
ENDS = pytest.mark.parametrize("state", STATES, ids=str)


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(column): str(dtype) for column, dtype in frame.dtypes.items()}


@ENDS
def test_task_frames_have_the_same_dtypes_empty_sparse_and_full(state: State | None) -> None:
    expected = {name: frames.TASK_DTYPES[name] for name in frames.TASK_COLUMNS[state]}
    bare = TaskRecord("t2", "q", State.PENDING)

    for records in ([], [TASK], [bare], [bare, TASK]):
        frame = frames.tasks(records, state)

        assert dtypes(frame) == expected
        assert (frame.index.name, str(frame.index.dtype)) == ("id", "object")
        assert list(frame.index) == [record.id for record in records]


def test_queue_and_worker_frames_have_the_same_dtypes_empty_sparse_and_full() -> None:
    unseen = replace(QUEUE, oldest_pending_s=None, workers=None)
    gone = WorkerRecord("w", "w", None)

    for queues in ([], [QUEUE], [unseen], [unseen, QUEUE]):
        frame = frames.queues(queues)
        assert dtypes(frame) == dict(frames.QUEUE_DTYPES)
        assert (frame.index.name, str(frame.index.dtype)) == ("queue", "object")
    for workers in ([], [WORKER], [gone], [gone, WORKER]):
        frame = frames.workers(workers)
        assert dtypes(frame) == dict(frames.WORKER_DTYPES)
        assert (frame.index.name, str(frame.index.dtype)) == ("worker", "object")


def test_a_full_task_row_says_what_the_record_says() -> None:
    row = frames.tasks([TASK], None).loc["t1"]

    assert row["state"] == "completed"
    assert row["payload"] == {"n": [1, None]}
    assert (row["queue"], row["type"], row["retry"], row["max_retry"]) == (
        *("images_high", "task", 1, 3),
    )
    assert row["enqueued_at"] == START
    assert row["finished_at"] - row["started_at"] == timedelta(seconds=2.5)
    assert row["duration"] == 2.5
    assert (row["worker"], row["error"]) == ("vm:7", "boom")


def test_a_bare_task_row_has_no_times_and_no_error() -> None:
    row = frames.tasks([TaskRecord("t", "q", State.ARCHIVED)], None).loc["t"]

    missing = ("enqueued_at", "started_at", "due_at", "finished_at", "duration", "worker", "error")
    assert all(pd.isna(row[column]) for column in missing)
    assert row["payload"] == ""


def test_every_state_has_the_columns_that_it_can_fill() -> None:
    always = ["queue", "type", "payload", "retry", "max_retry", "enqueued_at"]

    columns = {state: list(frames.tasks([], state).columns) for state in STATES}

    assert columns[State.PENDING] == always
    assert columns[State.ACTIVE] == [*always, "started_at", "worker", "lease_expires_at"]
    assert columns[State.RETRY] == columns[State.SCHEDULED] == [*always, "due_at", "error"]
    finished = [*always, "started_at", "finished_at", "duration", "error"]
    assert columns[State.COMPLETED] == columns[State.ARCHIVED] == finished
    assert {"state", *always, *finished, *columns[State.ACTIVE], "due_at"} == set(columns[None])


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b"[1, 2]", [1, 2]),
        (b"null", None),
        (b"not json", "not json"),
        (b"\xff{", "\ufffd{"),
        (b'"\\ud800"', "\ufffd"),
        (b"x" * 5_000, "x" * 4_096),
    ],
)
def test_a_payload_is_decoded_or_shown_as_text(payload: bytes, shown: object) -> None:
    record = TaskRecord("t", "q", State.PENDING, payload=payload)

    frame = frames.tasks([record, TASK], State.PENDING)

    assert frame["payload"].iloc[0] == shown


def test_an_id_that_is_not_utf8_becomes_text_without_surrogates() -> None:
    odd = to_text(b"a\xff")

    task = frames.tasks([TaskRecord(odd, "q", State.PENDING)], State.PENDING)
    worker = frames.workers([WorkerRecord(odd, odd, None)])

    assert list(task.index) == list(worker.index) == list(worker["host"]) == ["a\ufffd"]


def test_an_id_listed_twice_is_there_twice() -> None:
    frame = frames.tasks([TASK, TASK], State.COMPLETED)

    assert list(frame.index) == ["t1", "t1"]


def test_moments_beyond_the_nanosecond_calendar_are_kept() -> None:
    far = TaskRecord("t", "q", State.RETRY, due_at=datetime(5000, 1, 1, tzinfo=timezone.utc))

    frame = frames.tasks([far], State.RETRY)

    assert frame["due_at"].iloc[0].year == 5000


def test_frames_can_be_filtered_sorted_and_joined_like_any_other() -> None:
    late = TaskRecord("t2", "mail", State.COMPLETED, finished_at=START)
    frame = frames.tasks([TASK, late], State.COMPLETED)

    assert list(frame[frame["queue"] == "mail"].index) == ["t2"]
    assert list(frame.sort_values("finished_at").index) == ["t2", "t1"]
    assert frame.groupby("queue")["duration"].mean()["images_high"] == 2.5


def test_a_queue_row_and_a_worker_row_say_what_their_records_say() -> None:
    queue = frames.queues([QUEUE]).loc["images_high"]
    worker = frames.workers([WORKER]).loc["vm:7"]

    assert list(queue) == ["images", "high", *range(1, 11), True, 1.5, 11, 2, 12]
    assert (worker["queues"], worker["pid"], worker["concurrency"]) == ("images, mail", 7, 4)
    assert worker["healthy"]
    assert worker["ours"]
    assert worker["last_beat"] == START


def test_served_queues_are_read_in_either_spelling() -> None:
    foreign = b"map[inference:default:1 inference_default:1 raw:default:-2]"

    assert served_queues(foreign) == ("inference:default", "inference_default", "raw:default")
    assert served_queues(b"images, mail_high") == ("images", "mail_high")
    assert served_queues(b'["images", "mail"]') == ("images", "mail")
    assert served_queues(b"map[]") == served_queues(b"") == ()


_GARBAGE = st.none() | st.binary(max_size=20) | st.integers().map(lambda n: str(n).encode())
_NUMBERS = st.none() | st.floats()


@given(
    values=st.lists(_GARBAGE, min_size=len(TASK_FIELDS), max_size=len(TASK_FIELDS)),
    task_id=st.binary(),
    state=st.sampled_from(list(State)),
    score=_NUMBERS,
    lease=_NUMBERS,
)
def test_whatever_stands_in_a_task_hash_makes_a_row(
    values: list[bytes | None],
    task_id: bytes,
    state: State,
    score: float | None,
    lease: float | None,
) -> None:
    record = task_record(task_id, Place("q", state, score, lease), values)

    frame = frames.tasks([record], None)

    assert dtypes(frame) == dict(frames.TASK_DTYPES)
    repr(frame).encode()


@given(
    values=st.lists(_GARBAGE, min_size=len(WORKER_FIELDS), max_size=len(WORKER_FIELDS)),
    worker_id=st.binary(),
)
def test_whatever_stands_in_a_heartbeat_makes_a_row(
    values: list[bytes | None], worker_id: bytes
) -> None:
    frame = frames.workers([worker_record(to_text(worker_id), values)])

    assert dtypes(frame) == dict(frames.WORKER_DTYPES)
    repr(frame).encode()
