"""What may be said about a task when it is enqueued."""

from __future__ import annotations

import os
import uuid
from datetime import date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest

from runqy_notebook.errors import PayloadError, UsageError
from runqy_notebook.options import TaskOptions
from runqy_notebook.registry import Handler
from runqy_notebook.settings import Settings
from runqy_notebook.wire.documented import new_id, new_ids


def refusal(**options: object) -> str:
    with pytest.raises(UsageError) as caught:
        TaskOptions.of(options)
    return str(caught.value)


def id_of(payload: bytes = b'{"a": 1}', queue: str = "q", **options: object) -> str:
    return TaskOptions.of(options).id_for(queue, payload, None)


# --- bad options ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"type": ""}, "type must be 1 to 200 printable characters, not ''."),
        ({"type": "x" * 201}, "type must be 1 to 200 printable characters, not 'xxxx"),
        ({"type": "a\nb"}, "type must be 1 to 200 printable characters, not 'a\\nb'."),
        ({"type": "\udc80"}, "type must be 1 to 200 printable characters, not '\\udc80'."),
        ({"max_retry": -1}, "max_retry must be a whole number from 0, not -1."),
        ({"max_retry": 1.0}, "max_retry must be a whole number from 0, not 1.0."),
        ({"max_retry": True}, "max_retry must be a whole number from 0, not True."),
        ({"max_retry": 10**9}, "max_retry must be a whole number from 0, not 1000000000."),
        ({"timeout": 0}, "timeout must be a number of seconds from 0.001, not 0."),
        ({"timeout": "soon"}, "timeout must be a number of seconds from 0.001, not 'soon'."),
        ({"timeout": timedelta(0)}, "timeout must be a number of seconds from 0.001, not datetime"),
        ({"timeout": float("nan")}, "timeout must be a number of seconds from 0.001, not nan."),
        ({"delay": -1}, "delay must be a number of seconds from 0, not -1."),
        ({"delay": pd.NaT}, "delay must be a number of seconds from 0, not NaT."),
        ({"delay": 10**400}, "delay must be a number of seconds from 0, not 1000"),
        ({"unique_ttl": [1]}, "unique_ttl must be a number of seconds from 0, not [1]."),
        ({"store": "no"}, "store must be True or False, not 'no'."),
        ({"store": 1}, "store must be True or False, not 1."),
        ({"result_ttl": 0}, "result_ttl must be a number of seconds from 1, not 0."),
        ({"at": "18:30"}, "at must be a datetime, not '18:30'."),
        ({"at": date(2030, 1, 1)}, "at must be a datetime, not datetime.date(2030, 1, 1)."),
        ({"at": pd.NaT}, "at must be a moment that has a unix time, not NaT."),
        ({"at": datetime.min}, "at must be a moment that has a unix time, not 0001"),  # noqa: DTZ901
        ({"at": pd.NaT, "delay": 1}, "Give either delay or at, not both."),
        ({"id": "x"}, "id names one task; enqueue_many makes the ids itself."),
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_told_in_a_sentence(
    options: dict[str, object], told: str
) -> None:
    said = refusal(**options)

    assert said.startswith(told)
    assert "\n" not in said
    assert len(said) < 200


def test_an_unknown_option_is_told_with_the_nearest_one() -> None:
    assert refusal(max_retries=3) == (
        "enqueue has no option 'max_retries'; it has type, max_retry, timeout, store, result_ttl, "
        "unique, unique_ttl, delay, at, webhook, deliver_to. Did you mean 'max_retry'?"
    )


def test_none_means_that_nothing_is_said() -> None:
    names = ("type", "max_retry", "timeout", "store", "unique", "unique_ttl", "delay", "at")
    more = ("webhook", "deliver_to", "result_ttl")

    assert TaskOptions.of(dict.fromkeys([*names, *more])) == TaskOptions()


# --- when -------------------------------------------------------------------------------------


def test_by_default_a_task_is_due_now() -> None:
    assert TaskOptions.of({}).due == "0"


@pytest.mark.parametrize(
    "delay", [90, 90.0, "90", "1m30s", timedelta(seconds=90), np.int64(90), pd.Timedelta("90s")]
)
def test_a_delay_counts_from_now(delay: object) -> None:
    assert TaskOptions.of({"delay": delay}).due == "+90.000"


