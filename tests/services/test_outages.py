"""A destination that is down, or refuses us, never makes the handler run again."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from runqy_notebook import Session, task
from tests.deliver.receiving import Receiver
from tests.services.mariadb import MariaDB
from tests.services.servers import (
    GCS,
    PASSWORD,
    QUOTED,
    S3,
    Postgres,
    RabbitMQ,
    Service,
    quiet_port,
    started,
)
from tests.services.test_destinations import delivered
from tests.waiting import wait_until

DOWN = 30.0  # seconds


class Places:
    """A place of each kind, and what lies there of a task."""

    def __init__(
        self, postgres: Postgres, mariadb: MariaDB, rabbitmq: RabbitMQ, s3: S3, gcs: GCS
    ) -> None:
        self.servers: list[Service] = [postgres, mariadb, rabbitmq, s3, gcs]
        self.urls = {
            "postgres": f"{postgres.url()}?table=outage&create=true",
            "mysql": f"{mariadb.url()}?table=outage&create=true",
            "amqp": rabbitmq.url("?routing_key=outage"),
            "s3": s3.url("results/outage/{task_id}.json"),
            "gcs": gcs.url("results/outage/{task_id}.json"),
        }
        select = "SELECT task_id, result FROM outage"
        self._looks: dict[str, Callable[[], list[Any]]] = {
            "postgres": lambda: postgres.rows(select),
            "mysql": lambda: [(name, json.loads(held)) for name, held in mariadb.rows(select)],
            "amqp": lambda: [
                (told["task_id"], told["result"])
                for told in (json.loads(body) for _, body in rabbitmq.messages("outage"))
            ],
            "s3": lambda: _files(s3.objects()),
            "gcs": lambda: _files(gcs.objects()),
        }

    def found(self) -> dict[str, list[Any]]:
        """What lies at each place: task ids and results."""
        return {name: look() for name, look in self._looks.items()}


def _files(objects: dict[str, bytes]) -> list[Any]:
    return [
        (key.removeprefix("outage/").removesuffix(".json"), json.loads(content))
        for key, content in objects.items()
        if key.startswith("outage/")
    ]


@pytest.fixture
def places(postgres: Postgres, mariadb: MariaDB, rabbitmq: RabbitMQ, s3: S3, gcs: GCS) -> Places:
    return Places(postgres, mariadb, rabbitmq, s3, gcs)


def test_what_was_down_for_half_a_minute_gets_each_result_once(
    make_session: Callable[..., Session], places: Places
) -> None:
    session = make_session(deliver_schedule="0s" + " 1s" * 99, deliver_deadline=5)
    port = quiet_port()
    session.destination("hook", f"http://127.0.0.1:{port}/hook", allow_private=True)
    urls = {**places.urls, "webhook": "hook"}
    runs: list[str] = []
    for name, place in urls.items():

        @task(queue=name, deliver_to=place)
        def handler(payload: dict[str, Any]) -> dict[str, Any]:
            runs.append(payload["task_id"])
            return {"n": 1}

        session.start_worker(name)

    for server in places.servers:
        server.stop()
    began = time.monotonic()
    try:
        for name in urls:
            session.enqueue(name, {}, id=name)
        wait_until(lambda: time.monotonic() > began + DOWN, "time should pass", DOWN + 5)
        rows = session.deliveries()
    finally:
        for server in places.servers:
            server.start()
    with Receiver(port=port) as receiver:
        delivered(session, len(urls), seconds=60)

    assert sorted(runs) == sorted(urls)
    assert [json.loads(each.body)["task_id"] for each in receiver.requests] == ["webhook"]
    assert places.found() == {name: [(name, {"n": 1})] for name in places.urls}
    assert (rows["attempts"] > 1).all()
    assert set(rows["state"]) <= {"waiting", "sending"}
    for error in rows["error"]:
        assert error
        assert "\n" not in error
        assert PASSWORD not in error
        assert QUOTED not in error


def refused(session: Session, url: str, value: object = None) -> str:
    """What is told of a destination that does not let us in."""
    session.destination("store", url)
    session.deliver("store", {"n": 1} if value is None else value, task_id="r1")
    wait_until(lambda: list(session.deliveries()["attempts"] > 1) == [True], "refused", 30)
    (row,) = session.deliveries().itertuples()
    assert row.state in ("waiting", "sending")
    assert "\n" not in row.error
    return str(row.error)


def test_a_wrong_password_is_one_line_without_the_password(
    quick: Session, postgres: Postgres
) -> None:
    told = refused(quick, f"{postgres.url('wr0ng-secret')}?table=made")

    assert "password authentication failed" in told
    assert "wr0ng-secret" not in told


def test_a_wrong_login_at_rabbitmq_is_one_line(quick: Session, rabbitmq: RabbitMQ) -> None:
    told = refused(quick, rabbitmq.url("?routing_key=q", "wr0ng-secret"))

    assert "ACCESS_REFUSED" in told
    assert "wr0ng-secret" not in told


def test_an_unknown_key_of_s3_is_one_line(quick: Session) -> None:
    service = started(lambda: S3(knows_nobody=True))
    try:
        told = refused(quick, service.url("results/{task_id}.json", "wr0ng-secret"))
    finally:
        service.close()

    assert "AWS Access Key Id" in told
    assert "wr0ng-secret" not in told


def test_a_table_that_is_not_there_is_told_and_waited_for(
    quick: Session, postgres: Postgres
) -> None:
    told = refused(quick, f"{postgres.url()}?table=later")
    assert told == "there is no table 'later' (&create=true makes it)"

    postgres.rows("CREATE TABLE later (id text PRIMARY KEY, result jsonb)")
    delivered(quick)

    assert postgres.rows("SELECT * FROM later") == [("r1", {"n": 1})]


@pytest.mark.parametrize("word", [PASSWORD, QUOTED])
def test_no_session_prints_a_password(quick: Session, postgres: Postgres, word: str) -> None:
    quick.destination("store", f"{postgres.url()}?table=x")

    told = f"{quick.__dict__} {quick._directory._known!r} {quick._directory.known('store')}"

    assert word not in told
