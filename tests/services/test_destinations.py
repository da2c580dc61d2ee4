"""The same in one argument: `deliver_to`."""

import io
import json
import urllib.request
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import redis as redis_py
from matplotlib.figure import Figure
from PIL import Image

from runqy_notebook import Session, task
from tests.deliver.receiving import Receiver
from tests.services.servers import GCS, PASSWORD, QUOTED, S3, Postgres, RabbitMQ
from tests.waiting import wait_until


def delivered(session: Session, rows: int = 1, seconds: float = 20) -> pd.DataFrame:
    """The deliveries, once there are so many and all have arrived."""
    try:
        wait_until(lambda: list(session.deliveries()["state"]) == ["delivered"] * rows, "", seconds)
    except AssertionError:
        pytest.fail(f"{rows} should be delivered: {session.deliveries().to_dict('records')}")
    return session.deliveries()


def figure() -> Figure:
    drawn = Figure(figsize=(1, 1))
    drawn.subplots().plot([1, 2])
    return drawn


RESULTS = {
    "bytes.bin": lambda: b"\x00\xff" * 100_000,
    "text.txt": lambda: "grüße",
    "json.json": lambda: {"label": 7},
    "array.npy": lambda: np.arange(100_000),
    "table.parquet": lambda: pd.DataFrame({"a": [1, 2]}),
    "figure.png": figure,
    "picture.png": lambda: Image.new("RGB", (3, 2), "red"),
}


def assert_holds(name: str, content: bytes) -> None:
    """What a file of that name should hold."""
    if name.endswith(".npy"):
        assert (np.load(io.BytesIO(content)) == np.arange(100_000)).all()
    elif name.endswith(".parquet"):
        assert pd.read_parquet(io.BytesIO(content)).equals(RESULTS[name]())
    elif name.endswith(".png"):
        assert Image.open(io.BytesIO(content)).size == ((100, 100) if "fig" in name else (3, 2))
    elif name.endswith(".json"):
        assert json.loads(content) == {"label": 7}
    else:
        value = RESULTS[name]()
        assert content == (value if isinstance(value, bytes) else str(value).encode())


def returning(make: Callable[[], object]) -> Callable[[Any], object]:
    return lambda payload: make()


def run_each(session: Session, destination: Any) -> None:
    """A task for each kind of result, delivered to what `destination` says for its name."""
    for at, (name, make) in enumerate(RESULTS.items()):
        task(queue=f"kind{at}", deliver_to=destination(name))(returning(make))
        session.start_worker(f"kind{at}")
        session.enqueue(f"kind{at}", {}, id=f"id-{at}")
    delivered(session, len(RESULTS))


def test_every_kind_of_result_becomes_an_object_of_s3(session: Session, s3: S3) -> None:
    run_each(session, lambda name: s3.url(f"results/kinds/{{task_id}}/{name}"))

    objects = s3.objects()
    for at, name in enumerate(RESULTS):
        assert_holds(name, objects[f"kinds/id-{at}/{name}"])
    told = s3.client().head_object(Bucket="results", Key="kinds/id-5/figure.png")
    assert told["ContentType"] == "image/png"


def test_every_kind_of_result_becomes_an_object_of_gcs(session: Session, gcs: GCS) -> None:
    run_each(session, lambda name: gcs.url(f"results/kinds/{{task_id}}/{name}"))

    objects = gcs.objects()
    for at, name in enumerate(RESULTS):
        assert_holds(name, objects[f"kinds/id-{at}/{name}"])


def test_what_parts_a_request_may_stand_in_a_file(session: Session, gcs: GCS) -> None:
    """gcsfs sends small files between lines that are always the same."""
    content = b"before\n--==0==\nContent-Type: text/plain\n\nbetween\n--==0==--\nafter"
    session.destination("store", gcs.url("results/parts.bin"))
    session.deliver("store", content)
    delivered(session)

    assert gcs.objects()["parts.bin"] == content


def test_a_result_becomes_a_row(session: Session, postgres: Postgres) -> None:
    @task(deliver_to=f"{postgres.url()}?table=made&create=true")
    def handler(payload: dict[str, Any]) -> dict[str, Any]:
        return {"n": 1 / payload["n"]}

    session.start_worker("mail")
    session.enqueue("mail", {"n": 2}, id="good")
    session.enqueue("mail", {"n": 0}, id="bad", max_retry=0)
    delivered(session, 2)

    rows = postgres.rows("SELECT task_id, status, result, error FROM made ORDER BY status")
    assert rows == [
        ("bad", "archived", None, "ZeroDivisionError: division by zero"),
        ("good", "completed", {"n": 0.5}, None),
    ]
    assert postgres.rows("SELECT count(*) FROM made WHERE completed_at <= now()") == [(2,)]


