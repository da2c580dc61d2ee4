"""The patterns of runqy's document on delivering results: the handler does it itself, with the
calls that the document makes.
"""

import json
import uuid
from typing import Any

import boto3
import pika
import psycopg2
import pytest

from runqy_notebook import Session, load, task
from tests.deliver.receiving import Receiver
from tests.services.servers import PASSWORD, S3, Postgres, RabbitMQ


def test_blob_storage_by_the_handler(
    session: Session, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "worker")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    import requests

    @load
    def setup() -> dict[str, Any]:
        return {"s3": boto3.client("s3")}

    @task
    def handle(payload: dict[str, Any], ctx: dict[str, Any]) -> None:
        key = f"pattern/{uuid.uuid4()}.png"
        body = payload["input"].encode()
        ctx["s3"].put_object(Bucket="results", Key=key, Body=body, ContentType="image/png")
        requests.post(
            payload["webhook_url"],
            json={
                "task_id": payload.get("task_id"),
                "status": "completed",
                "result_url": f"https://results.s3.amazonaws.com/{key}",
            },
            timeout=30,
        )

    session.start_worker("inference")
    with Receiver() as receiver:
        sent = session.enqueue("inference", {"input": "a picture"}, webhook=receiver.url)
        sent.result(20)

    told = json.loads(receiver.requests[0].body)
    assert told["task_id"] == sent.id
    assert s3.objects()[told["result_url"].removeprefix("https://results.s3.amazonaws.com/")]


def test_a_database_row_by_the_handler(session: Session, postgres: Postgres) -> None:
    postgres.rows(
        "DROP TABLE IF EXISTS pattern; CREATE TABLE pattern (id text, status text, result text,"
        " completed_at timestamptz); INSERT INTO pattern (id) VALUES ('p1')"
    )

    connections: list[Any] = []

    @load
    def setup() -> dict[str, Any]:
        conn = psycopg2.connect(
            host="127.0.0.1",
            port=postgres.port,
            database="postgres",
            user="worker",
            password=PASSWORD,
        )
        connections.append(conn)
        return {"db": conn}

    @task
    def handle(payload: dict[str, Any], ctx: dict[str, Any]) -> None:
        task_id = payload.get("task_id")
        result = {"sum": sum(payload["input"])}
        cursor = ctx["db"].cursor()
        cursor.execute(
            "UPDATE pattern SET status = %s, result = %s, completed_at = NOW() WHERE id = %s",
            ("completed", json.dumps(result), task_id),
        )
        ctx["db"].commit()
        cursor.close()

    session.start_worker("inference")
    session.enqueue("inference", {"input": [1, 2]}, id="p1").result(20)
    connections[0].close()

    (row,) = postgres.rows("SELECT id, status, result, completed_at < now() FROM pattern")
    assert row == ("p1", "completed", '{"sum": 3}', True)


def test_a_message_by_the_handler(session: Session, rabbitmq: RabbitMQ) -> None:
    connections: list[Any] = []

    @load
    def setup() -> dict[str, Any]:
        connection = rabbitmq.connect()
        connections.append(connection)
        channel = connection.channel()
        channel.queue_declare(queue="pattern", durable=True)
        return {"channel": channel}

    @task
    def handle(payload: dict[str, Any], ctx: dict[str, Any]) -> None:
        ctx["channel"].basic_publish(
            exchange="",
            routing_key="pattern",
            body=json.dumps({"task_id": payload.get("task_id"), "result": payload["input"]}),
            properties=pika.BasicProperties(delivery_mode=2),
        )

    session.start_worker("inference")
    sent = session.enqueue("inference", {"input": "abc"})
    sent.result(20)
    connections[0].close()

    ((properties, body),) = rabbitmq.messages("pattern")
    assert json.loads(body) == {"task_id": sent.id, "result": "abc"}
    assert properties.delivery_mode == 2
