"""Contenders take turns in rounds, so that a slow minute of the machine is everybody's."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import redis

from benchmarks.contender import Contender
from benchmarks.peers import Peer
from benchmarks.servers import url_of

Figures = Mapping[str, float]
Samples = dict[str, list[Figures]]
"""What each contender gave, round by round."""


@dataclass(frozen=True)
class Goal:
    """A bound on the ratio, or on the value itself; `words` say it in the table."""

    words: str
    at_least: float | None = None
    at_most: float | None = None
    of: str = "ratio"  # or "value"

    def is_met(self, value: float, ratio: float | None) -> bool | None:
        told = ratio if self.of == "ratio" else value
        if told is None:
            return None
        return (self.at_least is None or told >= self.at_least) and (
            self.at_most is None or told <= self.at_most
        )


@dataclass(frozen=True)
class Row:
    """One line of the table. `low` and `high` are over the rounds, like the median `value`."""

    measure: str
    contender: str
    value: float
    low: float
    high: float
    unit: str
    ratio: float | None = None  # the median of the rounds' ratios
    against: str = "raw"
    goal: str = ""
    is_met: bool | None = None


@dataclass
class Bench:
    """What measures need: the server, how much to do, the peers."""

    client: redis.Redis
    is_quick: bool
    rounds: int
    peers: Mapping[Peer, Path] = field(default_factory=dict)
    tasks: int | None = None  # for the memory measure, where the usual number is not wanted

    @property
    def url(self) -> str:
        return url_of(self.client)

    @property
    def turns(self) -> int:
        """How often two contenders take turns in `duel`."""
        return self.rounds * 5

    def size(self, full: int, quick: int) -> int:
        """So many tasks."""
        return quick if self.is_quick else full

    def call(
        self, module: str, function: str, python: Path | None = None, **arguments: object
    ) -> Any:
        """What a contender gives in a process of its own, on an empty server."""
        self.client.flushall()
        return self.call_as_is(module, function, python, **arguments)

    def call_as_is(
        self, module: str, function: str, python: Path | None = None, **arguments: object
    ) -> Any:
        """The same, on the server as it is."""
        with Contender(module, function, python, url=self.url, **arguments) as contender:
            return contender.turn()

    def duel(self, module: str, calls: Mapping[str, tuple[str, Mapping[str, object]]]) -> Samples:
        """Generators of one module take short turns, each in a process and a database of its own;
        the first turn, to warm up, does not count.
        """
        self.client.flushall()
        with ExitStack() as stack:
            running = {
                name: stack.enter_context(
                    Contender(module, function, url=url_of(self.client, database), **arguments)
                )
                for database, (name, (function, arguments)) in enumerate(calls.items())
            }
            for contender in running.values():
                contender.turn()
            turns = {name: contender.turn for name, contender in running.items()}
            return self.interleaved(turns, self.turns)

    def interleaved(
        self, contenders: Mapping[str, Callable[[], Figures]], rounds: int | None = None
    ) -> Samples:
        """Every contender once a round, each round beginning with another one."""
        names = list(contenders)
        samples: Samples = {name: [] for name in names}
        for number in range(rounds or self.rounds):
            shift = number % len(names)
            for name in names[shift:] + names[:shift]:
                gc.collect()
                samples[name].append(contenders[name]())
        return samples


def row(
    measure: str,
    contender: str,
    samples: Samples,
    figure: str,
    unit: str,
    *,
    against: str | None = "raw",
    base: str | None = None,
    goal: Goal | None = None,
) -> Row:
    """A figure of one contender, with its ratio to the same (or `base`) figure of another."""
    values = [each[figure] for each in samples[contender]]
    ratio = None
    if against is not None and (against != contender or base):
        others = [each[base or figure] for each in samples[against]]
        ratio = median(ours / theirs for ours, theirs in zip(values, others, strict=True))
    value = median(values)
    return Row(
        measure,
        contender,
        value,
        min(values),
        max(values),
        unit,
        ratio,
        against or "",
        goal.words if goal else "",
        goal.is_met(value, ratio) if goal else None,
    )


def rates(tasks: int, seconds: float) -> Figures:
    """A run of so many tasks as tasks a second."""
    return {"rate": tasks / seconds}


def processor(measure: str, samples: Samples, contenders: Sequence[str]) -> list[Row]:
    """The processor time that a task costs its own process and the server."""
    return [
        row(f"{measure}, {side}'s processor", contender, samples, side, "us/task")
        for side in ("client", "server")
        for contender in contenders
    ]


def quantile(values: Sequence[float], part: float) -> float:
    """The value that `part` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
