"""Results that plain clients of other programs poll for: GET asynq:result:ID, then JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from runqy_notebook import Session, task
from tests.interop import foreign
from tests.interop.programs import output
from tests.waiting import wait_until

RESULTS = [
    {"label": 7},
    None,
    [],
    0,
    False,
    "",
    [1, 2.5, "drei", None],
    {"text": "Grüße 🎉 </b> \u2028", "deep": {"er": [{}]}},
]


@pytest.mark.parametrize("result", RESULTS, ids=repr)
def test_a_python_client_polls_a_stored_result(redis: Redis, session: Session, result: Any) -> None:
    """Falsy results too: their JSON text is never empty."""
    task(queue="inference")(lambda payload: payload["give"])
    session.start_worker("inference", store_results=True)

    task_id = foreign.put(redis, "inference_default", {"give": result})

    assert foreign.poll_result(redis, task_id) == result


def test_a_node_client_polls_a_stored_result(
    redis: Redis, session: Session, node_folder: Path, url: str
) -> None:
    task(queue="inference")(lambda payload: payload["give"])
    session.start_worker("inference", store_results=True)

    ids = [foreign.put(redis, "inference_default", {"give": result}) for result in RESULTS]

    polled = [output("node", node_folder / "poll.js", url, each, "10") for each in ids]
    assert [json.loads(text) for text in polled] == RESULTS


def test_the_result_is_there_once_the_state_says_completed(redis: Redis, session: Session) -> None:
    """A client may look at the state first and then GET, once."""
    task(queue="inference")(lambda payload: payload)
    session.start_worker("inference", store_results=True, concurrency=4)
    ids = [foreign.put(redis, "inference_default", {"n": n}) for n in range(50)]

    for n, task_id in enumerate(ids):
        wait_until(lambda each=task_id: foreign.state(redis, each) == "completed", "not completed")
        assert json.loads(redis.get(f"asynq:result:{task_id}")) == {"n": n}


def test_a_stored_result_does_not_stay_for_ever(redis: Redis, make_session: Any) -> None:
    task(queue="inference")(lambda payload: payload)
    make_session(result_ttl=120).start_worker("inference", store_results=True)

    task_id = foreign.put(redis, "inference_default", {"n": 1})

    assert foreign.poll_result(redis, task_id) == {"n": 1}
    assert 110 < redis.ttl(f"asynq:result:{task_id}") <= 120


def test_the_result_of_an_earlier_run_is_not_taken_for_the_next_one(
    redis: Redis, session: Session, gate: Any
) -> None:
    """The same id put in again: while it runs the old result is gone."""
    handlers = iter([lambda payload: "first", lambda payload: gate(payload) and "second"])
    task(queue="inference")(lambda payload: next(handlers)(payload))
    session.start_worker("inference", store_results=True)
    foreign.write_hash(redis, "t1", "inference_default", "{}")
    foreign.push(redis, "t1", "inference_default")
    assert foreign.poll_result(redis, "t1") == "first"
    wait_until(lambda: foreign.state(redis, "t1") == "completed", "not completed")

    foreign.write_hash(redis, "t1", "inference_default", '{"again": true}')
    foreign.push(redis, "t1", "inference_default")
    wait_until(lambda: gate.reached, "it was not run again")

    assert redis.get("asynq:result:t1") is None
    gate.open()
    assert foreign.poll_result(redis, "t1") == "second"
