"""What tasks of strangers say never becomes more than a value."""

import json
from typing import Any

import pytest

from runqy_notebook import Session, task
from tests.broking import push
from tests.services.mariadb import MariaDB
from tests.services.servers import GCS, S3, Postgres, RabbitMQ
from tests.services.test_destinations import delivered

IDS = [
    "'; DROP TABLE safe; --",
    '" OR 1=1 --',
    "%s %(task_id)s :task_id {task_id} $1",
    "../../../etc/passwd",
    "/etc/passwd",
    "a\x00b",
    "..",
    "\\'; DELETE FROM hostile; --",
    "名" * 200,
    "MINE",
    "mine ",
    "mïne",
]


@pytest.fixture
def strangers(session: Session) -> Any:
    """Has each of these tasks run, with its id as its result."""

    def run(url: str, redis: Any) -> None:
        @task(deliver_to=url)
        def handler(payload: dict[str, Any]) -> dict[str, Any]:
            return {payload["task_id"]: payload["task_id"]}

        session.start_worker("mail")
        for each in IDS:
            push(redis, each)
        delivered(session, len(IDS))

    return run


def test_ids_and_results_are_bound_never_spelled_out(
    strangers: Any, postgres: Postgres, redis: Any
) -> None:
    postgres.rows("CREATE TABLE safe (n int); INSERT INTO safe VALUES (1)")
    postgres.rows(
        "CREATE TABLE hostile (task_id text PRIMARY KEY, status text, result jsonb);"
        "INSERT INTO hostile VALUES ('mine', 'mine')"
    )

    strangers(f"{postgres.url()}?table=hostile", redis)

    assert postgres.rows("SELECT n FROM safe") == [(1,)]
    assert postgres.rows("SELECT status FROM hostile WHERE task_id='mine'") == [("mine",)]
    found = dict(postgres.rows("SELECT task_id, result FROM hostile WHERE task_id <> 'mine'"))
    assert sorted(found) == sorted(each.replace("\x00", "\ufffd") for each in IDS)
    assert all(result == {task_id: task_id} for task_id, result in found.items())


def test_mysql_takes_no_id_for_another_that_looks_like_it(
    strangers: Any, mariadb: MariaDB, redis: Any
) -> None:
    mariadb.rows("CREATE TABLE safe (n int); INSERT INTO safe VALUES (1)")
    mariadb.rows(
        "CREATE TABLE hostile (task_id varchar(512) COLLATE utf8mb4_nopad_bin PRIMARY KEY,"
        " status text, result longtext) CHARSET utf8mb4;"
        "INSERT INTO hostile VALUES ('mine', 'mine', NULL)"
    )

    strangers(f"{mariadb.url()}?table=hostile", redis)

    assert mariadb.rows("SELECT n FROM safe") == [(1,)]
    assert mariadb.rows("SELECT status FROM hostile WHERE task_id='mine'") == [("mine",)]
    found = dict(mariadb.rows("SELECT task_id, result FROM hostile WHERE task_id <> 'mine'"))
    assert sorted(found) == sorted(each.replace("\x00", "\ufffd") for each in IDS)
    assert all(json.loads(result) == {name: name} for name, result in found.items())


@pytest.mark.parametrize("store", ["s3", "gcs"])
def test_no_id_leads_out_of_the_prefix(
    strangers: Any, store: str, request: pytest.FixtureRequest, redis: Any
) -> None:
    service: S3 | GCS = request.getfixturevalue(store)
    before = set(service.objects())

    strangers(service.url("results/inside/{task_id}/{queue}.json"), redis)

    made = sorted(set(service.objects()) - before)
    assert len(made) == len(IDS)
    for key in made:
        head, place, name = key.split("/")
        assert (head, name) == ("inside", "mail_default.json")
        assert place.strip(".")
        assert place.isascii()
        assert len(place) <= 120


def test_messages_hold_ids_as_they_are(strangers: Any, rabbitmq: RabbitMQ, redis: Any) -> None:
    strangers(rabbitmq.url("?routing_key=hostile"), redis)

    messages = rabbitmq.messages("hostile")
    bodies = [json.loads(body) for _, body in messages]
    assert sorted(told["task_id"] for told in bodies) == sorted(IDS)
    assert all(told["result"] == {told["task_id"]: told["task_id"]} for told in bodies)
    assert all(len(properties.correlation_id.encode()) <= 255 for properties, _ in messages)
