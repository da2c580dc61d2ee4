"""Pages of tasks and the search through them, on a real server."""

from __future__ import annotations

import pytest
import redis as redis_py

from runqy_notebook.broker.paging import SearchPage
from runqy_notebook.errors import QueueNameError, SettingsError, UnknownQueueError
from runqy_notebook.session import Session
from runqy_notebook.wire.states import State
from tests.broking import push

MANY = 100_000


def ids(found: object) -> list[str]:
    return [task.id for task in found.tasks]  # type: ignore[attr-defined]


def fill(client: redis_py.Redis, n: int, queue: str = "mail_default", kind: str = "task") -> None:
    """Pending tasks t0, t1, ..., the first to run first."""
    pipe = client.pipeline(transaction=False)
    for at in range(n):
        pipe.hset(f"asynq:t:t{at}", mapping={"type": kind, "payload": "{}", "queue": queue})
    pipe.execute()
    client.lpush(f"asynq:{queue}:pending", *(f"t{at}" for at in range(n)))
    client.sadd("asynq:queues", queue)


def test_pages_follow_one_another_in_the_order_in_which_tasks_run(
    session: Session, redis: redis_py.Redis
) -> None:
    fill(redis, 25)

    pages = [session.page("pending", "mail", offset=at, size=10) for at in (0, 10, 20, 30)]

    assert [task_id for page in pages for task_id in ids(page)] == [f"t{n}" for n in range(25)]
    assert [page.total for page in pages] == [25] * 4


def test_a_page_may_span_queues_the_higher_priority_first(
    session: Session, redis: redis_py.Redis
) -> None:
    for queue in ("mail_low", "mail_high", "mail_default"):
        for n in range(3):
            push(redis, f"{queue}-{n}", queue)
        redis.sadd("asynq:queues", queue)

    found = session.page(State.PENDING, "mail", offset=2, size=5)
    exact = session.page(State.PENDING, ["mail_low", "mail_high"], offset=0, size=4)

    assert found.total == 9
    assert ids(found) == [
        "mail_high-2", "mail_default-0", "mail_default-1", "mail_default-2", "mail_low-0",
    ]  # fmt: skip
    assert ids(exact) == ["mail_high-0", "mail_high-1", "mail_high-2", "mail_low-0"]


@pytest.mark.parametrize(
    ("state", "order"),
    [
        (State.SCHEDULED, "abc"),
        (State.RETRY, "abc"),
        (State.COMPLETED, "cba"),
        (State.ARCHIVED, "cba"),
    ],
)
def test_timed_states_are_paged_and_searched_in_the_order_of_their_times(
    session: Session, redis: redis_py.Redis, state: State, order: str
) -> None:
    redis.zadd(f"asynq:mail_default:{state}", {"b": 2_000_000, "a": 1_000_000, "c": 3_000_000})
    for task_id in "abc":
        redis.hset(f"asynq:t:{task_id}", mapping={"type": "Letter", "state": state.value})

    found = session.page(state, "mail_default", offset=1, size=2)
    sought = session.search("letter", state, "mail_default", size=2)
    rest = session.search("letter", state, "mail_default", offset=sought.reached, size=2)

    assert ids(found) == list(order[1:])
    assert (ids(sought), ids(rest)) == (list(order[:2]), [order[2]])
    assert sought.tasks == session.page(state, "mail_default", size=2).tasks


def test_active_tasks_are_paged_with_their_leases(session: Session, redis: redis_py.Redis) -> None:
    for task_id in "ab":
        push(redis, task_id)
        redis.lmove("asynq:mail_default:pending", "asynq:mail_default:active", "RIGHT", "LEFT")
    redis.zadd("asynq:mail_default:lease", {"a": 4_000_000_000})

    paged = session.page(State.ACTIVE, "mail_default")
    sought = session.search("A", State.ACTIVE, "mail_default")

    assert [(t.id, t.lease_expires_at is not None) for t in paged.tasks] == [
        ("b", False),
        ("a", True),
    ]
    assert sought.exact is None
    assert sought.tasks == paged.tasks  # "task" holds an a


def test_a_search_looks_at_ids_types_and_queues_in_any_case(
    session: Session, redis: redis_py.Redis
) -> None:
    push(redis, "Order-17", "mail_default")
    push(redis, "x", "mail_default", type="ORDER")
    push(redis, "y", "mail_default")
    push(redis, "z", "orders_default")
    redis.sadd("asynq:queues", "mail_default", "orders_default")

    found = session.search("oRDer", State.PENDING)

    assert ids(found) == ["Order-17", "x", "z"]
    assert found.is_through
    assert (found.reached, found.total) == (4, 4)


