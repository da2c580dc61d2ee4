"""A task that kills the kernel: its tasks come back, the next kernel is told, and lives."""

from __future__ import annotations

from collections.abc import Callable

import redis as redis_py

from tests.notebook.kernels import Kernel
from tests.waiting import wait_until

HANDLER = """
import os, time
from runqy_notebook import task

@task(queue="rough")
def handle(payload):
    if payload.get("kill"):
        while not os.path.exists("napping"):
            time.sleep(0.01)
        os._exit(7)
    open("napping", "w").close()
    time.sleep(payload.get("nap", 0))
    return "fine"
"""


def test_the_next_kernel_says_which_tasks_the_last_one_died_with_and_survives_them(
    start_kernel: Callable[..., Kernel], url: str, redis: redis_py.Redis
) -> None:
    kernel = start_kernel(RUNQY_REDIS_URL=url)
    kernel.run("%load_ext runqy_notebook")
    kernel.run(f"{HANDLER}\n%runqy worker start rough --concurrency 2")

    kernel.run("k = %runqy enqueue rough_default {'kill': 1} --id killer")
    kernel.begin("n = %runqy enqueue rough_default {'nap': 60} --id neighbour")
    wait_until(lambda: redis.llen("asynq:rough_default:pending") == 2, "they do not come back")
    redis.hset("asynq:t:neighbour", "payload", "{}")
    kernel.restart(now=True)
    loaded = kernel.run("%load_ext runqy_notebook").stdout
    kernel.run(f"{HANDLER}\n%runqy worker start rough --concurrency 2")
    wait_until(lambda: redis.zcard("asynq:rough_default:archived") == 1, "it is not archived", 30)

    assert "2 tasks from before" in loaded
    assert "Task killer in rough_default was running when" in loaded
    assert kernel.fail("t = %runqy task killer\nt.result(timeout=5)").startswith("TaskFailedError")
    assert redis.hget("asynq:t:killer", "error_msg") == b"killed its worker 3 times"
    wait_until(lambda: redis.hget("asynq:t:neighbour", "state") == b"completed", "never run", 30)
