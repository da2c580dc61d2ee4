"""Processes that deliver are killed in the middle: nothing is half-written, nothing is missing."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook import Session, task
from tests.services.mariadb import MariaDB
from tests.services.servers import GCS, S3, Postgres, RabbitMQ
from tests.waiting import wait_until

DELIVERIES, KILLS = 200, 2
ROOT = Path(__file__).parents[2]


@contextmanager
def delivering_process(url: str, sink: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.services.driver", url, sink]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def survive(
    session: Session,
    redis: redis_py.Redis,
    url: str,
    sink: str,
    result: Callable[[int], object],
    is_tidy: Callable[[], bool] = lambda: True,
) -> None:
    """So many results for a destination that only processes know which are killed."""

    @task(deliver_to="store")
    def handler(payload: dict[str, Any]) -> object:
        return result(payload["n"])

    session.start_worker("mail")
    for n in range(DELIVERIES):
        session.enqueue("mail", {"n": n}, id=f"k{n}")

    def left() -> int:
        lanes = list(redis.scan_iter("asynq:nb:outbox:due:*"))
        return sum(int(redis.zcard(lane)) for lane in lanes)  # type: ignore[arg-type]

    wait_until(lambda: left() == DELIVERIES, "all should wait", 30)
    for kill in range(KILLS):
        few = DELIVERIES - (kill + 1) * DELIVERIES // (KILLS + 1)
        with delivering_process(url, sink) as process:
            wait_until(lambda: left() <= few, "deliveries should go on", 30)  # noqa: B023
            process.kill()
    with delivering_process(url, sink):
        wait_until(lambda: left() == 0, "all should arrive in the end", 60)
        wait_until(is_tidy, "nothing should be left", 5)


def test_files_are_whole(
    session: Session, redis: redis_py.Redis, url: str, tmp_path: Path, state_dir: Path
) -> None:
    size = 300_000
    sink = f"file://{tmp_path}/out/{{task_id}}.bin"
    spool = state_dir / "spool"
    survive(
        *(session, redis, url, sink, lambda n: bytes([n]) * size),
        lambda: [path.name for path in spool.iterdir()] == ["id"],
    )

    found = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert found == {f"k{n}.bin": bytes([n]) * size for n in range(DELIVERIES)}


@pytest.mark.parametrize("store", ["s3", "gcs"])
def test_objects_are_whole(
    session: Session,
    redis: redis_py.Redis,
    url: str,
    store: str,
    request: pytest.FixtureRequest,
) -> None:
    service: S3 | GCS = request.getfixturevalue(store)
    sink = service.url("results/kills/{task_id}.json")
    survive(session, redis, url, sink, lambda n: {"n": n, "x": "y" * 5_000})

    found = {k: v for k, v in service.objects().items() if k.startswith("kills/")}
    assert {k: json.loads(v)["n"] for k, v in found.items()} == {
        f"kills/k{n}.json": n for n in range(DELIVERIES)
    }


def test_rows_are_there_once(
    session: Session, redis: redis_py.Redis, url: str, postgres: Postgres
) -> None:
    sink = f"{postgres.url()}?table=kills&create=true"
    survive(session, redis, url, sink, lambda n: {"n": n})

    rows = postgres.rows("SELECT task_id, result, status FROM kills")
    assert sorted(rows) == sorted((f"k{n}", {"n": n}, "completed") for n in range(DELIVERIES))


def test_rows_of_mysql_are_there_once(
    session: Session, redis: redis_py.Redis, url: str, mariadb: MariaDB
) -> None:
    sink = f"{mariadb.url()}?table=kills&create=true"
    survive(session, redis, url, sink, lambda n: {"n": n})

    rows = mariadb.rows("SELECT task_id, json_value(result, '$.n'), status FROM kills")
    assert sorted(rows) == sorted((f"k{n}", str(n), "completed") for n in range(DELIVERIES))


def test_messages_arrive_and_a_repetition_has_the_same_id(
    session: Session, redis: redis_py.Redis, url: str, rabbitmq: RabbitMQ
) -> None:
    survive(session, redis, url, rabbitmq.url("?routing_key=kills"), lambda n: n)

    messages = rabbitmq.messages("kills")
    ids = Counter((p.message_id, json.loads(body)["result"]) for p, body in messages)
    assert sorted(n for _, n in ids) == list(range(DELIVERIES))
    assert ids.total() - len(ids) <= KILLS * 8
