"""Mapping a frame: a task for each row, each row run once, results under the frame's labels."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import redis as redis_py

from runqy_notebook import Fail, RunqyNotice, Session, task
from runqy_notebook.errors import (
    PayloadError,
    QueueNameError,
    RowFailedError,
    RunqyError,
    UsageError,
)
from runqy_notebook.maps import driving
from runqy_notebook.maps.driving import MapInterrupted
from tests.interop.foreign import ForeignWorker
from tests.waiting import wait_until
from tests.working import Log

FRAME = pd.DataFrame({"n": [1, 2, 3], "x": [0.5, np.nan, 2.5]}, index=["a", "b", "c"])


def quietly(session: Session, frame: Any, queue: str = "q", **options: Any) -> pd.DataFrame:
    return session.map(frame, queue, progress=False, **options)


@pytest.fixture
def log() -> Log:
    """The `n` of each row that the handler of `q` was given, in order."""
    return Log()


@pytest.fixture
def doubling(session: Session, log: Log) -> Session:
    """A session whose worker doubles `n`; a negative one fails."""

    @task(queue="q", max_retry=0)
    def double(payload: dict[str, Any]) -> int:
        log.add(payload["n"])
        if payload["n"] < 0:
            raise ValueError(f"{payload['n']} is negative")
        return int(payload["n"]) * 2

    session.start_worker("q")
    return session


def in_thread(work: Callable[[], Any]) -> Future[Any]:
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(work)
    finally:
        pool.shutdown(wait=False)


# --- what comes back --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(3),
        pd.Index(["a", "a", "b"], name="who"),
        pd.Index([np.nan, 1.0, np.nan]),
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("a", 1)], names=["x", "y"]),
        pd.date_range("2026-01-01", periods=3, tz="Europe/Berlin"),
        pd.CategoricalIndex(["x", "y", "x"]),
    ],
    ids=lambda index: type(index).__name__,
)
def test_results_stand_under_the_labels_of_their_rows_whatever_these_are(
    doubling: Session, index: pd.Index[Any]
) -> None:
    frame = pd.DataFrame({"n": [3, 1, 2]}, index=index)

    found = quietly(doubling, frame)

    expected = pd.DataFrame({"result": [6, 2, 4], "error": [None] * 3}, index=index)
    pd.testing.assert_frame_equal(found, expected.astype({"error": "object"}))


@pytest.mark.parametrize("frame", [FRAME.head(0), pd.DataFrame(), FRAME["n"].head(0)])
def test_a_frame_without_rows_gives_one_without_rows(
    doubling: Session, frame: Any, redis: redis_py.Redis
) -> None:
    found = quietly(doubling, frame)

    assert list(found.columns) == ["result", "error"]
    assert found.index.equals(frame.index)
    assert not redis.keys("asynq:nb:map:*")


def test_the_parts_of_objects_become_columns(session: Session) -> None:
    given = [
        {"label": 1, "opt": {"lr": 0.5}, "a.b": True},
        {"label": 2, "tags": ["x"], "opt": {"lr": 1}, "error": "theirs"},
        {"label": 3, "result": 7},
    ]
    task(queue="q")(lambda payload: given[payload["n"] - 1])
    session.start_worker("q")

    found = quietly(session, FRAME)

    columns = ["label", "opt.lr", '["a.b"]', "tags", '["error"]', "result", "error"]
    assert list(found.columns) == columns
    assert found["label"].tolist() == [1, 2, 3]
    assert found.dtypes["label"] == "int64"
    assert found["opt.lr"].tolist()[:2] == [0.5, 1.0]
    assert found['["error"]'].tolist() == [None, "theirs", None]
    assert found.loc["c", "result"] == 7
    assert found["error"].tolist() == [None] * 3


def test_objects_and_other_values_side_by_side_share_no_column(session: Session) -> None:
    given = [{"result": 1}, [1, 2], "text"]
    task(queue="q")(lambda payload: given[payload["n"] - 1])
    session.start_worker("q")

    found = quietly(session, FRAME, errors="raise")

    assert list(found.columns) == ['["result"]', "result"]
    assert found["result"].tolist() == [None, [1, 2], "text"]


def test_a_result_is_the_same_from_here_and_from_redis(session: Session) -> None:
    task(queue="q")(lambda payload: {"t": (1, 2), "when": pd.Timestamp("2026-01-01"), 3: np.nan})
    session.start_worker("q")

    made, found = quietly(session, FRAME), quietly(session, FRAME)

    pd.testing.assert_frame_equal(made, found)
    assert made["t"].tolist() == [[1, 2]] * 3
    assert made["when"].tolist() == ["2026-01-01T00:00:00"] * 3


def test_a_failed_row_has_its_error_in_a_column(doubling: Session) -> None:
    found = quietly(doubling, FRAME.assign(n=[1, -2, 3]))

    assert found["error"].tolist() == [None, "ValueError: -2 is negative", None]
    assert found["result"].tolist()[::2] == [2, 6]
    assert np.isnan(found.loc["b", "result"])


def test_where_asked_the_first_failure_is_raised_with_its_row_and_traceback(
    doubling: Session,
) -> None:
    with pytest.raises(RowFailedError) as raised:
        quietly(doubling, FRAME.assign(n=[1, -2, 3]), errors="raise")

    assert str(raised.value).startswith(
        "The map stopped at row 'b' (position 1): ValueError: -2 is"
    )
    assert raised.value.position == 1
    assert "in double" in raised.value._render_traceback_()[1]


def test_a_result_that_is_not_json_is_the_rows_error(session: Session) -> None:
    task(queue="q")(lambda payload: b"bytes" if payload["n"] == 2 else payload["n"])
    session.start_worker("q")

    found = quietly(session, FRAME)

    assert "bytes is not JSON" in found.loc["b", "error"]
    assert found["result"].tolist()[::2] == [1, 3]


# --- what is sent -----------------------------------------------------------------------------


def test_a_row_is_sent_as_enqueue_many_sends_it(session: Session, redis: redis_py.Redis) -> None:
    frame = pd.DataFrame(
        {
            "i": np.array([1, 2], dtype="int8"),
            "f": np.array([0.1, np.nan], dtype="float32"),
            "when": [pd.Timestamp("2026-01-01T12:00:00.5", tz="UTC"), pd.NaT],
            "took": [pd.Timedelta("90.5s"), pd.NaT],
            "kind": pd.Categorical(["a", None]),
            "maybe": pd.array([True, pd.NA], dtype="boolean"),
            "text": ["Grüße", None],
            "list": [np.array([1.5, np.nan]), (1, 2)],
            7: ["seven", {"a": {"b": np.int64(1)}}],
        }
    )
    session.enqueue_many("sent_default", frame)

    mapping = in_thread(lambda: session.map(frame, "mapped_default"))
    wait_until(lambda: redis.llen("asynq:mapped_default:pending") == 2, "nothing is sent")
    ids, sent, mapped = [], [], []
    for queue, payloads in (("sent_default", sent), ("mapped_default", mapped)):
        ids = redis.lrange(f"asynq:{queue}:pending", 0, -1)
        payloads += [redis.hget(b"asynq:t:" + task_id, "payload") for task_id in ids]
    session.cancel_many([task_id.decode() for task_id in ids])

    assert mapping.result(10)["error"].tolist() == ["cancelled", "cancelled"]
    assert mapped == sent
    assert json.loads(mapped[1])["7"] == "seven"


def test_only_the_chosen_columns_are_sent(doubling: Session, log: Log) -> None:
    given: list[Any] = []
    task(queue="some")(lambda payload: given.append(dict(payload)))
    doubling.start_worker("some")

    quietly(doubling, FRAME, "some", columns=["x"])
    quietly(doubling, FRAME.assign(unfit=object()), "some", columns="n")

    assert given == [{"x": 0.5}, {"x": None}, {"x": 2.5}, {"n": 1}, {"n": 2}, {"n": 3}]


def test_a_series_is_mapped_under_its_name(doubling: Session) -> None:
    given: list[Any] = []
    task(queue="some")(lambda payload: given.append(dict(payload)))
    doubling.start_worker("some")

    named, unnamed = FRAME["n"], pd.Series(["x"])

    assert quietly(doubling, named)["result"].tolist() == [2, 4, 6]
    quietly(doubling, unnamed, "some")
    assert given == [{"value": "x"}]


@pytest.mark.parametrize(
    ("frame", "options", "told"),
    [
        (FRAME, {"columns": ["n", "y"]}, "There is no column 'y' in the frame; it has n, x."),
        (FRAME, {"columns": "nn"}, "There is no column 'nn' in the frame; it has n, x. Did you"),
        (FRAME, {"columns": [["n"]]}, "There is no column ['n'] in the frame"),
        (FRAME, {"columns": ["n", "n"]}, "Two columns are called 'n', and a payload has room for"),
        (FRAME, {"columns": 1.5}, "columns is a list of the frame's columns, not 1.5."),
        (FRAME, {"columns": []}, "There is no column to send: a payload is made of at least one."),
        (FRAME[["n", "n"]], {}, "Two columns are called 'n'"),
        (pd.DataFrame({("a", 1): [1]}), {}, "The names of the columns cannot be a payload's keys"),
        ([{"n": 1}], {}, "map takes a DataFrame or a Series, not a list: pd.DataFrame(...)."),
        (FRAME, {"error": "raise"}, "map has no option 'error'; it has name, fresh,"),
        (FRAME, {"errors": "return"}, 'errors is "column" or "raise", not \'return\'.'),
        (FRAME, {"batch": 0}, "batch must be at least 1, not 0."),
        (FRAME, {"ahead": 1.5}, "ahead must be a whole number from 0, not 1.5."),
        (FRAME, {"fresh": "yes"}, "fresh must be True or False, not 'yes'."),
        (FRAME, {"keep": "soon"}, "keep must be a number of seconds from 1, not 'soon'."),
        (FRAME, {"name": 3}, "name is text, not 3."),
        (FRAME, {"timeout": "soon"}, "timeout must be a number of seconds from 0.001, not 'soon'."),
    ],
)
def test_what_makes_no_sense_is_told_in_one_sentence(
    session: Session, redis: redis_py.Redis, frame: Any, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError) as raised:
        session.map(frame, "q", **options)

    assert str(raised.value).startswith(told)
    assert not redis.keys("asynq:*")


def test_a_queue_that_cannot_be_is_told(session: Session) -> None:
    with pytest.raises(QueueNameError):
        quietly(session, FRAME, "no such name")


def test_a_value_that_is_not_json_is_told_by_row_and_column_and_nothing_is_sent(
    session: Session, redis: redis_py.Redis
) -> None:
    frame = FRAME.assign(img=["x", {"deep": [1, b"bytes"]}, "z"])

    with pytest.raises(PayloadError) as raised:
        quietly(session, frame)

    assert str(raised.value).startswith(
        "row 'b' (position 1), column 'img'['deep'][1]: bytes is not JSON; "
    )
    assert not redis.keys("asynq:*")


def test_no_more_rows_are_under_way_than_asked_for(session: Session, redis: redis_py.Redis) -> None:
    most: list[int] = []
    frame = pd.DataFrame({"n": range(200)})

    def under_way() -> int:
        return redis.llen("asynq:q_default:pending") + redis.llen("asynq:q_default:active")

    @task(queue="q")
    def count(payload: dict[str, Any]) -> None:
        if payload["n"] == 0:
            wait_until(lambda: under_way() >= 14, "no more than a batch is sent")
        most.append(under_way())

    session.start_worker("q")

    found = quietly(session, frame, batch=7, ahead=20)

    assert len(found) == len(most) == 200
    assert max(most) <= 20


def test_a_frame_that_changes_while_it_is_mapped_is_told(session: Session) -> None:
    frame = pd.DataFrame({"n": range(10)})

    @task(queue="q")
    def meddle(payload: dict[str, Any]) -> None:
        frame.loc[7, "n"] = 99

    session.start_worker("q")

    with pytest.raises(UsageError, match="Row 7 was changed while the frame was being mapped"):
        quietly(session, frame, batch=1, ahead=1)


# --- a second run -----------------------------------------------------------------------------


def test_a_second_run_takes_the_results_that_are_there(doubling: Session, log: Log) -> None:
    made = quietly(doubling, FRAME)

    found = quietly(doubling, FRAME.reset_index(drop=True))

    assert log.entries == [1, 2, 3]
    assert found["result"].tolist() == made["result"].tolist() == [2, 4, 6]


def test_another_session_takes_them_too_and_waits_for_what_is_on_its_way(
    make_session: Callable[..., Session], redis: redis_py.Redis, log: Log
) -> None:
    first, second = make_session(), make_session()
    go = threading.Event()

    @task(queue="q")
    def wait(payload: dict[str, Any]) -> int:
        log.add(payload["n"])
        assert payload["n"] == 1 or go.wait(20)
        return int(payload["n"])

    first.start_worker("q")
    mappings = [in_thread(lambda one=one: quietly(one, FRAME)) for one in (first, second)]
    wait_until(lambda: len(log) == 2, "the second row is not run")
    go.set()

    assert [m.result(20)["result"].tolist() for m in mappings] == [[1, 2, 3]] * 2
    assert log.entries == [1, 2, 3]


@pytest.mark.parametrize("settings", [{"completed_ttl": 0}, {"completed_cap": 1}])
def test_a_result_counts_when_its_tasks_record_is_gone(
    make_session: Callable[..., Session], log: Log, settings: dict[str, Any]
) -> None:
    session = make_session(**settings)
    task(queue="q")(lambda payload: log.add(payload["n"]))
    session.start_worker("q")

    quietly(session, FRAME)
    quietly(session, FRAME)

    assert log.entries == [1, 2, 3]


def test_frames_that_differ_in_one_row_share_no_task(doubling: Session, log: Log) -> None:
    quietly(doubling, FRAME)

    quietly(doubling, FRAME.assign(n=[1, 2, 4]))

    assert log.entries == [1, 2, 3, 1, 2, 4]


def test_equal_rows_of_a_frame_are_tasks_of_their_own(doubling: Session, log: Log) -> None:
    found = quietly(doubling, pd.DataFrame({"n": [5, 5, 5]}))

    assert log.entries == [5, 5, 5]
    assert found["result"].tolist() == [10, 10, 10]


def test_under_a_name_only_new_and_changed_rows_are_sent(doubling: Session, log: Log) -> None:
    quietly(doubling, pd.DataFrame({"n": [1, 2]}), name="mine")

    found = quietly(doubling, pd.DataFrame({"n": [1, 5, 3]}), name="mine")
    quietly(doubling, pd.DataFrame({"n": [1]}), name="yours")

    assert log.entries == [1, 2, 5, 3, 1]
    assert found["result"].tolist() == [2, 10, 6]


def test_other_queues_and_types_are_other_maps(doubling: Session, log: Log) -> None:
    task(queue="other")(lambda payload: log.add("other"))
    doubling.start_worker("other")

    task(queue="q", type="special")(lambda payload: log.add("special"))

    quietly(doubling, FRAME.head(1), name="mine")
    quietly(doubling, FRAME.head(1), "other", name="mine")
    quietly(doubling, FRAME.head(1), name="mine", type="special")

    assert log.entries == [1, "other", "special"]


def test_a_fresh_run_runs_every_row_and_its_results_are_those_that_count(
    session: Session,
) -> None:
    answers = ["old"]
    task(queue="q")(lambda payload: answers[-1])
    session.start_worker("q")
    quietly(session, FRAME)
    answers.append("new")

    kept = quietly(session, FRAME)["result"].tolist()
    fresh = quietly(session, FRAME, fresh=True)["result"].tolist()
    after = quietly(session, FRAME)["result"].tolist()

    assert (kept, fresh, after) == (["old"] * 3, ["new"] * 3, ["new"] * 3)


def test_a_fresh_run_that_ended_half_way_is_taken_up_without_a_result_from_before(
    session: Session,
) -> None:
    answers = ["old"]

    @task(queue="q")
    def answer(payload: dict[str, Any]) -> str:
        if payload["n"] == 2 and answers[-1] == "new":
            raise Fail("not yet")
        return answers[-1]

    session.start_worker("q")
    quietly(session, FRAME)
    answers.append("new")
    with pytest.raises(RowFailedError, match="not yet"):
        quietly(session, FRAME, fresh=True, errors="raise", batch=1, ahead=1)
    answers.append("newest")

    found = quietly(session, FRAME)

    assert found["result"].tolist() == ["new", "newest", "newest"]


def test_failed_rows_are_run_again_unless_told_otherwise(doubling: Session, log: Log) -> None:
    frame = FRAME.assign(n=[1, -2, 3])
    quietly(doubling, frame)

    kept = quietly(doubling, frame, retry_failed=False)
    assert log.entries == [1, -2, 3]
    quietly(doubling, frame)

    assert log.entries == [1, -2, 3, -2]
    assert kept["error"].tolist() == [None, "ValueError: -2 is negative", None]


def test_a_row_that_killed_its_process_runs_apart_in_a_second_run_unless_that_is_fresh(
    session: Session, redis: redis_py.Redis
) -> None:
    here = os.getpid()

    @task(queue="q", max_retry=0)
    def tell(payload: dict[str, Any]) -> str:
        if payload["n"] == 2 and os.getpid() == here:
            raise Fail("here")
        return "here" if os.getpid() == here else "apart"

    session.start_worker("q")
    quietly(session, FRAME)
    (failed,) = session.tasks("q", state="archived").index
    redis.hset(f"asynq:t:{failed}", "crashes", 3)

    again = quietly(session, FRAME)
    fresh = quietly(session, FRAME, fresh=True)

    assert again["result"].tolist() == ["here", "apart", "here"]
    assert fresh["error"].tolist() == [None, "here", None]


def test_a_row_whose_result_expired_is_run_again(
    doubling: Session, log: Log, redis: redis_py.Redis
) -> None:
    quietly(doubling, FRAME)
    (key,) = redis.keys("asynq:result:map-*-1-*")
    redis.delete(key)

    found = quietly(doubling, FRAME)

    assert log.entries == [1, 2, 3, 2]
    assert found["result"].tolist() == [2, 4, 6]


def test_results_and_what_leads_to_them_end(doubling: Session, redis: redis_py.Redis) -> None:
    quietly(doubling, FRAME, keep="1h")

    lives = [redis.ttl(key) for key in redis.keys("asynq:result:*")]
    (beginning,) = redis.keys("asynq:nb:map:*")

    assert [3_500 < life <= 3_600 for life in lives] == [True] * 3
    assert 7_000 < redis.ttl(beginning) <= 7_200
    quietly(doubling, FRAME, keep="10m")
    assert redis.ttl(beginning) > 7_000
    quietly(doubling, FRAME, keep="10m", fresh=True)
    assert redis.ttl(beginning) > 7_000
    quietly(doubling, FRAME, keep="2h")
    assert redis.ttl(beginning) > 14_000


# --- who works --------------------------------------------------------------------------------


def test_results_come_from_another_session_small_ones_and_large_ones(
    session: Session, make_session: Callable[..., Session]
) -> None:
    elsewhere = make_session()
    task(queue="q")(lambda payload: "x" * (100_000 if payload["n"] == 2 else 1))
    elsewhere.start_worker("q")

    found = quietly(session, FRAME)

    assert found["result"].str.len().tolist() == [1, 100_000, 1]


def test_results_come_from_a_foreign_worker(session: Session, redis: redis_py.Redis) -> None:
    worker = ForeignWorker(redis, ("q_default",))
    worker.beat()
    frame = pd.DataFrame({"n": range(300)})

    with worker.serving(lambda payload: {"n": payload["n"] + 1}):
        found = quietly(session, frame, "q_default", batch=50, ahead=100)
        again = quietly(session, frame, "q_default")

    assert found["n"].tolist() == again["n"].tolist() == list(range(1, 301))
    assert len(worker.taken) == 300


def test_a_foreign_worker_that_stores_nothing_is_told_of(
    session: Session, redis: redis_py.Redis
) -> None:
    worker = ForeignWorker(redis, ("q_default",))
    worker.beat()
    mapping = in_thread(lambda: quietly(session, FRAME.head(1), "q_default"))
    taken = worker.take(3)
    assert taken is not None

    worker.complete(taken, store=False)

    assert "its result was neither stored nor kept" in mapping.result(10)["error"].iloc[0]


def test_that_nobody_serves_the_queue_is_said_at_once(
    session: Session, redis: redis_py.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    mapping = in_thread(lambda: session.map(FRAME, "q_default"))
    said = ""

    def is_said() -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return "No worker serves q_default: start one with %runqy worker start q." in said

    wait_until(is_said, "nothing is said", 5)
    task(queue="q")(lambda payload: payload["n"])
    session.start_worker("q")

    assert mapping.result(20)["result"].tolist() == [1, 2, 3]
    assert "q_default: 3 of 3 rows, " in said + capsys.readouterr().err


def test_without_progress_that_is_a_warning(session: Session) -> None:
    with pytest.raises(RunqyNotice, match="No worker serves q_default: start one with %runqy"):
        quietly(session, FRAME, "q_default")


def test_without_progress_nothing_is_printed(
    doubling: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    quietly(doubling, FRAME)

    assert capsys.readouterr() == ("", "")


def test_a_map_that_is_awaited_leaves_the_loop_free(doubling: Session, log: Log) -> None:
    async def both() -> Sequence[Any]:
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                beats += 1
                await asyncio.sleep(0.001)

        beating = asyncio.ensure_future(beat())
        frame = pd.DataFrame({"n": range(3_000)})
        maps = [doubling.amap(frame, "q", progress=False) for _ in range(2)]
        first, second = await asyncio.gather(*maps)
        beating.cancel()
        return first, second, beats

    first, second, beats = asyncio.run(both())

    pd.testing.assert_frame_equal(first, second)
    assert sorted(log.entries) == list(range(3_000))
    assert beats > 10


@pytest.mark.filterwarnings("ignore:No worker serves q")  # told where nothing is heard for 0.3 s
def test_cancelling_an_awaited_map_says_what_goes_on(session: Session) -> None:
    async def cancelled() -> str:
        mapping = asyncio.ensure_future(session.amap(FRAME, "q", progress=False))
        while not session.known_queues():
            await asyncio.sleep(0.01)
        mapping.cancel()
        with pytest.raises(asyncio.CancelledError) as raised:
            await mapping
        return str(raised.value)

    told = asyncio.run(cancelled())

    assert told.startswith("0 of 3 rows are done")
    assert "Run it again, and it takes up where it was." in told


@pytest.mark.filterwarnings("ignore:No worker serves q")
@pytest.mark.parametrize("is_written", [True, False])
def test_an_interrupt_before_the_answer_to_a_batch_counts_its_rows(
    session: Session, is_written: bool
) -> None:
    work = session._map(FRAME, "q_default", None, {"batch": 2, "progress": False})
    send, batches = work._office.send, []

    def interrupted(*batch: Any) -> frozenset[int]:
        batches.append(batch)
        if is_written or len(batches) == 1:
            existed = send(*batch)
        if len(batches) == 2:
            raise KeyboardInterrupt
        return existed

    work._office = replace(work._office, send=interrupted)

    with pytest.raises(MapInterrupted) as raised:
        driving.done(work)

    assert len(session.pending("q_default")) == (3 if is_written else 2)
    assert str(raised.value).startswith(
        "0 of 3 rows are done, and up to 3 more were sent and go on. Run it again"
    )


def test_rows_that_redis_refused_are_not_counted_as_sent(
    session: Session, redis: redis_py.Redis
) -> None:
    work = session._map(FRAME, "q_default", None, {"progress": False})
    redis.set("asynq:q_default:retry", "somebody else's")

    with pytest.raises(RunqyError, match="holds a string"):
        driving.done(work)

    assert work.progress.in_flight == 0
    assert work.progress.remark.startswith("0 of 3 rows are done. Run it again")


def test_the_options_of_tasks_go_with_each_row(session: Session, redis: redis_py.Redis) -> None:
    mapping = in_thread(
        lambda: session.map(
            FRAME.head(1), "q_default", max_retry=7, timeout=5, type="special", keep=90
        )
    )
    wait_until(lambda: redis.llen("asynq:q_default:pending"), "nothing is sent")
    (task_id,) = redis.lrange("asynq:q_default:pending", 0, -1)

    names = ("max_retry", "timeout", "type", "store", "result_ttl", "payload")
    fields = redis.hmget(b"asynq:t:" + task_id, names)

    redis.set(b"asynq:result:" + task_id, json.dumps("theirs"))
    redis.hset(b"asynq:t:" + task_id, "state", "completed")
    assert fields == [b"7", b"5", b"special", b"1", b"90", b'{"n":1,"x":0.5}']
    assert mapping.result(10)["result"].tolist() == ["theirs"]


def test_connections_that_break_cost_no_row(doubling: Session, redis: redis_py.Redis) -> None:
    frame = pd.DataFrame({"n": range(1_500)})
    mapping = in_thread(lambda: doubling.map(frame, "q", batch=10, ahead=50))

    while not mapping.done():
        redis.client_kill_filter(_type="normal", skipme=True)
        threading.Event().wait(0.02)

    found = mapping.result(0)
    assert found["result"].tolist() == [2 * n for n in range(1_500)]
    assert found["error"].isna().all()


def test_a_redis_that_refuses_is_told_in_a_sentence(
    doubling: Session, redis: redis_py.Redis
) -> None:
    redis.set("asynq:q_default:retry", "somebody else's")

    with pytest.raises(RunqyError, match="The key 'asynq:q_default:retry' holds a string, not a"):
        quietly(doubling, FRAME)