@pytest.mark.parametrize("text", ["%", "[a", "(", ".", "\\", "\0", "é", "*"])
def test_a_search_takes_every_character_as_itself(
    session: Session, redis: redis_py.Redis, text: str
) -> None:
    push(redis, f"x{text}y")
    push(redis, "plain")

    assert ids(session.search(text, State.PENDING, "mail_default")) == [f"x{text}y"]


def test_the_task_whose_id_is_the_text_is_found_wherever_it_is(
    session: Session, redis: redis_py.Redis
) -> None:
    fill(redis, 30)
    push(redis, "t2", "other_default")
    redis.zadd("asynq:mail_default:completed", {"done": 4_000_000_000})
    redis.hset("asynq:t:done", mapping={"state": "completed", "queue": "mail_default"})

    far = session.search("t29", State.PENDING, "mail_default", size=5)
    elsewhere = session.search("done", State.PENDING, "mail_default")

    assert far.exact is not None
    assert (far.exact.id, far.tasks) == ("t29", [])
    assert elsewhere.exact is not None
    assert elsewhere.exact.state is State.COMPLETED


def test_a_search_goes_on_where_it_stopped(session: Session, redis: redis_py.Redis) -> None:
    fill(redis, 3_000)
    found: list[SearchPage] = []

    while not found or not found[-1].is_through:
        offset = found[-1].reached if found else 0
        found.append(session.search("9", State.PENDING, "mail_default", offset=offset, size=50))

    assert [task_id for page in found for task_id in ids(page)] == [
        f"t{n}" for n in range(3_000) if "9" in str(n)
    ]
    assert all(len(page.tasks) <= 50 for page in found)


def test_what_is_no_hash_and_what_has_the_wrong_type_do_not_stop_a_search(
    session: Session, redis: redis_py.Redis
) -> None:
    redis.lpush("asynq:mail_default:pending", "orphan-x", "string-x")
    redis.set("asynq:t:string-x", "no hash")
    redis.set("asynq:wrong_default:pending", "no list")

    found = session.search("x", State.PENDING, ["mail_default", "wrong_default"])

    assert [(task.id, task.error) for task in found.tasks] == [
        ("orphan-x", "no task hash"),
        ("string-x", "the task key holds a string, not a hash"),
    ]


def test_what_cannot_be_is_refused_in_a_sentence(session: Session) -> None:
    with pytest.raises(SettingsError, match="no state 'gone'"):
        session.page("gone")
    with pytest.raises(UnknownQueueError):
        session.page("pending", "nowhere")
    with pytest.raises(QueueNameError):
        session.search("x", "pending", "no queue")


def test_pages_and_searches_are_bounded_work_with_100_000_tasks(
    session: Session, redis: redis_py.Redis
) -> None:
    """What the server sends is what is shown, and a script looks at a thousand ids at a time."""
    for at in range(0, MANY, 10_000):
        pipe = redis.pipeline(transaction=False)
        for n in range(at, at + 10_000):
            pipe.hset(f"asynq:t:t{n}", mapping={"type": "task", "payload": '{"n": 1}'})
        pipe.lpush("asynq:mail_default:pending", *(f"t{n}" for n in range(at, at + 10_000)))
        pipe.execute()
    sent, calls = bytes_sent(redis), script_calls(redis)

    first = session.page(State.PENDING, "mail_default", size=25)
    last = session.page(State.PENDING, "mail_default", offset=MANY - 25, size=25)
    nothing = session.search("nowhere", State.PENDING, "mail_default")

    assert ids(first) == [f"t{n}" for n in range(25)]
    assert ids(last) == [f"t{n}" for n in range(MANY - 25, MANY)]
    assert (nothing.reached, nothing.total, nothing.is_through) == (20_000, MANY, False)
    assert bytes_sent(redis) - sent < 60_000
    assert script_calls(redis) - calls in (20, 21)  # once more where the server did not know it


def bytes_sent(client: redis_py.Redis) -> int:
    return int(client.info("stats")["total_net_output_bytes"])


def script_calls(client: redis_py.Redis) -> int:
    stats = client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))


def test_a_queue_that_shrinks_meanwhile_ends_the_search(
    session: Session, redis: redis_py.Redis
) -> None:
    fill(redis, 10)

    found = session.search("t", State.PENDING, "mail_default", offset=8, size=5)
    behind = session.page(State.PENDING, "mail_default", offset=50, size=5)

    assert ids(found) == ["t8", "t9"]
    assert found.is_through
    assert (behind.tasks, behind.total) == ([], 10)
