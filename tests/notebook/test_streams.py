"""`%runqy stream` in real kernels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis as redis_py

from tests.notebook.kernels import Kernel
from tests.notebook.test_cards import HANDLER, last_state, the_card, updates, wait_for_state
from tests.waiting import wait_until


@pytest.mark.any_kernel
def test_a_stream_shows_what_happens_after_its_cell_ended(kernel: Kernel) -> None:
    kernel.run(HANDLER)
    display_id, first = the_card(kernel.run("%runqy stream q"))

    kernel.run("t = %runqy enqueue q {'n': 1};\nt.wait(10);")
    kernel.run("u = %runqy enqueue q {'bad': 1} --max-retry 0;\nu.wait(10);")

    wait_for_state(kernel, display_id, "stream: q · 6 events")
    lines = last_state(kernel, display_id).splitlines()
    assert first == "stream: q · 0 events"
    kinds = [line.split()[1] for line in lines[1:]]
    assert kinds == ["enqueued", "started", "completed", "enqueued", "started", "archived"]
    assert "ValueError: no <b>such</b> thing" in lines[-1]


@pytest.mark.any_kernel
def test_stop_ends_the_streams(kernel: Kernel) -> None:
    kernel.run(HANDLER)
    display_id, _ = the_card(kernel.run("%runqy stream q"))

    assert kernel.run("%runqy stream --stop").stdout == "1 stream stopped.\n"
    seen = len(updates(kernel.said, display_id))
    kernel.run("t = %runqy enqueue q {'n': 1};\nt.wait(10);")

    assert last_state(kernel, display_id).startswith("stream ended: q · 0 events · stopped")
    assert len(updates(kernel.said, display_id)) == seen
    assert kernel.run("%runqy stream --stop").stdout == "No stream is running.\n"


def test_filters_and_a_limit(kernel: Kernel) -> None:
    kernel.run(HANDLER)
    display_id, _ = the_card(kernel.run("%runqy stream q --only completed,archived --limit 3"))

    kernel.run("g = %runqy enqueue q [{'n': n} for n in range(9)];\nlen(g.results(10))")

    lines = last_state(kernel, display_id).splitlines()
    assert lines[0].startswith("stream ended: q · archived, completed · 3 events")
    assert [line.split()[1] for line in lines[1:]] == ["completed"] * 3


def test_one_task_alone(kernel: Kernel) -> None:
    kernel.run(HANDLER)
    card_id, _ = the_card(kernel.run("t = %runqy enqueue q {'waits': 1} --id mine"))
    wait_for_state(kernel, card_id, "running")
    display_id, _ = the_card(kernel.run("%runqy stream --task mine"))

    kernel.run("u = %runqy enqueue q {'n': 1};\nu.wait(10);\ngate.set(); t.wait(10);")

    assert [line.split()[1:4] for line in last_state(kernel, display_id).splitlines()[1:]] == [
        ["completed", "q_default", "mine"]
    ]


@pytest.mark.any_kernel
def test_what_is_not_shown_is_counted_exactly_and_sent_sparingly(kernel: Kernel) -> None:
    kernel.run(HANDLER)
    kernel.run("from runqy_notebook import current\nheard = []")
    display_id, _ = the_card(kernel.run("%runqy stream q"))
    kernel.run("listening = current.session().listen(heard.append, names=['q'])")

    kernel.run("g = %runqy enqueue q [{'n': n} for n in range(400)];\nlen(g.results(20))")

    # Three of each task; what waits for a task that stalls is given back, and started twice. That
    # it was given back may be told after its end.
    def is_counted() -> bool:
        count = int(kernel.run("print(len(heard))").stdout)
        head = f"stream: q · {count:,} events · {count - 40:,} earlier ones not shown"
        return count >= 1_200 and last_state(kernel, display_id).startswith(f"{head}\n")

    wait_until(is_counted, "not all are counted")
    assert len(last_state(kernel, display_id).splitlines()) == 41
    assert len(updates(kernel.said, display_id)) < 80


@pytest.mark.any_kernel
def test_a_stream_that_waits_ends_with_an_interrupt(kernel: Kernel) -> None:
    waiting = kernel.begin("%runqy stream q --wait")
    kernel.wait_for_display("stream: q")

    kernel.interrupt()
    ran = kernel.finish(waiting)

    assert ran.status == "ok"
    assert any("interrupted" in str(message["content"]) for message in ran.messages)


def test_a_stream_for_a_while_ends_by_itself(kernel: Kernel) -> None:
    ran = kernel.run("%runqy stream q --for 300ms")

    assert "stream ended" in str(ran.messages[-1]["content"])


def test_an_unknown_kind_is_one_line_with_a_hint(kernel: Kernel) -> None:
    line = kernel.fail("%runqy stream --only complete")

    assert "Did you mean 'completed'?" in line


def test_another_kernels_tasks_are_seen(
    kernel: Kernel, start_kernel: Callable[..., Kernel], url: str
) -> None:
    display_id, _ = the_card(kernel.run("%runqy stream"))
    other = start_kernel(RUNQY_REDIS_URL=url)
    other.run("%load_ext runqy_notebook")
    other.run(HANDLER)

    other.run("t = %runqy enqueue q {'n': 1} --id theirs;\nt.wait(10);")

    kernel.wait_for_update(display_id, "completed    q_default  theirs")
    assert "started      q_default  theirs" in last_state(kernel, display_id)


def test_a_foreign_worker_without_events_is_seen_by_looking(
    kernel: Kernel, redis: redis_py.Redis
) -> None:
    kernel.run("t = %runqy enqueue q {'n': 1} --id theirs;")
    display_id, _ = the_card(kernel.run("%runqy stream q"))

    redis.rpop("asynq:q_default:pending")
    redis.lpush("asynq:q_default:active", "theirs")
    redis.hset("asynq:t:theirs", "state", "active")
    kernel.wait_for_update(display_id, "started      q_default  theirs")
    redis.lrem("asynq:q_default:active", 1, "theirs")
    redis.hset("asynq:t:theirs", "state", "completed")

    kernel.wait_for_update(display_id, "completed    q_default  theirs")