@pytest.mark.parametrize(
    "at",
    [
        datetime(2030, 1, 1, tzinfo=timezone.utc),
        datetime(2030, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
        pd.Timestamp("2030-01-01", tz="UTC"),
        pd.Timestamp("2030-01-01 00:00:00.000000001", tz="UTC"),
    ],
)
def test_an_aware_moment_is_the_same_everywhere(at: datetime) -> None:
    assert TaskOptions.of({"at": at}).due == "1893456000.000"


@pytest.mark.parametrize("kind", [datetime, pd.Timestamp])
def test_a_naive_moment_is_local_time(kind: Any) -> None:
    local = datetime(2030, 1, 1, 12, 30)  # noqa: DTZ001

    due = TaskOptions.of({"at": kind(2030, 1, 1, 12, 30)}).due

    assert due == f"{local.timestamp():.3f}"


# --- ids --------------------------------------------------------------------------------------


def test_an_id_of_ones_own_is_kept() -> None:
    assert TaskOptions().id_for("q", b"{}", "order 4711/ü") == "order 4711/ü"


@pytest.mark.parametrize("given", ["", "a\nb", "\udc80", "ü" * 257, "x" * 513, 7, b"x", "a\0"])
def test_an_id_that_redis_or_people_could_not_read_is_refused(given: Any) -> None:
    with pytest.raises(UsageError, match="A task id is 1 to 512 bytes of printable text, not "):
        TaskOptions().id_for("q", b"{}", given)


def test_without_a_word_each_task_gets_an_id_of_its_own() -> None:
    made = {id_of() for _ in range(100)}

    assert len(made) == 100
    assert all(uuid.UUID(one).version == 4 for one in made)


def test_unique_ids_are_the_same_in_every_process() -> None:
    """Written down, because a kernel that is restarted must come to the same id."""
    assert id_of(unique=True) == "f1a558b1-2049-5d0a-bdce-4310459d9dad"
    assert id_of(unique="order-1") == "48836b4c-5dba-5dae-be7d-8c43cfe58988"


def test_unique_ids_depend_on_queue_and_payload() -> None:
    one = id_of(unique=True)

    assert one == id_of(unique=True)
    assert one != id_of(b'{"a": 2}', unique=True)
    assert one != id_of(queue="other", unique=True)


def test_the_order_of_a_payloads_keys_does_not_count() -> None:
    one = id_of(b'{"a":1,"b":{"c":[1,2],"d":3}}', unique=True)

    assert one == id_of(b'{"b":{"d":3,"c":[1,2]},"a":1}', unique=True)
    assert one != id_of(b'{"b":{"d":3,"c":[2,1]},"a":1}', unique=True)


def test_a_key_takes_the_place_of_the_payload() -> None:
    one = id_of(b'{"a": 1}', unique="order-1")

    assert one == id_of(b'{"a": 2}', unique="order-1")
    assert one != id_of(unique="order-2")
    assert id_of(unique={"x": 1, "y": 2}) == id_of(unique={"y": 2, "x": 1})


def test_a_key_is_never_mistaken_for_a_payload() -> None:
    assert id_of(b'{"a":1}', unique=True) != id_of(unique={"a": 1})


@pytest.mark.parametrize("no", [False, None, np.False_])
def test_not_unique_is_not_unique(no: object) -> None:
    assert id_of(unique=no) != id_of(unique=no)
    assert TaskOptions.of({"unique": no}).unique_age(Settings()) is None


def test_numpys_true_is_true() -> None:
    assert id_of(unique=np.True_) == id_of(unique=True)


@pytest.mark.parametrize("key", ["", 0, 1, 1.5, [], "true", ["a", 1]])
def test_any_json_value_can_be_a_key(key: object) -> None:
    assert id_of(b"{}", unique=key) == id_of(b'{"a": 1}', unique=key)


def test_a_key_that_is_not_json_is_refused() -> None:
    with pytest.raises(PayloadError, match="unique: object is not JSON"):
        TaskOptions.of({"unique": object()})


def test_a_finished_task_is_given_back_for_as_long_as_is_said() -> None:
    settings = Settings(unique_ttl=60)

    assert TaskOptions.of({"unique": True}).unique_age(settings) == 60
    assert TaskOptions.of({"unique": True, "unique_ttl": 0}).unique_age(settings) == 0
    assert TaskOptions.of({"unique": "k", "unique_ttl": "2m"}).unique_age(settings) == 120


# --- hash fields ------------------------------------------------------------------------------


def fields(handler: Handler | None = None, **options: object) -> dict[str, str]:
    return TaskOptions.of(options).fields(handler, Settings(max_retry=7))


def test_a_task_that_says_nothing_leaves_the_rest_to_the_worker() -> None:
    assert fields() == {"type": "task", "retry": "0", "max_retry": "7"}


def test_the_task_goes_before_its_handler_and_that_before_the_setting() -> None:
    handler = Handler(len, max_retry=5, timeout=30.0)

    assert fields(handler)["max_retry"] == "5"
    assert fields(handler)["timeout"] == "30"
    assert fields(handler, max_retry=0, timeout=2) == {
        "type": "task",
        "retry": "0",
        "max_retry": "0",
        "timeout": "2",
    }


@pytest.mark.parametrize(
    ("timeout", "text"),
    [(30, "30"), (0.001, "0.001"), (1234567.5, "1234567.5"), (timedelta(minutes=10), "600"),
     (100, "100"), ("1h", "3600"), (np.float32(0.5), "0.5")],
)  # fmt: skip
def test_a_time_limit_is_written_as_decimal_text(timeout: object, text: str) -> None:
    assert fields(timeout=timeout)["timeout"] == text


def test_numpys_numbers_are_numbers() -> None:
    assert fields(max_retry=np.int64(2))["max_retry"] == "2"


def test_storage_is_written_only_where_it_was_said() -> None:
    assert "store" not in fields()
    assert fields(store=True)["store"] == "1"
    assert fields(store=np.False_)["store"] == "0"


def test_the_life_of_a_stored_result_is_written_only_where_it_was_said() -> None:
    assert "result_ttl" not in fields()
    assert fields(result_ttl="1h30m")["result_ttl"] == "5400"


def test_new_ids_are_different_random_uuids() -> None:
    ids = new_ids(1_000)

    assert len(set(ids)) == 1_000
    for task_id in ids:
        parsed = uuid.UUID(task_id)
        assert (str(parsed), parsed.version, parsed.variant) == (task_id, 4, uuid.RFC_4122)
    assert {task_id[19] for task_id in ids} == set("89ab")
    assert new_ids(0) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_the_child_of_a_fork_makes_other_ids_than_its_parent() -> None:
    new_id()  # and some that are kept ready
    theirs, ours = os.pipe()

    child = os.fork()
    if not child:
        try:
            os.write(ours, new_id().encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    told = os.read(theirs, 100).decode()
    os.close(theirs)
    os.close(ours)

    assert len(told) == 36
    assert told not in [new_id() for _ in range(100)]
