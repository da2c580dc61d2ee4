"""Worker processes: started, killed, replaced, and always ended by their handle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos.driver import NOTICE
from tests.chaos.journal import VARIABLE, Journal
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
STARTS_WITHIN = 15.0  # seconds, on a machine that has much else to do


class Orders(NamedTuple):
    """How a worker process is started."""

    url: str
    env: dict[str, str]
    flags: tuple[str, ...]  # of driver.py
    release: Path  # the folder with the package and the driver


class WorkerProcess:
    """One process with one worker in it."""

    def __init__(self, journal: Journal, log: Path, orders: Orders) -> None:
        self.log = log
        self._journal = journal
        told = {VARIABLE: str(journal.path)}
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.driver", orders.url, *orders.flags],
                cwd=orders.release,
                env={**os.environ, "PYTHONPATH": str(orders.release), **told, **orders.env},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        self.pid = self._process.pid

    @property
    def is_ready(self) -> bool:
        """Whether its worker serves."""
        return any(event.pid == self.pid for event in self._journal.of("ready"))

    @property
    def is_dead(self) -> bool:
        return self._process.poll() is not None

    @property
    def notices(self) -> list[str]:
        """What its worker told a person, a line each."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return [line.removeprefix(NOTICE) for line in text.splitlines() if line.startswith(NOTICE)]

    @property
    def last_words(self) -> str:
        """The last line it wrote to stderr."""
        return self.log.read_text(encoding="utf-8", errors="replace").rstrip().rpartition("\n")[2]

    @property
    def guardian(self) -> int | None:
        """The pid of its guardian, where there is one."""
        for pid in children(self.pid):
            if b"guardian" in _read(Path(f"/proc/{pid}/cmdline")):
                return pid
        return None

    def kill(self, *, with_guardian: bool = False) -> float:
        """kill -9, with all its threads; the monotonic time of it."""
        guardian = self.guardian if with_guardian else None
        if guardian is not None:
            os.kill(guardian, signal.SIGKILL)
        self._process.kill()
        killed_at = time.monotonic()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        return killed_at


class Fleet:
    """The worker processes of a test."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "journal")
        self.workers: list[WorkerProcess] = []
        self._started: list[WorkerProcess] = []
        self._orders: dict[WorkerProcess, Orders] = {}
        self._folder = folder

    @property
    def faults(self) -> set[str]:
        """What any of the workers said about errors that it did not expect."""
        told = (text for worker in self._started for text in worker.notices)
        return {text for text in told if "went wrong" in text}

    def launch(
        self,
        url: str,
        *,
        env: dict[str, str] | None = None,
        release: Path = ROOT,
        **options: float,
    ) -> WorkerProcess:
        """Starts a worker process with these options of driver.py; it takes a moment to serve."""
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        return self._launch(Orders(url, env or {}, tuple(flags), release))

    def start(self, url: str, *, count: int = 1, **options: Any) -> list[WorkerProcess]:
        """Starts worker processes as `launch` does and waits until all of them serve."""
        fresh = [self.launch(url, **options) for _ in range(count)]
        for worker in fresh:
            self.wait_ready(worker)
        return fresh

    def wait_ready(self, worker: WorkerProcess) -> None:
        """Returns once it serves; fails at once if it died instead."""
        wait_until(lambda: worker.is_ready or worker.is_dead, f"see {worker.log}", STARTS_WITHIN)
        assert worker.is_ready, f"it did not start: {worker.last_words}"

    def replace(self, worker: WorkerProcess) -> WorkerProcess:
        """Another process in the place of one that died, with the same options."""
        self.workers.remove(worker)
        return self._launch(self._orders[worker])

    def revive(self) -> int:
        """Replaces those that died by themselves; how many."""
        dead = [worker for worker in self.workers if worker.is_dead]
        for worker in dead:
            self.replace(worker)
        return len(dead)

    def close(self) -> None:
        """Ends all that was ever started here, the children that outlive a worker included."""
        for worker in self._started:
            worker.kill()
        for pid in _processes_of(self.journal):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _launch(self, orders: Orders) -> WorkerProcess:
        log = self._folder / f"worker-{len(self._started)}.log"
        worker = WorkerProcess(self.journal, log, orders)
        self.workers.append(worker)
        self._started.append(worker)
        self._orders[worker] = orders
        return worker


def children(pid: int) -> list[int]:
    """The pids of a process's children."""
    found: list[int] = []
    for entry in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, entry.read_text().split())
        except OSError:  # the thread ended
            continue
    return found


def _processes_of(journal: Journal) -> list[int]:
    """The pids of the processes that write to this journal, by their environment."""
    mark = f"{VARIABLE}={journal.path}\0".encode()
    return [
        int(folder.name)
        for folder in Path("/proc").glob("[0-9]*")
        if int(folder.name) != os.getpid() and mark in _read(folder / "environ")
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the process ended, or is another user's
        return b""
