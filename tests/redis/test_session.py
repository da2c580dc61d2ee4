"""The Python API as a script uses it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

import runqy_notebook
from runqy_notebook import RunqyNotice, Session, load, task
from runqy_notebook.errors import (
    ConnectionFailedError,
    HandlerError,
    LoadError,
    PayloadError,
    SettingsError,
    UsageError,
)
from tests.servers import free_port
from tests.waiting import wait_until


def echo(payload: dict[str, Any]) -> dict[str, Any]:
    return dict(payload)


def scripts_run(redis: redis_py.Redis) -> int:
    stats: Any = redis.info("commandstats")
    return int(stats["cmdstat_evalsha"]["calls"])


# --- opening and closing --------------------------------------------------------------------------


def test_nobody_listening_is_told_in_a_sentence() -> None:
    port = free_port()

    with pytest.raises(ConnectionFailedError) as caught:
        Session(f"redis://:secret@127.0.0.1:{port}/0")

    assert str(caught.value).startswith(
        f"redis://:***@127.0.0.1:{port}/0: no server listens there (connection refused). "
    )
    assert "secret" not in str(caught.value)


def test_an_unknown_setting_is_told_before_anything_is_opened() -> None:
    with pytest.raises(SettingsError, match=r"'concurency' \(an argument\). Did you mean 'concur"):
        Session("redis://127.0.0.1:1/0", concurency=2)


def test_the_environment_names_the_server(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", url)

    with Session() as session:
        assert session.server.url == url
        session.ping()


def test_a_session_shows_where_it_is_connected(session: Session, url: str) -> None:
    assert repr(session) == f"<Session {url}>"


def test_the_end_of_the_with_block_stops_the_worker(url: str, redis: redis_py.Redis) -> None:
    task(echo)
    before = threading.active_count()

    with Session(url) as session:
        session.start_worker("q")

    assert session.worker is None
    wait_until(lambda: threading.active_count() <= before, "its threads are still there")
    assert redis.keys("asynq:workers:*") == []


def test_a_session_may_be_closed_twice(session: Session) -> None:
    session.close()
    session.close()


def test_tasks_outlive_the_session(url: str, session: Session) -> None:
    with Session(url) as other:
        task_id = other.enqueue("q", {"a": 1}).id

    assert session.task(task_id).state == "pending"


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, runqy_notebook; print(sorted(m for m in ('pandas', 'redis', 'ipywidgets', 'IPython') if m in sys.modules))"  # noqa: E501
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    for name in runqy_notebook.__all__:
        assert getattr(runqy_notebook, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'taks'"):
        _ = runqy_notebook.taks


# --- enqueueing -----------------------------------------------------------------------------------


def test_a_task_is_written_as_the_documents_say(session: Session, redis: redis_py.Redis) -> None:
    handle = session.enqueue("inference_high", {"pixels": [1, 2]}, max_retry=5)

    fields: dict[bytes, bytes] = redis.hgetall(f"asynq:t:{handle.id}")  # type: ignore[assignment]
    assert json.loads(fields[b"payload"]) == {"pixels": [1, 2]}
    assert (fields[b"type"], fields[b"retry"], fields[b"max_retry"]) == (b"task", b"0", b"5")
    assert fields[b"queue"] == b"inference_high"
    assert redis.lrange("asynq:inference_high:pending", 0, -1) == [handle.id.encode()]


def test_a_batch_is_written_in_few_round_trips_and_in_order(
    session: Session, redis: redis_py.Redis
) -> None:
    session.enqueue("q", {})
    before = scripts_run(redis)

    group = session.enqueue_many("q_low", ({"n": n} for n in range(1_200)))

    pending: Any = redis.lrange("asynq:q_low:pending", 0, -1)
    assert [task_id.decode() for task_id in reversed(pending)] == group.ids
    assert len(set(group.ids)) == 1_200
    assert scripts_run(redis) - before == 3


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (None, "payload: None is not a JSON object; wrap it, e.g. {'value': ...}."),
        ([1], "payload: a list is not a JSON object; wrap it, e.g. {'items': [...]}."),
        ("text", "payload: a str is not a JSON object; wrap it, e.g. {'value': ...}."),
        ({"a": {"b": object()}}, "payload['a']['b']: object is not JSON."),
    ],
)
def test_a_payload_that_cannot_travel_is_told_with_its_place(
    payload: object, told: str, session: Session, redis: redis_py.Redis
) -> None:
    with pytest.raises(PayloadError) as caught:
        session.enqueue("q", payload)

    assert str(caught.value) == told
    assert redis.dbsize() == 0


def test_of_a_batch_with_a_wrong_payload_nothing_is_sent(
    session: Session, redis: redis_py.Redis
) -> None:
    with pytest.raises(PayloadError, match=r"payloads\[1\]\['x'\]: bytes is not JSON"):
        session.enqueue_many("q", [{"x": 1}, {"x": b"raw"}])

    assert redis.dbsize() == 0


def test_a_large_payload_is_told_of(session: Session) -> None:
    with pytest.warns(RunqyNotice, match=r"takes 9.0 MB of the memory of Redis"):
        session.enqueue("q", {"x": "a" * 9 * 2**20})


def test_an_option_that_makes_no_sense_is_refused(session: Session, redis: redis_py.Redis) -> None:
    with pytest.raises(UsageError, match="Did you mean 'max_retry'"):
        session.enqueue("q", {}, max_retries=1)
    with pytest.raises(UsageError, match="enqueue_many makes the ids itself"):
        session.enqueue_many("q", [{}], id="x")

    assert redis.dbsize() == 0


def test_a_later_task_waits_for_its_time(session: Session) -> None:
    task(queue="q")(echo)
    session.start_worker("q")

    later = session.enqueue("q", {"n": 1}, delay=0.3)
    assert later.state == "scheduled"

    assert later.result(timeout=10) == {"n": 1}


# --- the worker -----------------------------------------------------------------------------------


def test_starting_twice_is_one_worker_for_both_queues(session: Session) -> None:
    task(echo)

    worker = session.start_worker("mail")
    assert session.start_worker("reports", concurrency=2) is worker

    assert session.enqueue("mail", {"n": 1}).result(timeout=10) == {"n": 1}
    assert session.enqueue("reports", {"n": 2}).result(timeout=10) == {"n": 2}
    assert worker.status.concurrency == 2


def test_a_worker_without_a_queue_is_refused(session: Session) -> None:
    with pytest.raises(HandlerError, match="No queue to serve: name one"):
        session.start_worker()

    assert session.worker is None


def test_the_setting_names_the_queue_to_serve(make_session: Callable[..., Session]) -> None:
    worker = make_session(queue="mail").start_worker()

    assert worker.status.names == ["mail"]


def test_a_workers_file_says_what_to_serve_and_how(session: Session, tmp_path: Path) -> None:
    task(echo)
    path = tmp_path / "config.yml"
    path.write_text("worker: {queues: {a: 1, b: 2}, concurrency: 3, RedisStorage: true}")

    worker = session.start_worker(config=path, concurrency=2)

    assert worker.status.names == ["a", "b"]
    assert worker.status.concurrency == 2
    assert worker.settings.store_results
    assert worker.serving.priorities == {"a": 1, "b": 2}


def test_an_option_of_the_worker_that_makes_no_sense_is_refused(session: Session) -> None:
    with pytest.raises(SettingsError, match=r"The setting lease must be at least 0\.5, not 0"):
        session.start_worker("q", lease=0)
    with pytest.raises(SettingsError, match="There is no setting 'leese'"):
        session.start_worker("q", leese=5)

    assert session.worker is None


def test_a_loader_that_raises_starts_no_worker(session: Session) -> None:
    @load
    def setup() -> None:
        raise FileNotFoundError("model.pt")

    task(queue="q")(echo)

    with pytest.raises(LoadError, match=r"setup' raised FileNotFoundError \(model\.pt\)") as caught:
        session.start_worker("q")

    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert "model.pt" in caught.value.traceback_text
    assert session.worker is None


def test_a_stop_without_a_worker_does_nothing(session: Session) -> None:
    assert session.stop_worker() is None


def test_a_worker_can_be_started_again(session: Session) -> None:
    task(echo)
    session.start_worker("q")
    assert str(session.stop_worker()) == "Worker stopped; nothing was left running."

    session.start_worker("q")

    assert session.enqueue("q", {"n": 1}).result(timeout=10) == {"n": 1}


# --- looking --------------------------------------------------------------------------------------


def test_tasks_are_listed_as_frames(session: Session) -> None:
    group = session.enqueue_many("q_low", [{"n": n} for n in range(3)])

    assert list(session.pending("q").index) == group.ids
    assert list(session.pending("q", limit=2)["payload"]) == [{"n": 0}, {"n": 1}]
    assert session.active().empty
    assert list(session.queues()["pending"]) == [3]
    assert session.unfinished() == 3
    assert session.known_queues() == ["q_low"]


def test_a_state_that_does_not_exist_is_told_with_those_that_do(session: Session) -> None:
    with pytest.raises(SettingsError) as caught:
        session.tasks(state="done")

    assert str(caught.value) == (
        "There is no state 'done'; the states are pending, active, scheduled, retry, completed, "
        "archived."
    )


def test_without_ipython_there_is_no_board(session: Session) -> None:
    with pytest.raises(UsageError, match="%load_ext runqy_notebook"):
        session.board()
