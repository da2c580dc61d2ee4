"""The same patterns as a person pastes them: whole programs for runqy's workers, each into a cell,
with names of runqy's SDK and `run()` at the end.
"""

import json
import urllib.request
from pathlib import Path

from tests.deliver.receiving import Receiver
from tests.notebook.kernels import running_kernel
from tests.services.servers import PASSWORD, S3, Postgres, RabbitMQ

BLOB = """
from runqy_task import load, run, task
import boto3
import requests

@load
def clients():
    return {"s3": boto3.client("s3")}

@task
def draw(payload: dict, ctx: dict) -> None:
    where = {"Bucket": "results", "Key": "pasted/picture.png"}
    ctx["s3"].put_object(Body=payload["input"].encode(), ContentType="image/png", **where)
    link = ctx["s3"].generate_presigned_url("get_object", Params=where, ExpiresIn=3600)
    told = {"task_id": payload["task_id"], "status": "completed", "result_url": link}
    requests.post(payload["webhook_url"], json=told, timeout=30).raise_for_status()

if __name__ == "__main__":
    run()
"""

ROW = """
from runqy_task import load, run, task
import json
import psycopg2

@load
def database():
    where = {"host": "127.0.0.1", "port": PORT, "database": "postgres"}
    return {"db": psycopg2.connect(user="worker", password=PASSWORD, **where)}

@task
def note(payload: dict, ctx: dict) -> None:
    cursor = ctx["db"].cursor()
    cursor.execute(
        "UPDATE pasted SET status = %s, result = %s, completed_at = NOW() WHERE id = %s",
        ("completed", json.dumps({"n": payload["input"]}), payload["task_id"]),
    )
    ctx["db"].commit()
    cursor.close()

if __name__ == "__main__":
    run()
"""

MESSAGE = """
from runqy_task import load, run, task
import json
import pika

@load
def broker():
    login = pika.PlainCredentials("worker", PASSWORD)
    where = pika.ConnectionParameters("127.0.0.1", PORT, credentials=login)
    channel = pika.BlockingConnection(where).channel()
    channel.queue_declare(queue="pasted", durable=True)
    return {"channel": channel}

@task
def publish(payload: dict, ctx: dict) -> None:
    told = {"task_id": payload["task_id"], "result": payload["input"]}
    persistent = pika.BasicProperties(delivery_mode=2)
    ctx["channel"].basic_publish("", "pasted", json.dumps(told), persistent)

if __name__ == "__main__":
    run()
"""


def filled(program: str, port: int) -> str:
    return program.replace("PORT", str(port)).replace("PASSWORD", repr(PASSWORD))


def test_each_pattern_runs_as_it_is_pasted_one_after_the_other(
    tmp_path: Path, url: str, s3: S3, postgres: Postgres, rabbitmq: RabbitMQ
) -> None:
    postgres.rows(
        "CREATE TABLE pasted (id text, status text, result text, completed_at timestamptz);"
        "INSERT INTO pasted (id) VALUES ('t1')"
    )
    programs = [BLOB, filled(ROW, postgres.port), filled(MESSAGE, rabbitmq.port)]
    aws = {
        "AWS_ENDPOINT_URL": s3.endpoint,
        "AWS_ACCESS_KEY_ID": "worker",
        "AWS_SECRET_ACCESS_KEY": PASSWORD,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with (
        Receiver() as receiver,
        running_kernel(tmp_path, RUNQY_REDIS_URL=url, RUNQY_QUEUE="inference", **aws) as kernel,
    ):
        payload = {"task_id": "t1", "input": "abc", "webhook_url": receiver.url}
        kernel.run("%load_ext runqy_notebook")
        for program in programs:
            kernel.run(program)
            kernel.run(f"t = %runqy enqueue inference {json.dumps(payload)}")
            kernel.run("t.result(20)")

    told = json.loads(receiver.requests[0].body)
    assert urllib.request.urlopen(told["result_url"], timeout=5).read() == b"abc"
    assert postgres.rows("SELECT id, status, result, completed_at < now() FROM pasted") == [
        ("t1", "completed", '{"n": "abc"}', True)
    ]
    ((properties, body),) = rabbitmq.messages("pasted")
    assert json.loads(body) == {"task_id": "t1", "result": "abc"}
    assert properties.delivery_mode == 2
