"""Waiting for work: told at once, never with an id in hand, and without spinning."""

from __future__ import annotations

import threading
import time

import pytest
import redis as redis_py

from runqy_notebook.broker import waiter as waiter_module
from runqy_notebook.broker.embedded import fake_client
from runqy_notebook.broker.waiter import MOST_CONNECTIONS, Waiter
from runqy_notebook.errors import ConnectionFailedError
from tests.broking import push
from tests.servers import free_port
from tests.waiting import wait_until

QUEUES = ("mail_high", "mail_default")


def blocked(redis: redis_py.Redis) -> int:
    return int(redis.info("clients")["blocked_clients"])


def calls(redis: redis_py.Redis, command: str) -> int:
    return int(redis.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"])


def test_it_names_the_queue_that_has_a_task_and_changes_nothing(
    redis: redis_py.Redis, waiter: Waiter
) -> None:
    for task_id in "abc":
        push(redis, task_id)

    assert waiter.wait(QUEUES, 5) == "mail_default"

    assert redis.lrange("asynq:mail_default:pending", 0, -1) == [b"c", b"b", b"a"]


def test_a_push_ends_the_wait(redis: redis_py.Redis, waiter: Waiter) -> None:
    def push_when_it_waits() -> None:
        wait_until(lambda: blocked(redis) == 2, "nobody waits")
        push(redis, "a", "mail_high")

    pusher = threading.Thread(target=push_when_it_waits)
    pusher.start()

    assert waiter.wait(QUEUES, 10) == "mail_high"
    pusher.join()


def test_without_a_task_it_gives_up_after_the_seconds_given(waiter: Waiter) -> None:
    began = time.monotonic()

    assert waiter.wait(QUEUES, 0.2) is None

    assert 0.15 < time.monotonic() - began < 2


def test_where_its_time_passed_before_it_could_ask_it_gives_up(waiter: Waiter) -> None:
    """As where the process stands still at that moment."""
    assert waiter.wait(QUEUES, 0.0) is None


@pytest.mark.parametrize("queues", [QUEUES, ()])
def test_a_wake_ends_the_present_wait_and_one_that_came_before_it(
    waiter: Waiter, queues: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runqy_notebook.broker.waiter.POLL", 10.0)
    began = time.monotonic()
    waiter.wake()
    assert waiter.wait(queues, 10) is None

    threading.Timer(0.05, waiter.wake).start()
    assert waiter.wait(QUEUES, 10) is None
    assert time.monotonic() - began < 5


def test_a_thousand_wakes_never_block_and_count_as_one(waiter: Waiter) -> None:
    for _ in range(100_000):
        waiter.wake()

    waiter.wait(QUEUES, 10)
    began = time.monotonic()
    waiter.wait(QUEUES, 0.2)
    assert time.monotonic() - began > 0.15


def test_the_most_urgent_of_several_ready_queues_is_named(
    redis: redis_py.Redis, waiter: Waiter
) -> None:
    waiter.wait(QUEUES, 0.05)
    push(redis, "a", "mail_default")
    push(redis, "b", "mail_high")
    wait_until(lambda: blocked(redis) == 0, "they still wait")

    assert waiter.wait(QUEUES, 5) == "mail_high"


def test_queues_come_and_go_with_their_connections(redis: redis_py.Redis, waiter: Waiter) -> None:
    waiter.wait(("a", "b", "c"), 0.05)
    assert blocked(redis) == 3

    waiter.wait(("b",), 0.05)
    wait_until(lambda: blocked(redis) == 1, "a connection was left")

    waiter.close_connections()
    wait_until(lambda: blocked(redis) == 0, "a connection was left")


def test_more_queues_than_connections_are_polled(redis: redis_py.Redis, waiter: Waiter) -> None:
    queues = [f"q{number}" for number in range(MOST_CONNECTIONS + 3)]
    began = time.monotonic()

    assert waiter.wait(queues, 10) is None

    assert time.monotonic() - began < 5
    assert blocked(redis) == MOST_CONNECTIONS


def test_a_refused_queue_is_polled_for_a_while_and_the_others_are_watched(
    redis: redis_py.Redis, waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiter_module, "REFUSED_FOR", 1.0)
    redis.set("asynq:mail_high:pending", "no list")
    redis.config_resetstat()

    for _ in range(5):
        assert waiter.wait(QUEUES, 10) is None
    assert calls(redis, "blmove") <= 2
    assert blocked(redis) == 1

    push(redis, "a", "mail_default")
    assert waiter.wait(QUEUES, 10) == "mail_default"
    redis.delete("asynq:mail_high:pending")
    push(redis, "b", "mail_high")
    wait_until(lambda: waiter.wait(["mail_high"], 1) == "mail_high", "it is polled for ever")


def test_a_server_that_is_away_is_an_error_and_its_connections_are_made_anew(
    redis: redis_py.Redis, waiter: Waiter
) -> None:
    waiter.wait(QUEUES, 0.05)
    redis.client_kill_filter(_type="normal", skipme=True)

    with pytest.raises(ConnectionFailedError):
        waiter.wait(QUEUES, 5)

    push(redis, "a")
    assert waiter.wait(QUEUES, 5) == "mail_default"


def test_nobody_listening_is_an_error(redis: redis_py.Redis) -> None:
    waiter = Waiter(redis_py.Redis(port=free_port(), retry=None), "nowhere")

    with pytest.raises(ConnectionFailedError, match="nowhere: no server listens there"):
        waiter.wait(QUEUES, 5)
    waiter.close()


def test_a_connection_that_died_without_a_word_is_given_up(
    redis: redis_py.Redis, waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiter.wait(["mail_default"], 0.05)
    monkeypatch.setattr(waiter_module, "_OVERDUE", 0.0)
    waiter.wait(["mail_default"], 0.05)
    wait_until(lambda: blocked(redis) == 0, "the connection was kept")

    monkeypatch.setattr(waiter_module, "_OVERDUE", 15.0)
    waiter.wait(["mail_default"], 0.05)
    assert blocked(redis) == 1


def test_an_answer_that_the_claim_outran_is_not_told_and_the_next_one_is(
    redis: redis_py.Redis, waiter: Waiter
) -> None:
    waiter.wait(["mail_default"], 0.01)
    push(redis, "a")  # which answers the BLMOVE under way
    wait_until(lambda: blocked(redis) == 0, "it still waits")
    redis.rpop("asynq:mail_default:pending")
    waiter.outrun(["a"])

    assert waiter.wait(["mail_default"], 0.2) is None
    assert blocked(redis) == 1

    push(redis, "a")
    assert waiter.wait(["mail_default"], 5) == "mail_default"


def test_a_task_that_was_claimed_and_is_there_again_is_told(
    redis: redis_py.Redis, waiter: Waiter
) -> None:
    waiter.wait(["mail_default"], 0.01)
    push(redis, "a")
    wait_until(lambda: blocked(redis) == 0, "it still waits")
    waiter.outrun(["a"])

    assert waiter.wait(["mail_default"], 5) == "mail_default"


def test_an_empty_answer_is_followed_by_another_question(
    redis: redis_py.Redis, waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiter_module, "_BLOCK", 0.1)
    redis.config_resetstat()

    assert waiter.wait(["mail_default"], 0.5) is None

    assert calls(redis, "blmove") >= 2


def test_a_hundred_rounds_do_not_use_up_the_clients_pool(
    redis: redis_py.Redis, waiter: Waiter
) -> None:
    for _ in range(150):
        waiter.wait(["mail_default"], 0.001)
        waiter.close_connections()

    waiter.wait(["mail_default"], 0.001)


def test_the_stand_in_inside_the_process_is_polled() -> None:
    waiter = Waiter(fake_client(), "in-process fakeredis")
    began = time.monotonic()

    assert waiter.wait(QUEUES, 10) is None
    assert time.monotonic() - began < 5

    waiter.wake()
    assert waiter.wait(QUEUES, 10) is None
    waiter.close()
