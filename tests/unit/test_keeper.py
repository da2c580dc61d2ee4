"""The keeper: chores by their intervals, one tick at a time."""

from __future__ import annotations

import threading

from runqy_notebook.errors import ConnectionFailedError
from runqy_notebook.worker.keeper import REST, Chore, Keeper
from runqy_notebook.worker.outage import Outage

AWAY = ConnectionFailedError("here", "nobody listens", "Start it.")


class Chores:
    """Chores that note when they were done; those named `broken` raise."""

    def __init__(self, **intervals: float) -> None:
        self.done: list[str] = []
        self.broken: dict[str, BaseException] = {}
        self.outage = Outage(lambda text: None)
        self.faults: list[BaseException] = []
        chores = [Chore(name, every, self.chore(name)) for name, every in intervals.items()]
        self.keeper = Keeper(chores, self.outage, self.faults.append)

    def chore(self, name: str):  # type: ignore[no-untyped-def]
        def act(now: float) -> None:
            self.done.append(name)
            if name in self.broken:
                raise self.broken[name]

        return act

    def at(self, now: float) -> list[str]:
        self.done.clear()
        self.keeper.tick(now)
        return list(self.done)


def test_each_chore_has_its_own_interval() -> None:
    chores = Chores(often=1.0, seldom=5.0)

    assert chores.at(100.0) == ["often", "seldom"]
    assert chores.at(100.5) == []
    assert chores.at(101.0) == ["often"]
    assert chores.at(105.0) == ["often", "seldom"]


def test_a_fault_is_told_and_the_others_go_on() -> None:
    chores = Chores(bad=1.0, good=1.0)
    chores.broken["bad"] = ValueError("a bug")

    assert chores.at(100.0) == ["bad", "good"]
    assert chores.faults == [chores.broken["bad"]]
    assert not chores.outage.is_on


def test_while_redis_is_away_one_chore_a_second_is_tried() -> None:
    chores = Chores(one=0.25, two=0.25, three=0.25)
    for name in ("one", "two", "three"):
        chores.broken[name] = AWAY

    tried = [chores.at(100.0 + tick / 4) for tick in range(13)]

    assert sum(map(len, tried)) == 1 + 3 / REST
    assert chores.outage.is_on


def test_a_chore_that_always_fails_keeps_no_other_from_its_turn() -> None:
    chores = Chores(bad=0.25, good=2.0, better=5.0)
    chores.broken["bad"] = AWAY
    done = [name for tick in range(80) for name in chores.at(100.0 + tick / 4)]

    assert done.count("good") >= 7
    assert done.count("better") >= 3


def test_what_comes_after_another_waits_for_it_where_both_are_due() -> None:
    done: list[str] = []
    first = Chore("first", 2.0, lambda now: done.append("first"))
    second = Chore("second", 1.5, lambda now: done.append("second"), after=first)
    keeper = Keeper([second, first], Outage(lambda text: None), lambda error: None)

    keeper.tick(100.0)
    assert done == ["first", "second"]
    keeper.tick(101.5)
    assert done[2:] == ["second"]  # the first is not due
    first.due_at, second.due_at = 104.0, 103.0
    keeper.tick(105.0)

    assert done[3:] == ["first", "second"]


def test_what_always_fails_and_is_seldom_due_leaves_what_comes_after_it_its_turn() -> None:
    chores = Chores(bad=5.0, good=0.5)
    chores.broken["bad"] = AWAY
    bad, good = chores.keeper._chores
    good.after = bad

    done = [name for tick in range(80) for name in chores.at(100.0 + tick / 4)]

    assert done.count("good") >= 20
    assert done.count("bad") == 4


def test_the_end_of_the_failures_is_the_end_of_the_outage() -> None:
    chores = Chores(one=1.0)
    chores.broken["one"] = AWAY
    chores.at(100.0)
    assert chores.outage.is_on

    chores.broken.clear()
    chores.at(101.0)
    assert not chores.outage.is_on


def test_it_can_be_stopped_before_it_started_and_from_its_own_thread() -> None:
    assert Chores().keeper.stop(0)

    stopped = threading.Event()
    keeper: Keeper

    def stop(now: float) -> None:
        keeper.stop(0)
        stopped.set()

    keeper = Keeper([Chore("stop", 0.0, stop)], Outage(lambda text: None), lambda error: None)
    keeper.start()
    assert stopped.wait(5)
