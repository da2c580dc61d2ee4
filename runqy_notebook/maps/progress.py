"""How far a map is, and who shows it: a notebook's bar where there is one, else a line of text."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol, TextIO

from runqy_notebook.errors import tell
from runqy_notebook.looking import spelled

_WINDOW: Final = 10.0  # seconds over which the pace is measured
_SAMPLE: Final = 0.25  # seconds between two measurements
_REPAINT: Final = 0.1  # seconds


class Stage(Enum):
    """What a map is at."""

    READING = "reading"  # its rows, to see whether they can be sent
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"  # by an interrupt or an error; what was sent goes on


@dataclass
class Progress:
    """The figures of one map. `found` of the rows that are `done` were done before it began, and
    `failed` of them failed.
    """

    queue: str
    total: int
    keep: float = 0.0  # seconds for which results stay
    stage: Stage = Stage.READING
    n_read: int = 0
    done: int = 0
    found: int = 0
    failed: int = 0
    in_flight: int = 0
    remark: str = ""
    began_at: float = field(default_factory=time.monotonic)
    ended_at: float | None = None
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def is_over(self) -> bool:
        return self.stage in (Stage.DONE, Stage.STOPPED)

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return (self.ended_at or time.monotonic()) - self.began_at

    @property
    def rate(self) -> float:
        """Rows a second lately, at the end on the whole; 0: not known yet."""
        new = self.done - self.found
        if self.is_over:
            return new / max(self.seconds, 0.001)
        if not self._samples:
            return 0.0
        since, before = self._samples[0]
        return max(0.0, (new - before) / max(0.5, time.monotonic() - since))

    @property
    def left(self) -> float:
        """How many seconds the rest takes at that rate; 0: not known."""
        return (self.total - self.done) / self.rate if self.rate else 0.0

    def measure(self) -> None:
        """Notes the pace; called now and then."""
        now = time.monotonic()
        if not self._samples or now - self._samples[-1][0] >= _SAMPLE:
            self._samples.append((now, self.done - self.found))
            while now - self._samples[0][0] > _WINDOW:
                self._samples.popleft()

    def end(self, stage: Stage, remark: str = "") -> None:
        """It goes no further."""
        self.stage, self.remark, self.ended_at = stage, remark, time.monotonic()


class Bar(Protocol):
    """Shows a map's progress."""

    def show(self) -> None:
        """The figures may have changed; the last call finds the map over."""


class NoBar:
    """Shows nothing; but that nobody serves the queue is told all the same, once."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._has_told = False

    def show(self) -> None:
        if self._progress.remark and not self._progress.is_over and not self._has_told:
            self._has_told = True
            tell(self._progress.remark)


class TextBar:
    """A line on standard error, written over and over; where that goes to a file, only its last
    state and what a person should know.
    """

    def __init__(self, progress: Progress, stream: TextIO | None = None) -> None:
        self._progress = progress
        self._stream = sys.stderr if stream is None else stream
        is_kernel = type(self._stream).__module__.startswith("ipykernel")
        self._is_live = is_kernel or self._stream.isatty()
        self._next = 0.0
        self._width = 0
        self._remark = ""

    def show(self) -> None:
        now, is_over = time.monotonic(), self._progress.is_over
        if self._progress.remark != self._remark and not is_over:
            self._remark = self._progress.remark
            if self._remark:
                self._write(f"\r{self._remark:{self._width}}\n" if self._is_live else self._remark)
        if is_over or (self._is_live and now >= self._next):
            self._next = now + _REPAINT
            text = line(self._progress)
            self._write(f"\r{text:{self._width}}" if self._is_live else text, ends=is_over)
            self._width = len(text)

    def _write(self, text: str, *, ends: bool = False) -> None:
        self._stream.write(text + "\n" * (ends or not self._is_live))
        self._stream.flush()


def line(progress: Progress) -> str:
    """The figures in one line."""
    if progress.stage is Stage.READING:
        return f"{progress.queue}: {progress.n_read:,} of {progress.total:,} rows read"
    parts = [f"{progress.done:,} of {progress.total:,} rows"]
    parts += [f"{progress.failed:,} failed"] if progress.failed else []
    parts += [f"{progress.found:,} from an earlier run"] if progress.found else []
    parts += [f"{progress.rate:,.0f} rows/s"] if progress.rate else []
    if progress.is_over:
        parts.append(f"in {progress.seconds:.1f} s")
    elif progress.left:
        parts.append(f"about {spelled(progress.left)} left")
    return f"{progress.queue}: {', '.join(parts)}"


MakeBar = Callable[[Progress], Bar]
_make: MakeBar = TextBar


def show_with(make: MakeBar | None) -> None:
    """How maps show their progress from now on; None: as text."""
    global _make
    _make = make or TextBar


def bar_of(progress: Progress, *, is_shown: bool) -> Bar:
    """What shows it."""
    return _make(progress) if is_shown else NoBar(progress)
