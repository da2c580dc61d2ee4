"""Workers of others on the same queue, which know nothing of leases."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from random import Random

import pytest
import redis

from tests.chaos.fleet import Fleet
from tests.chaos.harness import KEYS, enqueue, lost, naps, remains, wait_for_ends
from tests.chaos.journal import VARIABLE, note
from tests.chaos.report import Row
from tests.chaos.scale import size
from tests.chaos.servers import Server
from tests.waiting import wait_until

SEED = 17
TASKS = size(short=600, full=1_500)
OUTSIDERS = 3
KEPT = 2  # tasks that each outsider holds to the very end
LEASE = 1.5


class Outsider:
    """What runqy's own worker does with a task, one command after the other."""

    def __init__(self, url: str) -> None:
        self.kept: list[bytes] = []
        self.done = 0
        self._client = redis.Redis.from_url(url, socket_timeout=30)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="chaos-outsider", daemon=True)
        self._thread.start()

    def __enter__(self) -> Outsider:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._client.close()

    def _work(self) -> None:
        while not self._stopping.is_set():
            popped = self._client.brpop([KEYS.base + "pending"], timeout=1)
            if popped:
                self._run(popped[1])

    def _run(self, task_id: bytes) -> None:
        key = b"asynq:t:" + task_id
        self._client.hgetall(key)
        self._client.lpush(KEYS.base + "active", task_id)
        self._client.hset(key, "state", "active")
        note("start", task_id.decode())
        time.sleep(0.01)
        if len(self.kept) < KEPT:
            self.kept.append(task_id)
            return
        note("end", task_id.decode())
        self._client.lrem(KEYS.base + "active", 1, task_id)
        self._client.hset(key, "state", "completed")
        self.done += 1


def test_outsiders_on_the_same_queue_are_left_alone(
    server: Server,
    fleet: Fleet,
    judge: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, str(fleet.journal.path))
    ids = enqueue(server.url, naps(Random(SEED), TASKS, 0.03))

    with ExitStack() as stack:
        outsiders = [stack.enter_context(Outsider(server.url)) for _ in range(OUTSIDERS)]
        fleet.start(server.url, count=2, concurrency=2, lease=LEASE)
        wait_until(lambda: all(len(o.kept) == KEPT for o in outsiders), "outsiders got nothing")
        kept = {task_id for outsider in outsiders for task_id in outsider.kept}
        own = set(ids) - {task_id.decode() for task_id in kept}
        wait_for_ends(fleet.journal, own, 30)
        time.sleep(3 * LEASE)  # time in which a sweep could take something away

    active = server.client.lrange(KEYS.base + "active", 0, -1)
    others = {name: n for name, n in remains(server.client).items() if name != "active"}
    judge(
        Row(
            "outsiders",
            f"{TASKS} tasks, {OUTSIDERS} outsiders with BRPOP + LPUSH active beside 2 workers x 2, "
            f"seed {SEED}",
            {
                "lost": lost(fleet.journal, own),
                "duplicates": fleet.journal.extra("start"),
                "theirs moved": len(kept.symmetric_difference(active)),
                "left over": sum(others.values()),
                "done by outsiders": sum(outsider.done for outsider in outsiders),
            },
            {"lost": 0, "duplicates": 0, "theirs moved": 0, "left over": 0},
        )
    )
