"""Tasks of this session run by a worker that knows nothing of it, and both on one queue."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from redis import Redis

from runqy_notebook import Retry, Session, task
from runqy_notebook.errors import (
    ResultNotStoredError,
    TaskConflictError,
    TaskFailedError,
    WaitTimeoutError,
)
from runqy_notebook.ui.foreign import ForeignTasks
from tests.interop import foreign
from tests.interop.foreign import ForeignWorker
from tests.waiting import wait_until

QUEUE = "inference_default"


@pytest.fixture
def worker(redis: Redis) -> ForeignWorker:
    """A foreign worker of the queue."""
    return ForeignWorker(redis, (QUEUE,))


def test_it_can_read_what_this_session_enqueues(session: Session, worker: ForeignWorker) -> None:
    t = session.enqueue(QUEUE, {"input": "Grüße", "n": 1}, max_retry=5)

    taken = worker.take()

    assert taken is not None
    assert taken.id == t.id
    assert taken.payload == {"input": "Grüße", "n": 1}
    five = {name: taken.fields[name] for name in ("type", "retry", "max_retry", "queue")}
    assert five == {"type": "task", "retry": "0", "max_retry": "5", "queue": QUEUE}
    assert t.state == "active"


def test_it_takes_this_sessions_tasks_in_their_order(
    session: Session, worker: ForeignWorker
) -> None:
    group = session.enqueue_many(QUEUE, [{"n": n} for n in range(5)])

    taken = [worker.take() for _ in group]

    assert [each.id for each in taken if each] == group.ids


@pytest.mark.parametrize("result", [{"label": 7}, None, 0, [], "text"], ids=repr)
def test_its_stored_result_reaches_the_handle(
    session: Session, worker: ForeignWorker, result: Any
) -> None:
    t = session.enqueue(QUEUE, {"input": "hello"})
    taken = worker.take()
    assert taken is not None

    worker.complete(taken, result)

    assert t.result(timeout=5) == result
    assert t.state == "completed"


def test_a_waiting_handle_gets_the_result_while_it_waits(
    session: Session, worker: ForeignWorker
) -> None:
    with worker.serving(lambda payload: {"double": 2 * payload["n"]}):
        group = session.enqueue_many(QUEUE, [{"n": n} for n in range(20)])

        assert group.results(timeout=10) == [{"double": 2 * n} for n in range(20)]


def test_its_result_can_be_awaited(session: Session, worker: ForeignWorker) -> None:
    async def ask() -> Any:
        return await session.enqueue(QUEUE, {"n": 21})

    with worker.serving(lambda payload: 2 * payload["n"]):
        assert asyncio.run(ask()) == 42


def test_a_task_it_archives_raises_with_its_error(session: Session, worker: ForeignWorker) -> None:
    t = session.enqueue(QUEUE, {"input": "hello"}, max_retry=0)
    taken = worker.take()
    assert taken is not None

    worker.archive(taken, "permanent failure: kaboom")

    with pytest.raises(TaskFailedError) as raised:
        t.result(timeout=5)
    assert raised.value.error == "permanent failure: kaboom"
    assert t.error == "permanent failure: kaboom"
    assert session.record(t.id).error == "permanent failure: kaboom"


def test_a_result_it_did_not_store_is_missed_at_once(
    session: Session, worker: ForeignWorker
) -> None:
    """Its default: there is nothing to wait for, and the error says so."""
    t = session.enqueue(QUEUE, {"input": "hello"})
    taken = worker.take()
    assert taken is not None
    worker.complete(taken, store=False)

    began = time.monotonic()
    with pytest.raises(ResultNotStoredError):
        t.result(timeout=30)

    assert time.monotonic() - began < 5


def test_its_retry_is_waited_for(session: Session, worker: ForeignWorker) -> None:
    """Between two attempts the id is in no list: only the hash tells of it."""
    t = session.enqueue(QUEUE, {"input": "hello"}, max_retry=2)
    taken = worker.take()
    assert taken is not None

    worker.retry_later(taken)

    assert t.state == "retry"
    assert session.record(t.id).retry == 1
    with pytest.raises(WaitTimeoutError):
        t.result(timeout=0.3)

    worker.requeue(taken)
    again = worker.take()
    assert again is not None
    assert again.fields["retry"] == "1"
    worker.complete(again, {"attempt": 2})
    assert t.result(timeout=5) == {"attempt": 2}


def test_a_retry_of_its_can_be_run_by_ours(
    session: Session, worker: ForeignWorker, redis: Redis
) -> None:
    """It writes state=pending after the push, when ours may be running the task already."""
    seen: list[Any] = []
    task(queue="inference")(lambda payload: seen.append(payload) or "done by ours")
    t = session.enqueue(QUEUE, {"input": "hello"}, max_retry=2)
    taken = worker.take()
    assert taken is not None
    worker.retry_later(taken)
    session.start_worker("inference")

    worker.requeue(taken)

    assert t.result(timeout=5) == "done by ours"
    assert seen == [{"input": "hello"}]
    wait_until(lambda: redis.llen(f"asynq:{QUEUE}:active") == 0, "it stayed active")


def test_its_late_word_about_the_state_does_not_stop_ours(
    session: Session, redis: Redis, gate: Any
) -> None:
    """The recorded race: HSET state=pending arrives while ours runs the task."""
    task(queue="inference")(gate)
    session.start_worker("inference", store_results=True)
    t = session.enqueue(QUEUE, {"input": "hello"})
    wait_until(lambda: gate.reached, "the task was not started")

    redis.hset(f"asynq:t:{t.id}", "state", "pending")
    gate.open()

    assert t.result(timeout=5) == {"input": "hello"}
    wait_until(lambda: foreign.state(redis, t.id) == "completed", "the state was not mended")
    assert redis.exists(f"asynq:{QUEUE}:active", f"asynq:{QUEUE}:lease") == 0


def test_its_end_is_told_though_somebody_looked_between_its_two_words_about_it(
    session: Session, worker: ForeignWorker, redis: Redis
) -> None:
    """It takes the id out of active first, and only then writes the state."""
    t = session.enqueue(QUEUE, {"input": "hello"})
    tasks = ForeignTasks(session, [QUEUE])
    assert tasks.look() == []
    worker.take()

    def told() -> list[tuple[str, str]]:
        return [(str(event.kind), event.task_id) for event in tasks.look()]

    started = told()
    redis.lrem(f"asynq:{QUEUE}:active", 1, t.id)
    between = told()
    redis.hset(f"asynq:t:{t.id}", "state", "completed")
    ended = told()

    assert (started, between, ended) == ([("started", t.id)], [], [("completed", t.id)])
    assert told() == []


def test_a_session_that_comes_later_finds_its_result(
    session: Session, worker: ForeignWorker, make_session: Any
) -> None:
    """By the id alone, which is in no list any more: foreign workers keep none when done."""
    t = session.enqueue(QUEUE, {"input": "hello"})
    taken = worker.take()
    assert taken is not None
    worker.complete(taken, {"label": 7})

    later = make_session()

    assert later.wait_for_result(t.id) == {"label": 7}
    assert (later.record(t.id).queue, later.record(t.id).state.value) == (QUEUE, "completed")


def test_a_task_it_failed_and_gave_away_is_clean_after_ours_did_it(
    session: Session, worker: ForeignWorker, redis: Redis
) -> None:
    """Archived there, pushed again by hand, done here: no error is left to be shown."""
    task(queue="inference")(lambda payload: "done by ours")
    t = session.enqueue(QUEUE, {"input": "hello"}, max_retry=0)
    taken = worker.take()
    assert taken is not None
    worker.archive(taken, "permanent failure: kaboom")
    session.start_worker("inference")

    redis.lpush(f"asynq:{QUEUE}:pending", t.id)
    wait_until(lambda: foreign.state(redis, t.id) == "completed", "it was not completed")

    assert session.record(t.id).error is None


def test_its_error_counts_where_ours_failed_before(
    session: Session, worker: ForeignWorker, redis: Redis
) -> None:
    """First attempt here, last attempt there: the last one's error is the task's."""

    @task(queue="inference")
    def fail(payload: dict) -> None:
        raise Retry(in_seconds=60, why="ours failed")

    session.start_worker("inference")
    t = session.enqueue(QUEUE, {"input": "hello"}, max_retry=1)
    wait_until(lambda: t.state == "retry", "it was not tried")
    session.stop_worker()

    redis.zrem(f"asynq:{QUEUE}:retry", t.id)
    redis.lpush(f"asynq:{QUEUE}:pending", t.id)
    taken = worker.take()
    assert taken is not None
    worker.archive(taken, "theirs: permanent failure")

    with pytest.raises(TaskFailedError) as raised:
        t.result(timeout=5)
    assert raised.value.error == "theirs: permanent failure"


def test_a_scheduled_task_becomes_due_where_only_it_serves(
    session: Session, worker: ForeignWorker
) -> None:
    """Foreign workers know pending lists only: the session that scheduled a task brings it due."""
    t = session.enqueue(QUEUE, {"input": "hello"}, delay=0.2)

    taken = worker.take(seconds=20)

    assert taken is not None
    assert taken.id == t.id


def test_a_retry_becomes_due_where_only_it_serves(session: Session, worker: ForeignWorker) -> None:
    """The first attempt failed here, then our worker was stopped: the session looks after it."""

    @task(queue="inference")
    def fail(payload: dict) -> None:
        raise Retry(in_seconds=1)

    session.start_worker("inference")
    t = session.enqueue(QUEUE, {"input": "hello"})
    wait_until(lambda: t.state == "retry", "it was not tried")
    session.stop_worker()

    taken = worker.take(seconds=20)

    assert taken is not None
    assert (taken.id, taken.fields["retry"]) == (t.id, "1")


def test_what_it_holds_is_shown_and_never_touched(
    session: Session, worker: ForeignWorker, redis: Redis
) -> None:
    """A foreign worker writes no lease, so ours cannot know whether it still works on a task."""
    task(queue="inference")(lambda payload: payload)
    theirs = session.enqueue(QUEUE, {"n": 1})
    taken = worker.take()
    assert taken is not None
    before = foreign.fields(redis, theirs.id)

    session.start_worker("inference")
    for n in range(3):
        assert session.enqueue(QUEUE, {"n": n}).result(timeout=5) == {"n": n}
    wait_until(lambda: redis.zscore("asynq:nb:swept", f"asynq:{QUEUE}:"), "nothing was swept")

    assert redis.lrange(f"asynq:{QUEUE}:active", 0, -1) == [theirs.id.encode()]
    assert foreign.fields(redis, theirs.id) == before
    assert list(session.active("inference").index) == [theirs.id]
    worker.complete(taken, {"n": "theirs"})
    assert theirs.result(timeout=5) == {"n": "theirs"}


def test_together_they_run_every_task_once(session: Session, worker: ForeignWorker) -> None:
    ours: list[int] = []
    theirs: list[int] = []
    task(queue="inference", store_result=True)(lambda payload: ours.append(payload["n"]) or "ours")

    session.start_worker("inference", concurrency=2)
    with worker.serving(lambda payload: theirs.append(payload["n"]) or "theirs"):
        group = session.enqueue_many(QUEUE, [{"n": n} for n in range(300)])
        results = group.results(timeout=20)

    assert sorted(ours + theirs) == list(range(300))
    assert results.count("ours") == len(ours)
    assert results.count("theirs") == len(theirs)


def test_an_id_it_holds_cannot_be_enqueued_again(session: Session, worker: ForeignWorker) -> None:
    session.enqueue(QUEUE, {"n": 1}, id="t1")
    taken = worker.take()
    assert taken is not None

    with pytest.raises(TaskConflictError):
        session.enqueue(QUEUE, {"n": 2}, id="t1")

    worker.complete(taken, "done")
    assert session.enqueue(QUEUE, {"n": 2}, id="t1").state == "pending"


def test_it_is_named_to_whoever_waits_in_vain(session: Session, worker: ForeignWorker) -> None:
    worker.beat("elsewhere:4711")
    t = session.enqueue(QUEUE, {"n": 1})

    with pytest.raises(WaitTimeoutError, match="elsewhere:4711"):
        t.result(timeout=0.1)

    listed = session.workers()
    assert list(listed.index) == ["elsewhere:4711"]
