"""Redis is away: who is told what, and who may try when."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import pytest

from runqy_notebook.errors import ConnectionFailedError
from runqy_notebook.worker import outage as outage_module
from runqy_notebook.worker.outage import SPACING, Outage

REFUSED = ConnectionFailedError("here", "nobody listens", "Start it.")
READ_ONLY = ConnectionFailedError("here", "read-only", "Ask the master.", is_refusal=True)
ABSENT = ConnectionFailedError("here", "nobody listens", "Start it.", is_away=True)
LOCKED = ConnectionFailedError("here", "the password is wrong", "Change it.")


@pytest.fixture
def notices(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(outage_module, "_SILENT_FOR", 0.0)
    return []


def test_each_cause_is_told_once_and_the_end_too(notices: list[str]) -> None:
    outage = Outage(notices.append)

    for error in (REFUSED, REFUSED, LOCKED, REFUSED, LOCKED):
        outage.failed(error)
    assert outage.is_on
    outage.succeeded()
    outage.succeeded()

    assert not outage.is_on
    assert notices == [
        "here: nobody listens. Start it. The worker keeps trying.",
        "here: the password is wrong. Change it. The worker keeps trying.",
        "Redis answers again; the worker goes on.",
    ]


def test_the_next_outage_is_told_again(notices: list[str]) -> None:
    outage = Outage(notices.append)

    for _ in range(2):
        outage.failed(REFUSED)
        outage.succeeded()

    assert len(notices) == 4


def test_a_connection_that_is_replaced_at_once_is_nobodys_concern() -> None:
    notices: list[str] = []
    outage = Outage(notices.append)

    outage.failed(REFUSED)
    outage.succeeded()

    assert notices == []


def test_a_success_elsewhere_does_not_end_what_still_fails(notices: list[str]) -> None:
    outage = Outage(notices.append)

    for _ in range(5):
        outage.failed(LOCKED, "sweeping")
        outage.succeeded()
        outage.succeeded("the heartbeat")

    assert outage.is_on
    assert len(notices) == 1
    outage.succeeded("sweeping")
    assert not outage.is_on


def test_whoever_failed_for_the_same_cause_is_well_again_too(notices: list[str]) -> None:
    outage = Outage(notices.append)
    outage.failed(REFUSED)
    outage.failed(REFUSED, "sweeping")

    outage.succeeded()

    assert not outage.is_on


def test_after_a_refusal_it_is_over_only_when_something_was_written(notices: list[str]) -> None:
    outage = Outage(notices.append)
    for _ in range(5):
        outage.failed(READ_ONLY, "sweeping")
        outage.succeeded()
        outage.succeeded("sweeping")
        assert outage.is_on
    assert len(notices) == 1

    outage.succeeded(has_written=True)

    assert not outage.is_on
    assert notices[1:] == ["Redis answers again; the worker goes on."]


def test_threads_take_turns_and_all_go_on_at_once_when_it_is_over(notices: list[str]) -> None:
    outage = Outage(notices.append)
    outage.failed(REFUSED)
    turns: list[float] = []

    def try_again() -> None:
        outage.hold_off()
        turns.append(time.monotonic())

    began = time.monotonic()
    threads = [threading.Thread(target=try_again) for _ in range(50)]
    for thread in threads:
        thread.start()
    while len(turns) < 2:
        time.sleep(0.01)
    assert turns[0] - began >= SPACING / 2
    assert turns[1] - began >= SPACING * 3 / 2  # whichever of the two was late to note its turn
    outage.succeeded()
    for thread in threads:
        thread.join()

    assert time.monotonic() - began < 5


def test_a_server_that_nobody_finds_is_looked_for_soon_and_then_ever_more_seldom(
    notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outage = Outage(notices.append)
    turns: list[float] = []
    monkeypatch.setattr(outage_module.time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(
        threading.Condition, "wait_for", lambda self, predicate, timeout: turns.append(timeout)
    )

    outage.failed(ABSENT)
    for _ in range(20):
        outage.hold_off()

    spacings = [later - sooner for sooner, later in pairwise([0.0, *turns])]
    assert spacings == sorted(spacings)
    assert spacings[0] <= SPACING / 4 + 1e-9
    assert spacings[-1] == pytest.approx(SPACING)
    outage.failed(LOCKED)
    outage.hold_off()
    assert turns[-1] - turns[-2] == pytest.approx(SPACING)


def test_closing_ends_all_holding_off(notices: list[str]) -> None:
    outage = Outage(notices.append)
    outage.failed(REFUSED)
    outage.close()
    began = time.monotonic()

    for _ in range(50):
        outage.hold_off()

    assert time.monotonic() - began < 50 * SPACING / 2