def test_a_row_that_the_application_made_is_updated(session: Session, postgres: Postgres) -> None:
    """The document's own table: an id, columns of the application's, and not all of ours."""
    postgres.rows(
        "CREATE TABLE app (id text PRIMARY KEY, owner text NOT NULL, status text, result text,"
        " completed_at timestamp); INSERT INTO app VALUES ('a1', 'ann', 'queued')"
    )

    @task(deliver_to=f"{postgres.url()}?table=app")
    def handler(payload: dict[str, Any]) -> list[int]:
        return [1]

    session.start_worker("mail")
    session.enqueue("mail", {}, id="a1")
    delivered(session)

    assert postgres.rows("SELECT owner, status, result FROM app") == [("ann", "completed", "[1]")]


def test_a_statement_of_the_users_is_executed(session: Session, postgres: Postgres) -> None:
    postgres.rows("CREATE TABLE log (what text, told json)")
    session.destination(
        "log",
        postgres.url(),
        statement="INSERT INTO log VALUES (:task_id || ' ' || :status, CAST(:result AS json))",
    )

    @task(deliver_to="log")
    def handler(payload: dict[str, Any]) -> list[int]:
        return [1]

    session.start_worker("mail")
    session.enqueue("mail", {}, id="x")
    delivered(session)

    assert postgres.rows("SELECT * FROM log") == [("x completed", [1])]


@pytest.mark.parametrize("size", [3, 300_000])
def test_a_result_becomes_a_persistent_message(
    session: Session, rabbitmq: RabbitMQ, size: int
) -> None:
    @task(deliver_to=rabbitmq.url("?routing_key=task_results"))
    def handler(payload: dict[str, Any]) -> str:
        return "x" * size

    session.start_worker("mail")
    sent = session.enqueue("mail", {})
    rows = delivered(session)

    ((properties, body),) = rabbitmq.messages("task_results")
    told = json.loads(body)
    assert (told["task_id"], told["result"]) == (sent.id, "x" * size)
    assert (properties.delivery_mode, properties.message_id) == (2, rows.index[0])


def test_an_exchange_without_a_queue_takes_no_message(quick: Session, rabbitmq: RabbitMQ) -> None:
    quick.destination("events", rabbitmq.url("events?routing_key=mail.done&declare=topic"))
    quick.deliver("events", {"n": 1})
    wait_until(lambda: quick.deliveries()["attempts"].iloc[0] > 1, "it should be refused")
    assert "no queue is bound" in quick.deliveries()["error"].iloc[0]

    connection = rabbitmq.connect()
    channel = connection.channel()
    channel.queue_declare("listener", durable=True)
    channel.queue_bind("listener", "events", "mail.*")
    connection.close()
    delivered(quick)

    assert json.loads(rabbitmq.messages("listener")[0][1])["result"] == {"n": 1}


def test_destinations_combine_and_the_others_are_told_where_the_file_is(
    session: Session, s3: S3, postgres: Postgres, redis: redis_py.Redis
) -> None:
    with Receiver() as receiver:
        session.destination("notice", receiver.url, allow_private=True)

        @task(
            deliver_to=[
                "notice",
                s3.url("results/{queue}/{task_id}.npy"),
                f"{postgres.url()}?table=combined&create=true",
            ]
        )
        def handler(payload: dict[str, Any]) -> object:
            return np.arange(50_000)

        session.start_worker("mail")
        session.enqueue("mail", {}, id="c1")
        rows = delivered(session, 3)

        told = json.loads(receiver.requests[0].body)
        assert told["result"] is None
        content = urllib.request.urlopen(told["result_url"], timeout=5).read()
        assert np.load(io.BytesIO(content)).size == 50_000
        assert "X-Amz-Expires=86400" in told["result_url"]
        (row,) = postgres.rows("SELECT status, result_url FROM combined")
        assert row == ("completed", told["result_url"])
    shown = rows.to_string()
    assert PASSWORD not in shown
    assert QUOTED not in shown
    held = "".join(str(redis.hgetall(key)) for key in redis.scan_iter("asynq:nb:outbox:row:*"))
    assert PASSWORD not in held
    assert QUOTED not in held
    assert "postgresql://" not in held
