"""Records as DataFrames whose columns and dtypes are the same with and without rows.

Times are UTC with microseconds (`datetime64[us, UTC]`, NaT for none), durations float seconds (NaN
for none). Text is `object` with None for none, which every pandas from 2.1 on leaves as it is. The
index is the task's id, the queue's name or the worker's id; an id listed twice is there twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from types import NoneType
from typing import Any, Final, cast

import msgspec
import numpy as np
import pandas as pd

from runqy_notebook.broker.columns import PendingColumns
from runqy_notebook.broker.outbox import DeliveryRecord
from runqy_notebook.broker.records import QueueRecord, TaskRecord, WorkerRecord, shown
from runqy_notebook.deliver.guard import masked
from runqy_notebook.errors import PayloadError
from runqy_notebook.flattening import flattened
from runqy_notebook.uncollected import uncollected
from runqy_notebook.wire import payload
from runqy_notebook.wire.layout import to_bytes
from runqy_notebook.wire.states import State

TIME: Final = "datetime64[us, UTC]"
PAYLOAD_CUT: Final = 4_096
"""Bytes shown of a payload that is not JSON."""

TASK_DTYPES: Final[Mapping[str, str]] = {
    "queue": "object",
    "state": "object",
    "type": "object",
    "payload": "object",  # the decoded JSON value
    "retry": "int64",
    "max_retry": "int64",
    "enqueued_at": TIME,
    "started_at": TIME,
    "worker": "object",
    "lease_expires_at": TIME,
    "due_at": TIME,
    "finished_at": TIME,
    "duration": "float64",
    "error": "object",
}

_ALWAYS = ("queue", "type", "payload", "retry", "max_retry", "enqueued_at")
_WAITING = (*_ALWAYS, "due_at", "error")
_FINISHED = (*_ALWAYS, "started_at", "finished_at", "duration", "error")
TASK_COLUMNS: Final[Mapping[State | None, Sequence[str]]] = {
    State.PENDING: _ALWAYS,
    State.ACTIVE: (*_ALWAYS, "started_at", "worker", "lease_expires_at"),
    State.SCHEDULED: _WAITING,
    State.RETRY: _WAITING,
    State.COMPLETED: _FINISHED,
    State.ARCHIVED: _FINISHED,
    None: tuple(TASK_DTYPES),
}
"""The columns of `tasks`, by state."""

QUEUE_DTYPES: Final[Mapping[str, str]] = {
    "parent": "object",
    "sub_queue": "object",
    **dict.fromkeys((state.value for state in State), "int64"),
    "processed": "int64",
    "failed": "int64",
    "processed_today": "int64",
    "failed_today": "int64",
    "paused": "bool",
    "oldest_pending_s": "float64",
    "trimmed": "int64",
    "workers": "Int64",
    "result_bytes": "Int64",
}

ECHO_DTYPES: Final[Mapping[str, str]] = {
    "received_at": TIME,
    "task_id": "object",
    "method": "object",
    "path": "object",
    "headers": "object",
    "body": "object",  # the decoded JSON value
    "verdict": "object",
    "source": "object",
    "latency_ms": "float64",
}

WORKER_DTYPES: Final[Mapping[str, str]] = {
    "host": "object",
    "pid": "Int64",
    "queues": "object",
    "concurrency": "int64",
    "status": "object",
    "healthy": "bool",
    "started_at": TIME,
    "last_beat": TIME,
    "active_task": "object",
    "ours": "bool",
}


DELIVERY_DTYPES: Final[Mapping[str, str]] = {
    "task_id": "object",
    "queue": "object",
    "status": "object",
    "to": "object",
    "state": "object",
    "attempts": "int64",
    "answer": "Int64",
    "error": "object",
    "seconds": "float64",
    "created_at": TIME,
    "attempted_at": TIME,
    "due_at": TIME,
    "finished_at": TIME,
}


HISTORY_DTYPES: Final[Mapping[str, str]] = {
    "queue": "object",
    "type": "object",
    "state": "object",
    "attempts": "int64",
    "enqueued_at": TIME,
    "waited": "float64",
    "started_at": TIME,
    "duration": "float64",
    "finished_at": TIME,
    "worker": "object",
    "error": "object",
}
"""The columns that `history` always has; those of the payloads follow."""


def tasks(records: Sequence[TaskRecord], state: State | None) -> pd.DataFrame:
    """A row a task, in the order given, with the columns of TASK_COLUMNS for `state`; None is for
    tasks of different states.

    `payload` is the decoded JSON value; what is no JSON is shown as text, cut at 4 kB.
    """
    dtypes = {column: TASK_DTYPES[column] for column in TASK_COLUMNS[state]}
    return _frame("id", [_text(record.id) for record in records], records, dtypes, _OF_TASK)


def pending(columns: PendingColumns) -> pd.DataFrame:
    """What `tasks` makes of the records of the same pending tasks."""
    values: dict[str, list[Any]] = {
        "queue": columns.queue,
        "type": columns.type,
        "payload": _payloads(columns.payload),
        "retry": columns.retry,
        "max_retry": columns.max_retry,
    }
    series = {name: column_of(each, TASK_DTYPES[name]) for name, each in values.items()}
    frame: pd.DataFrame = pd.DataFrame(series)
    frame["enqueued_at"] = _moments(columns.enqueued_at)
    frame.index = pd.Index(columns.id, dtype="object", name="id")
    return frame


def history(records: Sequence[TaskRecord], *, flatten: bool = True) -> pd.DataFrame:
    """A row a finished task, in the order given: HISTORY_DTYPES, then `payload.x`, `payload.x.y`, a
    column for each part of a payload, in order of appearance.

    Numbers make int64 or, with gaps or fractions, float64 columns, everything else `object`. The
    column `payload` holds whole payloads: all of them without `flatten`, else those that columns
    cannot say (no object, or more than fits), and it is there only where there are such.
    """
    labels = [_text(record.id) for record in records]
    frame = _frame("id", labels, records, HISTORY_DTYPES, _OF_HISTORY)
    values = [_payload(record) for record in records]
    columns, is_whole = flattened(values, "payload") if flatten else ({}, [False] * len(values))
    if not all(is_whole) or not flatten:
        left = [None if whole else value for value, whole in zip(values, is_whole, strict=True)]
        frame["payload"] = column_of(left, "object").set_axis(frame.index)
    parts = {path: column_of(c, dtype_of(c)).set_axis(frame.index) for path, c in columns.items()}
    return pd.concat([frame, pd.DataFrame(parts)], axis="columns") if parts else frame


def queues(records: Sequence[QueueRecord]) -> pd.DataFrame:
    """A row a queue; `workers` is NA where nobody looked for them."""
    names = [record.queue for record in records]
    return _frame(
        "queue", names, records, QUEUE_DTYPES, {"paused": lambda record: record.is_paused}
    )


def workers(records: Sequence[WorkerRecord]) -> pd.DataFrame:
    """A row a worker; `queues` are their names, separated by a comma and a space."""
    ids = [_text(record.id) for record in records]
    return _frame("worker", ids, records, WORKER_DTYPES, _OF_WORKER)


def deliveries(records: Sequence[DeliveryRecord]) -> pd.DataFrame:
    """A row a delivery; `to` shows neither password nor query of a URL."""
    ids = [record.id for record in records]
    return _frame("id", ids, records, DELIVERY_DTYPES, _OF_DELIVERY)


def echoes(receipts: Sequence[Any]) -> pd.DataFrame:
    """A row for each receipt, in their order."""
    return _frame("id", [r.id for r in receipts], receipts, ECHO_DTYPES, _OF_ECHO)


def _frame(
    index: str,
    labels: list[str],
    records: Sequence[object],
    dtypes: Mapping[str, str],
    special: Mapping[str, Callable[[Any], object]],
) -> pd.DataFrame:
    """A column for each of `dtypes`: the record's field of that name, or what `special` says."""
    columns = {}
    for column, dtype in dtypes.items():
        read = special.get(column, attrgetter(column))
        columns[column] = column_of([read(record) for record in records], dtype)
    frame: pd.DataFrame = pd.DataFrame(columns)
    frame.index = pd.Index(labels, dtype="object", name=index)
    return frame


