"""A destination that is down, or refuses us, never makes the handler run again."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from runqy_notebook import Session, task
from tests.services.servers import GCS, PASSWORD, QUOTED, S3, Postgres, RabbitMQ, Service, started
from tests.services.test_destinations import delivered
from tests.waiting import wait_until


def survives(session: Session, service: Service, url: str, has_it: Callable[[], object]) -> None:
    """The service is away while the task runs, and back later."""
    runs: list[str] = []

    @task(deliver_to=url)
    def handler(payload: dict[str, Any]) -> dict[str, Any]:
        runs.append(payload["task_id"])
        return {"n": 1}

    service.stop()
    try:
        session.start_worker("mail")
        session.enqueue("mail", {}, id="d1")
        wait_until(
            lambda: list(session.deliveries()["attempts"] > 1) == [True], "it should fail", 30
        )
        (row,) = session.deliveries().itertuples()
        assert row.state in ("waiting", "sending")
        assert "\n" not in row.error
        assert PASSWORD not in row.error
    finally:
        service.start()
    delivered(session, seconds=40)

    assert has_it()
    assert runs == ["d1"]


def test_postgresql_that_was_down_gets_its_row(quick: Session, postgres: Postgres) -> None:
    url = f"{postgres.url()}?table=outage&create=true"

    survives(
        quick, postgres, url, lambda: postgres.rows("SELECT result FROM outage WHERE task_id='d1'")
    )


def test_rabbitmq_that_was_down_gets_its_message(quick: Session, rabbitmq: RabbitMQ) -> None:
    def has_it() -> bool:
        ((_, body),) = rabbitmq.messages("outage")
        return bool(json.loads(body)["result"] == {"n": 1})

    survives(quick, rabbitmq, rabbitmq.url("?routing_key=outage"), has_it)


def test_s3_that_was_down_gets_its_object(quick: Session, s3: S3) -> None:
    survives(
        quick, s3, s3.url("results/outage/{task_id}.json"), lambda: s3.objects()["outage/d1.json"]
    )


def test_gcs_that_was_down_gets_its_object(quick: Session, gcs: GCS) -> None:
    survives(
        quick,
        gcs,
        gcs.url("results/outage/{task_id}.json"),
        lambda: gcs.objects()["outage/d1.json"],
    )


def refused(session: Session, url: str) -> str:
    """What is told of a destination that does not let us in."""
    session.destination("store", url)
    session.deliver("store", {"n": 1}, task_id="r1")
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
