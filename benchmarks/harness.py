"""Contenders take turns in rounds, so that a slow minute of the machine is everybody's."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import redis

from benchmarks.peers import Peer
from benchmarks.program import MARK
from benchmarks.servers import url_of

ROOT = Path(__file__).parents[1]
PATIENCE = 1_800.0  # seconds until a silent process fails its measure

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

    def size(self, full: int, quick: int) -> int:
        """So many tasks."""
        return quick if self.is_quick else full

    def call(
        self, module: str, function: str, python: Path | None = None, **arguments: object
    ) -> Any:
        """What a function gives that runs in a process of its own, on an empty server."""
        self.client.flushall()
        return self.call_as_is(module, function, python, **arguments)

    def call_as_is(
        self, module: str, function: str, python: Path | None = None, **arguments: object
    ) -> Any:
        """The same, on the server as it is."""
        command = [str(python or sys.executable), "-m", "benchmarks.program", module, function]
        done = subprocess.run(
            [*command, json.dumps({"url": self.url, **arguments})],
            capture_output=True,
            text=True,
            env=environment(),
            cwd=ROOT,
            timeout=PATIENCE,
        )
        told = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
        if done.returncode or not told:
            raise SystemExit(f"{module}.{function} failed:\n{done.stdout}{done.stderr}")
        return json.loads(told[-1].removeprefix(MARK))

    def interleaved(self, contenders: Mapping[str, Callable[[], Figures]]) -> Samples:
        """Every contender once a round, each round beginning with another one."""
        names = list(contenders)
        samples: Samples = {name: [] for name in names}
        for number in range(self.rounds):
            shift = number % len(names)
            for name in names[shift:] + names[:shift]:
                gc.collect()
                samples[name].append(contenders[name]())
        return samples


def environment(**more: str) -> dict[str, str]:
    """This process's, without Redis settings, with this source tree first."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RUNQY_", "REDIS_"))}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


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


def rates(tasks: int, took: float | Mapping[str, float]) -> Figures:
    """A run of so many tasks as tasks a second and, where it was clocked, microseconds of the
    client's processor a task.
    """
    if isinstance(took, Mapping):
        return {"rate": tasks / took["seconds"], "cpu": took["cpu"] / tasks * 1e6}
    return {"rate": tasks / took}


def processor(measure: str, contender: str, samples: Samples, against: str = "raw") -> Row:
    """The client's processor time a task."""
    title = f"{measure}, client's processor"
    return row(title, contender, samples, "cpu", "us/task", against=against)


def quantile(values: Sequence[float], part: float) -> float:
    """The value that `part` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