def column_of(values: list[Any], dtype: str) -> pd.Series[Any]:
    """The values as a column of one of the dtypes above."""
    series: pd.Series[Any]
    if dtype == TIME:
        # pandas 2.1 makes nanoseconds of datetimes first, which end in the year 2262.
        naive = [None if moment is None else moment.replace(tzinfo=None) for moment in values]
        series = pd.Series(np.array(naive, dtype="datetime64[us]")).dt.tz_localize("UTC")
    else:
        series = pd.Series(values, dtype=dtype)
    return series


def dtype_of(values: Sequence[object]) -> str:
    """What a column of JSON values is best held in."""
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return "bool"
    if kinds == {int} and all(-(2**63) <= value < 2**63 for value in cast("list[int]", values)):
        return "int64"
    is_number = kinds <= {int, float, NoneType} and kinds != {NoneType}
    has_exact = all(abs(value) <= 2**53 for value in values if isinstance(value, int))
    return "float64" if is_number and has_exact else "object"


def _moments(unix: Sequence[float]) -> pd.Series[Any]:
    """The moments of unix seconds, NaT for NaN and what `records.moment_of` takes for no time."""
    seconds = np.array(unix, dtype="float64")
    seconds[~((seconds > 0) & (seconds < 1e11))] = np.nan
    whole = np.floor(seconds)  # apart, as `timedelta` does it: the sum has not the digits
    micros = np.rint((seconds - whole) * 1e6)
    is_none = np.isnan(seconds)
    exact = np.where(is_none, 0, whole).astype("int64") * 1_000_000
    exact += np.where(is_none, 0, micros).astype("int64")
    moments = exact.astype("datetime64[us]")
    moments[is_none] = np.datetime64("NaT")
    series: pd.Series[Any] = pd.Series(moments).dt.tz_localize("UTC")
    return series


