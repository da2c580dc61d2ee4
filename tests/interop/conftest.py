"""Producers in four languages, PyPI's SDK packages, and programs that end with their test."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

import runqy_notebook
from tests.interop import foreign
from tests.interop.programs import found, missing, output
from tests.waiting import wait_until

HERE = Path(__file__).parent
GOPATH = Path("/usr/share/gocode")  # where Debian puts the sources of Go libraries
GO_LIBRARIES = ("gopkg.in/redis.v5", "github.com/google/uuid")
SDK_PACKAGES = ("runqy-task==0.1.0", "runqy-python==0.2.2")

Producer = Callable[..., str]
"""`produce(queue, payload, max_retry=3)` puts a task into a queue and gives its id."""


@pytest.fixture
def redis_cli(url: str) -> Callable[..., str]:
    """The real redis-cli, talking to the test's server; gives what it printed."""
    program = found("redis-cli")
    return lambda *words, given=None: output(program, "-u", url, *words, given=given)


@pytest.fixture(scope="session")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Node.js programs beside an installed ioredis."""
    found("node")
    npm = found("npm")
    folder = tmp_path_factory.mktemp("node") / "interop"
    shutil.copytree(HERE / "node", folder, ignore=shutil.ignore_patterns("node_modules"))
    try:
        output(npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", folder=folder)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        missing(f"npm could not install ioredis: {error}")
    return folder


@pytest.fixture(scope="session")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go producer, built.

    It stands on go-redis 5, which Debian packages (golang-gopkg-redis.v5-dev), in place of the
    document's go-redis 9, which only a module proxy has: the tests do with packages. What goes over
    the wire is the same, a multi-field HSET and an LPUSH; test_producers.py looks at it.
    """
    go = found("go")
    for library in GO_LIBRARIES:
        if not (GOPATH / "src" / library).is_dir():
            missing(f"there is no Go library {library} in {GOPATH}")
    folder = tmp_path_factory.mktemp("go")
    settings = {
        "GO111MODULE": "off",
        "GOPATH": str(GOPATH),
        "GOCACHE": str(folder / "cache"),
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    program = folder / "produce"
    output(go, "build", "-o", program, HERE / "go" / "produce.go", environ=settings)
    return program


@pytest.fixture(params=["redis-cli", "Python", "Node.js", "Go"])
def produce(request: pytest.FixtureRequest, url: str, redis: Redis) -> Producer:
    """A producer, once in each language."""
    if request.param == "redis-cli":
        return _redis_cli_producer(request.getfixturevalue("redis_cli"))
    if request.param == "Python":
        return lambda queue, payload, max_retry=3: foreign.put(redis, queue, payload, max_retry)
    if request.param == "Node.js":
        script = request.getfixturevalue("node_folder") / "produce.js"
        return _program_producer("node", script, url)
    return _program_producer(request.getfixturevalue("go_program"), url)


def _redis_cli_producer(redis_cli: Callable[..., str]) -> Producer:
    def produce(queue: str, payload: dict[str, Any], max_retry: int = 3) -> str:
        task_id = str(uuid.uuid4())
        words = ["type", "task", "payload", json.dumps(payload), "retry", "0"]
        words += ["max_retry", str(max_retry), "queue", queue]
        assert redis_cli("HSET", f"asynq:t:{task_id}", *words) == "5"
        assert redis_cli("LPUSH", f"asynq:{queue}:pending", task_id).isdigit()
        return task_id

    return produce


def _program_producer(*command: str | Path) -> Producer:
    def produce(queue: str, payload: dict[str, Any], max_retry: int = 3) -> str:
        return output(*command, queue, json.dumps(payload), str(max_retry))

    return produce


@pytest.fixture(scope="session")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with PyPI's runqy-task and runqy-python in it."""
    folder = tmp_path_factory.mktemp("sdk")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps")
    try:
        output(*pip, "--target", folder, *SDK_PACKAGES)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        missing(f"pip could not install {', '.join(SDK_PACKAGES)}: {error}")
    return folder


@dataclass(frozen=True)
class Program:
    """A Python program under way; what it says goes to `log`."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_for(self, words: str) -> None:
        """Returns once the program has said these words."""
        wait_until(
            lambda: words in self.said or self.process.poll() is not None,
            f"{words!r} was not said",
        )
        assert words in self.said, self.said

    def end(self, number: signal.Signals) -> int:
        """Sends a signal; gives the exit code."""
        self.process.send_signal(number)
        return self.process.wait(10)


@pytest.fixture
def start_python(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts Python programs that see this package and the given folders; kills what is left."""
    programs: list[Program] = []
    ours = str(Path(runqy_notebook.__file__).parent.parent)

    def start(
        *words: str | Path, folders: tuple[Path, ...] = (), environ: dict[str, str] | None = None
    ) -> Program:
        log = tmp_path / f"program{len(programs)}.log"
        path = os.pathsep.join([*map(str, folders), ours])
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("RUNQY_", "REDIS_"))}
        with log.open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                cwd=tmp_path,
                env={**clean, "PYTHONPATH": path, **(environ or {})},
            )
        programs.append(Program(process, log))
        return programs[-1]

    yield start
    for program in programs:
        program.process.kill()
        program.process.wait()


class Gate:
    """A handler that tells which tasks reached it and lets none end before it is opened."""

    def __init__(self) -> None:
        self.reached: list[Any] = []
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    def __call__(self, payload: Any) -> Any:
        self.reached.append(payload)
        assert self._open.wait(10), "the test never opened the gate"
        return payload


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate that is open at the latest when the test ends."""
    made = Gate()
    yield made
    made.open()
