"""History: what finished tasks were, as an experiment log."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import redis as redis_py

from runqy_notebook import Session, task
from runqy_notebook.errors import SettingsError, UnknownQueueError
from runqy_notebook.frames import HISTORY_DTYPES
from tests.broking import archived, broker_of, claim, done, push, settle


def finished(redis: redis_py.Redis, task_id: str, payload: str, queue: str = "q") -> None:
    """A completed task, as one of our workers leaves it."""
    redis.sadd("asynq:queues", queue)
    push(redis, task_id, queue, payload=payload)
    settle(broker_of(redis), *(done(held) for held in claim(broker_of(redis), queue)))


def test_without_tasks_the_columns_are_the_same(session: Session) -> None:
    empty = session.history()

    assert dict(empty.dtypes.astype(str)) == dict(HISTORY_DTYPES)
    assert empty.index.name == "id"


def test_finished_tasks_are_told_with_their_payloads_the_newest_first(
    session: Session,
) -> None:
    @task(queue="fit", max_retry=1)
    def fit(payload: Any) -> float:
        if payload["opt"]["lr"] > 1:
            raise ValueError("it diverged")
        return 0.9

    worker = session.start_worker("fit", retry_delay=0)
    for lr in (0.1, 5.0):
        handle = session.enqueue("fit", {"opt": {"lr": lr, "name": "adam"}, "n": 3}, id=f"lr{lr}")
        handle.wait(timeout=10)
    session.enqueue("fit", {"opt": {"lr": 1}}, delay=100)

    frame = session.history("fit")

    assert list(frame.index) == ["lr5.0", "lr0.1"]
    assert list(frame.columns) == [
        *HISTORY_DTYPES,
        "payload.opt.lr",
        "payload.opt.name",
        "payload.n",
    ]
    assert list(frame["payload.opt.lr"]) == [5.0, 0.1]
    assert list(frame["state"]) == ["archived", "completed"]
    assert list(frame["attempts"]) == [2, 1]
    assert list(frame["error"]) == ["ValueError: it diverged", None]
    assert set(frame["worker"]) == {worker.id}
    assert (frame["duration"] >= 0).all()
    assert (frame["waited"] >= 0).all()
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        **HISTORY_DTYPES,
        "payload.opt.lr": "float64",
        "payload.opt.name": "object",
        "payload.n": "int64",
    }
    again = session.history("fit").groupby("state")["payload.opt.lr"].mean()
    assert again["completed"] == 0.1


def test_limit_and_state_choose_among_them(session: Session, redis: redis_py.Redis) -> None:
    for number in range(3):
        finished(redis, f"t{number}", "{}")
    push(redis, "bad", "q")
    settle(broker_of(redis), *(archived(held) for held in claim(broker_of(redis), "q")))
    for at, task_id in enumerate(["t0", "bad", "t1", "t2"], 1_700_000_000):
        redis.hset(f"asynq:t:{task_id}", mapping={"completed_at": at, "last_failed_at": at})

    assert list(session.history().index) == ["t2", "t1", "bad", "t0"]
    assert list(session.history(limit=3).index) == ["t2", "t1", "bad"]
    assert list(session.history(state="archived").index) == ["bad"]
    assert list(session.history("q", 1, state="completed").index) == ["t2"]
    with pytest.raises(SettingsError, match="History is of completed and archived tasks"):
        session.history(state="pending")
    with pytest.raises(UnknownQueueError):
        session.history("r")


def test_payloads_clash_with_no_column_and_spoil_no_frame(
    session: Session, redis: redis_py.Redis
) -> None:
    payloads = [
        '{"state": "mine", "error": 1, "payload": {"state": 2}, "id": 7}',
        '{"payload.state": 3, "<script>": "x", "big": 123456789012345678901234567890}',
        "[1, 2]",
        "not json",
        '{"flag": true, "n": 1, "nested": {"list": [{"a": 1}]}}',
    ]
    for number, payload in enumerate(payloads):
        finished(redis, f"t{number}", payload)

    frame = session.history().sort_index()

    assert list(frame["state"]) == ["completed"] * 5
    assert not frame.columns.duplicated().any()
    assert frame.loc["t0", "payload.state"] == "mine"
    assert frame.loc["t0", "payload.payload.state"] == 2
    assert frame.loc["t1", 'payload["payload.state"]'] == 3
    assert frame.loc["t1", "payload.big"] == 123456789012345678901234567890
    assert frame.loc["t2", "payload"] == [1, 2]
    assert frame.loc["t3", "payload"] == "not json"
    assert frame.loc["t4", "payload.nested.list"] == [{"a": 1}]
    assert isinstance(frame.to_string(), str)


def test_without_flattening_payloads_are_whole(session: Session, redis: redis_py.Redis) -> None:
    finished(redis, "t1", '{"a": {"b": 1}}')

    frame = session.history(flatten=False)

    assert list(frame.columns) == [*HISTORY_DTYPES, "payload"]
    assert frame.loc["t1", "payload"] == {"a": {"b": 1}}
    assert list(session.history(flatten=False, state="archived").columns) == list(frame.columns)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["1", "2"], "int64"),
        (["1", "null"], "float64"),
        (["1", "0.5"], "float64"),
        (["true", "false"], "bool"),
        (["true", "null"], "object"),
        (["true", "1"], "object"),
        (["null", "null"], "object"),
        (["1", '"a"'], "object"),
        (["9007199254740993", "null"], "object"),
    ],
)
def test_a_column_has_the_type_of_its_values(
    session: Session, redis: redis_py.Redis, values: list[str], dtype: str
) -> None:
    for number, value in enumerate(values):
        finished(redis, f"t{number}", f'{{"x": {value}, "y": 1}}')

    frame = session.history()

    assert str(frame["payload.x"].dtype) == dtype


def test_a_cancelled_task_is_part_of_history(session: Session) -> None:
    session.enqueue("q", {"n": 1}, id="t1").cancel()

    row = session.history().loc["t1"]

    assert (row["state"], row["error"], row["attempts"]) == ("archived", "cancelled", 0)
    assert pd.isna(row["started_at"])
    assert np.isnan(row["duration"])
    assert row["worker"] is None


def test_history_survives_the_session(url: str, redis: redis_py.Redis) -> None:
    task(queue="q")(lambda payload: 1)
    with Session(url) as first:
        first.start_worker("q")
        first.enqueue("q", {"lr": 0.1}, id="t1").wait(timeout=10)

    with Session(url) as second:
        assert second.history().loc["t1", "payload.lr"] == 0.1