def _payload(record: TaskRecord) -> object:
    return _decoded(record.payload)


def _payloads(texts: Sequence[bytes]) -> list[object]:
    with uncollected():
        try:
            return list(map(msgspec.json.decode, texts))  # as `payload.decode` does, when all are
        except (msgspec.DecodeError, ValueError, RecursionError):
            return list(map(_decoded, texts))


def _decoded(text: bytes) -> object:
    try:
        return payload.decode(text)
    except PayloadError:
        return shown(text[:PAYLOAD_CUT])


def _text(identifier: str) -> str:
    """An id as text that every pandas can hold: no lone surrogates."""
    return shown(to_bytes(identifier))


_OF_TASK: Final[Mapping[str, Callable[[Any], object]]] = {
    "state": lambda record: record.state.value,
    "payload": _payload,
}
_OF_DELIVERY: Final[Mapping[str, Callable[[Any], object]]] = {
    "to": lambda record: masked(record.to),
    "state": lambda record: record.state.value,
}
_OF_ECHO: Final[Mapping[str, Callable[[Any], object]]] = {
    "headers": lambda receipt: dict(receipt.headers),
    "body": attrgetter("value"),
    "verdict": lambda receipt: receipt.verdict.value,
}
_OF_HISTORY: Final[Mapping[str, Callable[[Any], object]]] = {
    "state": lambda record: record.state.value,
    "attempts": lambda record: record.starts,
}
_OF_WORKER: Final[Mapping[str, Callable[[Any], object]]] = {
    "host": lambda record: _text(record.host),
    "queues": lambda record: ", ".join(record.queues),
    "healthy": lambda record: record.is_healthy,
    "ours": lambda record: record.is_ours,
}
