import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis as redis_py

from tests.deliver.receiving import Receiver
from tests.notebook.kernels import Kernel
from tests.waiting import wait_until


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


HANDLER = """
from runqy_notebook import task, current
@task
def double(payload): return 2 * payload["n"]
current.session().destination("orders", {url!r}, allow_private=True)
%runqy worker start mail
"""


def test_a_result_is_delivered_to_where_the_line_says(kernel: Kernel, receiver: Receiver) -> None:
    kernel.run(HANDLER.format(url=receiver.url))
    kernel.run('%runqy enqueue mail {"n": 21} --deliver-to orders')
    wait_until(lambda: receiver.requests, "it should arrive")

    assert json.loads(receiver.requests[0].body)["result"] == 42
    states = "frame = %runqy deliveries\nprint(list(frame.state))"
    wait_until(lambda: "delivered" in kernel.run(states).stdout, "it should be written down")


def test_a_delivery_is_attempted_again_on_request(kernel: Kernel, receiver: Receiver) -> None:
    receiver.answers(410)
    kernel.run(HANDLER.format(url=receiver.url))
    kernel.run('%runqy enqueue mail {"n": 21} --deliver-to orders')
    wait_until(lambda: receiver.requests, "it should be refused")
    receiver.answers(204)

    kernel.run("import time")
    kernel.run(
        "while 'gone' not in list(current.session().deliveries().state): time.sleep(0.01)\n"
        "%runqy deliveries --retry {current.session().deliveries().index[0]}"
    )

    wait_until(lambda: len(receiver.requests) == 2, "it should be attempted again")
    ids = {request.headers["webhook-id"] for request in receiver.requests}
    assert len(ids) == 1


def test_a_webhook_goes_into_the_payload(kernel: Kernel, redis: redis_py.Redis) -> None:
    kernel.run('t = %runqy enqueue mail {"n": 1} --webhook https://hooks.example/a?b=c')
    task_id = kernel.run("print(t.id)").stdout.strip()

    held: Any = redis.hget(f"asynq:t:{task_id}", "payload")
    assert json.loads(held) == {
        "n": 1,
        "webhook_url": "https://hooks.example/a?b=c",
        "task_id": task_id,
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("enqueue mail {} --deliver-to ftp://me:hunter2@x/", "not a plain http:// or https:// URL"),
        ("enqueue mail {} --deliver-to echo", "%runqy webhook start"),
        ("enqueue mail {} --webhook echo", "%runqy webhook start"),
        ("enqueue mail {} --webhook hooks.example", "webhook must be an http:// or https:// URL"),
        ("deliveries --retry msg_0", "'msg_0' is not known"),
    ],
)
def test_what_makes_no_sense_is_one_line(kernel: Kernel, line: str, said: str) -> None:
    told = kernel.fail(f"%runqy {line}")

    assert said in told
    assert "hunter2" not in told


def test_a_secret_in_the_settings_does_not_show(kernel: Kernel) -> None:
    told = kernel.run(
        "%config Runqy.webhook_secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'\n%config Runqy"
    ).stdout

    assert "webhook_secret" in told
    assert "MfKQ9r8" not in told

    refused = kernel.try_run("%config Runqy.webhook_secret = 'whsec_MfKQ9r8'").stderr
    assert "24 to 64 bytes" in refused
    assert "MfKQ9r8" not in refused
