"""The connections that a broker keeps for its scripts: as safe as those of the pool."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook.broker import alertness
from runqy_notebook.broker.impatient import impatient_client
from runqy_notebook.broker.lines import Lines
from tests.waiting import wait_until

ECHO = "return ARGV[1]"
LONG = "local till = redis.call('TIME')[1] + 1.5; while redis.call('TIME')[1] + 0 < till do end"


@pytest.fixture
def client(redis: redis_py.Redis) -> Iterator[redis_py.Redis]:
    """A client whose connections give up on an answer after half a second."""
    client = impatient_client(redis, 0.5)
    yield client
    client.connection_pool.disconnect()


@pytest.fixture
def lines(client: redis_py.Redis) -> Lines:
    return Lines(client)


def connections(redis: redis_py.Redis) -> set[str]:
    own = str(redis.client_id())
    return {str(each["id"]) for each in redis.client_list() if str(each["id"]) != own}


def test_calls_one_after_the_other_share_a_connection(redis: redis_py.Redis, lines: Lines) -> None:
    before = connections(redis)

    answers = [lines.execute_command("EVAL", ECHO, 0, text) for text in ("a", "b", "c")]

    assert answers == [b"a", b"b", b"c"]
    assert len(connections(redis) - before) == 1


def test_a_connection_that_ended_between_two_calls_is_made_anew(
    redis: redis_py.Redis, lines: Lines
) -> None:
    lines.execute_command("EVAL", ECHO, 0, "a")
    for each in redis.client_list():
        if str(each["id"]) != str(redis.client_id()):
            redis.client_kill_filter(_id=each["id"])

    assert lines.execute_command("EVAL", ECHO, 0, "b") == b"b"


def test_a_refusal_keeps_the_connection_and_the_next_answer_is_the_next_calls(
    redis: redis_py.Redis, lines: Lines
) -> None:
    before = connections(redis)

    with pytest.raises(redis_py.exceptions.NoScriptError):
        lines.execute_command("EVALSHA", "0" * 40, 0)
    with pytest.raises(redis_py.ResponseError, match="mine"):
        lines.execute_command("EVAL", "return redis.error_reply('mine')", 0)

    assert lines.execute_command("EVAL", ECHO, 0, "a") == b"a"
    assert len(connections(redis) - before) == 1


def test_an_answer_that_comes_too_late_is_nobody_elses(lines: Lines) -> None:
    with pytest.raises(redis_py.TimeoutError):
        lines.execute_command("EVAL", LONG + " return 'late'", 0)

    def answered() -> Any:
        try:
            return lines.execute_command("EVAL", ECHO, 0, "mine")
        except (redis_py.TimeoutError, redis_py.ConnectionError):
            return None  # the server is still busy

    wait_until(lambda: answered() == b"mine", "the server is free again")


def test_a_call_that_is_interrupted_leaves_no_answer_behind(lines: Lines) -> None:
    lines.execute_command("EVAL", ECHO, 0, "a")

    def call_on() -> None:
        while True:
            lines.execute_command("EVAL", "for i = 1, 1e5 do end return 'other'", 0)

    was = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            call_on()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, was)

    assert lines.execute_command("EVAL", ECHO, 0, "mine") == b"mine"


def test_calls_one_upon_the_other_are_answered_in_order_refusals_among_them(
    redis: redis_py.Redis, lines: Lines
) -> None:
    echo, before = redis.script_load(ECHO), connections(redis)

    first, second, third = lines.evalsha_each([(echo, 0, "a"), ("0" * 40, 0), (echo, 0, "c")])

    assert (first, third) == (b"a", b"c")
    assert isinstance(second, redis_py.exceptions.NoScriptError)
    assert lines.execute_command("EVAL", ECHO, 0, "d") == b"d"
    assert len(connections(redis) - before) == 1


def test_a_call_is_sent_before_the_answer_to_the_last_one_is_read(
    redis: redis_py.Redis, lines: Lines
) -> None:
    push = redis.script_load("return redis.call('RPUSH', 'sent', ARGV[1])")

    answers = lines.evalsha_each([(push, 0, "a"), (push, 0, "b"), (push, 0, "c")])

    assert next(answers) == 1
    wait_until(lambda: redis.lrange("sent", 0, -1) == [b"a", b"b"], "the second was not sent")


def test_who_wants_no_more_answers_leaves_none_behind(redis: redis_py.Redis, lines: Lines) -> None:
    echo = redis.script_load(ECHO)

    for answer in lines.evalsha_each([(echo, 0, "a"), (echo, 0, "b"), (echo, 0, "c")]):
        assert answer == b"a"
        break

    assert lines.execute_command("EVAL", ECHO, 0, "mine") == b"mine"


def test_threads_that_call_at_a_time_get_their_own_answers(lines: Lines) -> None:
    wrong: list[Any] = []

    def call(name: str) -> None:
        for n in range(100):
            answer = lines.execute_command("EVAL", ECHO, 0, f"{name} {n}")
            if answer != f"{name} {n}".encode():
                wrong.append(answer)

    threads = [threading.Thread(target=call, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_closed_lines_leave_no_connection_and_open_again(
    redis: redis_py.Redis, lines: Lines
) -> None:
    before = connections(redis)
    lines.execute_command("EVAL", ECHO, 0, "a")

    lines.close()

    wait_until(lambda: connections(redis) <= before, "the connection ended")
    assert lines.execute_command("EVAL", ECHO, 0, "b") == b"b"


def test_the_child_of_a_fork_makes_its_own_connection(lines: Lines) -> None:
    assert lines.execute_command("EVAL", ECHO, 0, "parent") == b"parent"

    child = os.fork()
    if not child:
        own = -1
        try:
            own = 0 if lines.execute_command("EVAL", ECHO, 0, "child") == b"child" else 1
        finally:
            os._exit(own)

    assert os.waitpid(child, 0)[1] == 0
    assert lines.execute_command("EVAL", ECHO, 0, "parent again") == b"parent again"


def test_an_answer_that_came_in_time_is_worth_staying_awake_for_again(
    redis: redis_py.Redis, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alertness, "AWAKE", 60.0)
    sha = str(redis.script_load(ECHO))

    answers = [lines.execute_command("EVALSHA", sha, 0, str(n), is_short=True) for n in range(20)]

    assert answers == [str(n).encode() for n in range(20)]
    assert lines._alertness._asleep == 0


def test_answers_that_never_come_in_time_are_awaited_awake_ever_more_seldom() -> None:
    class Silent:
        looks = 0

        def poll(self, milliseconds: int) -> list[tuple[int, int]]:
            self.looks += 1
            return []

    alert, silent = alertness.Alertness(), Silent()

    for _ in range(100):
        assert alert.look(silent, 0.0) == []

    assert 2 <= silent.looks <= 10
