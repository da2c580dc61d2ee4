import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis as redis_py

from runqy_notebook.deliver.courier import THREADS
from tests.deliver.outboxes import outbox_of, post
from tests.deliver.receiving import Receiver
from tests.waiting import wait_until

KILLS, DELIVERIES = (100, 2_000) if os.environ.get("RUNQY_CHAOS") == "full" else (5, 300)
ROOT = Path(__file__).parents[2]


@contextmanager
def delivering_process(url: str, receiver: Receiver) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.deliver.driver", url, receiver.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def test_what_a_killed_process_was_delivering_is_delivered_all_the_same(
    redis: redis_py.Redis, url: str
) -> None:
    outbox = outbox_of(redis, cap=DELIVERIES)
    for n in range(DELIVERIES):
        post(outbox, id=f"msg_{n}", body=b'{"n": %d}' % n)
    with Receiver() as receiver:

        def ids() -> Counter[str]:
            return Counter(request.headers["webhook-id"] for request in list(receiver.requests))

        for kill in range(KILLS):
            enough = (kill + 1) * DELIVERIES // (KILLS + 1)
            with delivering_process(url, receiver) as process:
                wait_until(lambda: len(ids()) >= enough, "deliveries should go on", 30)  # noqa: B023
                process.kill()
        with delivering_process(url, receiver):
            wait_until(lambda: len(ids()) == DELIVERIES, "all should arrive in the end", 60)
            wait_until(
                lambda: redis.zcard("asynq:nb:outbox:due:name:orders") == 0, "all written down", 30
            )

        arrived = ids()
        print(f"{KILLS} kills: {arrived.total()} requests for {len(arrived)} deliveries")
        assert set(arrived) == {f"msg_{n}" for n in range(DELIVERIES)}
        assert arrived.total() - len(arrived) <= KILLS * THREADS
        bodies = {(r.headers["webhook-id"], r.body) for r in receiver.requests}
        assert len(bodies) == DELIVERIES
