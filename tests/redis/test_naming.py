"""Where a task goes when its queue is named: the rules of docs/wire.md."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis as redis_py

from runqy_notebook import Session, task
from runqy_notebook.errors import QueueNameError
from runqy_notebook.naming import Names
from runqy_notebook.registry import Registry


def echo(payload: dict[str, object]) -> dict[str, object]:
    return payload


def goes_to(session: Session, name: str) -> str:
    return session.enqueue(name, {}).queue


def test_a_name_that_nobody_knows_is_taken_as_it_is(
    session: Session, redis: redis_py.Redis
) -> None:
    handle = session.enqueue("inference", {})

    assert handle.queue == "inference"
    assert redis.lrange("asynq:inference:pending", 0, -1) == [handle.id.encode()]


def test_a_parent_with_a_handler_gets_the_default_sub_queue(
    session: Session, redis: redis_py.Redis
) -> None:
    task(queue="inference")(echo)

    handle = session.enqueue("inference", {})

    assert handle.queue == "inference_default"
    assert redis.lrange("asynq:inference_default:pending", 0, -1) == [handle.id.encode()]
    assert redis.hget(f"asynq:t:{handle.id}", "queue") == b"inference_default"


def test_a_parent_with_a_worker_gets_the_default_sub_queue(session: Session) -> None:
    task(echo)
    session.start_worker("inference")

    assert goes_to(session, "inference") == "inference_default"


def test_a_parent_with_sub_queues_gets_the_default_one(
    session: Session, redis: redis_py.Redis
) -> None:
    redis.sadd("asynq:queues", "inference_high")

    assert goes_to(session, "inference") == "inference_default"


def test_a_sub_queue_made_a_moment_ago_makes_a_parent(session: Session) -> None:
    """Whether the known queues were looked at before or not must not matter."""
    assert goes_to(session, "mail") == "mail"
    assert goes_to(session, "inference_high") == "inference_high"

    assert goes_to(session, "inference") == "inference_default"


@pytest.mark.parametrize("name", ["inference_high", "inference:high", "inference.high"])
def test_a_sub_queue_is_taken_as_it_is(name: str, session: Session) -> None:
    task(queue="inference")(echo)

    assert goes_to(session, name) == name


def test_a_queue_that_exists_under_that_very_name_is_meant(session: Session) -> None:
    session.enqueue("reports", {})
    session.enqueue("reports_monthly", {})

    assert goes_to(session, "reports") == "reports"


def test_a_handler_makes_a_parent_of_a_name_with_a_separator_in_it(session: Session) -> None:
    task(queue="image_resize")(echo)

    assert goes_to(session, "image_resize") == "image_resize_default"
    assert goes_to(session, "image_resize_high") == "image_resize_high"


def test_a_worker_for_a_shorter_name_does_not_take_a_longer_parents_tasks(
    session: Session,
) -> None:
    task(queue="image")(lambda payload: "image")
    task(queue="image_resize")(lambda payload: "image_resize")
    session.start_worker("image")

    resize = session.enqueue("image_resize", {})
    assert session.enqueue("image", {}).result(timeout=10) == "image"

    assert resize.state == "pending"
    session.start_worker("image_resize")
    assert resize.result(timeout=10) == "image_resize"


def test_a_handler_for_a_sub_queue_makes_no_parent_of_it(session: Session) -> None:
    task(queue="inference")(lambda payload: "any")
    task(queue="inference_high")(lambda payload: "urgent")
    session.start_worker("inference")

    urgent, other = session.enqueue("inference_high", {}), session.enqueue("inference_low", {})

    assert urgent.queue == "inference_high"
    assert (urgent.result(timeout=10), other.result(timeout=10)) == ("urgent", "any")


def test_a_worker_for_a_sub_queue_makes_no_parent_of_it(session: Session) -> None:
    task(queue="inference_high")(lambda payload: "urgent")
    session.start_worker("inference_high")

    handle = session.enqueue("inference_high", {})

    assert handle.queue == "inference_high"
    assert handle.result(timeout=10) == "urgent"


@pytest.mark.parametrize("separator", ["_", ":", "."])
def test_the_sub_queue_is_added_with_the_sessions_separator(
    separator: str, make_session: Callable[..., Session]
) -> None:
    task(queue="inference")(echo)

    assert goes_to(make_session(separator=separator), "inference") == f"inference{separator}default"


@pytest.mark.parametrize("name", ["my.queue", "my:queue"])
def test_a_name_whose_default_queue_would_have_another_parent_is_taken_as_it_is(
    name: str, session: Session
) -> None:
    """`my.queue_default` splits at the dot: it would be a sub-queue of `my`."""
    task(queue=name)(lambda payload: "done")
    session.start_worker(name)

    handle = session.enqueue(name, {})

    assert handle.queue == name
    assert handle.result(timeout=10) == "done"


@pytest.mark.parametrize(
    "name", ["", "a b", "_a", "ü", "t", "workers", "nb:x", "result:1", "a" * 201, None, 5, b"a"]
)
def test_a_name_that_other_workers_could_not_read_is_refused(
    name: object, session: Session, redis: redis_py.Redis
) -> None:
    with pytest.raises(QueueNameError, match="is not a queue name: "):
        session.enqueue(name, {})  # type: ignore[arg-type]

    assert redis.dbsize() == 0


def test_a_parent_whose_default_queue_has_too_long_a_name_is_refused(session: Session) -> None:
    task(queue="a" * 195)(echo)

    with pytest.raises(QueueNameError):
        session.enqueue("a" * 195, {})


def test_the_known_queues_are_looked_at_every_few_seconds_only() -> None:
    looks: list[int] = []

    def known() -> list[str]:
        looks.append(1)
        return ["mail_high"]

    names = Names("_", known, Registry())

    assert [names.target("mail") for _ in range(100)] == ["mail_default"] * 100
    assert len(looks) == 1
