"""Receipts: kept within bounds, told of in order, counted exactly, listed as a DataFrame."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timezone

import pandas as pd
import pytest

from runqy_notebook import frames
from runqy_notebook.echo.announcing import Announcer
from runqy_notebook.echo.receipts import Receipt, Receipts, Verdict
from runqy_notebook.errors import UsageError
from tests.waiting import wait_until

NOW = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=timezone.utc)


def receipt(number: int = 1, body: bytes = b'{"n": 1}', task_id: str | None = "t1") -> Receipt:
    headers = {"Content-Type": "application/json"}
    return Receipt(
        f"w{number}", NOW, task_id, "POST", "/", headers, body, Verdict.UNSIGNED, "127.0.0.1", 1.5
    )


def ids(receipts: Receipts) -> list[str]:
    return [one.id for one in receipts.newest()]


def test_the_newest_are_kept() -> None:
    receipts = Receipts(most=3)

    for number in range(1, 6):
        receipts.add(receipt(number))

    assert ids(receipts) == ["w5", "w4", "w3"]
    assert receipts.arrived == 5
    assert [one.id for one in receipts.newest(1)] == ["w5"]
    assert receipts.get("w4").id == "w4"
    with pytest.raises(UsageError, match="There is no receipt 'w1'"):
        receipts.get("w1")


def test_large_bodies_leave_room_for_fewer() -> None:
    receipts = Receipts(most_bytes=100)

    for number in range(1, 6):
        receipts.add(receipt(number, b'"' + b"x" * 38 + b'"'))
    receipts.add(receipt(6, b'"' + b"x" * 200 + b'"'))

    assert ids(receipts) == ["w6"]  # the newest stays, however large
    receipts.add(receipt(7))
    assert ids(receipts) == ["w7"]


def test_what_listeners_are_too_slow_for_is_counted_exactly() -> None:
    receipts = Receipts(most=10)
    told: list[str] = []
    may_go_on, is_busy = threading.Event(), threading.Event()

    def slow(one: Receipt) -> None:
        told.append(one.id)
        is_busy.set()
        assert may_go_on.wait(30)

    announcer = Announcer(receipts, lambda text: None)
    announcer.listen(slow)
    announcer.start()
    receipts.add(receipt(1))
    assert is_busy.wait(30)
    for number in range(2, 101):
        receipts.add(receipt(number))
    may_go_on.set()
    wait_until(lambda: announcer.told + announcer.dropped == 100, "not all were accounted for")
    announcer.stop()

    assert told == ["w1", *(f"w{number}" for number in range(91, 101))]
    assert (announcer.told, announcer.dropped) == (11, 89)


def test_a_listener_that_fails_is_told_of_and_keeps_nobody_from_the_rest() -> None:
    receipts, notices, heard = Receipts(), list[str](), list[str]()
    announcer = Announcer(receipts, notices.append)
    announcer.listen(lambda one: print(1 / 0))
    announcer.listen(lambda one: heard.append(one.id))
    announcer.start()

    for number in (1, 2):
        receipts.add(receipt(number))
    wait_until(lambda: len(heard) == 2, "the other listener heard nothing")
    announcer.stop()

    assert notices[0] == "A listener for webhooks failed at receipt w1: " + (
        "ZeroDivisionError: division by zero"
    )


def test_a_listener_may_stop_it_all() -> None:
    receipts, ended = Receipts(), threading.Event()
    announcer = Announcer(receipts, lambda text: None)

    def stop(one: Receipt) -> None:
        announcer.stop()
        ended.set()

    announcer.listen(stop)
    announcer.start()
    receipts.add(receipt())

    assert ended.wait(3)


def test_text_is_indented_and_harmless() -> None:
    shown = receipt(body=json.dumps({"a": ["\x1b[31m\u202e", "é"]}).encode()).text()

    assert shown.splitlines() == ["{", '  "a": [', '    "\\u001b[31m",', '    "é"', "  ]", "}"]


@pytest.mark.parametrize(
    "body",
    [
        b'"' + b"x" * 1_000_000 + b'"',
        b"[" * 300 + b"1," * 300_000 + b"1" + b"]" * 300,  # 360 MB if it were all indented
        b"[1" + b",1" * 100_000 + b"]",
    ],
)
def test_text_is_capped_whatever_it_would_be(body: bytes) -> None:
    shown = receipt(body=body).text(1_000)

    assert len(shown) == 1_000
    assert shown.endswith("…")


def test_echoes_have_the_same_columns_with_and_without_rows() -> None:
    none = frames.echoes([])
    some = frames.echoes([receipt(2), receipt(1, b"[null]", task_id=None)])

    assert list(some.columns) == list(frames.ECHO_DTYPES)
    assert [str(dtype) for dtype in some.dtypes] == list(frames.ECHO_DTYPES.values())
    pd.testing.assert_series_equal(none.dtypes, some.dtypes)
    assert none.index.name == some.index.name == "id"
    assert list(some.index) == ["w2", "w1"]
    assert some.loc["w2"].to_dict() == {
        "received_at": pd.Timestamp(NOW),
        "task_id": "t1",
        "method": "POST",
        "path": "/",
        "headers": {"Content-Type": "application/json"},
        "body": {"n": 1},
        "verdict": "unsigned",
        "source": "127.0.0.1",
        "latency_ms": 1.5,
    }
    assert some.loc["w1", "body"] == [None]
    assert some.loc["w1", "task_id"] is None
