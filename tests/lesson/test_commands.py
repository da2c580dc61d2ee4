"""The commands that a move shows are those that made it: done again, they change the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis as redis_py

from runqy_notebook.broker.monitor import READING, Command, Monitor
from runqy_notebook.broker.scripts import names_of_scripts
from runqy_notebook.lesson.lesson import Lesson
from runqy_notebook.lesson.moves import Kind, Move
from runqy_notebook.session import Session
from tests.servers import RunningServer

Make = Callable[..., tuple[Session, Lesson]]
KEYS = "asynq:*"
LEASE = b"asynq:greet_high:lease"


@pytest.fixture
def copy(server: RunningServer) -> Iterator[redis_py.Redis]:
    """Another database of the same server, empty."""
    client = redis_py.Redis(port=server.port, db=1)
    client.flushdb()
    yield client
    client.close()


def contents(client: redis_py.Redis) -> dict[bytes, bytes]:
    """All keys of ours, without what only the sign of life writes."""
    names = [name for name in client.keys(KEYS) if not name.startswith(b"asynq:workers:")]
    return {name: client.dump(name) or b"" for name in names}  # type: ignore[union-attr]


def copied(source: redis_py.Redis, target: redis_py.Redis) -> None:
    target.flushdb()
    for name, dump in contents(source).items():
        target.restore(name, 0, dump)


def shown(client: redis_py.Redis) -> dict[bytes, object]:
    """All keys with their content, whatever their encoding is."""
    readers: dict[bytes, Callable[[bytes], object]] = {
        b"string": client.get,
        b"list": lambda name: client.lrange(name, 0, -1),
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"zset": lambda name: dict(client.zrange(name, 0, -1, withscores=True)),
    }
    return {name: readers[client.type(name)](name) for name in contents(client)}


def leases(found: dict[bytes, object]) -> dict[bytes, float]:
    """Taken out of it: until when each task is held."""
    held = found.pop(LEASE, {})
    assert isinstance(held, dict)
    return held


@pytest.mark.parametrize("is_bad", [False, True])
def test_the_writes_of_each_move_done_again_elsewhere_change_the_same_keys(
    make_lesson: Make, redis: redis_py.Redis, copy: redis_py.Redis, is_bad: bool
) -> None:
    session, lesson = make_lesson(lease=6)
    payload = {"name": 'Ada "the first"\n\x00é', "bad": is_bad}
    session.enqueue("greet_high", payload, id="ada é", max_retry=1)
    lesson.next()
    made: list[Kind] = []

    for fault in (None, None, None, None, None, Kind.ORPHAN, None, None, Kind.KILL):
        copied(redis, copy)
        move = lesson.fault(fault) if fault else lesson.next()
        made.append(move.kind)
        if move.kind is Kind.START or move.meanwhile:
            continue  # the worker's sign of life is of its own time
        for command in move.writes:
            copy.execute_command(*command.words)  # type: ignore[no-untyped-call]
        there, here = shown(copy), shown(redis)
        held_there, held_here = leases(there), leases(here)
        assert there == here, move
        assert held_there.keys() == held_here.keys(), move
        for task_id, until in held_there.items():
            assert held_here[task_id] >= until, move  # the worker may have renewed it since

    assert {Kind.CLAIM, Kind.ACKNOWLEDGE, Kind.ORPHAN, Kind.SWEEP} <= set(made)


def test_what_changed_is_what_differs(make_lesson: Make, redis: redis_py.Redis) -> None:
    session, lesson = make_lesson()
    session.enqueue_many("greet_high", [{"n": n} for n in range(100)])
    lesson.next()

    before = shown(redis)
    move = lesson.next()
    after = shown(redis)

    differ = {
        name.decode()
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name)
    }
    assert {change.key for change in move.changes} == differ
    (pending,) = [c for c in move.changes if c.key.endswith(":pending")]
    assert [part.is_changed for part in pending.before or ()].count(True) == 1
    assert not any(part.is_changed for part in pending.after or ())


def test_commands_of_others_are_left_out(
    make_lesson: Make, redis: redis_py.Redis, server: RunningServer
) -> None:
    session, lesson = make_lesson()
    session.enqueue("greet_high", {"seconds": 0.3}, id="ada")
    lesson.next()
    claim = lesson.next()
    lesson.begin(Kind.CLAIM)
    while lesson.is_busy:
        redis.set("stranger", 1)
    ran = lesson.latest
    assert isinstance(ran, Move)

    assert [command.script for command in claim.commands][-1] == "settle"
    assert ran.kind is Kind.RUN
    assert ran.commands == ()
    assert {command.script for command in ran.meanwhile} <= {"note", "renew", "beat"}


def test_commands_are_told_as_they_were_sent(redis: redis_py.Redis) -> None:
    sent = [b"SET", b"mine", b'a "b" \\ \n\r\t\x00\xff']

    with Monitor(redis, "nobody", "mine") as monitor:
        redis.execute_command(*sent)  # type: ignore[no-untyped-call]
        redis.get("mine")

    assert [command.words for command in monitor.commands] == [tuple(sent)]


def test_a_command_that_writes_is_never_taken_for_one_that_reads(redis: redis_py.Redis) -> None:
    """The server knows which of the commands in our scripts write."""
    import re

    called = {
        name
        for text in names_of_scripts()
        for name in re.findall(r"redis\.p?call\('([A-Z]+)'", text.decode("latin-1"))
    }
    told = {
        name.upper(): "write" in info["flags"]
        for name, info in redis.execute_command("COMMAND", "INFO", *called).items()  # type: ignore[no-untyped-call]
    }

    assert called
    assert {name for name in called if Command((name.encode(),)).is_write} == {
        name for name, writes in told.items() if writes
    }
    assert not {name for name, writes in told.items() if writes} & READING
